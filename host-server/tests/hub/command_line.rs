//! The two programs as a person or a script runs them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use moorline_core::crypto::SigningKey;
use moorline_core::provision::{Provision, Road};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_server::admin::Credential;
use moorline_server::entropy::SystemEntropy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{Agent, Way};
use crate::offline_agent::{AwayAgent, Memory, Told};
use crate::world::{Peer, World, encode, private_folder};

pub(crate) fn moorline(home: &Path, data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moorline"))
        .arg("--home")
        .arg(home)
        .args(arguments)
        .env("MOORLINED_DATA_DIR", data_dir)
        .output()
        .expect("the program runs")
}

pub(crate) fn json(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A commander's folder with a key, enrolled for the agent `boiler`.
pub(crate) fn enrolled(world: &World, more: &[&str]) -> TempDir {
    let home = private_folder();
    assert!(
        moorline(home.path(), world.folder.path(), &["keygen"])
            .status
            .success()
    );
    let mut arguments = vec!["enroll", "commander", "alice", "--agent", "boiler"];
    arguments.extend(more);
    let output = moorline(home.path(), world.folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    home
}

#[test]
fn a_person_makes_a_key_enrols_lists_and_sends() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);

    let agents = run(&["agents"]);
    assert!(String::from_utf8_lossy(&agents.stdout).starts_with("boiler  online   "));
    let agents = json(&run(&["agents", "--json"]));
    assert_eq!(agents[0]["name"], "boiler");
    assert_eq!(agents[0]["online"], true);

    let reply = run(&["send", "boiler", "echo", "hello", "there"]);
    assert_eq!(
        String::from_utf8_lossy(&reply.stdout),
        "text  hello there\n"
    );
    let id = agents[0]["id"].as_str().expect("an id").to_owned();
    let reply = json(&run(&["send", &id, "ping", "--json"]));
    assert_eq!(reply["status"], "done");
    assert_eq!(reply["fields"]["text"], "pong");
    assert!(reply["request_bytes"].as_u64() > Some(24), "{reply}");
}

#[test]
fn every_way_to_fail_has_its_exit_code_and_says_why() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &["--permission", "agent.command.ping"]);
    let empty = private_folder();
    let data_dir = world.folder.path();
    let nowhere = empty.path().join("nowhere");
    let cases: [(&Path, &Path, &[&str], i32, &str); 9] = [
        (
            home.path(),
            data_dir,
            &["send", "boiler", "led", "on"],
            4,
            "does not permit",
        ),
        (home.path(), data_dir, &["agents"], 4, "does not permit"),
        (
            home.path(),
            data_dir,
            &["send", "ghost", "ping"],
            5,
            "reaches no agent",
        ),
        (
            home.path(),
            data_dir,
            &["keygen"],
            2,
            "there is a key already",
        ),
        (
            home.path(),
            data_dir,
            &["enroll", "commander", "alice"],
            2,
            "whom the commander reaches",
        ),
        (empty.path(), data_dir, &["agents"], 2, "moorline keygen"),
        (
            home.path(),
            &nowhere,
            &["enroll", "agent", "x"],
            3,
            "is moorlined running",
        ),
        (
            home.path(),
            data_dir,
            &["revoke", "ghost"],
            4,
            "nobody called",
        ),
        (home.path(), data_dir, &["send", "boiler"], 2, "Usage"),
    ];
    for (home, data_dir, arguments, code, why) in cases {
        let output = moorline(home, data_dir, arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(why),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let refused = moorline(home.path(), data_dir, &["--json", "send", "ghost", "ping"]);
    let refused: Value = serde_json::from_slice(&refused.stderr).expect("it is JSON");
    assert_eq!(refused["exit_code"], 5);
}

#[test]
fn an_agent_that_fails_or_stays_silent_has_its_exit_code() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let unknown = run(&["send", "boiler", "dance"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    let late = run(&["send", "--timeout", "1", "boiler", "hold"]);
    assert_eq!(late.status.code(), Some(6), "{}", stderr(&late));
}

#[test]
fn a_hub_that_is_gone_is_said_to_be() {
    let mut world = World::start();
    let home = enrolled(&world, &[]);
    world.stop();
    let output = moorline(home.path(), world.folder.path(), &["agents"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn a_credential_for_a_key_that_is_elsewhere_is_printed() {
    let world = World::start();
    let home = private_folder();
    let key = encode(&SigningKey::generate(&mut SystemEntropy).expect("random bytes"));
    let arguments = ["enroll", "agent", "pump", "--key", &key];
    let output = moorline(home.path(), world.folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let credential: Credential = serde_json::from_slice(&output.stdout).expect("a credential");
    assert_eq!(
        (credential.name.as_str(), credential.hub.as_str()),
        ("pump", "moorline")
    );
    let mut buffer = [0; MAX_UNPACKED_LEN];
    assert!(credential.token(&mut buffer).is_ok());
    assert!(credential.anchors().is_ok());
}

#[test]
fn an_agents_image_holds_what_the_device_needs_and_is_for_its_owner_alone() {
    let world = World::start();
    let home = private_folder();
    let image = home.path().join("boiler.img");
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let path = image.to_str().expect("a path");
    assert_eq!(
        run(&["provision", "--out", path]).status.code(),
        Some(2),
        "there is no key yet"
    );
    let key = json(&run(&["--json", "keygen"]));
    json(&run(&[
        "--json", "enroll", "agent", "boiler", "--group", "north",
    ]));
    let written = json(&run(&["--json", "provision", "--out", path]));
    let mode = std::fs::metadata(&image)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&image).expect("a file");
    assert_eq!(written["bytes"], bytes.len());
    let provision = Provision::parse(&bytes).expect("an image");
    let enrolled_at = world.http.to_string();
    assert_eq!(provision.host(), enrolled_at);
    assert_eq!(provision.road(), Road::Network);
    assert_eq!(written["road"], "network");
    assert_eq!(written["host"], enrolled_at);
    let signing_key = SigningKey::from_scalar(provision.scalar()).expect("a key");
    assert_eq!(key["public_key"], encode(&signing_key));
    let odd = run(&["provision", "--out", path, "--host", "a b"]);
    assert_eq!(odd.status.code(), Some(2), "{}", stderr(&odd));
    let itself = run(&["provision", "--out", path]);
    let text = String::from_utf8_lossy(&itself.stdout);
    assert!(text.contains("the device itself"), "{text}");
    let elsewhere = ["--road", "serial", "--host", "hub.example:7444"];
    let said = run(&[&["provision", "--out", path][..], &elsewhere].concat());
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("by its serial line"), "{text}");
    let bytes = std::fs::read(&image).expect("a file");
    let provision = Provision::parse(&bytes).expect("an image");
    assert_eq!(provision.road(), Road::SerialLine);
    assert_eq!(provision.place(), ("hub.example", 7444));

    let commander = enrolled(&world, &[]);
    let refused = moorline(
        commander.path(),
        world.folder.path(),
        &["provision", "--out", path],
    );
    assert!(
        stderr(&refused).contains("is a commander"),
        "{}",
        stderr(&refused)
    );
}

/// The daemon as a program.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn moorlined(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorlined"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts the daemon as a program and waits until it is ready; returns where it serves HTTP.
pub(crate) fn start_program(data_dir: &Path) -> (Program, SocketAddr) {
    let (program, http, _) = start_program_with_tcp(data_dir);
    (program, http)
}

/// As [`start_program`]; returns where it serves bare TCP too.
fn start_program_with_tcp(data_dir: &Path) -> (Program, SocketAddr, SocketAddr) {
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--listen-tcp",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let child = moorlined(&arguments)
        .env("MOORLINED_DATA_DIR", data_dir)
        .spawn();
    let mut program = Program(child.expect("the program runs"));
    let log = program.0.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let ready = lines
        .find(|line| line.contains("\"ready\""))
        .expect("it says so");
    // What it says later is read on, so that it is never kept waiting.
    std::thread::spawn(move || lines.for_each(drop));
    let ready: Value = serde_json::from_str(&ready).expect("it is JSON");
    let address = |name: &str| {
        let text = ready["fields"][name].as_str().expect("an address");
        text.parse().expect("an address")
    };
    (program, address("http"), address("tcp"))
}

#[test]
fn the_daemon_needs_no_file_and_sigterm_ends_it_with_a_goodbye() {
    let folder = private_folder();
    let data_dir = folder.path().join("hub");
    let (mut program, http) = start_program(&data_dir);
    let home = private_folder();
    assert!(
        moorline(home.path(), &data_dir, &["keygen"])
            .status
            .success()
    );
    let output = moorline(
        home.path(),
        &data_dir,
        &["--json", "enroll", "agent", "boiler"],
    );
    let credential = serde_json::from_value(json(&output)).expect("a credential");
    let key = moorline_server::store::load_key(&home.path().join("key")).expect("a key");
    let agent = Agent::start(Peer { key, credential }, Way::WebSocket(http));

    let pid = Pid::from_child(&program.0);
    kill_process(pid, Signal::TERM).expect("it runs");
    let end = agent.end();
    assert!(format!("{end:?}").contains("GoingAway"), "{end:?}");
    assert!(program.0.wait().expect("it ends").success());
}

#[test]
fn what_was_kept_is_there_after_the_daemon_was_killed() {
    let folder = private_folder();
    let data_dir = folder.path().join("hub");
    let enrolled = |home: &Path, arguments: &[&str]| {
        assert!(moorline(home, &data_dir, &["keygen"]).status.success());
        json(&moorline(
            home,
            &data_dir,
            &[&["--json", "enroll"][..], arguments].concat(),
        ))
    };
    let (program, _, tcp) = start_program_with_tcp(&data_dir);
    let (device, alice) = (private_folder(), private_folder());
    let credential = enrolled(device.path(), &["agent", "boiler"]);
    let agent = Arc::new(Peer {
        key: moorline_server::store::load_key(&device.path().join("key")).expect("a key"),
        credential: serde_json::from_value(credential).expect("a credential"),
    });
    enrolled(alice.path(), &["commander", "alice", "--agent", "boiler"]);
    let memory = Arc::new(Mutex::new(Memory::default()));
    let at_work = AwayAgent::start(&agent, &memory, tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: false });
    at_work.leave();
    let send = ["send", "boiler", "echo", "kept", "--offline"];
    let kept = moorline(alice.path(), &data_dir, &send);
    assert!(kept.status.success(), "{}", stderr(&kept));
    // SIGKILL: nothing is written after this.
    drop(program);

    let (_program, http, tcp) = start_program_with_tcp(&data_dir);
    let at_work = AwayAgent::start(&agent, &memory, tcp);
    assert!(matches!(at_work.told(), Told::Ready { .. }));
    assert_eq!(at_work.told(), Told::Answered);
    at_work.leave();
    // The hub has another port now.
    let path = alice.path().join("credential.json");
    let mut credential: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("it is JSON");
    credential["url"] = format!("ws://{http}/ws").into();
    std::fs::write(&path, credential.to_string()).expect("own file");
    let replies = json(&moorline(alice.path(), &data_dir, &["replies", "--json"]));
    assert_eq!(replies[0]["outcome"], "result", "{replies}");
    assert_eq!(replies[0]["reply"]["fields"]["text"], "echo kept");
}

fn credential(home: &Path) -> Credential {
    let bytes = std::fs::read(home.join("credential.json")).expect("it is enrolled");
    serde_json::from_slice(&bytes).expect("a credential")
}

#[test]
fn a_person_renews_a_token_and_a_key() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let (first, first_key) = (credential(home.path()), run(&["pubkey", "--json"]).stdout);

    let renewed = json(&run(&["renew", "--json"]));
    let second = credential(home.path());
    assert_ne!(second.token, first.token);
    assert_eq!(renewed["expires_at"], second.expires_at);
    assert!(run(&["send", "boiler", "ping"]).status.success());
    assert_eq!(run(&["pubkey", "--json"]).stdout, first_key);

    let renewed = json(&run(&["renew", "--new-key", "--json"]));
    assert_eq!(renewed["new_key"], true);
    assert_ne!(run(&["pubkey", "--json"]).stdout, first_key);
    assert!(run(&["send", "boiler", "ping"]).status.success());
    assert!(!home.path().join("next/key").exists());
}

#[test]
fn a_key_that_the_hub_took_up_unheard_is_found_again() {
    let world = World::start();
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let old: Vec<(&str, Vec<u8>)> = ["key", "credential.json"]
        .into_iter()
        .map(|name| (name, std::fs::read(home.path().join(name)).expect("a file")))
        .collect();
    assert!(run(&["renew", "--new-key"]).status.success());
    // As if the machine had stopped between the hub's answer and the first file that changes.
    let next = home.path().join("next");
    for (name, bytes) in &old {
        std::fs::rename(home.path().join(name), next.join(name)).expect("it moves");
        std::fs::write(home.path().join(name), bytes).expect("it is written");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(home.path().join(name), private).expect("it is ours");
    }
    let _ = std::fs::remove_dir_all(home.path().join("tickets"));
    assert!(run(&["agents"]).status.success());
    // And between the first file and the second.
    assert!(run(&["renew", "--new-key"]).status.success());
    std::fs::rename(
        home.path().join("credential.json"),
        next.join("credential.json"),
    )
    .expect("it moves");
    let (_, bytes) = &old[1];
    std::fs::write(home.path().join("credential.json"), bytes).expect("it is written");
    assert!(run(&["agents"]).status.success());
}

/// Invites `name` and returns what the operator gets.
pub(crate) fn invited(world: &World, arguments: &[&str]) -> moorline_server::admin::Invitation {
    let home = private_folder();
    let mut all = vec!["enroll"];
    all.extend(arguments);
    all.extend(["--code", "--json"]);
    let output = moorline(home.path(), world.folder.path(), &all);
    serde_json::from_value(json(&output)).expect("an invitation")
}

#[test]
fn a_newcomer_joins_with_a_code_and_nothing_else_is_carried_by_hand() {
    let mut world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let invitation = invited(&world, &["commander", "carol", "--agent", "boiler"]);
    let home = private_folder();
    let nowhere = home.path().join("no-data-dir");
    let run = |arguments: &[&str]| moorline(home.path(), &nowhere, arguments);
    let hub_key = invitation.hub_key.as_str();
    let join = |code: &str| {
        run(&[
            "join",
            &invitation.url,
            "--hub-key",
            hub_key,
            "--root-key",
            &invitation.root_key,
            "--code",
            code,
            "--json",
        ])
    };
    let wrong = join("0000-0000-0000");
    assert_eq!(wrong.status.code(), Some(4), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("wrong, used, or over"));
    assert_eq!(run(&["agents"]).status.code(), Some(2), "not enrolled");
    // Another hub's key: what answers there does not learn the code.
    let other = moorline(home.path(), world.folder.path(), &["pubkey"]);
    let other = String::from_utf8(other.stdout).expect("text");
    let wrong_hub = run(&[
        "join",
        &invitation.url,
        "--hub-key",
        other.trim(),
        "--root-key",
        &invitation.root_key,
        "--code",
        &invitation.code,
    ]);
    assert_eq!(wrong_hub.status.code(), Some(3), "{}", stderr(&wrong_hub));

    let joined = json(&join(&invitation.code.to_lowercase()));
    assert_eq!(joined["name"], "carol");
    assert!(run(&["send", "boiler", "ping"]).status.success());
    // Once.
    let second = private_folder();
    let again = moorline(
        second.path(),
        &nowhere,
        &[
            "join",
            &invitation.url,
            "--hub-key",
            hub_key,
            "--root-key",
            &invitation.root_key,
            "--code",
            &invitation.code,
        ],
    );
    assert_eq!(again.status.code(), Some(4), "{}", stderr(&again));
    // The hub knows her after a restart as it does everyone.
    let renewed = run(&["renew"]);
    assert!(renewed.status.success(), "{}", stderr(&renewed));
    world.stop();
    let file = std::fs::read_to_string(world.folder.path().join("peers.json"));
    assert!(file.expect("the registry").contains("carol"));
}

#[test]
fn a_name_that_is_invited_again_gets_the_new_key_and_loses_the_old_one() {
    let world = World::start();
    let invitation = invited(&world, &["commander", "carol", "--agent", "boiler"]);
    let join = |home: &Path, invitation: &moorline_server::admin::Invitation| {
        let arguments = [
            "join",
            &invitation.url,
            "--hub-key",
            &invitation.hub_key,
            "--root-key",
            &invitation.root_key,
            "--code",
            &invitation.code,
        ];
        moorline(home, &home.join("nowhere"), &arguments)
    };
    let (first, second) = (private_folder(), private_folder());
    assert!(join(first.path(), &invitation).status.success());
    let invitation = invited(&world, &["commander", "carol", "--agent", "boiler"]);
    let agents = |home: &Path| {
        moorline(home, &home.join("nowhere"), &["agents"])
            .status
            .code()
    };
    assert_eq!(
        agents(first.path()),
        Some(0),
        "an invitation changes nothing"
    );
    assert!(join(second.path(), &invitation).status.success());
    assert_eq!(agents(second.path()), Some(0));
    assert_eq!(agents(first.path()), Some(4));
    // Who is shut out is not invited, and an invitation goes with its name.
    let revoked = moorline(second.path(), world.folder.path(), &["revoke", "carol"]);
    assert!(revoked.status.success());
    let arguments = [
        "enroll",
        "commander",
        "carol",
        "--agent",
        "boiler",
        "--code",
    ];
    let refused = moorline(second.path(), world.folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
}

#[test]
fn a_person_leaves_commands_for_an_agent_that_is_away_and_fetches_the_replies() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let failed = |arguments: &[&str], code: i32, why: &str| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    failed(&["send", "boiler", "ping"], 5, "--offline");
    let offline = ["send", "boiler", "echo", "one", "--offline"];
    failed(&offline, 5, "no prekey");
    failed(&["send", "boiler", "echo", "--wait", "1"], 2, "--offline");
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: false });
    at_work.leave();

    let nothing = run(&["replies"]);
    let nothing = String::from_utf8_lossy(&nothing.stdout).into_owned();
    assert_eq!(nothing, "no commands are open\n");
    let kept = run(&offline);
    let text = String::from_utf8_lossy(&kept.stdout).into_owned();
    assert!(kept.status.success(), "{}", stderr(&kept));
    // The number of the attempt without a prekey was not used.
    assert!(
        text.starts_with("kept for boiler as number 1, for "),
        "{text}"
    );
    let more = ["--valid", "30m", "--signed-reply", "--json"];
    let kept = json(&run(&[
        &["send", "boiler", "echo", "two", "--offline"][..],
        &more,
    ]
    .concat()));
    assert_eq!((&kept["kept"], &kept["number"]), (&true.into(), &2.into()));
    let beyond = ["--valid", "3h"];
    failed(
        &[&offline[..], &beyond].concat(),
        2,
        "until the token's end",
    );
    failed(
        &[&offline[..], &["--wait", "1"]].concat(),
        6,
        "no reply within",
    );
    let waiting = json(&run(&["replies", "--json"]));
    assert_eq!(waiting.as_array().map(Vec::len), Some(3));
    assert_eq!(waiting[0]["outcome"], "waits");
    let ledger = home.path().join("offline");
    let mode = std::fs::metadata(&ledger).expect("a folder").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);

    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    for _ in 0..3 {
        assert_eq!(at_work.told(), Told::Answered);
    }
    // It is there now, and the same way works, with the reply at once.
    let last = [
        "send",
        "boiler",
        "echo",
        "four",
        "--offline",
        "--short",
        "--wait",
        "20",
    ];
    let reply = run(&last);
    let text = String::from_utf8_lossy(&reply.stdout).into_owned();
    assert_eq!(text, "text  echo four\n", "{}", stderr(&reply));
    let replies = run(&["replies", "boiler"]);
    let text = String::from_utf8_lossy(&replies.stdout).into_owned();
    let expected = "boiler echo one (number 1):\ntext  echo one\n\
                    boiler echo two (number 2):\ntext  echo two\n\
                    boiler echo one (number 3):\ntext  echo one\n";
    assert_eq!(text, expected, "{}", stderr(&replies));
    assert_eq!(json(&run(&["replies", "--json"])), Value::Array(Vec::new()));
    at_work.leave();
    assert_eq!(memory.lock().expect("it is idle").ran.len(), 4);
}

#[test]
fn a_machine_is_provisioned_with_an_external_key_that_is_good_once() {
    let world = World::start();
    let arguments = ["agent", "boiler-9", "--group", "north", "--external-key"];
    let invitation = invited(&world, &arguments);
    let home = private_folder();
    let join = |home: &Path, key: &str| {
        let arguments = [
            "join",
            &invitation.url,
            "--hub-key",
            &invitation.hub_key,
            "--root-key",
            &invitation.root_key,
            "--code",
            key,
            "--json",
        ];
        moorline(home, &home.join("nowhere"), &arguments)
    };
    // The right name with another key, another name, and what is none.
    let (identity, secret) = invitation.code.split_once(':').expect("name and key");
    let other = "A".repeat(secret.len());
    for (wrong, code) in [
        (format!("{identity}:{other}"), 3),
        (format!("{}:{secret}", "A".repeat(identity.len())), 3),
        (format!("{identity}:{}", &secret[1..]), 2),
    ] {
        let output = join(home.path(), &wrong);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{wrong}: {}",
            stderr(&output)
        );
    }
    let joined = json(&join(home.path(), &invitation.code));
    assert_eq!(joined["name"], "boiler-9");
    assert_eq!(joined["group"], "north");
    // The credential works: the agent comes back with its own key and token.
    let profile = moorline_server::client::Profile::new(home.path());
    let peer = Peer {
        key: profile.key().expect("a key"),
        credential: profile.credential().expect("a credential"),
    };
    let _agent = Agent::start(peer, Way::WebSocket(world.http));
    let second = private_folder();
    let again = join(second.path(), &invitation.code);
    assert_eq!(again.status.code(), Some(3), "{}", stderr(&again));
}
