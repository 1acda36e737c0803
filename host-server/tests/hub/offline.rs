//! Commands for agents that are away: kept, delivered, run once, answered.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline_core::connection::Event;
use moorline_core::driver::blocking::Machine;
use moorline_core::framing::Delimited;
use moorline_core::message::{Command, FromHub, OfflineRefusal, Reply, ToHub, Value};
use moorline_core::offline::TokenForm;
use moorline_core::reason::Reason;
use moorline_core::time::UnixMillis;
use moorline_core::token::AgentId;
use moorline_core::trust::NoKeeper;
use moorline_server::admin::AdminRequest;
use moorline_server::client::{Client, ClientError, Ledger, OfflineOrder, OfflineOutcome};
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::Reach;
use tempfile::TempDir;

use crate::agent::Stream;
use crate::links::open;
use crate::offline_agent::{AwayAgent, Memory, Told};
use crate::world::{ALL, Peer, World, private_folder};

/// A commander with its ledger.
struct Alice {
    peer: Peer,
    home: TempDir,
}

impl Alice {
    fn new(peer: Peer) -> Self {
        Self {
            peer,
            home: private_folder(),
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(&self.home.path().join("offline"))
    }

    fn connected<R>(&self, world: &World, work: impl AsyncFnOnce(&mut Client<'_>) -> R) -> R {
        let url = format!("ws://{}/ws", world.http);
        self.peer.connected_to(&url, work).expect("it connects")
    }

    /// Leaves `echo TEXT` for `boiler`, with a change to the order.
    fn leave(
        &self,
        world: &World,
        text: &str,
        change: impl FnOnce(&mut OfflineOrder<'_>),
    ) -> Result<u64, ClientError> {
        let command = Command {
            name: "echo",
            arguments: [text].into_iter().collect(),
        };
        let mut order = OfflineOrder {
            called: "boiler",
            agent: boiler(),
            command: &command,
            not_after: clock::now().unix.plus(600_000),
            wants_signature: false,
            token_form: TokenForm::Full,
        };
        change(&mut order);
        let ledger = self.ledger();
        self.connected(world, async |client| {
            client.send_offline(&ledger, &order).await
        })
    }

    fn fetch(
        &self,
        world: &World,
        counter: u64,
        seconds: u64,
    ) -> Result<OfflineOutcome<String>, ClientError> {
        let ledger = self.ledger();
        let patience = Duration::from_secs(seconds);
        self.connected(world, async |client| {
            let outcome = client
                .fetch_offline(&ledger, boiler(), counter, patience, text)
                .await?;
            if !outcome.is_open() {
                client
                    .close_offline(&ledger, boiler(), counter, &outcome)
                    .await?;
            }
            Ok(outcome)
        })
    }
}

fn boiler() -> AgentId {
    AgentId::of("moorline", "boiler")
}

fn text(reply: &Reply<'_>) -> String {
    match reply.fields.first().map(|field| field.value) {
        Some(Value::Text(text)) => text.into(),
        other => panic!("a text is expected, not {other:?}"),
    }
}

fn result(text: &str) -> OfflineOutcome<String> {
    OfflineOutcome::Result(text.into())
}

/// Has `peer` publish a prekey and leave again.
fn publish(world: &World, peer: &Arc<Peer>, memory: &Arc<Mutex<Memory>>) {
    let agent = AwayAgent::start(peer, memory, world.tcp);
    assert!(matches!(agent.told(), Told::Ready { .. }));
    // What was said is heard before the goodbye.
    agent.leave();
}

fn not_kept(result: Result<u64, ClientError>) -> OfflineRefusal {
    match result {
        Err(ClientError::NotKept(refusal)) => refusal,
        other => panic!("a refusal is expected, not {other:?}"),
    }
}

#[test]
fn commands_wait_through_a_restart_run_once_in_order_and_are_answered() {
    let mut world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let alice = Alice::new(world.commander("alice", "boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    publish(&world, &agent, &memory);
    let first = alice.leave(&world, "one", |_| {}).expect("kept");
    let second = alice
        .leave(&world, "two", |order| order.wants_signature = true)
        .expect("kept");
    assert!(second > first);
    assert_eq!(
        alice.fetch(&world, first, 0).expect("asked"),
        OfflineOutcome::Waits
    );
    world.stop();
    let world = World::start_in(Arc::clone(&world.folder), |_| {});
    // The prekey of before the restart is still given out.
    let third = alice.leave(&world, "three", |_| {}).expect("kept");
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    for _ in 0..3 {
        assert_eq!(at_work.told(), Told::Answered);
    }
    for (counter, expected) in [
        (third, "echo three"),
        (first, "echo one"),
        (second, "echo two"),
    ] {
        let outcome = alice.fetch(&world, counter, 10).expect("asked");
        assert_eq!(outcome, result(expected));
    }
    assert!(at_work.tells_no_more());
    at_work.leave();
    // Nothing is left to come again.
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    assert!(at_work.tells_no_more());
    at_work.leave();
    let ran = &memory.lock().expect("it is idle").ran;
    assert_eq!(*ran, ["echo one", "echo two", "echo three"]);
    assert!(alice.ledger().read(boiler()).expect("read").open.is_empty());
}

#[test]
fn an_agent_that_is_there_has_the_command_at_once_and_its_commander_waits_for_the_reply() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let alice = Alice::new(world.commander("alice", "boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: false });
    let ledger = alice.ledger();
    for number in 1..=3 {
        let said = format!("echo {number}");
        let outcome = alice.connected(&world, async |client| {
            let text_of = number.to_string();
            let command = Command {
                name: "echo",
                arguments: [text_of.as_str()].into_iter().collect(),
            };
            let order = OfflineOrder {
                called: "boiler",
                agent: boiler(),
                command: &command,
                not_after: clock::now().unix.plus(60_000),
                wants_signature: true,
                token_form: TokenForm::Hash,
            };
            // The hub may not have taken the prekey yet that the agent has just sent.
            let counter = loop {
                match client.send_offline(&ledger, &order).await {
                    Err(ClientError::NotKept(OfflineRefusal::NoPrekey)) if number == 1 => {}
                    kept => break kept.expect("kept"),
                }
            };
            assert_eq!(counter, number);
            let patience = Duration::from_secs(10);
            let fetched = client.fetch_offline(&ledger, boiler(), counter, patience, text);
            let outcome = fetched.await.expect("answered");
            let closed = client.close_offline(&ledger, boiler(), counter, &outcome);
            closed.await.expect("closed");
            outcome
        });
        assert_eq!(outcome, result(&said));
        // The first time the token is asked for, and the command sealed again under its number.
        for _ in 0..if number == 1 { 2 } else { 1 } {
            assert_eq!(at_work.told(), Told::Answered);
        }
    }
    at_work.leave();
    let memory = memory.lock().expect("it is idle");
    assert_eq!(memory.ran.len(), 3);
    let counted = memory.inbox.counters().iter().next();
    assert_eq!(counted.map(|(_, entry)| entry.counter()), Some(3));
}

#[test]
fn a_reply_is_for_its_commander_alone_and_who_is_revoked_has_neither_commands_nor_replies() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let alice = Alice::new(world.commander("alice", "boiler"));
    let mut bob = Alice::new(world.commander("bob", "boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    publish(&world, &agent, &memory);
    let hers = alice.leave(&world, "hers", |_| {}).expect("kept");
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    assert_eq!(at_work.told(), Told::Answered);
    at_work.leave();
    // Bob has Alice's ledger, and not her key.
    let copied = bob.home.path().join("offline");
    std::fs::create_dir(&copied).expect("a folder");
    std::fs::set_permissions(&copied, PermissionsExt::from_mode(0o700)).expect("own folder");
    let file = boiler().to_string();
    std::fs::copy(
        alice.home.path().join("offline").join(&file),
        copied.join(&file),
    )
    .expect("copied");
    let outcome = bob.fetch(&world, hers, 0).expect("asked");
    assert_eq!(outcome, OfflineOutcome::Silence);
    // What Bob leaves goes with him.
    bob.home = private_folder();
    bob.leave(&world, "his", |_| {}).expect("kept");
    world.ask(&AdminRequest::Revoke { name: "bob".into() });
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    assert!(at_work.tells_no_more());
    at_work.leave();
    assert_eq!(memory.lock().expect("it is idle").ran, ["echo hers"]);
    assert_eq!(
        alice.fetch(&world, hers, 0).expect("asked"),
        result("echo hers")
    );
    // The reply is gone once she has it, and so is what opens it.
    assert!(matches!(
        alice.fetch(&world, hers, 0),
        Err(ClientError::NotInLedger)
    ));
}

#[test]
fn every_refusal_has_its_name_and_leaves_nothing_in_the_ledger() {
    let world = World::start_with(|config| {
        config.offline.commands_per_commander = 2;
        config.limits.commander_token_seconds = 3_600;
    });
    let agent = Arc::new(world.agent("boiler"));
    let alice = Alice::new(world.commander("alice", "boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    assert_eq!(
        not_kept(alice.leave(&world, "x", |_| {})),
        OfflineRefusal::NoPrekey
    );
    publish(&world, &agent, &memory);
    let other = AgentId::of("moorline", "pump");
    assert_eq!(
        not_kept(alice.leave(&world, "x", |order| order.agent = other)),
        OfflineRefusal::UnknownAgent
    );
    let long = "x".repeat(700);
    assert_eq!(
        not_kept(alice.leave(&world, &long, |_| {})),
        OfflineRefusal::TooLong
    );
    let past = |order: &mut OfflineOrder<'_>| order.not_after = UnixMillis(1_000);
    assert_eq!(
        not_kept(alice.leave(&world, "x", past)),
        OfflineRefusal::NotAfter
    );
    let far = |order: &mut OfflineOrder<'_>| {
        order.not_after = clock::now().unix.plus(8 * 86_400_000);
    };
    assert_eq!(
        not_kept(alice.leave(&world, "x", far)),
        OfflineRefusal::NotAfter
    );
    assert!(alice.ledger().read(boiler()).expect("read").open.is_empty());
    alice.leave(&world, "one", |_| {}).expect("kept");
    alice.leave(&world, "two", |_| {}).expect("kept");
    assert_eq!(
        not_kept(alice.leave(&world, "three", |_| {})),
        OfflineRefusal::Full
    );
    let watcher = world.commander_with(
        "watcher",
        Reach::Agents(vec!["boiler".into()]),
        &["agent.list"],
    );
    assert_eq!(
        not_kept(Alice::new(watcher).leave(&world, "x", |_| {})),
        OfflineRefusal::NotPermitted
    );
    let stranger = world.commander_with("stranger", Reach::Agents(vec!["pump".into()]), ALL);
    assert_eq!(
        not_kept(Alice::new(stranger).leave(&world, "x", |_| {})),
        OfflineRefusal::UnknownAgent
    );
}

#[test]
fn other_quotas_hold_from_a_reload_on() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let alice = Alice::new(world.commander("alice", "boiler"));
    publish(&world, &agent, &Arc::new(Mutex::new(Memory::default())));
    alice.leave(&world, "one", |_| {}).expect("kept");
    let reloaded = world.reload(|config| config.offline.commands_per_commander = 1);
    assert!(reloaded.waiting.is_empty());
    assert_eq!(
        not_kept(alice.leave(&world, "two", |_| {})),
        OfflineRefusal::Full
    );
    let reloaded = world.reload(|config| config.offline.commands_per_commander = 2);
    assert!(reloaded.waiting.is_empty());
    alice.leave(&world, "two", |_| {}).expect("kept");
}

#[test]
fn a_command_that_has_lost_its_meaning_is_not_delivered() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let alice = Alice::new(world.commander("alice", "boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    publish(&world, &agent, &memory);
    let end = clock::now().unix.plus(400);
    let counter = alice.leave(&world, "late", |order| order.not_after = end);
    let counter = counter.expect("kept");
    while clock::now().unix < end {
        std::thread::yield_now();
    }
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: true });
    assert!(at_work.tells_no_more());
    at_work.leave();
    assert!(memory.lock().expect("it is idle").ran.is_empty());
    assert_eq!(
        alice.fetch(&world, counter, 0).expect("asked"),
        OfflineOutcome::Silence
    );
}

#[test]
fn a_bundle_of_another_agent_is_refused_by_the_hub_and_by_the_commander() {
    let world = World::start();
    let boiler_peer = Arc::new(world.agent("boiler"));
    let pump = Arc::new(world.agent("pump"));
    let alice = Alice::new(world.commander_with(
        "alice",
        Reach::Agents(vec!["boiler".into(), "pump".into()]),
        ALL,
    ));
    let memory = Arc::new(Mutex::new(Memory::default()));
    publish(&world, &boiler_peer, &memory);
    // The pump shows the boiler's prekey.
    memory.lock().expect("it is idle").post.begin();
    let posted = Arc::new(Mutex::new(Memory::default()));
    std::mem::swap(
        &mut posted.lock().expect("idle").post,
        &mut memory.lock().expect("idle").post,
    );
    std::mem::swap(
        &mut posted.lock().expect("idle").inbox,
        &mut memory.lock().expect("idle").inbox,
    );
    let at_work = AwayAgent::start(&pump, &posted, world.tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: false });
    assert_eq!(at_work.told(), Told::Refused);
    at_work.leave();
    let to_pump = |order: &mut OfflineOrder<'_>| order.agent = AgentId::of("moorline", "pump");
    assert_eq!(
        not_kept(alice.leave(&world, "x", to_pump)),
        OfflineRefusal::NoPrekey
    );
    // A hub that is broken into shows one agent's for another's, and one that is older than those before.
    let folder = world.folder.path().join("offline/prekeys");
    let name = AgentId::of("moorline", "pump").to_string();
    let stolen = std::fs::read(folder.join(boiler().to_string())).expect("a bundle");
    std::fs::write(folder.join(name), stolen).expect("a file");
    let world = restarted(world);
    let refused = alice.leave(&world, "x", to_pump);
    assert!(
        matches!(refused, Err(ClientError::WrongPrekey(Reason::OtherAgent))),
        "{refused:?}"
    );
    assert!(alice.leave(&world, "x", |_| {}).is_ok());
}

fn restarted(mut world: World) -> World {
    world.stop();
    World::start_in(Arc::clone(&world.folder), |_| {})
}

/// Says `messages` to the hub as `peer`, one after the other, and returns the refusal of each, or nothing for one that
/// is answered otherwise.
fn told_raw(world: &World, peer: &Peer, messages: &[Vec<u8>]) -> Vec<Option<OfflineRefusal>> {
    let stream = TcpStream::connect(world.tcp).expect("the hub listens");
    let wait = Some(Duration::from_millis(50));
    stream.set_read_timeout(wait).expect("a socket option");
    let mut incoming = [0; 2048];
    let framing = Delimited::new(&mut incoming[..]);
    let mut told = Vec::new();
    open(peer, Stream(stream), framing, |link| {
        let (mut clock, mut entropy) = (clock::now, SystemEntropy);
        let mut machine = Machine {
            clock: &mut clock,
            entropy: &mut entropy,
            keeper: &mut NoKeeper,
        };
        for message in messages {
            let sent = link.send_application(message, &mut SystemEntropy);
            sent.expect("the hub is there");
            told.push(loop {
                let heard = link.poll(&mut machine, |event| match event {
                    Event::Application(message) => Some(match FromHub::decode(message) {
                        Ok(FromHub::OfflineRefused { refusal, .. }) => Some(refusal),
                        Ok(FromHub::Issuers { .. }) => return None,
                        _ => None,
                    }),
                    _ => None,
                });
                if let Some(refusal) = heard.expect("the hub is there").flatten() {
                    break refusal;
                }
            });
        }
    });
    told
}

fn encoded(message: &ToHub<'_>) -> Vec<u8> {
    let mut out = [0; 1024];
    message.encode(&mut out).expect("it fits").to_vec()
}

/// Returns bytes with the head of a command, as anyone can write them.
fn head_of(agent: AgentId, key_name: [u8; 8], not_after: UnixMillis) -> Vec<u8> {
    let mut frame = vec![0x31];
    frame.extend(agent.0);
    frame.extend([0, 0, 0, 1]);
    frame.extend(key_name);
    frame.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend(not_after.0.to_be_bytes());
    frame.resize(200, 7);
    frame
}

#[test]
fn nobody_gives_commands_in_anothers_name_or_does_the_part_of_the_other_role() {
    let world = World::start();
    let agent = Arc::new(world.agent("boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    publish(&world, &agent, &memory);
    let (alice, bob) = (
        world.commander("alice", "boiler"),
        world.commander("bob", "boiler"),
    );
    let name_of = |peer: &Peer| peer.key.public_key().hash().prefix();
    let end = clock::now().unix.plus(60_000);
    let give = |frame: &[u8]| encoded(&ToHub::GiveCommand { frame });
    let in_her_name = give(&head_of(boiler(), name_of(&alice), end));
    let in_his_own = give(&head_of(boiler(), name_of(&bob), end));
    let mut other_kind = head_of(boiler(), name_of(&bob), end);
    other_kind[0] = 0x32;
    let prekey = ToHub::PublishPrekey {
        prekey: &[7; 126],
        max_command_len: 900,
    };
    let reply = ToHub::GiveReply { reply: &[7; 43] };
    let told = told_raw(
        &world,
        &bob,
        &[
            in_her_name,
            give(&other_kind),
            encoded(&prekey),
            encoded(&ToHub::NextCommand { taken: None }),
            encoded(&reply),
            in_his_own,
        ],
    );
    let bad = Some(OfflineRefusal::BadMessage);
    let not_permitted = Some(OfflineRefusal::NotPermitted);
    assert_eq!(
        told,
        [bad, bad, not_permitted, not_permitted, not_permitted, None]
    );
    let told = told_raw(
        &world,
        &agent,
        &[
            encoded(&ToHub::FetchBundle { agent: boiler().0 }),
            give(&head_of(boiler(), [1; 8], end)),
            encoded(&ToHub::FetchReply {
                frame: [1; 16],
                wait: false,
            }),
            encoded(&ToHub::TakenReply { frame: [1; 16] }),
            encoded(&reply),
            encoded(&prekey),
        ],
    );
    assert_eq!(
        told,
        [
            not_permitted,
            not_permitted,
            not_permitted,
            not_permitted,
            bad,
            bad
        ]
    );
}
