//! What an operator sees of connections, and ends.

use std::time::{Duration, Instant};

use moorline_core::connection::Closure;
use moorline_core::driver::DriverError;
use moorline_core::message::AlertCode;
use moorline_server::admin::{AdminAnswer, AdminRequest};
use moorline_server::connections::{ConnectionReport, ConnectionState, Health};

use crate::agent::{Agent, Way};
use crate::door::{ping, stranger};
use crate::programs::{json, moorline};
use crate::routing::send;
use crate::world::{World, private_folder};

/// How long a test waits for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

fn sessions(world: &World) -> Vec<ConnectionReport> {
    match world.ask(&AdminRequest::Sessions { after: None }) {
        AdminAnswer::Sessions { sessions, more } => {
            assert!(!more);
            sessions
        }
        other => panic!("{other:?}"),
    }
}

/// Waits until a connection is as it is wanted.
fn wait_for(world: &World, is_it: impl Fn(&ConnectionReport) -> bool) -> ConnectionReport {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let all = sessions(world);
        if let Some(found) = all.iter().find(|session| is_it(session)) {
            return found.clone();
        }
        assert!(Instant::now() < give_up, "{all:?}");
    }
}

fn is_called(session: &ConnectionReport, name: &str) -> bool {
    session.name.as_deref() == Some(name)
}

fn close(world: &World, whom: &str) -> AdminAnswer {
    world.ask(&AdminRequest::CloseSessions { whom: whom.into() })
}

/// Returns the alert with which an agent was ended.
fn alert_of(agent: Agent) -> AlertCode {
    match agent.end() {
        DriverError::Closed(Closure::ByPeer(alert)) => alert.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connections_are_listed_with_who_they_are_and_what_they_carry() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let _stranger = stranger(world.tcp);
    let seen = alice.connected(async |client| {
        send(client, "boiler", "ping", &[]).await.expect("answered");
        wait_for(&world, |session| {
            session.state == ConnectionState::Connecting
        });
        sessions(&world)
    });
    let seen = seen.expect("connected");
    assert_eq!(seen.len(), 3, "{seen:?}");
    let find = |name| seen.iter().find(|session| is_called(session, name));
    let (boiler, alice) = (
        find("boiler").expect("boiler"),
        find("alice").expect("alice"),
    );
    assert_eq!(
        (boiler.transport.as_str(), alice.transport.as_str()),
        ("tcp", "websocket")
    );
    assert_eq!(
        (boiler.role.as_deref(), alice.role.as_deref()),
        (Some("agent"), Some("commander"))
    );
    for peer in [boiler, alice] {
        assert_eq!(
            (peer.state, peer.health),
            (ConnectionState::Authenticated, Health::Good)
        );
        // Two messages of a handshake each way but the last, a channel's two, and a command or a reply.
        assert!(peer.messages_in >= 4 && peer.messages_out >= 4, "{peer:?}");
        assert!(peer.bytes_in > 500 && peer.bytes_out > 500, "{peer:?}");
    }
    let stranger = seen
        .iter()
        .find(|session| session.name.is_none())
        .expect("a stranger");
    assert_eq!((stranger.messages_in, stranger.role.as_deref()), (0, None));
}

#[test]
fn who_is_closed_hears_a_sealed_goodbye_and_others_go_on() {
    let world = World::start();
    let boiler = world.agent("boiler");
    let again = boiler.again();
    let agent = Agent::start(boiler, Way::WebSocket(world.http));
    let _pump = Agent::start(world.agent("pump"), Way::Tcp(world.tcp));
    let refused = close(&world, "nobody");
    assert!(matches!(refused, AdminAnswer::Refused(_)), "{refused:?}");
    assert!(matches!(close(&world, "boiler"), AdminAnswer::Closed(1)));
    assert_eq!(alert_of(agent), AlertCode::Close);
    let pump = wait_for(&world, |session| is_called(session, "pump"));
    ping_pump(&world);
    // It may come back, and be named by its number.
    let agent = Agent::start(again, Way::WebSocket(world.http));
    let again = wait_for(&world, |session| {
        is_called(session, "boiler") && session.id > pump.id
    });
    assert!(matches!(
        close(&world, &again.id.to_string()),
        AdminAnswer::Closed(1)
    ));
    assert_eq!(alert_of(agent), AlertCode::Close);
}

fn ping_pump(world: &World) {
    let alice = world.commander("alice", "pump");
    let reply = alice.connected(async |client| send(client, "pump", "ping", &[]).await);
    assert!(reply.expect("connected").is_ok());
}

#[test]
fn a_stranger_is_closed_without_a_word() {
    let world = World::start();
    let mut stranger = stranger(world.tcp);
    let seen = wait_for(&world, |session| {
        session.state == ConnectionState::Connecting
    });
    assert!(matches!(
        close(&world, &seen.id.to_string()),
        AdminAnswer::Closed(1)
    ));
    let mut heard = Vec::new();
    std::io::Read::read_to_end(&mut stranger, &mut heard).expect("closed in order");
    assert!(heard.is_empty());
}

#[test]
fn a_session_that_carries_nothing_ends_when_there_is_a_limit() {
    let world = World::start_with(|config| config.limits.idle_millis = 400);
    let agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let give_up = Instant::now() + PATIENCE;
    while !sessions(&world).is_empty() {
        assert!(Instant::now() < give_up, "it goes on");
    }
    assert_eq!(alert_of(agent), AlertCode::Limit);
}

#[test]
fn a_silent_peer_is_asked_and_its_round_trip_is_known() {
    let world = World::start_with(|config| {
        config.limits.heartbeat_millis = 200;
        config.limits.silence_millis = 10_000;
    });
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let boiler = wait_for(&world, |session| session.round_trip_millis.is_some());
    assert!(is_called(&boiler, "boiler") && boiler.mean_round_trip_millis.is_some());
    ping(&alice);
}

#[test]
fn a_person_lists_closes_and_looks_how_the_hub_does() {
    let world = World::start();
    let agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let table = run(&["sessions"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("ID  NAME    ROLE   STATE"), "{table}");
    assert!(
        lines[1].contains("boiler") && lines[1].contains("good"),
        "{table}"
    );
    let listed = json(&run(&["sessions", "--json"]));
    assert_eq!(listed[0]["name"], "boiler");

    let status = json(&run(&["status", "--json"]));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["roles"]["agent"], 1);
    assert_eq!(status["states"]["authenticated"], 1);
    assert_eq!(status["listeners"]["http"], world.http.to_string());
    assert_eq!(status["listeners"]["metrics"], "off");
    let components = status["components"].as_array().expect("a list");
    assert!(
        components.iter().all(|part| part["works"] == true),
        "{status}"
    );
    assert_eq!(status["keys"].as_array().map(Vec::len), Some(3));
    let text = run(&["status"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("connections authenticated  1"));

    let closed = json(&run(&["sessions", "close", "boiler", "--json"]));
    assert_eq!(closed["closed"], 1);
    assert_eq!(alert_of(agent), AlertCode::Close);
    assert_eq!(run(&["sessions", "close", "boiler"]).status.code(), Some(4));
}
