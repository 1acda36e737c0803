//! The watchdog: a device that makes no progress starts anew.
//!
//! The CMSDK APB watchdog counts down at the rate of the core. At zero it raises the non-maskable interrupt, which says so and
//! restarts the board; should that hang too, the hardware resets it when the count has come down a second time.

use cortex_m_rt::exception;

use crate::board::clock::TICKS_PER_SECOND;
use crate::board::exit::restart;
use crate::board::register::Register;

/// The watchdog, at rest until it is started. Once started it cannot be stopped.
pub struct Watchdog {
    private: (),
}

impl Watchdog {
    pub(in crate::board) const fn new() -> Self {
        Self { private: () }
    }

    /// Lets the board start anew when nothing is reported for `millis` milliseconds, at most 171 seconds.
    pub fn start(&mut self, millis: u32) {
        let ticks = millis.saturating_mul(TICKS_PER_SECOND / 1000);
        LOCK.write(KEY);
        LOAD.write(ticks);
        CONTROL.write(INTERRUPT_ON | RESET_ON);
        LOCK.write(LOCKED);
    }

    /// Notes that the program has got on with what it is for. To be called where that is so, and by no timer: a watchdog that
    /// is fed by an interrupt guards nothing.
    pub fn feed(&mut self) {
        let Self { private: () } = self;
        LOCK.write(KEY);
        INTERRUPT_CLEAR.write(1);
        LOCK.write(LOCKED);
    }
}

/// The count has come down once.
///
/// # Safety
///
/// Called by the hardware alone.
#[exception]
unsafe fn NonMaskableInt() -> ! {
    defmt::error!(
        "no progress for {=u32} ms, starting anew",
        LOAD.read() / (TICKS_PER_SECOND / 1000)
    );
    restart()
}

// SAFETY: the registers of the CMSDK APB watchdog (Arm DDI 0479, table 4-14).
const LOAD: Register = unsafe { Register::at(0x4000_8000) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_8008) };
// SAFETY: as above.
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4000_800C) };
// SAFETY: as above.
const LOCK: Register = unsafe { Register::at(0x4000_8C00) };

const INTERRUPT_ON: u32 = 1 << 0;
const RESET_ON: u32 = 1 << 1;
/// What unlocks the registers; anything else locks them.
const KEY: u32 = 0x1ACC_E551;
const LOCKED: u32 = 1;
