//! The board: what is the same on both of those that QEMU emulates, over the `hardware` of one of them.
//!
//! [`Board::take`] starts the hardware and hands out its parts, once. Every wait sleeps: [`sleep_unless`] is the
//! one place with a WFI in it.

mod arguments;
#[cfg(feature = "mps2-an386")]
mod async_uart;
mod clock;
mod entropy;
#[cfg(feature = "mps2-an386")]
pub mod executor;
mod exit;
mod fault;
mod flash;
mod interrupt;
mod led;
#[cfg(feature = "lm3s6965evb")]
mod lm3s6965evb;
mod logger;
#[cfg(feature = "mps2-an386")]
mod mps2;
mod provision;
mod register;
mod sensor;
mod stack;
#[cfg(feature = "mps2-an386")]
mod timer;
mod uart;
#[cfg(feature = "mps2-an386")]
mod wiped;

use core::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "mps2-an386")]
pub use async_uart::AsyncUart;
pub use clock::{Clock, TICKS_PER_SECOND, Ticks};
use cortex_m::Peripherals;
use critical_section::CriticalSection;
pub use entropy::{Entropy, EntropyError};
pub use exit::{FAILURE, HARD_FAULT, PANICKED, POWER_CUT, SUCCESS, exit, restart};
pub use flash::{FLASH_LEN, Flash, FlashError, SECTOR_LEN};
pub use led::{Led, Leds};
#[cfg(feature = "lm3s6965evb")]
use lm3s6965evb as hardware;
pub use logger::{LOG_LEN, Level, Log};
#[cfg(feature = "mps2-an386")]
use mps2 as hardware;
#[cfg(feature = "mps2-an386")]
pub use mps2::ethernet::{self, Ethernet, EthernetError, EthernetPort};
#[cfg(feature = "mps2-an386")]
pub use mps2::watchdog::Watchdog;
pub use provision::provision;
pub use sensor::Sensor;
pub use stack::{MEASURED_STACK_LEN, Stack};
pub use uart::{RECEIVE_RING_LEN, Uart};
#[cfg(feature = "mps2-an386")]
pub use wiped::Wiped;

/// The parts of the board, each owned by whoever holds it.
pub struct Board {
    /// Milliseconds since boot.
    pub clock: Clock,
    /// The source of secret random bytes.
    pub entropy: Entropy,
    /// The Ethernet controller, at rest.
    #[cfg(feature = "mps2-an386")]
    pub ethernet: EthernetPort,
    /// The user LEDs.
    pub leds: Leds,
    /// The log.
    pub log: Log,
    /// The bytes that the device was provisioned with, see [`provision`].
    pub provision: &'static [u8],
    /// A value that changes, for the agent to report.
    pub sensor: Sensor,
    /// The measure of the stack.
    pub stack: Stack,
    /// The serial line.
    pub uart: Uart,
    /// The watchdog, at rest.
    #[cfg(feature = "mps2-an386")]
    pub watchdog: Watchdog,
}

impl Board {
    /// Starts the hardware and returns its parts; `None` on every call but the first.
    ///
    /// Paints the free stack, so call it early in `main`.
    pub fn take() -> Option<Self> {
        if is_taken() {
            return None;
        }
        let mut core = Peripherals::take()?;
        let stack = Stack::start();
        let clock = Clock::start(&mut core.SYST);
        let uart = Uart::start(clock);
        Some(Self {
            clock,
            entropy: Entropy::new(),
            #[cfg(feature = "mps2-an386")]
            ethernet: EthernetPort::new(clock),
            leds: Leds::new(),
            log: Log::new(),
            provision: provision(),
            sensor: Sensor::new(clock),
            stack,
            uart,
            #[cfg(feature = "mps2-an386")]
            watchdog: Watchdog::new(),
        })
    }
}

/// Starts the measure of the stack and nothing else, for images that need no other part and so run on any Cortex-M.
///
/// Returns `None` on every call but the first of this and of [`Board::take`].
pub fn take_stack() -> Option<Stack> {
    if is_taken() {
        return None;
    }
    Some(Stack::start())
}

/// Says whether a part was handed out before, and that one is now.
fn is_taken() -> bool {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    TAKEN.swap(true, Ordering::Relaxed)
}

/// Sleeps until an interrupt has been handled, unless `ready` already holds.
///
/// `ready` is judged with interrupts masked, and they stay masked until the core sleeps: what would make it true
/// in between is left pending, and a pending interrupt ends WFI at once. So no wake-up is lost.
/// Call it in a loop; the clock interrupts every 5 milliseconds, so a deadline is seen in time.
pub fn sleep_unless(ready: impl FnOnce(CriticalSection<'_>) -> bool) {
    critical_section::with(|section| {
        if !ready(section) {
            cortex_m::asm::wfi();
        }
    });
}
