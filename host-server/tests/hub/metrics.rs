//! Health and metrics on their own listener.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::agent::{Agent, Way};
use crate::limits::thief_of;
use crate::routing::send;
use crate::world::World;

/// How long a test waits for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

fn world() -> World {
    World::start_with(|config| {
        config.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    })
}

/// Returns the status line, and the body, of an answer.
fn ask(world: &World, method: &str, path: &str) -> (String, String) {
    let address = world.metrics.expect("there is a listener");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: hub\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("it takes bytes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.lines().next().expect("a line").to_owned();
    (status, body.to_owned())
}

/// Scrapes, and reads every line as OpenMetrics text has it.
fn scrape(world: &World) -> BTreeMap<String, i64> {
    let (status, text) = ask(world, "GET", "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let mut values = BTreeMap::new();
    let mut family = String::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().expect(line), words.next().expect(line));
            let rest = words.next().expect(line);
            match kind {
                "HELP" => name.clone_into(&mut family),
                "TYPE" => assert!(["counter", "gauge"].contains(&rest), "{line}"),
                "UNIT" => assert!(name.ends_with(rest), "{line}"),
                _ => panic!("{line}"),
            }
            assert_eq!(name, family, "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(
            name.starts_with("moorline_") && name.starts_with(&family),
            "{line}"
        );
        let legal = |text: &str| {
            let mut bytes = text.bytes();
            bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(legal(name), "{line}");
        let labels = labels.strip_suffix('}').expect(line);
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once('=').expect(line);
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            assert!(legal(key) && legal(value.expect(line)), "{line}");
        }
        let value = value.parse().expect(line);
        assert_eq!(
            values.insert(series.to_owned(), value),
            None,
            "{line} is there twice"
        );
    }
    values
}

/// Scrapes until `series` is `wanted`.
fn wait_for(world: &World, series: &str, wanted: i64) {
    let give_up = Instant::now() + PATIENCE;
    while scrape(world).get(series) != Some(&wanted) {
        assert!(
            Instant::now() < give_up,
            "{series} is not {wanted}: {:?}",
            scrape(world)
        );
    }
}

#[test]
fn what_peers_do_is_counted_and_who_they_are_is_not_told() {
    let world = world();
    let boiler = world.agent("boiler");
    let keys = [
        boiler.credential.token.clone(),
        boiler.credential.hub_key.clone(),
    ];
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let mallory = thief_of(&alice);
    let series = "moorline_routed_envelopes_total";
    assert_eq!(scrape(&world).get(series), Some(&0));
    let sent = alice.connected(async |client| {
        send(client, "boiler", "ping", &[]).await.expect("answered");
        let seen = scrape(&world);
        let here = "moorline_connections{state=\"authenticated\",transport=\"websocket\"}";
        assert_eq!(seen.get(here), Some(&1), "{seen:?}");
        assert_eq!(seen.get("moorline_channels"), Some(&1), "{seen:?}");
        send(client, "ghost", "ping", &[]).await.is_err()
    });
    assert!(sent.expect("connected"));
    assert!(mallory.connected(async |_| ()).is_err());
    let seen = scrape(&world);
    assert!(seen.get(series) >= Some(&4), "{seen:?}");
    for (series, least) in [
        ("moorline_messages_total{direction=\"in\"}", 8),
        ("moorline_message_bytes_total{direction=\"out\"}", 1_000),
        ("moorline_handshakes_total{outcome=\"full\"}", 2),
        ("moorline_handshakes_total{outcome=\"refused_proof\"}", 1),
        ("moorline_route_refusals_total{kind=\"unknown_agent\"}", 1),
        ("moorline_process_start_time_seconds", 1_700_000_000),
        ("moorline_key_age_seconds{key=\"identity\"}", 0),
    ] {
        assert!(seen.get(series) >= Some(&least), "{series} in {seen:?}");
    }
    wait_for(
        &world,
        "moorline_connections_closed_total{role=\"commander\"}",
        1,
    );
    let (_, text) = ask(&world, "GET", "/metrics");
    for word in ["boiler", "alice", "ghost", "127.0.0.1", &keys[0], &keys[1]] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_limit_that_is_hit_is_counted() {
    let world = World::start_with(|config| {
        config.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.limits.failures_per_address = 1;
    });
    let mallory = thief_of(&world.commander("alice", "boiler"));
    let blocked = "moorline_limit_hits_total{limit=\"blocked_address\"}";
    // A failure is counted when its peer has been told of it.
    let mut seen = BTreeMap::new();
    for _ in 0..20 {
        assert!(mallory.connected(async |_| ()).is_err());
        seen = scrape(&world);
        if seen.contains_key(blocked) {
            break;
        }
    }
    for series in [
        "moorline_limit_hits_total{limit=\"failures_per_address\"}",
        blocked,
        "moorline_strangers_sent_away_total{reason=\"blocked_address\"}",
        "moorline_blocked_addresses",
    ] {
        assert_eq!(seen.get(series), Some(&1), "{series} in {seen:?}");
    }
}

#[test]
fn health_is_said_and_what_is_broken_is_named() {
    let world = world();
    assert_eq!(ask(&world, "GET", "/healthz").0, "HTTP/1.1 200 OK");
    let ready = ask(&world, "GET", "/readyz");
    assert_eq!(ready, ("HTTP/1.1 200 OK".into(), "ready\n".into()));
    let away = world.folder.path().with_extension("away");
    std::fs::rename(world.folder.path(), &away).expect("own folder");
    let (status, why) = ask(&world, "GET", "/readyz");
    std::fs::rename(&away, world.folder.path()).expect("own folder");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(why.starts_with("stores: the data directory: "), "{why}");
    assert_eq!(ask(&world, "GET", "/healthz").0, "HTTP/1.1 200 OK");
    assert_eq!(ask(&world, "GET", "/readyz").0, "HTTP/1.1 200 OK");
    assert_eq!(ask(&world, "GET", "/").0, "HTTP/1.1 404 Not Found");
    assert_eq!(
        ask(&world, "POST", "/metrics").0,
        "HTTP/1.1 405 Method Not Allowed"
    );
    let head = ask(&world, "HEAD", "/metrics");
    assert_eq!(head, ("HTTP/1.1 200 OK".into(), String::new()));
}

#[test]
fn the_listener_is_bounded_and_off_unless_it_is_asked_for() {
    assert_eq!(World::start().metrics, None);
    let world = world();
    let address = world.metrics.expect("there is a listener");
    let mut waiting: Vec<TcpStream> = (0..17)
        .map(|_| TcpStream::connect(address).expect("it listens"))
        .collect();
    let mut last = waiting.pop().expect("seventeen");
    last.set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    // The hub may have closed it already.
    let _ = last.write_all(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n");
    let mut answer = Vec::new();
    let _ = last.read_to_end(&mut answer);
    assert!(answer.is_empty(), "one too many");
    drop(waiting);
    let give_up = Instant::now() + PATIENCE;
    loop {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n");
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ") {
            break;
        }
        assert!(Instant::now() < give_up, "places are given back");
    }
    // A request that is too long is not read to its end.
    let mut long = TcpStream::connect(address).expect("it listens");
    long.set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    let _ = long.write_all(format!("GET /{} HTTP/1.1\r\n", "a".repeat(100_000)).as_bytes());
    let mut answer = Vec::new();
    let _ = long.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("200 OK"), "{answer}");
}
