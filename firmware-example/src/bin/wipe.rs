//! Plays both ends of a link through a handshake, a key update and the close, and stops after each for a look at the
//! RAM: the host takes its image and searches it for every secret of the run, `qemu/tests/wipe.rs`.
//!
//! What the run draws comes from the provisioned bytes, which are flash: the host knows every secret, and the RAM has
//! those alone that core has put there. The signing keys are no part of it: an identity stays in RAM by design.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use core::hint::black_box;
use core::ops::Range;
use core::ptr;

use cortex_m_rt::entry;
use moorline_conformance::fixture::{Door, World, at};
use moorline_conformance::pair::responding;
use moorline_core::connection::{Connection, Context, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::handshake::Responder;
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::{Alert, AlertCode};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;
use moorline_core::wire::Form;
use moorline_firmware::board::{Board, FAILURE, SUCCESS, exit};

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    if play(&mut board).is_none() {
        defmt::error!("the run did not go through");
        exit(FAILURE)
    }
    look(&mut board, "dropped", 0..0);
    board.stack.wipe();
    look(&mut board, "wiped", 0..0);
    exit(SUCCESS)
}

/// Plays the whole run, and keeps both connections until after the close.
#[inline(never)]
fn play(board: &mut Board) -> Option<()> {
    let world = World::new().ok()?;
    let mut token = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut token).ok()?;
    let (initiator_draws, responder_draws) =
        board.provision.get(..DRAWN_LEN)?.split_at(DRAWN_LEN / 2);
    let mut agent = Drawn(initiator_draws);
    let settings = Settings {
        fresh_updates: true,
        ..Settings::default()
    };
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let ephemeral = EphemeralKey::generate(&mut agent).ok()?;
    let (connection, m1) = Connection::initiate(
        world.initiator(token),
        ephemeral,
        settings,
        &at(0),
        &mut agent,
        &mut out,
    )
    .ok()?;
    let m1_len = m1.len();
    let mut line = Line {
        ends: [
            connection,
            Connection::respond(Form::Stream, None, settings, at(0).instant),
        ],
        entropy: [agent, Drawn(responder_draws)],
        responder: world.responder(),
        door: Door::default(),
        message: out,
        len: m1_len,
    };
    line.carry(1, 0);
    line.ends.iter().all(Connection::is_open).then_some(())?;
    look_at(board, "open", &line);

    let mut context = Context {
        now: at(3000),
        entropy: &mut line.entropy[0],
        responding: None,
        keeper: &mut NoKeeper,
    };
    line.len = line.ends[0]
        .update_keys(&mut context, &mut line.message)
        .ok()?
        .len();
    line.carry(1, 3000);
    line.ends.iter().all(Connection::is_open).then_some(())?;
    look_at(board, "updated", &line);

    let alert = Alert::new(AlertCode::Close);
    line.len = line.ends[0].close(alert, &mut line.message)?.len();
    line.carry(1, 3000);
    (!line.ends.iter().any(Connection::is_open)).then_some(())?;
    look_at(board, "closed", &line);
    Some(())
}

/// Both ends and the message between them.
struct Line<'k> {
    ends: [Connection<'k>; 2],
    entropy: [Drawn; 2],
    responder: Responder<'k>,
    door: Door,
    message: [u8; MAX_HANDSHAKE_LEN],
    len: usize,
}

impl Line<'_> {
    /// Hands the message to the end `to`, and what it answers to the other, until neither answers.
    fn carry(&mut self, mut to: usize, millis: u64) {
        while self.len > 0 {
            let mut arrived = self.message;
            let mut context = Context {
                now: at(millis),
                entropy: &mut self.entropy[to],
                responding: responding((to == 1).then_some(&self.responder), &mut self.door),
                keeper: &mut NoKeeper,
            };
            let message = arrived.get_mut(..self.len).unwrap_or_default();
            let outcome = self.ends[to].handle_message(message, &mut context, &mut self.message);
            self.len = outcome.send.map_or(0, <[u8]>::len);
            to = 1 - to;
        }
    }
}

/// As [`look`], with the place of the connections.
fn look_at(board: &mut Board, stands: &str, line: &Line<'_>) {
    let ends = &black_box(line).ends;
    let start = ptr::from_ref(ends).addr();
    look(board, stands, start..start + size_of_val(ends));
}

/// Says where the run stands and where its connections are, and goes on when the host has looked and sends a byte.
fn look(board: &mut Board, stands: &str, connections: Range<usize>) {
    defmt::println!(
        "look {=str} {=usize} {=usize}",
        stands,
        connections.start,
        connections.end
    );
    let mut byte = [0];
    while board.uart.read_until(&mut byte, u64::MAX) == 0 {}
}

/// Entropy that is drawn already.
struct Drawn(&'static [u8]);

impl Entropy for Drawn {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let (drawn, rest) = self.0.split_at_checked(bytes.len()).ok_or(EntropyError)?;
        bytes.copy_from_slice(drawn);
        self.0 = rest;
        Ok(())
    }
}

/// Three draws of 32 bytes for each end: the ephemeral scalar, the hedge of the signature, the fresh scalar.
const DRAWN_LEN: usize = 2 * 3 * 32;
