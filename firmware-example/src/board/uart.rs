//! The serial line, interrupt driven both ways.
//!
//! Received bytes go into a ring of [`RECEIVE_RING_LEN`]. When the ring is full the byte stays in the UART and
//! its interrupt is switched off until a reader has made room; what the hardware loses meanwhile is counted.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;

use critical_section::{CriticalSection, Mutex};
use embedded_io::{ErrorType, Read, ReadReady, Write};
use heapless::Deque;

use super::clock::Clock;
use super::hardware::uart;
use super::sleep_unless;

/// Room for received bytes: two of the largest frames of the link, and more.
pub const RECEIVE_RING_LEN: usize = 8192;

/// The serial line.
///
/// As [`Read`] it waits without a deadline; [`Uart::read_until`] and [`Uart::wait_readable`] have one.
pub struct Uart {
    clock: Clock,
}

impl Uart {
    pub(super) fn start(clock: Clock) -> Self {
        uart::start();
        Self { clock }
    }

    /// Reads what has arrived, waiting for the first byte until `deadline_ms` (milliseconds since boot).
    ///
    /// Returns 0 when the deadline passed without a byte, or when `bytes` is empty.
    pub fn read_until(&mut self, bytes: &mut [u8], deadline_ms: u64) -> usize {
        if bytes.is_empty() || !self.wait_readable(deadline_ms) {
            return 0;
        }
        take_received(bytes)
    }

    /// Sleeps until there is a byte to read or `deadline_ms` has come; says whether there is a byte.
    pub fn wait_readable(&mut self, deadline_ms: u64) -> bool {
        loop {
            if critical_section::with(has_received) {
                return true;
            }
            if self.clock.milliseconds() >= deadline_ms {
                return false;
            }
            sleep_unless(has_received);
        }
    }

    /// Returns how often the hardware has lost received bytes since boot.
    pub fn overrun_count(&self) -> u32 {
        critical_section::with(|section| OVERRUNS.borrow(section).get())
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.read_until(bytes, u64::MAX))
    }
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(critical_section::with(has_received))
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let count = critical_section::with(|section| queue(section, bytes));
            if count > 0 {
                return Ok(count);
            }
            sleep_unless(|section| !TRANSMITTING.borrow_ref(section).is_full());
        }
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !critical_section::with(is_idle) {
            sleep_unless(is_idle);
        }
        Ok(())
    }
}

/// Moves what the UART has received into the ring.
pub(super) fn handle_receive() {
    critical_section::with(pump_received);
}

/// Hands the UART what is queued.
pub(super) fn handle_transmit() {
    critical_section::with(pump_transmitting);
}

fn has_received(section: CriticalSection<'_>) -> bool {
    !RECEIVED.borrow_ref(section).is_empty()
}

pub(super) fn is_idle(section: CriticalSection<'_>) -> bool {
    TRANSMITTING.borrow_ref(section).is_empty() && uart::is_idle()
}

pub(super) fn take_received(bytes: &mut [u8]) -> usize {
    critical_section::with(|section| {
        let mut count = 0;
        {
            let mut received = RECEIVED.borrow_ref_mut(section);
            for (slot, byte) in bytes
                .iter_mut()
                .zip(core::iter::from_fn(|| received.pop_front()))
            {
                *slot = byte;
                count += 1;
            }
        }
        // The byte that waited for room raised its interrupt long ago and will not raise another.
        pump_received(section);
        count
    })
}

fn pump_received(section: CriticalSection<'_>) {
    let mut received = RECEIVED.borrow_ref_mut(section);
    if uart::has_lost() {
        let overruns = OVERRUNS.borrow(section);
        overruns.set(overruns.get().saturating_add(1));
    }
    while !received.is_full()
        && let Some(byte) = uart::receive()
        && received.push_back(byte).is_ok()
    {}
    uart::listen(!received.is_full());
}

pub(super) fn queue(section: CriticalSection<'_>, bytes: &[u8]) -> usize {
    let count = {
        let mut transmitting = TRANSMITTING.borrow_ref_mut(section);
        bytes
            .iter()
            .take_while(|byte| transmitting.push_back(**byte).is_ok())
            .count()
    };
    pump_transmitting(section);
    count
}

/// Writes bytes while the UART takes them; its interrupt continues when it has room again.
fn pump_transmitting(section: CriticalSection<'_>) {
    let mut transmitting = TRANSMITTING.borrow_ref_mut(section);
    while uart::has_room() {
        let Some(byte) = transmitting.pop_front() else {
            break;
        };
        uart::transmit(byte);
    }
}

static RECEIVED: Mutex<RefCell<Deque<u8, RECEIVE_RING_LEN>>> =
    Mutex::new(RefCell::new(Deque::new()));
static TRANSMITTING: Mutex<RefCell<Deque<u8, TRANSMIT_RING_LEN>>> =
    Mutex::new(RefCell::new(Deque::new()));
static OVERRUNS: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

/// A writer waits when this much is queued, so more would only add delay.
const TRANSMIT_RING_LEN: usize = 1024;
