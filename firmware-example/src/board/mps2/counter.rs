//! The counter of the clock: CMSDK timer 0, which counts down through 32 bits. SysTick is what wakes a sleeper.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

use crate::board::clock::{TICK_MS, handle_tick};
use crate::board::register::Register;

/// The rate of timer 0 and of the core.
pub const TICKS_PER_SECOND: u32 = 25_000_000;

/// The bits that count. It wraps after 171 seconds.
pub(in crate::board) const MASK: u32 = u32::MAX;

/// Starts the counter and the wake-up tick.
pub(in crate::board) fn start(syst: &mut SYST) {
    CONTROL.write(0);
    RELOAD.write(u32::MAX);
    VALUE.write(u32::MAX);
    CONTROL.write(ENABLE);
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(TICKS_PER_SECOND / 1000 * TICK_MS - 1);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
}

/// Stops the wake-up tick.
pub(in crate::board) fn stop_tick() {
    SYSTICK_CONTROL.write(0);
}

/// Reads the counter, which counts down.
pub(in crate::board) fn read() -> u32 {
    VALUE.read()
}

#[exception]
fn SysTick() {
    handle_tick();
}

// SAFETY: the registers of CMSDK timer 0 (Arm DUI 0479, table 4-4).
const CONTROL: Register = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const VALUE: Register = unsafe { Register::at(0x4000_0004) };
// SAFETY: as above.
const RELOAD: Register = unsafe { Register::at(0x4000_0008) };
const ENABLE: u32 = 1;
// SAFETY: SYST_CSR (Arm DDI 0403, B3.3.3); the core's own type was given up when the tick was started.
const SYSTICK_CONTROL: Register = unsafe { Register::at(0xE000_E010) };
