//! Strangers on datagrams. Nobody has proved an address, and an honest pair goes on.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use moorline_core::wire::{M0_LEN, M2_LEN};

use crate::agent::{Agent, Way};
use crate::door::{ping, stranger};
use crate::udp_link::{Ground, Seen, heard, heard_within, is_silent, open, socket};
use crate::world::World;

/// How long the hub may take to let go of a peer that has said goodbye or is late.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub with room for two strangers, of which one is a load, and much time for each.
fn loaded_world() -> World {
    World::start_with(|config| {
        config.limits.handshakes = 2;
        config.limits.handshake_millis = 60_000;
    })
}

#[test]
fn under_load_an_m1_without_a_cookie_gets_m0_and_leaves_nothing_behind() {
    let world = loaded_world();
    let (alice, bob) = (
        world.commander("alice", "boiler"),
        world.commander("bob", "boiler"),
    );
    let mut first = Ground::new(&alice);
    let (mut first, m1) = first.begin(1_232);
    let first_socket = socket(world.udp);
    first_socket.send(&m1).expect("it is sent");
    let m2 = heard(&first_socket);
    assert_eq!((m2[0], m2.len()), (0x02, M2_LEN), "there is no load yet");

    let mut second = Ground::new(&bob);
    let (mut second, m1) = second.begin(1_232);
    let second_socket = socket(world.udp);
    // Had anything been kept of it, its second M1 would have M2, and the fortieth had pushed the first stranger out.
    let mut m0 = Vec::new();
    for _ in 0..40 {
        second_socket.send(&m1).expect("it is sent");
        m0 = heard(&second_socket);
        assert_eq!((m0[0], m0.len()), (0x00, M0_LEN));
    }
    // With the cookie it opens, and so does the first.
    let (_, sends) = second.take(m0);
    second_socket.send(&sends[0]).expect("it is sent");
    second.finish(&second_socket);
    let (_, sends) = first.take(m2);
    for datagram in sends {
        first_socket.send(&datagram).expect("it is sent");
    }
    first.finish(&first_socket);
}

/// Fills the places of strangers from another door; returns those who have them.
fn idle(world: &World) -> [TcpStream; 2] {
    let [mut first, second, third] = [(); 3].map(|()| stranger(world.tcp));
    // It gives way to the third, so that all three have come.
    gives_way(&mut first);
    [second, third]
}

/// Waits until `stranger` has given way to another.
fn gives_way(stranger: &mut TcpStream) {
    let mut hint = Vec::new();
    stranger.read_to_end(&mut hint).expect("closed in order");
    assert_eq!(hint.get(2), Some(&0x08), "it is told to come back");
}

#[test]
fn a_cookie_of_another_address_is_none() {
    let world = loaded_world();
    let alice = world.commander("alice", "boiler");
    let _idle = idle(&world);
    let mut ground = Ground::new(&alice);
    let (mut link, m1) = ground.begin(1_232);
    let (own, other) = (socket(world.udp), socket(world.udp));
    own.send(&m1).expect("it is sent");
    let (_, sends) = link.take(heard(&own));
    other.send(&sends[0]).expect("it is sent");
    assert_eq!(heard(&other)[0], 0x00, "another cookie is asked for");
    own.send(&sends[0]).expect("it is sent");
    assert_eq!(heard(&own)[0], 0x02);
}

#[test]
fn strangers_of_all_doors_share_their_places_and_the_oldest_gives_way() {
    let world = loaded_world();
    let alice = world.commander("alice", "boiler");
    let mut idle = idle(&world);
    let mut ground = Ground::new(&alice);
    let (mut link, m1) = ground.begin(1_232);
    let own = socket(world.udp);
    own.send(&m1).expect("it is sent");
    link.finish(&own);
    gives_way(&mut idle[0]);
}

#[test]
fn no_stranger_is_answered_with_more_than_three_times_what_it_sent() {
    for handshakes in [2, 64] {
        let world = World::start_with(|config| {
            config.limits.handshakes = handshakes;
            config.limits.handshakes_per_address = handshakes;
            config.limits.handshake_millis = 2_000;
        });
        let alice = world.commander("alice", "boiler");
        let socket = socket(world.udp);
        let (mut sent, mut answered) = (0, 0);
        let mut send = |datagram: &[u8]| {
            let len = socket.send(datagram).expect("it is sent");
            // What is cut or damaged makes no room for longer answers to the rest.
            if len >= 112 {
                sent += len;
            }
            // Each is answered, if at all, before the next: nothing is lost in the socket's buffer.
            while let Some(answer) = heard_within(&socket, Duration::from_millis(20)) {
                answered += answer.len();
            }
            assert!(answered <= 3 * sent, "{answered} bytes for {sent}");
        };
        for _ in 0..8 {
            let mut ground = Ground::new(&alice);
            let (mut link, m1) = ground.begin(1_232);
            for _ in 0..3 {
                send(&m1);
            }
            for cut in [&m1[..111], &m1[..54], &m1[..4]] {
                send(cut);
            }
            let (_, sends) = link.take(m0_for(&m1));
            send(&sends[0]);
        }
        // What was not answered at once is not answered later.
        while let Some(answer) = heard_within(&socket, Duration::from_millis(2_500)) {
            answered += answer.len();
        }
        assert!(
            answered > 0 && answered <= 3 * sent,
            "{answered} for {sent}"
        );
    }
}

/// Returns an M0 that anyone could send.
fn m0_for(m1: &[u8]) -> Vec<u8> {
    let mut m0 = vec![0x00, 1, 0, 24];
    m0.extend(&m1[13..17]);
    m0.extend([7; 20]);
    m0
}

#[test]
fn garbage_has_no_answer_and_changes_nothing() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let bob = world.commander("bob", "boiler");
    let mut ground = Ground::new(&bob);
    let (mut link, own) = open(&mut ground, world.udp);
    let question = link.question();
    let id = &question[4..8];
    let other = socket(world.udp);
    let mut flipped = question.clone();
    flipped[20] ^= 1;
    let mut garbage: Vec<Vec<u8>> = vec![
        vec![],
        vec![0x01],
        vec![0x01; 112],
        vec![0x20; 1_232],
        vec![0x20; 1_400],
        vec![0xFF; 300],
        flipped,
    ];
    // Every kind of datagram with the right id, and nothing that is right after it.
    for kind in 0..=0x25_u8 {
        let mut datagram = vec![kind, 1, 0, 24];
        datagram.extend(id);
        datagram.extend([0xA5; 20]);
        garbage.push(datagram);
    }
    for datagram in &garbage {
        other.send(datagram).expect("it is sent");
        own.send(datagram).expect("it is sent");
    }
    assert!(is_silent(&other), "a stranger is not answered");
    assert!(is_silent(&own), "neither is who sends in the peer's name");
    own.send(&question).expect("it is sent");
    assert!(matches!(link.take(heard(&own)).0, Seen::Application(_)));
    // What was taken once is not taken twice.
    own.send(&question).expect("it is sent");
    assert!(is_silent(&own));
    ping(&alice);
}

#[test]
fn a_peer_is_heard_from_the_address_alone_that_it_began_at() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let mut ground = Ground::new(&alice);
    let (mut link, own) = open(&mut ground, world.udp);
    let other = socket(world.udp);
    let question = link.question();
    other.send(&question).expect("it is sent");
    assert!(is_silent(&other) && is_silent(&own), "{}", link.id());
    // It was not taken: it counts where it belongs.
    own.send(&question).expect("it is sent");
    assert!(matches!(link.take(heard(&own)).0, Seen::Application(_)));
    assert!(is_silent(&other));
}

#[test]
fn peers_on_datagrams_have_places_up_to_the_limit_and_give_them_back() {
    let world = World::start_with(|config| config.limits.connections = 2);
    let alice = world.commander("alice", "boiler");
    let url = world.udp_url();
    let mut grounds = [(); 3].map(|()| Ground::new(&alice));
    let [first, second, third] = &mut grounds;
    let (mut first, first_socket) = open(first, world.udp);
    let _second = open(second, world.udp);
    let (_, m1) = third.begin(1_232);
    let own = socket(world.udp);
    own.send(&m1).expect("it is sent");
    assert!(is_silent(&own), "there is no third place");
    // A frame that the session does not take ends it: the first place is free.
    let question = first.nonsense();
    first_socket.send(&question).expect("it is sent");
    let give_up = Instant::now() + PATIENCE;
    while alice.connected_to(&url, async |_| ()).is_err() {
        assert!(Instant::now() < give_up, "the place is not given back");
    }
}

#[test]
fn a_stranger_that_does_not_go_on_loses_its_place() {
    let world = World::start_with(|config| {
        config.limits.connections = 1;
        config.limits.handshakes = 1;
        config.limits.handshake_millis = 1_000;
    });
    let alice = world.commander("alice", "boiler");
    let mut ground = Ground::new(&alice);
    let (_, m1) = ground.begin(1_232);
    let own = socket(world.udp);
    own.send(&m1).expect("it is sent");
    assert_eq!(heard(&own)[0], 0x02);
    // While it has its place it has its answer again; when its time is over it is a stranger like any other.
    let give_up = Instant::now() + PATIENCE;
    let first = {
        own.send(&m1).expect("it is sent");
        heard(&own)
    };
    loop {
        own.send(&m1).expect("it is sent");
        match heard_within(&own, Duration::from_millis(100)) {
            Some(answer) if answer != first => break,
            _ => assert!(Instant::now() < give_up, "it keeps its place"),
        }
    }
}
