//! The agent, and its life over reads that block.
//!
//! ```text
//! boot ──> ready ──> connect ──> handshake ──> serve
//!            ^          |            |           |
//!            └──pause───┴────────────┴───────────┘  link lost
//! ```
//!
//! Everything it works in is static or on the stack.

use moorline_core::connection::Settings;
use moorline_core::driver::blocking::{Link, Machine};
use moorline_core::driver::{Buffers, DriverError};
use moorline_core::feed::Feed;
use moorline_core::handshake::{Initiator, SingleUse};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::trust::NoKeeper;
use moorline_core::wire::FRAME_OVERHEAD;
use static_cell::{ConstStaticCell, StaticCell};

use crate::board::{Board, Clock, Entropy, EthernetPort, LOG_LEN, Uart};
use crate::commands::Devices;
use crate::exchange::CHANNEL_COUNT;
use crate::identity::{BootError, Identity};
use crate::kept::Keeper;
use crate::life;
use crate::life::{By, Life, Otherwise};
use crate::reports::Reports;
use crate::road::{Frames, Road, RoadError, Stream, assembly_len, wire_len};
use crate::rotation::Rotation;
use crate::serving::Said;
use crate::settings::{Settings as DeviceSettings, Text};

/// The agent with its road to the hub, ready to connect.
pub struct Agent<R> {
    pub(crate) life: Life,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) road: R,
    pub(crate) wires: &'static mut Wires,
}

/// Why a connection ended.
type Lost = DriverError<RoadError>;

impl<R> Agent<R> {
    /// Checks the board and what it was provisioned with, and restores what the flash has kept. `take_road` makes the road
    /// ready.
    ///
    /// # Errors
    ///
    /// The first [`BootError`].
    pub(crate) fn boot_on(
        board: Board,
        memory: &'static mut Memory,
        take_road: impl FnOnce(
            &Identity,
            EthernetPort,
            Uart,
            Clock,
            &mut Entropy,
        ) -> Result<R, BootError>,
    ) -> Result<Self, BootError> {
        let Board {
            clock,
            mut entropy,
            ethernet,
            leds,
            mut log,
            provision,
            sensor,
            stack,
            uart,
            watchdog,
        } = board;
        log.keep(LOG.take());
        let identity = IDENTITY.init(Identity::establish(provision, &mut entropy)?);
        let road = take_road(identity, ethernet, uart, clock, &mut entropy)?;
        let devices = Devices {
            clock,
            leds,
            sensor,
            stack,
            log,
            watchdog,
            settings: DeviceSettings::DEFAULT,
            rotation: Rotation::new(),
            kept: None,
            reports: REPORTS.take(),
            is_reboot_due: false,
            text: Text::new(),
        };
        Ok(Self {
            life: Life::restore(identity, devices, &mut memory.life),
            clock,
            entropy,
            road,
            wires: &mut memory.wires,
        })
    }
}

impl Agent<Road> {
    /// Boots the agent on the road that it was provisioned for.
    ///
    /// # Errors
    ///
    /// The first [`BootError`].
    #[inline(never)]
    pub fn boot(board: Board, memory: &'static mut Memory) -> Result<Self, BootError> {
        Self::boot_on(board, memory, |identity, ethernet, uart, clock, entropy| {
            Road::take(identity.road(), ethernet, uart, clock, entropy).map_err(BootError::Network)
        })
    }

    /// Connects and serves, for ever.
    pub fn run(&mut self) -> ! {
        self.life.start(&mut self.entropy);
        loop {
            if let Err(lost) = self.attempt() {
                let deadline_ms = self.life.lose(&lost, &mut self.entropy);
                while let Some(until_ms) = self.life.next_rest(deadline_ms) {
                    self.road.rest_until(until_ms);
                }
            }
        }
    }

    /// Serves a link until it is lost, or finds out that the hub takes the next key and the device has not heard of it.
    fn attempt(&mut self) -> Result<(), Lost> {
        let ended = self.connect_and_serve(By::Token);
        match self.life.otherwise(&ended) {
            None => ended,
            Some(Otherwise::Key) => self.connect_and_serve(By::Key),
            Some(Otherwise::NextKey(key)) => {
                self.connect_and_serve(By::NextKey(&key))?;
                self.life.take_next_key();
                Ok(())
            }
        }
    }

    /// Opens a link and serves it until it is lost. A link by the next key is opened, and not served.
    #[inline(never)]
    fn connect_and_serve(&mut self, by: By<'_>) -> Result<(), Lost> {
        let mut machine = Machine {
            clock: &mut self.clock,
            entropy: &mut self.entropy,
            keeper: &mut NoKeeper,
        };
        let wires = &mut *self.wires;
        let mut opening = self.life.begin(by);
        let settings = life::settings(self.road.handshake_millis());
        let (stream, frames) = self.road.open(
            opening.identity(),
            &mut machine,
            &mut wires.wire,
            &mut wires.assembly,
        )?;
        let single_use = opening.single_use(machine.entropy)?;
        let mut link = shake_hands(
            stream,
            frames,
            opening.initiator(),
            single_use,
            settings,
            Buffers {
                input: &mut wires.input,
                message: &mut wires.message,
                wire: &mut wires.wire,
            },
            &mut Machine {
                clock: machine.clock,
                entropy: machine.entropy,
                keeper: &mut opening.keeper(),
            },
        )?;
        let Some(mut serving) = opening.serve(link.connection()) else {
            return Ok(());
        };
        loop {
            if let Some(ticket) = link.take_ticket() {
                serving.keep_ticket(ticket);
            }
            let heard = link.poll(&mut machine, |event| serving.take(event))?;
            serving.begin_turn(heard.is_none());
            while let Some(ready) = serving.next(machine.entropy) {
                let sent = match serving.said(ready) {
                    Some(Said::Token(token)) => link.renew(&token, machine.entropy),
                    Some(Said::Message(message)) => link.send_application(message, machine.entropy),
                    Some(Said::Envelope(envelope)) => {
                        link.send_envelope(&envelope, machine.entropy)
                    }
                    None => Ok(()),
                };
                serving.note_sent(ready, sent)?;
            }
            serving.end_turn();
        }
    }
}

/// Opens the link. What that takes of the stack is free again when it is open.
#[inline(never)]
fn shake_hands<'k, 'b, 'r>(
    stream: Stream<'r>,
    frames: Frames<'r>,
    initiator: Initiator<'k>,
    single_use: SingleUse,
    settings: Settings,
    buffers: Buffers<'b>,
    machine: &mut Machine<'_, Clock, Entropy, Keeper<'_>>,
) -> Result<Link<'k, 'b, Stream<'r>, Frames<'r>>, Lost> {
    Link::connect(
        stream, frames, initiator, single_use, settings, buffers, machine,
    )
}

/// Who the device is, for as long as it runs.
static IDENTITY: StaticCell<Identity> = StaticCell::new();
/// The lines of the log that are kept.
static LOG: ConstStaticCell<Feed<LOG_LEN>> = ConstStaticCell::new(Feed::new());
/// What the device says by itself.
static REPORTS: ConstStaticCell<Reports<CHANNEL_COUNT>> = ConstStaticCell::new(Reports::new());

/// What the agent works in; there is one.
pub struct Memory {
    wires: Wires,
    life: life::Memory,
}

/// Where messages are on their way.
pub(crate) struct Wires {
    pub(crate) input: [u8; INPUT_LEN],
    pub(crate) message: [u8; MESSAGE_LEN],
    pub(crate) wire: [u8; wire_len(MESSAGE_LEN)],
    pub(crate) assembly: [u8; assembly_len(MESSAGE_LEN)],
}

/// The agent's memory, for who starts it.
pub static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    wires: Wires {
        input: [0; INPUT_LEN],
        message: [0; MESSAGE_LEN],
        wire: [0; wire_len(MESSAGE_LEN)],
        assembly: [0; assembly_len(MESSAGE_LEN)],
    },
    life: life::Memory::new(),
});

/// Longest payload of a frame that the agent takes and sends, in bytes: a command and its answer have room in it.
pub const MAX_PAYLOAD_LEN: usize = 1024;

/// Longest message in bytes, of the handshake or after it.
const MESSAGE_LEN: usize = {
    let frame_len = MAX_PAYLOAD_LEN + FRAME_OVERHEAD;
    if frame_len > MAX_HANDSHAKE_LEN {
        frame_len
    } else {
        MAX_HANDSHAKE_LEN
    }
};
/// What is taken from the road at once: a frame of a usual command in one go.
const INPUT_LEN: usize = 256;
