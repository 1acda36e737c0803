//! Who is too fast, or keeps failing. Each test has peers beside it whom it does not concern.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use moorline_core::crypto::SigningKey;
use moorline_core::framing::Delimited;
use moorline_core::message::Status;
use moorline_server::client::ClientError;
use moorline_server::entropy::SystemEntropy;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::agent::{Agent, Stream, Way};
use crate::door::ping;
use crate::links::try_open;
use crate::routing::send;
use crate::world::{Peer, World};

/// How long a test waits for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects to the hub at `address` from 127.0.0.`host`.
pub(crate) fn connect_from(host: u8, address: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(
        &socket,
        &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0),
    )
    .expect("loopback");
    connect(&socket, &address).expect("the hub listens");
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    stream
}

/// Returns whether the hub drops a connection from 127.0.0.`host` without a word, and does not even hear a request.
fn is_dropped(host: u8, world: &World) -> bool {
    let mut stream = connect_from(host, world.http);
    // The hub may have closed it already.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 404"),
        "{answer}"
    );
    answer.is_empty()
}

/// Returns whether a connection of 127.0.0.`host` is dropped in the end, when it connects again and again: a failure is
/// counted when its peer has been told of it.
pub(crate) fn is_dropped_soon(host: u8, world: &World) -> bool {
    (0..200).any(|_| is_dropped(host, world))
}

/// Returns a peer with the credential of `peer` and a key of its own: a thief of the token.
pub(crate) fn thief_of(peer: &Peer) -> Peer {
    Peer {
        key: SigningKey::generate(&mut SystemEntropy).expect("random bytes"),
        credential: peer.credential.clone(),
    }
}

/// Tries to come in as `peer` from 127.0.0.`host`; returns whether the hub let it in.
fn comes_in_from(host: u8, peer: &Peer, world: &World) -> bool {
    let mut incoming = [0; 2048];
    let stream = Stream(connect_from(host, world.tcp));
    try_open(peer, stream, Delimited::new(&mut incoming[..]), |_| ()).is_ok()
}

#[test]
fn an_address_that_connects_too_fast_is_dropped_and_no_other_is() {
    let world = World::start_with(|config| {
        config.limits.connections_per_address_second = 1;
        config.limits.connections_per_address_burst = 3;
    });
    assert!((0..3).all(|_| !is_dropped(7, &world)));
    assert!(is_dropped_soon(7, &world) && !is_dropped(8, &world));
    let reloaded = world.reload(|_| ());
    assert!(reloaded.waiting.is_empty());
    assert!(!is_dropped(7, &world), "the limits of before are over");
}

#[test]
fn an_address_that_keeps_failing_is_blocked_for_a_while_and_no_other_is() {
    let world = World::start_with(|config| {
        config.limits.failures_per_address = 2;
        config.limits.block_seconds = 5;
    });
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let mallory = thief_of(&alice);
    for _ in 0..3 {
        assert!(!is_dropped(7, &world), "it is borne with");
        assert!(!comes_in_from(7, &mallory, &world));
    }
    assert!(is_dropped_soon(7, &world));
    assert!(comes_in_from(8, &alice, &world), "another address");
    ping(&alice);
    let give_up = Instant::now() + PATIENCE;
    while !comes_in_from(7, &alice, &world) {
        assert!(Instant::now() < give_up, "it is never forgiven");
    }
}

#[test]
fn an_address_with_peers_is_slowed_in_place_of_blocked() {
    let world = World::start_with(|config| config.limits.failures_per_address = 1);
    // Everybody is at 127.0.0.1.
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let mallory = thief_of(&alice);
    let went_on = alice.connected(async |client| {
        for _ in 0..2 {
            assert!(!comes_in_from(1, &mallory, &world));
        }
        send(client, "boiler", "ping", &[]).await
    });
    assert_eq!(
        went_on.expect("connected").expect("answered").0,
        Status::Done
    );
    let bob = world.commander("bob", "boiler");
    assert!(comes_in_from(1, &bob, &world), "one that waits is let in");
    assert!(is_dropped_soon(1, &world), "it is slowed");
}

#[test]
fn a_token_that_is_tried_from_many_addresses_costs_each_its_patience_and_its_owner_nothing() {
    let world = World::start_with(|config| config.limits.failures_per_subject = 2);
    let boiler = world.agent("boiler");
    let mallory = thief_of(&boiler);
    for host in [11, 12] {
        assert!(!comes_in_from(host, &mallory, &world));
        assert!(!is_dropped(host, &world), "one failure is borne with");
    }
    assert!(!comes_in_from(13, &mallory, &world));
    assert!(is_dropped_soon(13, &world), "the token is tried too often");
    assert!(comes_in_from(14, &boiler, &world), "its owner comes in");
}

#[test]
fn failures_on_datagrams_count_as_all_others_do() {
    let world = World::start_with(|config| config.limits.failures_per_address = 1);
    let alice = world.commander("alice", "boiler");
    let mallory = thief_of(&alice);
    for _ in 0..2 {
        let refused = mallory.connected_to(&world.udp_url(), async |_| ());
        assert!(refused.is_err());
    }
    assert!(is_dropped_soon(1, &world));
    assert!(alice.connected_to(&world.udp_url(), async |_| ()).is_err());
    assert!(!is_dropped(2, &world));
}

#[test]
fn a_peer_that_sends_too_fast_is_read_slowly_and_loses_nothing() {
    let world = World::start_with(|config| {
        config.limits.messages_per_second = 20;
        config.limits.messages_burst = 5;
    });
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let began = Instant::now();
    let all = alice.connected(async |client| {
        for count in 0..30 {
            let text = count.to_string();
            let reply = send(client, "boiler", "echo", &[&text]).await?;
            assert_eq!(reply, (Status::Done, text));
        }
        Ok::<_, ClientError>(())
    });
    all.expect("connected").expect("answered");
    // Thirty messages, of which five are free: 25 intervals of 50 ms.
    assert!(began.elapsed() >= Duration::from_millis(1_200));
}

#[test]
fn a_commander_has_as_many_sessions_as_are_set_and_the_newest_win() {
    let world = World::start_with(|config| config.limits.commander_sessions = 1);
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let works = |number| {
        let first = alice.connected(async |client| {
            let reloaded = world.reload(|config| config.limits.commander_sessions = number);
            assert!(reloaded.waiting.is_empty());
            ping(&alice);
            send(client, "boiler", "ping", &[]).await.is_ok()
        });
        first.expect("connected")
    };
    assert!(!works(1));
    assert!(works(2));
}
