//! What is on record of what peers and operators did.

use std::path::Path;
use std::sync::{Arc, Mutex};

use moorline_core::connection::NewToken;
use moorline_core::crypto::SigningKey;
use moorline_core::token::UnpackedToken;
use moorline_server::admin::{AdminAnswer, AdminRequest, Invitation};
use moorline_server::audit::{AUDIT_KEY_NAME, Kind, Record, Records, Whole, verify};
use moorline_server::client::{Client, ClientError};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach, load_key};

use crate::agent::{Agent, Way};
use crate::door::stranger;
use crate::offline_agent::{AwayAgent, Memory, Told};
use crate::programs::{enrolled, invited, join, moorline, stderr};
use crate::routing::send;
use crate::world::{World, private_folder};

/// Returns what is on record at this moment.
pub(crate) fn records(data_dir: &Path) -> Vec<Record> {
    let records = Records::open(data_dir).expect("a log");
    records.map(|record| record.expect("it reads")).collect()
}

/// Checks the log.
pub(crate) fn whole(data_dir: &Path) -> Whole {
    let key = load_key(&data_dir.join(AUDIT_KEY_NAME)).expect("the key");
    verify(data_dir, key.public_key(), "").expect("it is whole")
}

fn of_kind(records: &[Record], kind: Kind) -> Vec<&Record> {
    records
        .iter()
        .filter(|record| record.kind == kind)
        .collect()
}

/// Returns the one record of this kind.
fn one(records: &[Record], kind: Kind) -> &Record {
    let found = of_kind(records, kind);
    assert_eq!(found.len(), 1, "{kind}: {records:#?}");
    found[0]
}

fn text(record: &Record, name: &str) -> String {
    let detail = record.details.get(name);
    detail
        .unwrap_or_else(|| panic!("{name}: {record:?}"))
        .to_string()
}

/// Stops the hub, which writes what is left, and returns all that is on record.
fn all(world: &mut World) -> Vec<Record> {
    world.stop();
    let whole = whole(world.folder.path());
    assert_eq!((whole.unsigned(), whole.torn), (0, 0));
    records(world.folder.path())
}

fn invite(name: &str, with_key: bool) -> AdminRequest {
    AdminRequest::Invite {
        name: name.into(),
        role: PeerRole::Agent,
        group: None,
        reach: Reach::Nobody,
        permissions: Vec::new(),
        seconds: 900,
        with_key,
    }
}

#[test]
fn what_an_operator_does_is_on_record_when_the_answer_is_there() {
    let world = World::start();
    let last = || records(world.folder.path()).pop().expect("a record");
    assert_eq!(last().kind, Kind::Started);
    assert_eq!(text(&last(), "after"), "nothing");
    world.agent("boiler");
    let enrolled = last();
    assert_eq!(
        (enrolled.kind, enrolled.subject.as_deref()),
        (Kind::Enrolled, Some("boiler"))
    );
    assert_eq!(text(&enrolled, "how"), "operator");
    world.ask(&invite("pump", false));
    assert_eq!(
        (last().kind, last().subject.as_deref()),
        (Kind::Invited, Some("pump"))
    );
    assert_eq!(text(&last(), "with"), "code");
    let AdminAnswer::Invited(invitation) = world.ask(&invite("pump", true)) else {
        panic!("it is invited");
    };
    let known = records(world.folder.path());
    assert_eq!(
        known[known.len() - 2].kind,
        Kind::Withdrawn,
        "another takes its place"
    );
    assert_eq!(text(&last(), "with"), "external key");
    world.ask(&AdminRequest::Revoke {
        name: "boiler".into(),
    });
    assert_eq!(
        (last().kind, last().subject.as_deref()),
        (Kind::Revoked, Some("boiler"))
    );
    assert_eq!(whole(world.folder.path()).last, last().number);
    // Neither the key nor its name is in there.
    let (identity, secret) = invitation.code.split_once(':').expect("name and key");
    for record in records(world.folder.path()) {
        let said = format!("{record:?}");
        assert!(!said.contains(identity) && !said.contains(secret), "{said}");
    }
}

#[test]
fn what_an_operator_is_refused_is_on_record() {
    let mut world = World::start();
    world.ask(&AdminRequest::Revoke {
        name: "ghost".into(),
    });
    let records = all(&mut world);
    assert!(text(one(&records, Kind::OperatorRefused), "why").contains("ghost"));
    assert_eq!(of_kind(&records, Kind::Revoked), Vec::<&Record>::new());
}

#[test]
fn a_session_a_channel_and_their_ends_are_on_record() {
    let mut world = World::start();
    let agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let replies = alice.connected(async |client| {
        for _ in 0..3 {
            send(client, "boiler", "ping", &[]).await?;
        }
        Ok::<_, ClientError>(())
    });
    replies.expect("it connects").expect("it is answered");
    let records = all(&mut world);
    drop(agent);
    let opened = of_kind(&records, Kind::SessionOpened);
    let roles: Vec<String> = opened.iter().map(|record| text(record, "role")).collect();
    assert_eq!(roles, ["agent", "commander"]);
    let session = |name: &str, kind| {
        let of = of_kind(&records, kind);
        let found = of
            .into_iter()
            .find(|record| record.subject.as_deref() == Some(name));
        let found = found.unwrap_or_else(|| panic!("{name} {kind}"));
        assert!(
            kind == Kind::ChannelOpened
                || found
                    .address
                    .as_deref()
                    .is_some_and(|address| address.starts_with("127.0.0.1:"))
        );
        found.session.clone().expect("a session")
    };
    for name in ["boiler", "alice"] {
        assert_eq!(
            session(name, Kind::SessionOpened),
            session(name, Kind::SessionClosed)
        );
    }
    let channel = one(&records, Kind::ChannelOpened);
    assert_eq!(
        (channel.subject.as_deref(), text(channel, "agent").as_str()),
        (Some("alice"), "boiler")
    );
    assert_eq!(
        session("alice", Kind::ChannelOpened),
        session("alice", Kind::SessionOpened)
    );
    let closed = of_kind(&records, Kind::SessionClosed);
    let of_boiler = |record: &&&Record| record.subject.as_deref() == Some("boiler");
    let closed = closed.iter().find(of_boiler).expect("it is closed");
    assert!(text(closed, "why").contains("GoingAway"), "{closed:?}");
    assert_eq!(
        records.last().map(|record| record.kind),
        Some(Kind::Stopped)
    );
}

#[test]
fn a_stranger_that_is_refused_is_on_record_with_the_reason() {
    let mut world = World::start();
    let mut alice = world.commander("alice", "boiler");
    alice.key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let refused = alice.connected(async |_| {});
    assert!(refused.is_err());
    let records = all(&mut world);
    let refused = one(&records, Kind::StrangerRefused);
    assert_eq!(text(refused, "why"), "InitiatorSignature");
    assert_eq!(refused.subject, None, "nobody has proved to be anybody");
}

#[test]
fn a_peer_that_was_shut_out_is_on_record_when_it_comes_again() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    world.ask(&AdminRequest::Revoke {
        name: "alice".into(),
    });
    assert!(alice.connected(async |_| {}).is_err());
    let records = all(&mut world);
    let whys: Vec<String> = of_kind(&records, Kind::StrangerRefused)
        .iter()
        .map(|record| text(record, "why"))
        .collect();
    assert_eq!(whys, ["Revoked"]);
}

#[test]
fn a_flood_of_strangers_is_counted_and_not_written() {
    let mut world = World::start_with(|config| config.audit.strangers_per_second = 1);
    let mut alice = world.commander("alice", "boiler");
    alice.key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let begun = std::time::Instant::now();
    for _ in 0..30 {
        assert!(alice.connected(async |_| {}).is_err());
    }
    let seconds = begun.elapsed().as_secs() + 2;
    let records = all(&mut world);
    let refused = of_kind(&records, Kind::StrangerRefused);
    let count = u64::try_from(refused.len()).expect("few");
    assert!((1..=seconds).contains(&count), "{count}");
    let held_back: u64 = refused.iter().map(|record| record.held_back).sum();
    assert!(count + held_back <= 30);
}

#[test]
fn what_a_commander_may_not_do_is_on_record() {
    let mut world = World::start();
    world.agent("pump");
    let alice = world.commander_with(
        "alice",
        Reach::Agents(vec!["boiler".into()]),
        &["agent.watch"],
    );
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    alice
        .connected(async |client: &mut Client<'_>| {
            assert!(client.agents().await.is_err());
            assert!(send(client, "pump", "ping", &[]).await.is_err());
            assert!(send(client, "boiler", "ping", &[]).await.is_err());
        })
        .expect("it connects");
    let records = all(&mut world);
    let denied = of_kind(&records, Kind::PermissionDenied);
    assert!(
        denied
            .iter()
            .all(|record| record.subject.as_deref() == Some("alice"))
    );
    assert_eq!(text(denied[0], "asked"), "agents");
    assert_eq!(text(denied[1], "why"), "UnknownAgent");
    assert_eq!(text(denied[2], "why"), "NotPermitted");
    assert_eq!(
        of_kind(&records, Kind::ChannelOpened),
        Vec::<&Record>::new()
    );
}

#[test]
fn a_newer_token_and_a_new_key_are_on_record() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let folder = Arc::clone(&world.folder);
    let seen = Mutex::new(Vec::new());
    let connected = alice.connected(async |client| {
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let token = client.ask_token(Some(key.public_key())).await;
        let token = token.expect("the hub gives one");
        let new = NewToken {
            token: UnpackedToken::parse_exact(&token).expect("a token"),
            key: Some(&key),
        };
        client.take_up(&new).await.expect("the hub takes it");
        // The answer is here, and so is the record.
        *seen.lock().expect("idle") = records(folder.path());
        assert!(client.ask_token(None).await.is_err(), "it is too soon");
    });
    connected.expect("it connects");
    let seen = seen.into_inner().expect("idle");
    let rekeyed = one(&seen, Kind::Rekeyed);
    assert_eq!(rekeyed.subject.as_deref(), Some("alice"));
    assert_eq!(text(rekeyed, "key").len(), 16);
    let mut world = world;
    let records = all(&mut world);
    assert_eq!(text(one(&records, Kind::TokenRenewed), "rekeyed"), "true");
    assert!(text(one(&records, Kind::TokenRefused), "why").contains("too soon"));
}

#[test]
fn a_hub_that_was_killed_says_so_and_one_that_was_stopped_too() {
    let mut world = World::start();
    world.stop();
    let folder = Arc::clone(&world.folder);
    let mut world = World::start_in(Arc::clone(&folder), |_| {});
    world.stop();
    // As a kill in the middle of a line leaves it.
    let last = records(folder.path()).pop().expect("a record");
    let path = folder.path().join(format!("audit/{:020}.jsonl", 1));
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::write(&path, [&bytes[..], b"{\"number\":5,"].concat()).expect("a file");
    let mut world = World::start_in(Arc::clone(&folder), |_| {});
    let records = all(&mut world);
    let later: Vec<&Record> = records
        .iter()
        .filter(|record| record.number > last.number)
        .collect();
    let kinds: Vec<Kind> = later.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [Kind::Recovered, Kind::Started, Kind::Stopped]);
    assert_eq!(text(later[0], "cut_bytes"), "12");
    let started = of_kind(&records, Kind::Started);
    assert_eq!(text(started[1], "after"), "stop");
}

/// Joins with `code` as a person does; returns whether it was taken.
fn joins(invitation: &Invitation, code: &str) -> bool {
    let home = private_folder();
    join(home.path(), invitation, code).status.success()
}

#[test]
fn a_newcomer_is_on_record_when_it_has_its_token() {
    for (arguments, how) in [
        (&["agent", "pump"][..], "code"),
        (&["agent", "pump", "--external-key"], "external key"),
    ] {
        let world = World::start();
        let invitation = invited(&world, arguments);
        assert!(joins(&invitation, &invitation.code));
        let records = records(world.folder.path());
        let enrolled = one(&records, Kind::Enrolled);
        assert_eq!(enrolled.subject.as_deref(), Some("pump"));
        assert_eq!(text(enrolled, "how"), how);
        assert!(
            enrolled
                .address
                .as_deref()
                .is_some_and(|address| address.starts_with("127.0.0.1:"))
        );
        assert!(!joins(&invitation, &invitation.code), "it is good once");
    }
}

#[test]
fn wrong_codes_are_on_record_and_so_is_who_is_shut_out_while_invited() {
    let mut world = World::start();
    let invitation = invited(&world, &["agent", "pump"]);
    assert!(joins(&invitation, &invitation.code));
    let invitation = invited(&world, &["agent", "pump"]);
    assert!(!joins(&invitation, "0000-0000-0000"));
    world.ask(&AdminRequest::Revoke {
        name: "pump".into(),
    });
    let known = records(world.folder.path());
    let withdrawn = one(&known, Kind::Withdrawn);
    assert_eq!(
        (
            withdrawn.subject.as_deref(),
            text(withdrawn, "why").as_str()
        ),
        (Some("pump"), "revoked")
    );
    let records = all(&mut world);
    assert_eq!(
        text(one(&records, Kind::StrangerRefused), "why"),
        "EnrolmentCode"
    );
}

#[test]
fn a_command_for_who_is_away_is_on_record_from_hand_to_hand() {
    let mut world = World::start();
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| {
        let output = moorline(home.path(), world.folder.path(), arguments);
        (output.status.success(), stderr(&output))
    };
    let offline = ["send", "boiler", "echo", "one", "--offline"];
    assert!(!run(&offline).0, "nobody is called so");
    let agent = Arc::new(world.agent("boiler"));
    assert!(!run(&offline).0, "there is no prekey");
    let memory = Arc::new(Mutex::new(Memory::default()));
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert!(matches!(at_work.told(), Told::Ready { .. }));
    at_work.leave();
    let (kept, why) = run(&offline);
    assert!(kept, "{why}");
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert!(matches!(at_work.told(), Told::Ready { .. }));
    assert_eq!(at_work.told(), Told::Answered);
    let (fetched, why) = run(&["send", "boiler", "echo", "two", "--offline", "--wait", "20"]);
    assert!(fetched, "{why}");
    at_work.leave();
    let records = all(&mut world);
    let subjects = |kind| {
        let found = of_kind(&records, kind);
        let subjects = found
            .iter()
            .map(|record| record.subject.clone().unwrap_or_default());
        subjects.collect::<Vec<_>>()
    };
    assert_eq!(subjects(Kind::CommandKept), ["alice", "alice"]);
    assert_eq!(
        text(of_kind(&records, Kind::CommandKept)[0], "agent"),
        "boiler"
    );
    assert_eq!(subjects(Kind::CommandDelivered), ["boiler", "boiler"]);
    assert_eq!(subjects(Kind::ReplyKept), ["boiler", "boiler"]);
    assert_eq!(
        text(of_kind(&records, Kind::ReplyKept)[0], "commander"),
        "alice"
    );
    assert_eq!(subjects(Kind::ReplyFetched), ["alice"]);
    assert_eq!(
        subjects(Kind::PermissionDenied),
        ["alice"],
        "an agent that it does not know"
    );
}

#[test]
fn a_command_that_is_not_kept_is_on_record() {
    let mut world = World::start_with(|config| config.offline.commands = 0);
    let home = enrolled(&world, &[]);
    let agent = Arc::new(world.agent("boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    let at_work = AwayAgent::start(&agent, &memory, world.tcp);
    assert!(matches!(at_work.told(), Told::Ready { .. }));
    at_work.leave();
    let offline = ["send", "boiler", "echo", "one", "--offline"];
    let output = moorline(home.path(), world.folder.path(), &offline);
    assert!(!output.status.success());
    let records = all(&mut world);
    let refused = one(&records, Kind::CommandRefused);
    assert_eq!(
        (refused.subject.as_deref(), text(refused, "why").as_str()),
        (Some("alice"), "Full")
    );
}

#[test]
fn who_comes_to_a_limit_is_on_record() {
    let mut world = World::start_with(|config| {
        config.limits.handshakes = 1;
        config.limits.channels = 1;
    });
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let first = stranger(world.tcp);
    let second = stranger(world.tcp);
    // The first one gives way to the second.
    let mut first = first;
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(&mut first, &mut said);
    drop(second);
    let records = all(&mut world);
    assert!(text(one(&records, Kind::LimitHit), "why").contains("gives way"));
}
