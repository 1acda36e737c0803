//! A line that loses, repeats and reorders datagrams, by a seed, between a commander and its hub.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use moorline_core::connection::NewToken;
use moorline_core::message::{Command, Status};
use moorline_core::token::{AgentId, UnpackedToken};
use moorline_server::admin::Invitation;
use moorline_server::client::{Client, ClientError};
use moorline_server::store::{PeerRole, Reach};

use crate::agent::{Agent, Way};
use crate::udp::Person;
use crate::world::{ALL, World};

/// How long a reply may take that is sure to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// One datagram in so many is lost, as many come twice, and as many are overtaken.
const FAULT_EVERY: u64 = 24;

/// How long a datagram that is to be overtaken waits for another.
const HOLD: Duration = Duration::from_millis(30);

/// A line with faults; it is gone when this is dropped.
struct Line {
    address: SocketAddr,
    faults: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What happens to datagrams of one direction.
struct Fate {
    state: u64,
    faults: Arc<AtomicUsize>,
}

impl Fate {
    /// Returns the next number of a xorshift generator.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Passes what comes from `from` on to `to` until `stop` is set.
    fn pass(
        mut self,
        from: &UdpSocket,
        to: &UdpSocket,
        learned: impl Fn(SocketAddr),
        target: impl Fn() -> Option<SocketAddr>,
        stop: &AtomicBool,
    ) {
        from.set_read_timeout(Some(HOLD)).expect("a socket option");
        let mut buffer = [0; 2_048];
        let mut held: Option<Vec<u8>> = None;
        while !stop.load(Ordering::Acquire) {
            let mut passed = Vec::new();
            match from.recv_from(&mut buffer) {
                Ok((len, address)) => {
                    learned(address);
                    let datagram = buffer[..len].to_vec();
                    let fate = self.draw() % FAULT_EVERY;
                    self.faults
                        .fetch_add(usize::from(fate < 3), Ordering::AcqRel);
                    match fate {
                        0 => {}
                        1 => passed.extend([datagram.clone(), datagram]),
                        2 if held.is_none() => held = Some(datagram),
                        _ => passed.push(datagram),
                    }
                    if !passed.is_empty() {
                        passed.extend(held.take());
                    }
                }
                Err(_) => passed.extend(held.take()),
            }
            for datagram in passed {
                if let Some(address) = target() {
                    let _ = to.send_to(&datagram, address);
                }
            }
        }
    }
}

impl Line {
    fn to(hub: SocketAddr, seed: u64) -> Self {
        let bind = || Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        let (front, back) = (bind(), bind());
        let address = front.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let faults = Arc::new(AtomicUsize::new(0));
        let caller = Arc::new(std::sync::Mutex::new(None));
        let fate = |seed: u64| Fate {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            faults: Arc::clone(&faults),
        };
        let (there, again) = (fate(2 * seed), fate(2 * seed + 1));
        let up = {
            let (front, back) = (Arc::clone(&front), Arc::clone(&back));
            let (stop, caller) = (Arc::clone(&stop), Arc::clone(&caller));
            std::thread::spawn(move || {
                let learned = |address| *caller.lock().expect("no panic") = Some(address);
                there.pass(&front, &back, learned, || Some(hub), &stop);
            })
        };
        let down = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let target = || *caller.lock().expect("no panic");
                again.pass(&back, &front, |_| {}, target, &stop);
            })
        };
        Self {
            address,
            faults,
            stop,
            threads: vec![up, down],
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn over_a_line_with_every_fault_a_command_still_ends_in_its_reply() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let mut faults = 0;
    let boiler = AgentId::of("moorline", "boiler");
    for seed in 1..=5 {
        let line = Line::to(world.udp, seed);
        let url = format!("udp://{}?mtu=256", line.address);
        let text = "b".repeat(300);
        let done = alice.connected_to(&url, async |client| {
            for _ in 0..4 {
                let command = Command {
                    name: "echo",
                    arguments: [text.as_str()].into_iter().collect(),
                };
                let answered = client.send(boiler, command, PATIENCE, |reply| reply.status);
                let (status, _) = answered.await?;
                assert_eq!(status, Status::Done);
            }
            Ok::<_, ClientError>(())
        });
        done.expect("the link opens")
            .expect("every command is answered");
        faults += line.faults.load(Ordering::Acquire);
    }
    assert!(faults > 20, "the line had {faults} faults");
}

#[test]
fn over_a_line_with_every_fault_a_token_is_renewed_and_agents_are_listed() {
    let world = World::start();
    let names: Vec<String> = (0..20).map(|count| format!("agent-{count:02}")).collect();
    for name in &names {
        world.enrol(name, PeerRole::Agent, Some("all"), Reach::Nobody, &[]);
    }
    let alice = world.commander_with("alice", Reach::Group("all".into()), ALL);
    for seed in 11..=14 {
        let line = Line::to(world.udp, seed);
        let url = format!("udp://{}?mtu=256", line.address);
        alice.as_commander(async |commander| {
            let mut client = Client::connect(&url, commander).await.expect("it connects");
            let agents = client.agents().await.expect("they are listed");
            let mut listed: Vec<_> = agents.into_iter().map(|agent| agent.name).collect();
            listed.sort();
            assert_eq!(listed, names);
            let token = client.ask_token(None).await.expect("the hub gives one");
            let token = UnpackedToken::parse_exact(&token).expect("a token");
            let new = NewToken { token, key: None };
            client.take_up(&new).await.expect("the hub takes it");
            client.close().await;
        });
    }
}

#[test]
fn over_a_line_with_every_fault_a_newcomer_gets_its_token() {
    let world = World::start();
    for (seed, kind) in [
        (21, &["--code"][..]),
        (22, &["--code"]),
        (23, &["--code"]),
        (24, &["--code", "--external-key"]),
        (25, &["--code", "--external-key"]),
    ] {
        let line = Line::to(world.udp, seed);
        let url = format!("udp://{}?mtu=256", line.address);
        let name = format!("commander-{seed}");
        let person = Person::new(&world);
        let mut invite = vec!["--json", "enroll", "commander", &name, "--agent", "boiler"];
        invite.extend(kind);
        let Invitation {
            hub_key,
            root_key,
            code,
            ..
        } = person.invited(&invite);
        person.does(&[
            "join",
            &url,
            "--hub-key",
            &hub_key,
            "--root-key",
            &root_key,
            "--code",
            &code,
        ]);
        person.does(&["agents"]);
    }
}
