//! What HTTP answers beside the WebSocket.

use std::io::{Read, Write};
use std::net::SocketAddr;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::PublicKey;
use moorline_server::admin::{AdminAnswer, AdminRequest};
use moorline_server::keyring::HubKey;

use crate::door::{request, stranger};
use crate::world::World;

/// Returns all that is answered to `request` until the hub closes.
pub(crate) fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = stranger(address);
    stream
        .write_all(request.as_bytes())
        .expect("it takes bytes");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Returns the answer's status, its headers in lower case, and its body.
pub(crate) fn parts(answer: &str) -> (u16, String, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers");
    let status = head.split(' ').nth(1).expect("a status");
    let status = status.parse().expect("a number");
    (status, head.to_ascii_lowercase(), body)
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n{headers}\r\n"
    );
    talk(address, &request)
}

const JWKS: &str = "/.well-known/jwks.json";

fn keys(world: &World) -> Vec<(String, PublicKey)> {
    let answer = ask(world.http, "GET", JWKS, "");
    let (status, _, body) = parts(&answer);
    assert_eq!(status, 200, "{answer}");
    let set: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let keys = set["keys"].as_array().expect("a list").iter();
    keys.map(|key| {
        let text = |name: &str| key[name].as_str().expect(name).to_owned();
        for (name, value) in [
            ("kty", "EC"),
            ("crv", "P-256"),
            ("alg", "ES256"),
            ("use", "sig"),
        ] {
            assert_eq!(text(name), value);
        }
        let half = |name| -> [u8; 32] {
            let bytes = Base64UrlUnpadded::decode_vec(&text(name)).expect("base64url");
            bytes.try_into().expect("32 bytes")
        };
        assert_eq!(
            key.as_object().expect("an object").len(),
            7,
            "nothing more: {key}"
        );
        let point = PublicKey::from_coordinates(&half("x"), &half("y"));
        (text("kid"), point.expect("on the curve"))
    })
    .collect()
}

#[test]
fn the_key_set_has_the_key_that_signs_the_next_one_and_those_that_still_count() {
    let world = World::start();
    let before = keys(&world);
    assert_eq!(before.len(), 2);
    let peer = world.agent("boiler");
    let anchors = peer.anchors();
    let signing = anchors
        .find(&before[0].0)
        .expect("the peer knows it by its kid");
    assert_eq!(*signing.key(), before[0].1);
    let rotated = world.ask(&AdminRequest::RotateKey {
        key: HubKey::Issuer,
    });
    assert!(
        matches!(rotated, AdminAnswer::KeysInUse { .. }),
        "{rotated:?}"
    );
    let after = keys(&world);
    assert_eq!(after.len(), 3);
    assert_eq!(after[0], before[1], "the next one signs");
    assert_eq!(after[2], before[0], "its tokens are still good");
}

#[test]
fn the_key_set_is_kept_no_longer_than_until_the_next_rotation() {
    for (seconds, most) in [(0, 300), (86_400, 300)] {
        let world = World::start_with(|config| config.keys.issuer_seconds = seconds);
        let answer = ask(world.http, "HEAD", JWKS, "");
        let (status, head, body) = parts(&answer);
        assert_eq!((status, body), (200, ""), "{answer}");
        assert!(
            head.contains(&format!("cache-control: public, max-age={most}")),
            "{head}"
        );
        assert!(
            head.contains("content-type: application/jwk-set+json"),
            "{head}"
        );
        assert!(!head.contains("server:"), "{head}");
    }
}

#[test]
fn other_methods_are_refused_with_those_that_there_are() {
    let world = World::start();
    for (method, path, allowed) in [
        ("POST", JWKS, "allow: get, head"),
        ("OPTIONS", JWKS, "allow: get, head"),
        ("DELETE", JWKS, "allow: get, head"),
        ("PUT", "/ws", "allow: get"),
        ("HEAD", "/ws", "allow: get"),
    ] {
        let answer = ask(world.http, method, path, "");
        let (status, head, _) = parts(&answer);
        assert_eq!(status, 405, "{method} {path}: {answer}");
        assert!(head.lines().any(|line| line == allowed), "{head}");
    }
    for path in ["/", "/.well-known/", "/.well-known/jwks.json/", "/ws/"] {
        let answer = ask(world.http, "GET", path, "");
        assert_eq!(parts(&answer).0, 404, "{path}");
    }
}

#[test]
fn a_browser_is_told_which_pages_may_read_and_never_that_all_may() {
    let origins = ["https://*.example.org", "https://panel.example:8443"];
    let origins = origins.map(|origin| origin.parse().expect("a pattern"));
    let world = World::start_with(|config| config.http.origins = origins.to_vec());
    for (origin, allowed) in [
        ("https://a.example.org", true),
        ("https://panel.example:8443", true),
        ("https://a.b.example.org", false),
        ("https://example.org", false),
        ("https://panel.example", false),
        ("https://hub.example", false),
        ("null", false),
    ] {
        let said = format!("access-control-allow-origin: {origin}");
        let preflight = format!("Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n");
        let answer = ask(world.http, "OPTIONS", JWKS, &preflight);
        let (status, head, _) = parts(&answer);
        assert_eq!(
            status,
            if allowed { 204 } else { 403 },
            "{origin}: {answer}"
        );
        assert_eq!(head.lines().any(|line| line == said), allowed, "{head}");
        let answer = ask(world.http, "GET", JWKS, &format!("Origin: {origin}\r\n"));
        let (status, head, _) = parts(&answer);
        assert_eq!(status, 200, "the keys are public");
        assert_eq!(head.lines().any(|line| line == said), allowed, "{head}");
        assert!(head.lines().any(|line| line == "vary: origin"), "{head}");
        assert!(!head.contains("credentials"), "{head}");
        let upgrade = [("\r\n\r\n", &*format!("\r\nOrigin: {origin}\r\n\r\n"))];
        let mut stream = stranger(world.http);
        let bytes = request(&upgrade);
        stream.write_all(bytes.as_bytes()).expect("it takes bytes");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        let expected = if allowed {
            b"HTTP/1.1 101"
        } else {
            b"HTTP/1.1 403"
        };
        assert_eq!(&answer, expected, "{origin}");
    }
}

#[test]
fn a_connection_has_so_many_requests_and_no_more() {
    let world = World::start();
    let request = format!("GET {JWKS} HTTP/1.1\r\nHost: hub.example\r\n\r\n");
    let answers = talk(world.http, &request.repeat(20));
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 16);
    assert_eq!(answers.matches("connection: close").count(), 1);
}

#[test]
fn a_request_may_come_in_pieces_and_after_a_pause() {
    let world = World::start();
    let mut stream = stranger(world.http);
    let request = format!("GET {JWKS} HTTP/1.1\r\nHost: hub.example\r\n\r\n");
    // What comes in one write may belong to two requests, and one request may come in many writes.
    for cut in [1, 20, request.len() - 3, request.len() - 1] {
        let (first, rest) = request.split_at(cut);
        for (piece, answers) in [(format!("{request}{first}"), 1), (rest.to_owned(), 1)] {
            stream.write_all(piece.as_bytes()).expect("it takes bytes");
            let mut said = String::new();
            while said.matches("]}").count() < answers {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("an answer");
                said.push(char::from(byte[0]));
            }
            assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        }
    }
    // What is no request is told so at once, also where there was one before it.
    stream
        .write_all(b"\x16\x03\x01\x02")
        .expect("it takes bytes");
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
}
