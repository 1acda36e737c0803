//! Strangers at the doors. A pair of honest peers works before, during and after.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::{Message, connect};
use moorline_core::message::Status;

use crate::agent::{Agent, Way};
use crate::routing::send;
use crate::world::{Peer, World};

fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the hub listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    stream
        .write_all(request.as_bytes())
        .expect("it takes bytes");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

pub(crate) fn request(changes: &[(&str, &str)]) -> String {
    let mut request = String::from(
        "GET /ws HTTP/1.1\r\nHost: hub.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: moorline.v1\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    for (from, to) in changes {
        assert!(request.contains(from), "{from}");
        request = request.replace(from, to);
    }
    request
}

#[test]
fn a_request_that_opens_no_websocket_is_told_why_and_nothing_more() {
    let world = World::start();
    let cases: [(&str, &[(&str, &str)]); 11] = [
        ("404", &[("/ws", "/")]),
        ("404", &[("/ws", "/../data/issuer.key")]),
        (
            "405",
            &[
                ("GET", "POST"),
                ("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
            ],
        ),
        ("400", &[("HTTP/1.1", "HTTP/1.0")]),
        ("400", &[("Upgrade: websocket", "Upgrade: h2c")]),
        ("426", &[("Version: 13", "Version: 8")]),
        ("400", &[("moorline.v1", "mqtt")]),
        ("400", &[("dGhlIHNhbXBsZSBub25jZQ==", "dG9vIHNob3J0")]),
        ("400", &[("dGhlIHNhbXBsZSBub25jZQ==", "not base64!")]),
        (
            "403",
            &[("\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n")],
        ),
        ("400", &[("GET /ws HTTP/1.1", "\u{0}\u{1}\u{2}")]),
    ];
    for (status, changes) in cases {
        let answer = talk(world.http, &request(changes));
        let line = answer.lines().next().unwrap_or_default();
        assert_eq!(
            line.split(' ').nth(1),
            Some(status),
            "{changes:?}: {answer}"
        );
        let lower = answer.to_ascii_lowercase();
        for word in ["hyper", "tungstenite", "moorlined", "panic", "src/"] {
            assert!(!lower.contains(word), "{word} in {answer}");
        }
    }
}

#[test]
fn a_page_of_the_same_origin_is_let_in() {
    let world = World::start();
    let mut stream = TcpStream::connect(world.http).expect("the hub listens");
    let same = [("\r\n\r\n", "\r\nOrigin: http://hub.example\r\n\r\n")];
    stream
        .write_all(request(&same).as_bytes())
        .expect("it takes bytes");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 101");
}

/// Opens a WebSocket as a stranger, sends `message`, and returns once the hub has closed it.
fn disturb(address: SocketAddr, message: Message) {
    let mut request = format!("ws://{address}/ws")
        .into_client_request()
        .expect("an address");
    let subprotocol = HeaderValue::from_static("moorline.v1");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", subprotocol);
    let (mut socket, _) = connect(request).expect("the hub opens a WebSocket");
    // The hub may close while a large message is still on its way.
    let _ = socket.send(message);
    let closed = (0..10).any(|_| socket.read().is_err());
    assert!(closed, "the hub closes");
}

pub(crate) fn ping(alice: &Peer) {
    let reply = alice.connected(async |client| send(client, "boiler", "ping", &[]).await);
    assert_eq!(reply.expect("connected").expect("answered").0, Status::Done);
}

#[test]
fn garbage_on_a_websocket_ends_that_connection_and_no_other() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    ping(&alice);
    let m1_of_another_version = [0x01, 9, 0, 0].to_vec();
    for message in [
        Message::Text("hello".into()),
        Message::Binary(vec![].into()),
        Message::Binary(vec![0xFF; 100].into()),
        Message::Binary(m1_of_another_version.into()),
        Message::Binary(vec![0x01; 54].into()),
        Message::Binary(vec![0x20; 1 << 20].into()),
    ] {
        disturb(world.http, message);
        ping(&alice);
    }
}

#[test]
fn garbage_on_bare_tcp_is_passed_over_and_the_next_message_is_heard() {
    let world = World::start_with(|config| config.limits.handshake_millis = 1_000);
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let mut stranger = TcpStream::connect(world.tcp).expect("the hub listens");
    stranger
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    stranger.write_all(&[0xA5; 10_000]).expect("it takes bytes");
    stranger.write_all(&[0, 3, 1, 0]).expect("it takes bytes");
    ping(&alice);
    // A stranger that never becomes a peer is closed when its time is over.
    assert_eq!(stranger.read(&mut [0; 16]).expect("closed in order"), 0);
    ping(&alice);
}

#[test]
fn a_stranger_that_says_nothing_is_closed() {
    let world = World::start_with(|config| config.limits.handshake_millis = 1_000);
    let mut silent = TcpStream::connect(world.tcp).expect("the hub listens");
    silent
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    assert_eq!(silent.read(&mut [0; 16]).expect("closed in order"), 0);
}

/// Returns a socket on which nothing blocks a test for ever.
pub(crate) fn stranger(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the hub listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    stream
}

#[test]
fn the_oldest_stranger_gives_way_to_the_newest_and_peers_stay() {
    for (handshakes, handshakes_per_address) in [(2, 16), (16, 2)] {
        let world = World::start_with(|config| {
            config.limits.handshakes = handshakes;
            config.limits.handshakes_per_address = handshakes_per_address;
            config.limits.handshake_millis = 1_000;
        });
        let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
        let alice = world.commander("alice", "boiler");
        let strangers = [(); 3].map(|()| stranger(world.tcp));
        let heard = strangers.map(|mut stranger| {
            let mut hint = Vec::new();
            stranger.read_to_end(&mut hint).expect("closed in order");
            hint
        });
        // A REJECT comes after a delimiter and a code byte; the others are closed in silence when their time is over.
        assert_eq!(heard[0].get(2), Some(&0x08), "{heard:?}");
        assert!(heard[1].is_empty() && heard[2].is_empty(), "{heard:?}");
        ping(&alice);
    }
}

#[test]
fn strangers_that_ask_for_no_websocket_keep_no_peer_out() {
    let world = World::start_with(|config| {
        config.limits.connections = 4;
        config.limits.handshakes = 2;
        config.limits.handshake_millis = 60_000;
    });
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let _strangers = [(); 6].map(|()| {
        let mut stranger = stranger(world.http);
        stranger.write_all(b"GET /ws HT").expect("it takes bytes");
        stranger
    });
    ping(&alice);
}

#[test]
fn a_stranger_whose_request_comes_byte_by_byte_is_closed_when_its_time_is_over() {
    let world = World::start_with(|config| config.limits.handshake_millis = 1_000);
    let mut slow = stranger(world.http);
    // A read that hears nothing paces the bytes: they take six seconds or more, on a slow machine even longer.
    slow.set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a socket option");
    let request = request(&[]);
    let closed = request.bytes().take(60).any(|byte| {
        slow.write_all(&[byte]).is_err()
            || slow.read(&mut [0; 16]).map_or_else(
                |error| error.kind() != ErrorKind::WouldBlock,
                |len| len == 0,
            )
    });
    assert!(closed, "the hub closes");
}
