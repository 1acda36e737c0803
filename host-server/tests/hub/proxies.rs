//! Who asks, when a proxy is in between.

use std::io::{Read, Write};
use std::net::TcpStream;

use moorline_server::audit::Kind;
use moorline_server::config::Config;

use crate::audit::records;
use crate::door::{request, stranger};
use crate::http::{parts, talk};
use crate::tls::Authority;
use crate::world::World;

/// Opens a WebSocket for whom `forwarded` names.
fn websocket(world: &World, forwarded: &str) -> TcpStream {
    let header = format!("\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
    let request = request(&[("\r\n\r\n", &header)]);
    let mut stream = stranger(world.http);
    stream
        .write_all(request.as_bytes())
        .expect("it takes bytes");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
    stream
}

/// Returns whether the hub still answers a ping.
fn is_there(stream: &mut TcpStream) -> bool {
    let mut pong = [0; 2];
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    stream.write_all(&ping).is_ok() && stream.read_exact(&mut pong).is_ok() && pong == [0x8A, 0]
}

fn start(proxies: &[&str]) -> World {
    let proxies = proxies.iter().map(|text| text.parse().expect("a network"));
    World::start_with(|config: &mut Config| {
        config.http.proxies = proxies.collect();
        config.limits.handshakes_per_address = 2;
        config.limits.handshake_millis = 60_000;
    })
}

#[test]
fn strangers_behind_a_proxy_count_by_their_own_addresses() {
    for (proxies, addresses, stays) in [
        (
            &["127.0.0.0/8"][..],
            ["203.0.113.7", "203.0.113.8", "203.0.113.9"],
            true,
        ),
        (
            &["127.0.0.0/8"],
            [
                "1.1.1.1, 203.0.113.7",
                "2.2.2.2, 203.0.113.7",
                "203.0.113.7",
            ],
            false,
        ),
        // Who is no proxy says what it wants.
        (
            &["10.0.0.0/8"],
            ["203.0.113.7", "203.0.113.8", "203.0.113.9"],
            false,
        ),
        (&[], ["203.0.113.7", "203.0.113.8", "203.0.113.9"], false),
    ] {
        let world = start(proxies);
        let mut streams = addresses.map(|address| websocket(&world, address));
        let [first, second, third] = &mut streams;
        assert_eq!(is_there(first), stays, "{proxies:?} {addresses:?}");
        assert!(
            is_there(second) && is_there(third),
            "{proxies:?} {addresses:?}"
        );
    }
}

#[test]
fn the_audit_log_names_who_asks_and_not_its_proxy() {
    let mut world = start(&["127.0.0.1"]);
    let mut streams = [(); 3].map(|()| websocket(&world, "203.0.113.7"));
    assert!(!is_there(&mut streams[0]), "it gives way");
    let port = streams[0].local_addr().expect("an address").port();
    world.stop();
    let records = records(world.folder.path());
    let gone = records.iter().find(|record| record.kind == Kind::LimitHit);
    let address = gone.and_then(|record| record.address.clone());
    assert_eq!(address, Some(format!("203.0.113.7:{port}")), "{records:?}");
}

#[test]
fn a_proxy_says_whether_there_was_tls_and_what_it_says_badly_is_refused() {
    let authority = Authority::new();
    for (proxy, headers, status) in [
        (true, "", 308),
        (true, "X-Forwarded-Proto: https\r\n", 200),
        (true, "X-Forwarded-Proto: http\r\n", 308),
        (true, "X-Forwarded-Proto: wss\r\n", 400),
        (
            true,
            "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n",
            400,
        ),
        (
            true,
            "X-Forwarded-For: unknown\r\nX-Forwarded-Proto: https\r\n",
            400,
        ),
        (false, "X-Forwarded-Proto: https\r\n", 308),
        (
            false,
            "X-Forwarded-For: unknown\r\nX-Forwarded-Proto: wss\r\n",
            308,
        ),
    ] {
        let world = authority.start(|config| {
            config.tls.require_tls = true;
            if proxy {
                config.http.proxies = vec!["127.0.0.1".parse().expect("an address")];
            }
        });
        let request = format!(
            "GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub.example\r\n\
             Connection: close\r\n{headers}\r\n"
        );
        let answer = talk(world.http, &request);
        assert_eq!(parts(&answer).0, status, "{proxy} {headers}: {answer}");
    }
}
