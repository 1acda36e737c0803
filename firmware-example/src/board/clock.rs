//! Time since boot, counted by a timer at 25 MHz.
//!
//! CMSDK timer 0 counts down through 32 bits and is the only source. Whoever reads it adds what has passed to a
//! 64-bit sum, and SysTick reads it often enough that no wrap of 171 seconds goes by unseen.
//!
//! Under `-icount shift=5` an instruction takes 32 ns of virtual time and a tick 40 ns, so that a difference of
//! ticks times 5/4 is the number of instructions executed.

use core::cell::Cell;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use critical_section::Mutex;

use super::register::Register;
use super::sleep_unless;

/// The rate of timer 0 and of the core.
pub const TICKS_PER_SECOND: u32 = 25_000_000;

/// How often SysTick wakes a sleeping core. Deadlines of the link are seconds; waking more often only costs.
pub(super) const TICK_MS: u32 = 5;

/// The clock of the board. Copies are the same clock.
#[derive(Clone, Copy)]
pub struct Clock {
    started: (),
}

impl Clock {
    /// Starts timer 0 and the wake-up tick.
    pub(super) fn start(syst: &mut SYST) -> Self {
        CONTROL.write(0);
        RELOAD.write(u32::MAX);
        VALUE.write(u32::MAX);
        CONTROL.write(ENABLE);
        critical_section::with(|section| {
            SUM.borrow(section).set(Sum {
                ticks: 0,
                last: VALUE.read(),
            });
        });
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(TICKS_PER_SECOND / 1000 * TICK_MS - 1);
        syst.clear_current();
        syst.enable_interrupt();
        syst.enable_counter();
        Self { started: () }
    }

    /// Returns the milliseconds since boot. Never goes back.
    pub fn milliseconds(self) -> u64 {
        let Self { started: () } = self;
        ticks_since_boot() / u64::from(TICKS_PER_SECOND / 1000)
    }

    /// Returns the microseconds since boot. Never goes back.
    pub fn microseconds(self) -> u64 {
        ticks_since_boot() / u64::from(TICKS_PER_SECOND / 1_000_000)
    }

    /// Reads the timer, for counting instructions.
    pub fn ticks(self) -> Ticks {
        Ticks {
            value: VALUE.read(),
        }
    }

    /// Sleeps until the clock has reached `deadline_ms`, in milliseconds since boot.
    pub fn sleep_until(self, deadline_ms: u64) {
        while self.milliseconds() < deadline_ms {
            sleep_unless(|_| false);
        }
    }
}

/// A reading of the timer.
#[derive(Clone, Copy)]
pub struct Ticks {
    value: u32,
}

impl Ticks {
    /// Returns the ticks from `earlier` to this reading, which must be less than 171 seconds apart.
    pub fn since(self, earlier: Self) -> u32 {
        earlier.value.wrapping_sub(self.value)
    }
}

/// Keeps the sum current; the interrupt itself is what wakes a sleeper.
pub(super) fn handle_tick() {
    ticks_since_boot();
}

/// The ticks up to the last reading.
#[derive(Clone, Copy)]
struct Sum {
    ticks: u64,
    last: u32,
}

fn ticks_since_boot() -> u64 {
    critical_section::with(|section| {
        let cell = SUM.borrow(section);
        let Sum { ticks, last } = cell.get();
        let value = VALUE.read();
        let ticks = ticks.wrapping_add(u64::from(last.wrapping_sub(value)));
        cell.set(Sum { ticks, last: value });
        ticks
    })
}

static SUM: Mutex<Cell<Sum>> = Mutex::new(Cell::new(Sum {
    ticks: 0,
    last: u32::MAX,
}));

// SAFETY: the registers of CMSDK timer 0 (Arm DUI 0479, table 4-4).
const CONTROL: Register = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const VALUE: Register = unsafe { Register::at(0x4000_0004) };
// SAFETY: as above.
const RELOAD: Register = unsafe { Register::at(0x4000_0008) };
const ENABLE: u32 = 1;

// The other board has no such timer.
#[cfg(not(feature = "lm3s6965evb"))]
defmt::timestamp!(
    "{=u64:ms}",
    ticks_since_boot() / u64::from(TICKS_PER_SECOND / 1000)
);
