//! Requests that are read in two ways, and requests that are too much.

use crate::http::{parts, talk};
use crate::world::World;

const NEXT: &str = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub.example\r\n\r\n";

/// Returns a request with more headers, which end their own lines, and another that may hide in it.
fn hiding(headers: &str) -> String {
    format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub.example\r\n{headers}\r\n{NEXT}")
}

#[test]
fn a_request_with_a_body_is_refused_and_what_hides_in_it_is_not_answered() {
    let world = World::start();
    let len = NEXT.len();
    for headers in [
        format!("Content-Length: {len}\r\n"),
        format!("Content-Length: {len}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {len}\r\n"),
        format!("Content-Length: 0, {len}\r\n"),
        format!("Content-Length: +{len}\r\n"),
        "Content-Length: -1\r\n".into(),
        "Content-Length : 5\r\n".into(),
        "Transfer-Encoding: chunked\r\n".into(),
        "Transfer-Encoding: identity\r\n".into(),
        "Transfer-Encoding: gzip, chunked\r\n".into(),
        "Transfer-Encoding: chunked, identity\r\n".into(),
        "Transfer-Encoding : chunked\r\n".into(),
        "Transfer-Encoding: \u{b}chunked\r\n".into(),
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n".into(),
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n".into(),
        "X: y\r\n Transfer-Encoding: chunked\r\n".into(),
    ] {
        let answer = talk(world.http, &hiding(&headers));
        assert!(!answer.contains("HTTP/1.1 200"), "{headers}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{headers}: {answer}");
        assert_eq!(parts(&answer).0, 400, "{headers}: {answer}");
    }
}

#[test]
fn a_line_that_ends_without_cr_ends_the_connection() {
    let world = World::start();
    for headers in ["X: y\n", "X: y\nContent-Length: 5\r\n", "X: y\r\n\n", "\n"] {
        let answer = talk(world.http, &hiding(headers));
        assert!(!answer.contains("200"), "{headers:?}: {answer}");
    }
    // As it has to be, both are answered.
    let both = format!(
        "{NEXT}{}",
        NEXT.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    );
    assert_eq!(talk(world.http, &both).matches("HTTP/1.1 200").count(), 2);
}

#[test]
fn headers_are_so_long_and_so_many_and_no_more() {
    let world = World::start();
    let close = "Connection: close\r\n";
    let ask =
        |headers: &str| {
            parts(&talk(world.http, &format!(
        "GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub.example\r\n{close}{headers}\r\n"
    ))).0
        };
    assert_eq!(ask(&"X: y\r\n".repeat(30)), 200);
    assert_eq!(ask(&"X: y\r\n".repeat(31)), 431);
    assert_eq!(ask(&format!("X: {}\r\n", "y".repeat(8_000))), 200);
    assert_eq!(ask(&format!("X: {}\r\n", "y".repeat(8_200))), 431);
    let path = format!(
        "GET /{} HTTP/1.1\r\nHost: hub.example\r\n{close}\r\n",
        "y".repeat(9_000)
    );
    assert!([414, 431].contains(&parts(&talk(world.http, &path)).0));
}
