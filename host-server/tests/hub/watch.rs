//! Alerts: when too many strangers are refused, those who are to know hear of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline_core::crypto::SigningKey;
use moorline_server::admin::{AdminAnswer, AdminRequest, ask};
use moorline_server::audit::{Kind, Severity};
use moorline_server::config::Config;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach};
use moorline_server::watch::{Alert, AlertHandler, Class, Thresholds};
use serde_json::Value;

use crate::agent::{Agent, Way};
use crate::audit::records;
use crate::door::ping;
use crate::programs::{Program, moorlined};
use crate::world::{Peer, World, encode, private_folder};

/// How long something may take that is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// From two refusals on it is a warning, and from four on an emergency.
fn alert_soon(config: &mut Config) {
    config.watch.authentication_failures = Thresholds {
        info: 0,
        warning: 2,
        critical: 0,
        emergency: 4,
    };
}

/// Has strangers refused: each shows a token with a key that is not its own.
fn refusals(world: &World, count: usize) {
    let mut alice = world.commander("alice", "boiler");
    alice.key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    for _ in 0..count {
        assert!(alice.connected(async |_| {}).is_err());
    }
}

/// Sends on what it is handed.
struct Passes(Mutex<Sender<Alert>>);

impl AlertHandler for Passes {
    fn handle(&self, alert: &Alert) {
        let _ = self.0.lock().expect("idle").send(alert.clone());
    }
}

fn handled(handler: Arc<dyn AlertHandler>) -> World {
    let folder = Arc::new(private_folder());
    World::start_as(folder, alert_soon, |daemon| {
        daemon.with_alert_handler(handler)
    })
}

#[test]
fn a_users_handler_and_the_audit_log_hear_of_each_threshold() {
    let (sender, alerts) = channel();
    let mut world = handled(Arc::new(Passes(Mutex::new(sender))));
    refusals(&world, 5);
    let heard = [(); 2].map(|()| alerts.recv_timeout(PATIENCE).expect("an alert"));
    let said = heard.each_ref().map(|alert| (alert.severity, alert.count));
    assert_eq!(said, [(Severity::Warning, 2), (Severity::Emergency, 4)]);
    assert_eq!(heard[0].class, Class::AuthenticationFailures);
    let address = heard[0].address.as_deref().expect("an address");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    world.stop();
    assert!(alerts.try_recv().is_err(), "the cool-down is not over");
    let records = records(world.folder.path());
    let recorded = records.iter().filter(|record| record.kind == Kind::Alert);
    let recorded: Vec<Severity> = recorded.map(|record| record.severity).collect();
    assert_eq!(recorded, [Severity::Warning, Severity::Emergency]);
}

/// Panics, or never comes back.
struct Breaks {
    wait: Mutex<Receiver<()>>,
    begun: Sender<()>,
}

impl AlertHandler for Breaks {
    fn handle(&self, alert: &Alert) {
        self.begun.send(()).expect("the test waits");
        assert_ne!(alert.severity, Severity::Warning, "a handler that breaks");
        let _ = self.wait.lock().expect("idle").recv();
    }
}

#[test]
fn a_handler_that_breaks_or_does_not_come_back_holds_nobody_up() {
    let (release, wait) = channel();
    let (begun, calls) = channel();
    let wait = Mutex::new(wait);
    let world = handled(Arc::new(Breaks { wait, begun }));
    refusals(&world, 5);
    for _ in 0..2 {
        calls.recv_timeout(PATIENCE).expect("it is called");
    }
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    ping(&world.commander("bob", "boiler"));
    drop(release);
}

/// Returns the next connection, which is sure to come, and which says all that it has to say.
fn accepted(listener: &TcpListener) -> TcpStream {
    let listener = listener.try_clone().expect("a socket");
    let (sender, stream) = channel();
    std::thread::spawn(move || sender.send(listener.accept().expect("it connects").0));
    let stream = stream.recv_timeout(PATIENCE).expect("it connects");
    let patience = stream.set_read_timeout(Some(PATIENCE));
    patience.expect("a socket");
    stream
}

/// Reads one POST, and returns its head and its body.
fn read_post(stream: &mut TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a line") > 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let len = head.split("content-length: ").nth(1).expect("a length");
    let len = len
        .split("\r\n")
        .next()
        .expect("a line")
        .parse()
        .expect("a number");
    let mut body = vec![0; len];
    reader.read_exact(&mut body).expect("a body");
    (head, serde_json::from_slice(&body).expect("it is JSON"))
}

#[test]
fn a_webhook_hears_of_each_threshold_also_behind_one_that_it_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let world = World::start_with(|config| {
        alert_soon(config);
        config.watch.webhook = format!("http://{address}/alerts?to=me");
    });
    refusals(&world, 5);
    for (status, severity, count) in [("500 No", "warning", 2), ("204 Yes", "emergency", 4)] {
        let mut stream = accepted(&listener);
        let (head, body) = read_post(&mut stream);
        assert!(
            head.starts_with("post /alerts?to=me http/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
        assert!(
            head.contains("content-type: application/json\r\n"),
            "{head}"
        );
        assert_eq!(
            (&body["severity"], &body["count"]),
            (&severity.into(), &count.into())
        );
        assert_eq!(
            (&body["hub"], &body["class"]),
            (&"moorline".into(), &"authentication_failures".into())
        );
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).expect("it listens");
    }
}

#[test]
fn a_webhook_that_never_answers_is_given_up_and_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let world = World::start_with(|config| {
        alert_soon(config);
        config.watch.webhook = format!("http://{address}/");
        config.watch.webhook_millis = 300;
    });
    refusals(&world, 5);
    let mut silent = accepted(&listener);
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    ping(&world.commander("bob", "boiler"));
    assert_eq!(read_post(&mut silent).1["severity"], "warning");
    // The next one comes when this one is given up.
    let mut next = accepted(&listener);
    assert_eq!(read_post(&mut next).1["severity"], "emergency");
    assert_eq!(silent.read(&mut [0; 1]).expect("it is closed"), 0);
}

#[test]
fn the_log_has_the_alert_in_fields() {
    let folder = private_folder();
    let path = folder.path().join("moorlined.toml");
    let text =
        "[watch.authentication_failures]\ninfo = 0\nwarning = 1\ncritical = 0\nemergency = 0\n";
    std::fs::write(&path, text).expect("a file");
    let arguments = [
        "--config",
        path.to_str().expect("a path"),
        "--log-format",
        "json",
        "--listen",
        "127.0.0.1:0",
        "--listen-tcp",
        "127.0.0.1:0",
    ];
    let child = moorlined(&arguments)
        .env("MOORLINED_DATA_DIR", folder.path().join("hub"))
        .stdout(Stdio::null())
        .spawn();
    let mut program = Program(child.expect("the program runs"));
    let log = BufReader::new(program.0.stderr.take().expect("it is piped"));
    let lines = log.lines().map_while(Result::ok);
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("it is JSON"));
    let mut find = |message: &str| {
        let found = lines.find(|line| line["fields"]["message"] == message);
        found.expect("it says so")
    };
    find("ready");
    let key = || SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let request = AdminRequest::Enrol {
        name: "alice".into(),
        role: PeerRole::Commander,
        key: encode(&key()),
        group: None,
        reach: Reach::Agents(vec!["boiler".into()]),
        permissions: Vec::new(),
    };
    let answer = ask(&folder.path().join("hub"), &request).expect("it answers");
    let AdminAnswer::Enrolled(credential) = answer else {
        panic!("not enrolled: {answer:?}");
    };
    let thief = Peer {
        key: key(),
        credential,
    };
    assert!(thief.connected(async |_| {}).is_err());
    let alert = find("alert");
    assert_eq!(
        (&alert["level"], &alert["fields"]["class"]),
        (&"WARN".into(), &"authentication_failures".into())
    );
}
