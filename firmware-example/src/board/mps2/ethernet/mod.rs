//! Ethernet: the LAN9118 of the board, as a device of smoltcp.
//!
//! ```text
//! frame on the wire ──> FIFO of the controller ──> interrupt 13 ──> handler: interrupts off, events kept
//!                                    │                                         │ wakes
//!                                    └──────────── words ──────────> main loop: attend, receive ──> interrupts on
//! ```
//!
//! Frames wait in the controller, which has 10 KiB for them and drops what comes beyond: nothing that is sent to the
//! device makes it work outside of its main loop, or take memory. A controller that has lost its way, or keeps frames to
//! itself, is counted and put back to its start. No wait is without an end.

mod chip;
pub mod words;

use core::cell::Cell;

use critical_section::{CriticalSection, Mutex};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use static_cell::ConstStaticCell;

use self::chip::{Busy, Chip, FAULTS, FRAME, WIRE};
use self::words::{FRAME_LEN, Received, is_station, is_unsent, pack, transmit_commands, unpack};
use crate::board::clock::Clock;
use crate::board::{interrupt, sleep_unless};

/// The Ethernet controller, at rest. An image that does not start it has none of its memory.
pub struct EthernetPort {
    clock: Clock,
}

impl EthernetPort {
    pub(in crate::board) const fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// Starts the controller.
    ///
    /// # Errors
    ///
    /// The first [`EthernetError`].
    pub fn start(self) -> Result<Ethernet, EthernetError> {
        let chip = Chip::find(self.clock).ok_or(EthernetError::NoController)?;
        chip.reset()?;
        let address = chip.address()?;
        if !is_station(&address) {
            return Err(EthernetError::NoAddress);
        }
        chip.go()?;
        let is_linked = chip.look_at_wire()?;
        // Not before: at its start the controller's line is up.
        interrupt::serve(INTERRUPT, handle);
        // The port is there once, and goes with this.
        let Frames { incoming, outgoing } = FRAMES.take();
        Ok(Ethernet {
            chip,
            clock: self.clock,
            address,
            incoming,
            sending: Sending {
                chip,
                outgoing,
                sent: 0,
            },
            is_linked,
            is_listening: false,
            retry_at_ms: None,
            full_since_ms: None,
            counters: Counters::default(),
        })
    }
}

/// The controller.
pub struct Ethernet {
    chip: Chip,
    clock: Clock,
    address: [u8; 6],
    incoming: &'static mut [u8; FRAME_LEN],
    sending: Sending,
    is_linked: bool,
    /// Whether the controller interrupts. Otherwise it has interrupted, and there is work.
    is_listening: bool,
    /// When a controller is tried again that could not be started.
    retry_at_ms: Option<u64>,
    /// Since when the transmit FIFO has no room for a frame.
    full_since_ms: Option<u64>,
    counters: Counters,
}

/// What has become of frames since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, defmt::Format)]
pub struct Counters {
    /// Frames received whole.
    pub received: u32,
    /// Frames handed to the controller.
    pub sent: u32,
    /// Received frames that the controller had no room for.
    pub dropped: u32,
    /// Received frames that were damaged, too short or too long.
    pub refused: u32,
    /// Frames that the controller reports as not sent.
    pub unsent: u32,
    /// Times that the main loop found that the controller had interrupted.
    pub interrupts: u32,
    /// Times that the controller was put back to its start.
    pub restarts: u32,
}

/// Why there is no Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum EthernetError {
    /// There is no LAN9118 at its place.
    NoController,
    /// The controller was not given a station's address.
    NoAddress,
    /// The controller does not answer.
    Busy,
}

impl From<Busy> for EthernetError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl Ethernet {
    /// Returns the address of the station.
    pub fn address(&self) -> [u8; 6] {
        self.address
    }

    /// Says whether somebody is at the other end of the wire, as far as [`Ethernet::attend`] has heard.
    pub fn is_linked(&self) -> bool {
        self.is_linked
    }

    /// Returns what has become of frames since boot.
    pub fn counters(&self) -> Counters {
        Counters {
            sent: self.sending.sent,
            ..self.counters
        }
    }

    /// Deals with what the controller has interrupted for, frames excepted: these are received. Call it before frames
    /// are received.
    pub fn attend(&mut self) {
        let events = critical_section::with(|section| EVENTS.borrow(section).take());
        if events != 0 {
            self.is_listening = false;
            count(&mut self.counters.interrupts, 1);
            self.chip.acknowledge(events);
            count(&mut self.counters.dropped, self.chip.take_dropped());
        }
        while let Some(status) = self.chip.take_sent() {
            count(&mut self.counters.unsent, u32::from(is_unsent(status)));
        }
        let is_due = self
            .retry_at_ms
            .is_some_and(|at| self.clock.milliseconds() >= at);
        if events & FAULTS != 0 || is_due || self.is_stuck() {
            self.restart();
        } else if events & WIRE != 0 {
            self.look_at_wire();
        }
    }

    /// Sleeps until the controller has interrupted or a tick of the clock has passed, unless there is work.
    pub fn sleep(&self) {
        // A controller that waits for its restart has no work, and does not interrupt.
        let has_work = !self.is_listening && self.retry_at_ms.is_none();
        sleep_unless(|section| has_work || has_interrupted(section));
    }

    /// Reads a word that is not there, which the controller takes for a fault: for the test of what follows.
    pub fn provoke_fault(&mut self) {
        if self.chip.take_received().is_none() {
            let _ = self.chip.take_word();
        }
    }

    /// Puts the controller back to its start; frames in it are lost. One that does not get there is tried again later.
    fn restart(&mut self) {
        count(&mut self.counters.restarts, 1);
        self.full_since_ms = None;
        self.is_listening = false;
        let started = self.chip.reset().and_then(|()| self.chip.go());
        defmt::warn!("ethernet restarted, {=bool}", started.is_ok());
        self.retry_at_ms = None;
        match started {
            Ok(()) => self.look_at_wire(),
            Err(Busy) => self.give_up(),
        }
    }

    fn look_at_wire(&mut self) {
        match self.chip.look_at_wire() {
            Ok(is_linked) => self.is_linked = is_linked,
            Err(Busy) => self.give_up(),
        }
    }

    /// Leaves a controller alone that does not answer, until it is restarted.
    fn give_up(&mut self) {
        self.is_linked = false;
        self.retry_at_ms = Some(self.clock.milliseconds() + RETRY_MS);
    }

    /// Says whether the transmit FIFO has had no room for too long.
    fn is_stuck(&mut self) -> bool {
        if self.has_room() {
            self.full_since_ms = None;
            return false;
        }
        let now = self.clock.milliseconds();
        now >= *self.full_since_ms.get_or_insert(now) + STUCK_MS
    }

    /// Says whether the transmit FIFO takes the longest frame with its commands.
    fn has_room(&self) -> bool {
        self.chip.transmit_room() >= FRAME_LEN.next_multiple_of(4) + 8
    }

    /// Takes frames from the controller up to the next good one, past [`REFUSED_BURST`] at most; returns its length.
    fn next_frame(&mut self) -> Option<usize> {
        for _ in 0..REFUSED_BURST {
            let Some(status) = self.chip.take_received() else {
                self.listen();
                return None;
            };
            let Received { word_count, len } = Received::decode(status);
            let frame = len.and_then(|len| self.incoming.get_mut(..len));
            let taken = match frame {
                Some(frame) => {
                    unpack(frame, || self.chip.take_word());
                    count(&mut self.counters.received, 1);
                    frame.len().div_ceil(4)
                }
                None => {
                    count(&mut self.counters.refused, 1);
                    0
                }
            };
            // What is left of it: the check sequence, or all.
            for _ in taken..word_count {
                let _ = self.chip.take_word();
            }
            if len.is_some() {
                return len;
            }
        }
        None
    }

    /// Lets the controller interrupt again, now that it is empty. What has arrived since is an event that is still there,
    /// and interrupts at once.
    fn listen(&mut self) {
        if !self.is_listening && self.retry_at_ms.is_none() {
            self.is_listening = true;
            self.chip.listen();
        }
    }
}

impl Device for Ethernet {
    type RxToken<'a> = Frame<'a>;
    type TxToken<'a> = &'a mut Sending;

    fn receive(&mut self, _: Instant) -> Option<(Frame<'_>, &mut Sending)> {
        // The answer to a frame must find room.
        if !self.has_room() {
            return None;
        }
        let len = self.next_frame()?;
        let frame = Frame(self.incoming.get(..len)?);
        Some((frame, &mut self.sending))
    }

    fn transmit(&mut self, _: Instant) -> Option<&mut Sending> {
        self.has_room().then_some(&mut self.sending)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_LEN;
        capabilities
    }
}

/// A frame that was received.
pub struct Frame<'a>(&'a [u8]);

impl phy::RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// The way out.
pub struct Sending {
    chip: Chip,
    outgoing: &'static mut [u8; FRAME_LEN],
    sent: u32,
}

impl phy::TxToken for &mut Sending {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        // No frame is longer than what `capabilities` says.
        let (frame, _) = self.outgoing.split_at_mut(len.min(FRAME_LEN));
        let filled = fill(frame);
        for word in transmit_commands(frame.len()) {
            self.chip.give_word(word);
        }
        for word in pack(frame) {
            self.chip.give_word(word);
        }
        count(&mut self.sent, 1);
        filled
    }
}

/// Keeps what the controller interrupts for, and lets it not interrupt again until the main loop has dealt with it.
fn handle() {
    critical_section::with(|section| {
        let events = EVENTS.borrow(section);
        // An interrupt without an event would otherwise never be switched on again.
        events.set(events.get() | chip::silence() | FRAME);
    });
}

fn has_interrupted(section: CriticalSection<'_>) -> bool {
    EVENTS.borrow(section).get() != 0
}

fn count(counter: &mut u32, more: u32) {
    *counter = counter.saturating_add(more);
}

/// One frame each way.
struct Frames {
    incoming: [u8; FRAME_LEN],
    outgoing: [u8; FRAME_LEN],
}

static FRAMES: ConstStaticCell<Frames> = ConstStaticCell::new(Frames {
    incoming: [0; FRAME_LEN],
    outgoing: [0; FRAME_LEN],
});

static EVENTS: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

/// The interrupt of the controller.
const INTERRUPT: u16 = 13;
/// Bad frames that are passed over before the caller has its turn.
const REFUSED_BURST: usize = 16;
/// A frame is out within a few milliseconds, whatever collides with it.
const STUCK_MS: u64 = 200;
/// A controller that cannot be started is tried again after this.
const RETRY_MS: u64 = 1_000;
