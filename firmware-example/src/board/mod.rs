//! The MPS2 board with the AN386 image (Cortex-M4F), as QEMU emulates it.
//!
//! [`Board::take`] starts the hardware and hands out its parts, once. Every wait sleeps: [`sleep_unless`] is the
//! one place with a WFI in it.

mod arguments;
#[cfg_attr(
    feature = "lm3s6965evb",
    expect(dead_code, reason = "the smaller board handles no interrupt")
)]
mod clock;
mod entropy;
#[cfg_attr(
    feature = "lm3s6965evb",
    expect(dead_code, reason = "the smaller board handles no interrupt")
)]
pub mod ethernet;
mod exit;
mod fault;
mod flash;
#[cfg_attr(
    feature = "lm3s6965evb",
    expect(
        dead_code,
        unused_imports,
        reason = "the smaller board handles no interrupt"
    )
)]
mod interrupt;
mod led;
mod logger;
mod provision;
mod register;
mod sensor;
mod stack;
#[cfg_attr(
    feature = "lm3s6965evb",
    expect(dead_code, reason = "the smaller board handles no interrupt")
)]
mod uart;
#[cfg_attr(
    feature = "lm3s6965evb",
    expect(dead_code, reason = "the smaller board has another watchdog")
)]
mod watchdog;

use core::sync::atomic::{AtomicBool, Ordering};

pub use clock::{Clock, TICKS_PER_SECOND, Ticks};
use cortex_m::Peripherals;
use critical_section::CriticalSection;
pub use entropy::{Entropy, EntropyError};
pub use ethernet::{Ethernet, EthernetError, EthernetPort};
pub use exit::{FAILURE, HARD_FAULT, PANICKED, POWER_CUT, SUCCESS, exit, restart};
pub use flash::{FLASH_LEN, Flash, FlashError, SECTOR_LEN};
pub use led::Leds;
pub use logger::{LOG_LEN, Level, Log};
pub use provision::provision;
pub use sensor::Sensor;
pub use stack::{MEASURED_STACK_LEN, Stack};
pub use uart::{RECEIVE_RING_LEN, Uart};
pub use watchdog::Watchdog;

/// The parts of the board, each owned by whoever holds it.
pub struct Board {
    /// Milliseconds since boot.
    pub clock: Clock,
    /// The source of secret random bytes.
    pub entropy: Entropy,
    /// The Ethernet controller, at rest.
    pub ethernet: EthernetPort,
    /// The two user LEDs.
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
        interrupt::unmask();
        Some(Self {
            clock,
            entropy: Entropy::new(),
            ethernet: EthernetPort::new(clock),
            leds: Leds::new(),
            log: Log::new(),
            provision: provision(),
            sensor: Sensor::new(clock),
            stack,
            uart,
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
