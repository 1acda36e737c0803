//! The least agent: one link to the hub in bare frames on the serial line, one channel, and a command that answers with
//! what it was told.
//!
//! It is where to start from on a small part, and its flash less that of `baseline` is what the protocol costs. What
//! `agent` has beside it: a WebSocket, resumption, newer tokens, revocations, commands that were left for the device,
//! more commanders at a time, more commands.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use core::convert::Infallible;

use cortex_m_rt::entry;
use moorline_core::channel::{Answering, Carried, ChannelEvent, Channels, Rate};
use moorline_core::connection::{Context, Event, Heartbeat, Responding, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::driver::blocking::{Link, Machine};
use moorline_core::driver::{Buffers, DriverError};
use moorline_core::framing::{Delimited, delimited_len};
use moorline_core::handshake::{Admission, Gate, Shown, SingleUse};
use moorline_core::limits::{HANDSHAKE_MILLIS, MAX_HANDSHAKE_LEN};
use moorline_core::message::{
    ENVELOPE_HEADER_LEN, Envelope, FromAgent, FromHub, Reply, Request, Response, Status, Value,
};
use moorline_core::reason::Error;
use moorline_core::revocation::Revocations;
use moorline_core::time::{Instant, Now};
use moorline_core::token::{Claims, Permissions, VerifiedClaims};
use moorline_core::trust::{NoKeeper, TrustMemory};
use moorline_core::wire::{DATAGRAM_OVERHEAD, FRAME_OVERHEAD, Refuse};
use moorline_firmware::backoff::Backoff;
use moorline_firmware::board::{Board, FAILURE, exit};
use moorline_firmware::identity::{Identity, to_u16};
use moorline_firmware::stream::{Line, LineError};
use static_cell::ConstStaticCell;

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    let mut identity = match Identity::establish(board.provision, &mut board.entropy) {
        Ok(identity) => identity,
        Err(error) => {
            defmt::error!("cannot start: {}", error);
            exit(FAILURE)
        }
    };
    let memory = MEMORY.take();
    let mut backoff = Backoff::new();
    loop {
        let lost = match serve(&mut identity, &mut board, memory) {
            Ok(never) => match never {},
            Err(lost) => lost,
        };
        defmt::warn!("link lost: {}", lost);
        board.stack.wipe();
        let pause_ms = backoff.next(&lost, &mut board.entropy);
        board
            .clock
            .sleep_until(board.clock.milliseconds() + pause_ms);
    }
}

/// Opens the link and answers on the channel, until the link is lost.
fn serve(
    identity: &mut Identity,
    board: &mut Board,
    memory: &mut Memory,
) -> Result<Infallible, DriverError<LineError>> {
    let mut line = Line::new(&mut board.uart, board.clock);
    line.drain();
    let mut clock = board.clock;
    identity.follow(&mut memory.followed);
    let mut machine = Machine {
        clock: &mut clock,
        entropy: &mut board.entropy,
        keeper: &mut memory.followed,
    };
    let ephemeral = EphemeralKey::generate(machine.entropy).map_err(Error::from)?;
    let mut link = Link::connect(
        line,
        Delimited::new(&mut memory.assembly),
        identity.initiator(identity.key(), Shown::Token(identity.token()), MAX_PAYLOAD),
        SingleUse::from(ephemeral),
        LINK,
        Buffers {
            input: &mut memory.input,
            message: &mut memory.message,
            wire: &mut memory.wire,
        },
        &mut machine,
    )?;
    defmt::info!(
        "link open, stack peak {=usize} bytes",
        board.stack.high_water_len()
    );
    let hub_clock = link.connection().clock().copied().unwrap_or_default();
    let responder = identity.responder(
        identity.key(),
        identity.token(),
        identity.anchors(),
        ANSWERING.settings.max_payload_len,
    );
    memory.channels.clear();
    loop {
        let mut arrived = None;
        let _ = link.poll(&mut machine, |event| match event {
            Event::Envelope(payload) => {
                if let Some(place) = memory.payload.get_mut(..payload.len()) {
                    place.copy_from_slice(payload);
                    arrived = Some(payload.len());
                }
            }
            Event::Application(message) => {
                if let Ok(FromHub::Revoked { list }) = FromHub::decode(message)
                    && let Ok(list) = memory.desk.revocations.take(list, identity.anchors())
                {
                    memory.channels.revoke(list);
                }
            }
            _ => {}
        })?;
        let instant = Instant(machine.clock.milliseconds());
        let mut context = Context {
            now: Now {
                instant,
                unix: hub_clock.at(instant),
                quality: hub_clock.quality,
            },
            entropy: &mut *machine.entropy,
            responding: Some(Responding {
                responder: &responder,
                gate: &mut memory.desk,
            }),
            keeper: &mut NoKeeper,
        };
        let payload = arrived.and_then(|len| memory.payload.get_mut(..len));
        let carried = match payload {
            Some(payload) => {
                let place = &mut memory.inner;
                let taken =
                    memory
                        .channels
                        .handle_envelope(payload, &ANSWERING, &mut context, place);
                taken
                    .inspect_err(|why| defmt::warn!("no envelope: {}", why))
                    .ok()
            }
            None => memory
                .channels
                .handle_deadline(&mut context, &mut memory.inner),
        };
        let Some(Carried { route, send, event }) = carried else {
            continue;
        };
        let mut len = send.map(|inner| inner.len());
        if let Some(ChannelEvent::Message(message)) = event {
            let facts = memory.channels.facts(&route);
            let granted = facts.map_or(Permissions::NONE, |facts| facts.permissions);
            let mut response = [0; RESPONSE_LEN];
            if let Some(response) = respond(message, granted, &mut response) {
                let sealed = memory.channels.send(&route, response, &mut memory.inner);
                len = sealed.ok().map(|inner| inner.len());
            }
        }
        if let Some(inner) = len.and_then(|len| memory.inner.get(..len)) {
            let envelope = Envelope {
                route,
                channel: 0,
                inner,
            };
            link.send_envelope(&envelope, machine.entropy)?;
        }
    }
}

/// Answers `echo TEXT` with the text, for who may ask that.
fn respond<'o>(message: &[u8], granted: Permissions, out: &'o mut [u8]) -> Option<&'o [u8]> {
    let request = Request::decode(message).ok()?;
    let command = &request.command;
    let reply = if !granted.contains(Permissions::for_command(command.name)) {
        Reply::bare(Status::NotPermitted)
    } else {
        match (command.name, command.arguments.as_slice()) {
            ("echo", [text]) => Reply::bare(Status::Done).with("text", Value::Text(text)),
            ("echo", _) => Reply::bare(Status::BadArgument),
            _ => Reply::bare(Status::UnknownCommand),
        }
    };
    let response = FromAgent::Response(Response {
        id: request.id,
        reply,
    });
    response.encode(out).ok().map(|response| &*response)
}

/// The device's part in the decision about a commander: core has judged its token.
struct Desk {
    session_count: u64,
    revocations: Revocations<1>,
}

impl Gate for Desk {
    fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.names(claims)
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        self.session_count += 1;
        Ok(Admission {
            session_id: self.session_count.to_be_bytes(),
            permissions: claims.claims().permissions,
        })
    }
}

/// What it works in.
struct Memory {
    channels: Channels<1>,
    desk: Desk,
    input: [u8; 64],
    message: [u8; MESSAGE_LEN],
    assembly: [u8; delimited_len(MESSAGE_LEN)],
    wire: [u8; delimited_len(MESSAGE_LEN)],
    payload: [u8; PAYLOAD_LEN],
    inner: [u8; INNER_LEN],
    /// Whom the device takes for its hub from the next link on, once that changes.
    followed: TrustMemory,
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    channels: Channels::new(),
    desk: Desk {
        session_count: 0,
        revocations: Revocations::new(),
    },
    input: [0; 64],
    message: [0; MESSAGE_LEN],
    assembly: [0; delimited_len(MESSAGE_LEN)],
    wire: [0; delimited_len(MESSAGE_LEN)],
    payload: [0; PAYLOAD_LEN],
    inner: [0; INNER_LEN],
    followed: TrustMemory::new(),
});

/// Longest payload of a frame on the link in bytes.
const PAYLOAD_LEN: usize = 1024;
/// The same, as it is announced.
const MAX_PAYLOAD: u16 = 1024;
/// Longest message on the link in bytes, its frame included.
const MESSAGE_LEN: usize = PAYLOAD_LEN + FRAME_OVERHEAD;
const _: () = assert!(MESSAGE_LEN >= MAX_HANDSHAKE_LEN);
/// Longest message of a channel in bytes.
const INNER_LEN: usize = PAYLOAD_LEN - ENVELOPE_HEADER_LEN;
/// Longest response in bytes: what an envelope leaves.
const RESPONSE_LEN: usize = INNER_LEN - DATAGRAM_OVERHEAD;

/// The link.
const LINK: Settings = Settings {
    max_payload_len: MAX_PAYLOAD,
    handshake_millis: HANDSHAKE_MILLIS,
    heartbeat: Heartbeat {
        ping_after: 5_000,
        dead_after: 12_000,
    },
    fresh_updates: false,
};
/// The channel.
const ANSWERING: Answering = Answering {
    settings: Settings {
        max_payload_len: to_u16(RESPONSE_LEN),
        ..Settings::DEFAULT
    },
    starts: Rate::STARTS,
};
