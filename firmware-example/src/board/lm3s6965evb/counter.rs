//! The counter of the clock: SysTick, which counts down through 24 bits. Timer 0 is what wakes a sleeper: the emulator does
//! not let its count be read.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

use super::gate;
use crate::board::clock::{TICK_MS, handle_tick};
use crate::board::interrupt;
use crate::board::register::Register;

/// The rate of the core in the emulator, from reset. On hardware the PLL must be set for it (LM3S6965 data sheet, chapter 5).
pub const TICKS_PER_SECOND: u32 = 12_500_000;

/// The bits that count. It wraps after 1.3 seconds.
pub(in crate::board) const MASK: u32 = 0x00FF_FFFF;

/// Starts the counter and the wake-up tick.
pub(in crate::board) fn start(syst: &mut SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(MASK);
    syst.clear_current();
    syst.enable_counter();
    gate::open(gate::TIMER0);
    CONTROL.write(0);
    CONFIGURATION.write(WHOLE);
    MODE.write(PERIODIC);
    LOAD.write(TICKS_PER_SECOND / 1000 * TICK_MS - 1);
    INTERRUPT_MASK.write(TIMED_OUT);
    interrupt::serve(INTERRUPT, || {
        INTERRUPT_CLEAR.write(TIMED_OUT);
        handle_tick();
    });
    CONTROL.write(ENABLE);
}

/// Reads the counter, which counts down.
pub(in crate::board) fn read() -> u32 {
    SYST::get_current()
}

// SAFETY: the registers of general-purpose timer 0 (LM3S6965 data sheet, chapter 9).
const CONFIGURATION: Register = unsafe { Register::at(0x4003_0000) };
// SAFETY: as above.
const MODE: Register = unsafe { Register::at(0x4003_0004) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4003_000C) };
// SAFETY: as above.
const INTERRUPT_MASK: Register = unsafe { Register::at(0x4003_0018) };
// SAFETY: as above.
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4003_0024) };
// SAFETY: as above.
const LOAD: Register = unsafe { Register::at(0x4003_0028) };

/// The interrupt of timer 0.
const INTERRUPT: u16 = 19;
/// The timer counts through 32 bits.
const WHOLE: u32 = 0;
const PERIODIC: u32 = 2;
const TIMED_OUT: u32 = 1 << 0;
const ENABLE: u32 = 1 << 0;
