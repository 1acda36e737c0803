//! A peer that stops reading is let go of, and its place is given to the next one.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use moorline_core::connection::{Event, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::driver::Buffers;
use moorline_core::driver::blocking::{Link, Machine, open_websocket};
use moorline_core::framing::{Delimited, Framing, WebSocketClient};
use moorline_core::handshake::{Initiator, Offer, Shown, Wanted};
use moorline_core::message::{FromHub, ToHub};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;
use moorline_core::wire::{Form, SuiteList};
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach};

use crate::agent::{End, Stream};
use crate::world::{ALL, Peer, World};

/// How long the hub may take to let go of a peer: longer than a write and an end may take together.
const PATIENCE: Duration = Duration::from_secs(30);

/// Authenticates `peer` on `stream`, and has `work` do what it wants with the open link.
pub(crate) fn open<F: Framing>(
    peer: &Peer,
    stream: Stream,
    framing: F,
    work: impl FnOnce(&mut Link<'_, '_, Stream, F>),
) {
    try_open(peer, stream, framing, work).expect("the hub lets it in");
}

/// As [`open`], but the hub may refuse.
pub(crate) fn try_open<F: Framing>(
    peer: &Peer,
    stream: Stream,
    framing: F,
    work: impl FnOnce(&mut Link<'_, '_, Stream, F>),
) -> Result<(), End> {
    let trust = peer.trust();
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let offer = Offer {
        suites: SuiteList::AES_FIRST,
        wants_ticket: false,
        mtu: 1500,
        max_payload_len: 1024,
        no_clock: true,
    };
    let initiator = Initiator {
        key: &peer.key,
        shows: Shown::Token(peer.token(&mut buffer)),
        wanted: Wanted::Hub(&trust, Form::Stream),
        offer,
    };
    let ephemeral = EphemeralKey::generate(&mut SystemEntropy).expect("random bytes");
    let (mut input, mut message, mut wire) = ([0; 256], [0; 1100], [0; 1200]);
    let buffers = Buffers {
        input: &mut input,
        message: &mut message,
        wire: &mut wire,
    };
    let (mut clock, mut entropy) = (clock::now, SystemEntropy);
    let mut machine = Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    let mut link = Link::connect(
        stream,
        framing,
        initiator,
        ephemeral,
        Settings::default(),
        buffers,
        &mut machine,
    )?;
    work(&mut link);
    Ok(())
}

/// Hears what the hub says unasked when a link opens.
pub(crate) fn hear_issuers<F: Framing>(link: &mut Link<'_, '_, Stream, F>) {
    let (mut clock, mut entropy) = (clock::now, SystemEntropy);
    let mut machine = Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    let is_it = link.receive(&mut machine, |event| match event {
        Event::Application(message) => {
            matches!(FromHub::decode(message), Ok(FromHub::Issuers { .. }))
        }
        _ => false,
    });
    assert!(is_it.expect("the link stands"));
}

/// Opens a WebSocket.
pub(crate) fn upgrade(stream: &mut Stream) {
    let (mut clock, mut entropy) = (clock::now, SystemEntropy);
    let mut machine = Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    open_websocket(stream, "hub", 5_000, &mut machine, &mut [0; 512])
        .expect("the hub opens a WebSocket");
}

/// Asks the hub for answers without reading one, until the hub has let go of the socket.
fn ask_without_reading<F: Framing>(link: &mut Link<'_, '_, Stream, F>) {
    let mut question = [0; 32];
    let question = ToHub::ListAgents { after: None }
        .encode(&mut question)
        .expect("it fits");
    while link.send_application(question, &mut SystemEntropy).is_ok() {}
}

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

pub(crate) fn connect(address: std::net::SocketAddr) -> Stream {
    let stream = TcpStream::connect(address).expect("the hub listens");
    stream.set_nodelay(true).expect("a socket option");
    // A hub that holds on to the socket for ever must not hold the test.
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a socket option");
    Stream(stream)
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
