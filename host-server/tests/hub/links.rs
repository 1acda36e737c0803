//! Links on core's blocking driver, over a real socket.

use std::net::TcpStream;
use std::time::Duration;

use moorline_core::connection::{Event, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::driver::Buffers;
use moorline_core::driver::blocking::{Link, Machine, open_websocket};
use moorline_core::framing::Framing;
use moorline_core::message::{FromHub, ToHub};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::agent::{End, Stream};
use crate::world::Peer;

/// How long a write may block.
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
    let initiator = peer.initiator(&trust, &mut buffer);
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
pub(crate) fn ask_without_reading<F: Framing>(link: &mut Link<'_, '_, Stream, F>) {
    let mut question = [0; 32];
    let question = ToHub::ListAgents { after: None }
        .encode(&mut question)
        .expect("it fits");
    while link.send_application(question, &mut SystemEntropy).is_ok() {}
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
