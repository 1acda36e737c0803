//! A token that is shown with the upgrade: an early filter, behind which the handshake is needed all the same.

use std::io::{Read, Write};
use std::net::TcpListener;

use moorline_core::framing::WebSocketClient;
use moorline_server::admin::AdminRequest;
use moorline_server::audit::Kind;
use moorline_server::client::ClientError;

use crate::agent::{Agent, Stream, Way};
use crate::audit::records;
use crate::door::{request, stranger};
use crate::http::{parts, talk};
use crate::limits::{connect_from, is_dropped_soon, thief_of};
use crate::links::try_open;
use crate::programs::{enrolled, json, moorline, stderr};
use crate::refusals::forge;
use crate::tls::Authority;
use crate::world::{Peer, World};

/// Returns an upgrade that shows `value` as its authorization.
fn showing(value: &str) -> String {
    let header = format!("\r\nAuthorization: {value}\r\n\r\n");
    request(&[("\r\n\r\n", &header)])
}

fn bearer(peer: &Peer) -> String {
    showing(&format!("Bearer {}", peer.credential.token))
}

/// Opens a WebSocket by `upgrade`, and returns whether a handshake as `peer` has a session there.
fn comes_in(world: &World, upgrade: &str, peer: &Peer) -> bool {
    let mut stream = stranger(world.http);
    stream
        .write_all(upgrade.as_bytes())
        .expect("it takes bytes");
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        said.extend(byte);
    }
    assert!(said.starts_with(b"HTTP/1.1 101"), "{said:?}");
    let mut incoming = [0; 2048];
    let framing = WebSocketClient::new(&mut incoming);
    try_open(peer, Stream(stream), framing, |_| ()).is_ok()
}

/// Returns `token` with one character of its signature changed.
fn with_another_signature(token: &str) -> String {
    let at = token.len() - 40;
    let other = if token.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[test]
fn a_good_bearer_opens_a_websocket_and_the_handshake_alone_says_who_is_there() {
    let world = World::start_with(|config| config.http.require_bearer = true);
    let (alice, bob) = (
        world.commander("alice", "boiler"),
        world.commander("bob", "boiler"),
    );
    assert!(comes_in(&world, &bearer(&alice), &alice));
    // Who has the token and not the key has nothing by it.
    assert!(!comes_in(&world, &bearer(&alice), &thief_of(&alice)));
    let lower = bearer(&alice).replace("Bearer", "bearer");
    assert!(comes_in(&world, &lower, &alice));
    // Another's bearer neither helps nor hinders: it proves nothing.
    assert!(comes_in(&world, &bearer(&alice), &bob));
}

#[test]
fn every_bearer_that_is_not_good_has_the_same_answer_before_there_is_a_websocket() {
    let world = World::start();
    let elsewhere = World::start_with(|config| config.name = "elsewhere".into());
    let (alice, gone) = (
        world.commander("alice", "boiler"),
        world.commander("gone", "boiler"),
    );
    world.ask(&AdminRequest::Revoke {
        name: "gone".into(),
    });
    let good = &alice.credential.token;
    let (head, rest) = good.split_once('.').expect("three parts");
    let others = [
        ("nothing", "Bearer".to_owned()),
        ("no token", "Bearer a.b.c".to_owned()),
        ("blank", format!("Bearer  {good}")),
        ("padded", format!("Bearer {good}==")),
        ("four parts", format!("Bearer {good}.{head}")),
        ("without a signature", format!("Bearer {head}.{}.", rest)),
        ("long", format!("Bearer {}", "a".repeat(5_000))),
        (
            "another signature",
            format!("Bearer {}", with_another_signature(good)),
        ),
        (
            "over",
            format!(
                "Bearer {}",
                forge(&world, &alice, |new| {
                    new.issued_at -= 1_000;
                    new.expires_at = new.issued_at + 999;
                })
            ),
        ),
        (
            "another name",
            format!(
                "Bearer {}",
                forge(&world, &alice, |new| new.subject = "nobody")
            ),
        ),
        ("revoked", format!("Bearer {}", gone.credential.token)),
        (
            "another hub's",
            format!(
                "Bearer {}",
                elsewhere.commander("alice", "boiler").credential.token
            ),
        ),
        (
            "twice",
            format!("Bearer {good}\r\nAuthorization: Bearer {good}"),
        ),
    ];
    let mut bodies = Vec::new();
    for (what, value) in others {
        let answer = talk(world.http, &showing(&value));
        let (status, head, body) = parts(&answer);
        assert_eq!(status, 401, "{what}: {answer}");
        let challenge = "www-authenticate: bearer error=\"invalid_token\"";
        assert!(head.lines().any(|line| line == challenge), "{what}: {head}");
        assert!(
            head.lines().any(|line| line == "connection: close"),
            "{head}"
        );
        bodies.push(body.to_owned());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Who shows none, or what is another's to judge, comes as far as it ever did.
    for upgrade in [request(&[]), showing("Basic YTpi")] {
        assert!(comes_in(&world, &upgrade, &alice));
    }
}

#[test]
fn where_a_bearer_is_required_who_shows_none_opens_no_websocket() {
    let world = World::start_with(|config| config.http.require_bearer = true);
    let alice = world.commander("alice", "boiler");
    let in_the_query = format!("/ws?access_token={}", alice.credential.token);
    for upgrade in [
        request(&[]),
        showing("Basic YTpi"),
        request(&[("/ws", &in_the_query)]),
    ] {
        let answer = talk(world.http, &upgrade);
        let (status, head, _) = parts(&answer);
        assert_eq!(status, 401, "{answer}");
        assert!(
            head.lines().any(|line| line == "www-authenticate: bearer"),
            "{head}"
        );
    }
    let refused = alice
        .connected(async |_| ())
        .expect_err("nothing is shown without TLS");
    assert!(matches!(refused, ClientError::BearerWanted), "{refused:?}");
    // The other doors are as they were, and so is the rest of this one.
    let udp = alice.connected_to(&world.udp_url(), async |_| ());
    assert!(udp.is_ok(), "{udp:?}");
    let keys = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";
    assert_eq!(parts(&talk(world.http, keys)).0, 200);
}

#[test]
fn a_bearer_that_no_honest_machine_shows_is_a_failure_of_its_address_and_on_record() {
    let mut world = World::start_with(|config| config.limits.failures_per_address = 2);
    let gone = world.commander("gone", "boiler");
    world.ask(&AdminRequest::Revoke {
        name: "gone".into(),
    });
    let forged = with_another_signature(&world.commander("alice", "boiler").credential.token);
    let show = |token: &str| {
        let mut stream = connect_from(7, world.http);
        let upgrade = showing(&format!("Bearer {token}"));
        stream
            .write_all(upgrade.as_bytes())
            .expect("it takes bytes");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert_eq!(parts(&answer).0, 401, "{answer}");
    };
    for _ in 0..5 {
        show(&gone.credential.token);
    }
    for _ in 0..3 {
        show(&forged);
    }
    assert!(is_dropped_soon(7, &world));
    world.stop();
    let refused = records(world.folder.path());
    let refused = refused
        .iter()
        .filter(|record| record.kind == Kind::StrangerRefused);
    let why: Vec<String> = refused
        .map(|record| record.details["why"].to_string())
        .collect();
    assert!(
        why.iter().all(|why| why.contains("the bearer: ")),
        "{why:?}"
    );
    assert!(
        why.iter().any(|why| why.contains("SignatureInvalid")),
        "{why:?}"
    );
    assert!(
        !format!("{why:?}").contains(&forged[..40]),
        "no token is on record"
    );
}

#[test]
fn the_command_line_shows_its_token_in_tls_and_never_without() {
    let authority = Authority::new();
    let world = authority.start(|config| config.http.require_bearer = true);
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let home = enrolled(&world, &[]);
    let ca = authority.path("ca.pem");
    let run = |url: &str| {
        let arguments = [
            "--hub", url, "--ca", &ca, "--json", "send", "boiler", "ping",
        ];
        moorline(home.path(), world.folder.path(), &arguments)
    };
    let port = world.https.expect("it serves TLS").port();
    let output = run(&format!("wss://localhost:{port}/ws"));
    assert_eq!(json(&output)["fields"]["text"], "pong");
    let output = run(&format!("ws://{}/ws", world.http));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("wss://"), "{}", stderr(&output));
    // What it sends without TLS is read by whoever listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/ws", listener.local_addr().expect("an address"));
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it comes");
        let mut said = Vec::new();
        while !said.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            said.extend(byte);
        }
        String::from_utf8(said).expect("text")
    });
    assert!(!run(&url).status.success());
    let heard = heard.join().expect("it is heard").to_ascii_lowercase();
    assert!(
        heard.starts_with("get /ws") && !heard.contains("authorization"),
        "{heard}"
    );
}
