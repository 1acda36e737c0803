//! Peers that send without end. Each is closed, and an honest pair goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use moorline_core::framing::{Delimited, WebSocketClient};
use moorline_core::message::Status;
use moorline_server::client::ClientError;

use crate::agent::{Agent, Stream, Way};
use crate::door::{ping, request, stranger};
use crate::links::{hear_issuers, open, upgrade};
use crate::routing::send;
use crate::world::World;

/// Bytes of a flood: many times of what the hub reads for nothing.
const FLOOD_LEN: usize = 1 << 20;

/// A ping of a WebSocket's client without payload; the mask is zero.
const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];

/// The first fragment of a binary message, without payload, and one that follows.
const FRAGMENT: &[u8] = &[0x02, 0x80, 0, 0, 0, 0];
const NEXT_FRAGMENT: &[u8] = &[0x00, 0x80, 0, 0, 0, 0];

/// Sends `unit` again and again, and returns once the hub has closed the socket what it said until then.
fn flood(stream: &mut TcpStream, unit: &[u8]) -> Vec<u8> {
    let units = unit.repeat(FLOOD_LEN / unit.len());
    // The answers are read at the same time, so that nothing but the hub ends this.
    let mut reader = stream.try_clone().expect("a socket");
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut answers = Vec::new();
            let read = reader.read_to_end(&mut answers);
            // The hub may close while bytes are still on their way to it.
            let closed =
                read.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true);
            assert!(closed, "the hub closes");
            answers
        });
        let _ = stream.write_all(&units);
        reader.join().expect("the hub closes")
    })
}

fn flood_as_a_stranger(address: SocketAddr, opening: &[u8], unit: &[u8]) {
    let mut stream = stranger(address);
    stream.write_all(opening).expect("it takes bytes");
    flood(&mut stream, unit);
}

/// A hub that has more time for strangers than a test has.
fn patient_world() -> World {
    World::start_with(|config| config.limits.handshake_millis = 60_000)
}

#[test]
fn a_stranger_that_floods_is_closed_long_before_its_time_is_over() {
    let world = patient_world();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let upgrade = request(&[]);
    let fragmented = [upgrade.as_bytes(), FRAGMENT].concat();
    let body = [
        ("GET", "POST"),
        ("\r\n\r\n", "\r\nContent-Length: 999999999\r\n\r\n"),
    ];
    for (address, opening, unit) in [
        (world.tcp, &b""[..], &b"\0"[..]),
        (world.tcp, b"", b"\xA5"),
        (world.tcp, b"", b"\xA5\0"),
        (world.http, upgrade.as_bytes(), PING),
        (world.http, &fragmented, NEXT_FRAGMENT),
        (world.http, b"GET /ws HTTP/1.1\r\n", b"A: a\r\n"),
        (world.http, b"GET /", b"a"),
        (world.http, b"", b"\r\n"),
        (world.http, request(&body).as_bytes(), b"a"),
    ] {
        flood_as_a_stranger(address, opening, unit);
        ping(&alice);
    }
}

#[test]
fn a_peer_on_a_websocket_that_floods_pings_is_closed() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let mut stream = stranger(world.http);
    let mut opened = Stream(stream.try_clone().expect("a socket"));
    upgrade(&mut opened);
    let mut incoming = [0; 2048];
    let mallory = world.commander("mallory", "boiler");
    open(
        &mallory,
        opened,
        WebSocketClient::new(&mut incoming),
        |link| {
            hear_issuers(link);
            // Pongs and a goodbye are all: the hub does not ask whether such a peer is still there.
            let answers = flood(&mut stream, PING);
            assert!(answers.iter().all(|byte| [0x8A, 0x88, 0].contains(byte)));
        },
    );
    ping(&alice);
}

#[test]
fn a_peer_on_bare_tcp_that_floods_garbage_is_closed() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let mallory = world.commander("mallory", "boiler");
    for unit in [&b"\0"[..], b"\xA5", b"\xA5\0"] {
        let mut stream = stranger(world.tcp);
        let opened = Stream(stream.try_clone().expect("a socket"));
        let mut incoming = [0; 2048];
        open(
            &mallory,
            opened,
            Delimited::new(&mut incoming[..]),
            |link| {
                hear_issuers(link);
                // The hub does not ask whether such a peer is still there.
                assert_eq!(flood(&mut stream, unit), b"");
            },
        );
        ping(&alice);
    }
}

#[test]
fn a_peer_may_say_as_much_as_it_likes_in_messages() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let text = "a".repeat(500);
    let replies = alice.connected(async |client| {
        for _ in 0..200 {
            let reply = send(client, "boiler", "echo", &[&text]).await?;
            assert_eq!(reply, (Status::Done, text.clone()));
        }
        Ok::<_, ClientError>(())
    });
    replies.expect("connected").expect("answered");
}
