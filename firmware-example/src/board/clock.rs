//! Time since boot, by a counter of the board.
//!
//! The counter counts down and wraps. Whoever reads it adds what has passed to a 64-bit sum, and the tick that wakes
//! sleepers reads it often enough that no wrap goes by unseen.
//!
//! On `mps2-an386` under `-icount shift=5` an instruction takes 32 ns of virtual time and a tick of the counter 40 ns, so
//! that a difference of ticks times 5/4 is the number of instructions executed.

use core::cell::Cell;

use cortex_m::peripheral::SYST;
use critical_section::Mutex;

use super::hardware::counter;
pub use super::hardware::counter::TICKS_PER_SECOND;
use super::sleep_unless;

/// How often a sleeping core is woken, in milliseconds. Deadlines of the link are seconds; waking more often only costs.
pub(super) const TICK_MS: u32 = 5;

/// The clock of the board. Copies are the same clock.
#[derive(Clone, Copy)]
pub struct Clock {
    started: (),
}

impl Clock {
    /// Starts the counter and the wake-up tick.
    pub(super) fn start(syst: &mut SYST) -> Self {
        counter::start(syst);
        critical_section::with(|section| {
            SUM.borrow(section).set(Sum {
                ticks: 0,
                last: counter::read(),
            });
        });
        Self { started: () }
    }

    /// Stops the wake-up tick. Whoever waits is woken by something else from now on, and reads the clock once a minute at least.
    #[cfg(feature = "mps2-an386")]
    pub(super) fn stop_tick(self) {
        let Self { started: () } = self;
        counter::stop_tick();
    }

    /// Returns the milliseconds since boot. Never goes back.
    pub fn milliseconds(self) -> u64 {
        let Self { started: () } = self;
        ticks_since_boot() / u64::from(TICKS_PER_SECOND / 1000)
    }

    /// Returns the microseconds since boot. Never goes back.
    pub fn microseconds(self) -> u64 {
        ticks_since_boot() * 1000 / u64::from(TICKS_PER_SECOND / 1000)
    }

    /// Reads the counter, for counting instructions.
    pub fn ticks(self) -> Ticks {
        Ticks {
            value: counter::read(),
        }
    }

    /// Sleeps until the clock has reached `deadline_ms`, in milliseconds since boot.
    pub fn sleep_until(self, deadline_ms: u64) {
        while self.milliseconds() < deadline_ms {
            sleep_unless(|_| false);
        }
    }
}

/// A reading of the counter.
#[derive(Clone, Copy)]
pub struct Ticks {
    value: u32,
}

impl Ticks {
    /// Returns the ticks from `earlier` to this reading, which must be less than a wrap of the counter apart: 171 seconds, or 1.3 on the
    /// smaller board.
    pub fn since(self, earlier: Self) -> u32 {
        elapsed(earlier.value, self.value)
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

pub(super) fn ticks_since_boot() -> u64 {
    critical_section::with(|section| {
        let cell = SUM.borrow(section);
        let Sum { ticks, last } = cell.get();
        let value = counter::read();
        let ticks = ticks.wrapping_add(u64::from(elapsed(last, value)));
        cell.set(Sum { ticks, last: value });
        ticks
    })
}

/// Returns the ticks between two readings.
fn elapsed(earlier: u32, later: u32) -> u32 {
    earlier.wrapping_sub(later) & counter::MASK
}

static SUM: Mutex<Cell<Sum>> = Mutex::new(Cell::new(Sum { ticks: 0, last: 0 }));

defmt::timestamp!(
    "{=u64:ms}",
    ticks_since_boot() / u64::from(TICKS_PER_SECOND / 1000)
);
