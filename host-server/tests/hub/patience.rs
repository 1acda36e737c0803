//! A peer that stops reading is let go of, and its place is given to the next one.

use std::time::{Duration, Instant};

use moorline_core::framing::{Delimited, WebSocketClient};
use moorline_server::store::{PeerRole, Reach};

use crate::links::{ask_without_reading, connect, open, upgrade};
use crate::world::{ALL, Peer, World};

/// How long the hub may take to let go of a peer: longer than a write and an end may take together.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub with one place, a peer that fills the hub's send buffer, and another that gets the place afterwards.
fn the_place_is_given_back(ask: impl FnOnce(&World, &Peer)) {
    let world = World::start_with(|config| {
        config.limits.connections = 1;
        // The answers must be stuck in the socket; an outbox that is full would end the peer before.
        config.limits.outbox = 4096;
    });
    // A list of agents with long names is a long answer to a short question.
    for count in 0..8 {
        let name = format!("an-agent-with-a-long-name-{count}");
        world.enrol(&name, PeerRole::Agent, Some("all"), Reach::Nobody, &[]);
    }
    let deaf = world.commander_with("deaf", Reach::Group("all".into()), ALL);
    let next = world.commander_with("next", Reach::Group("all".into()), ALL);
    ask(&world, &deaf);
    let give_up = Instant::now() + PATIENCE;
    while next.connected(async |_| ()).is_err() {
        assert!(Instant::now() < give_up, "the place is not given back");
    }
}

#[test]
fn a_peer_on_a_websocket_that_never_reads_gives_its_place_back() {
    the_place_is_given_back(|world, peer| {
        let mut stream = connect(world.http);
        upgrade(&mut stream);
        let mut incoming = [0; 2048];
        let framing = WebSocketClient::new(&mut incoming);
        open(peer, stream, framing, ask_without_reading);
    });
}

#[test]
fn a_peer_on_bare_tcp_that_never_reads_gives_its_place_back() {
    the_place_is_given_back(|world, peer| {
        let mut incoming = [0; 2048];
        let framing = Delimited::new(&mut incoming[..]);
        open(peer, connect(world.tcp), framing, ask_without_reading);
    });
}
