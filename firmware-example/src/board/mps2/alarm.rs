//! An interrupt at a time: CMSDK timer 1, of the rate of the counter.

use crate::board::interrupt;
use crate::board::register::Register;

/// Lets the alarm through to `handler`.
pub(in crate::board) fn start(handler: fn()) {
    CONTROL.write(0);
    interrupt::serve(INTERRUPT, handler);
}

/// Sets the alarm to `ticks` ticks of the counter from now, at least one, in the place of the one before.
pub(in crate::board) fn set(ticks: u32) {
    CONTROL.write(0);
    INTERRUPT_CLEAR.write(1);
    RELOAD.write(ticks);
    VALUE.write(ticks);
    CONTROL.write(ENABLE | INTERRUPTS);
}

// SAFETY: the registers of CMSDK timer 1 (Arm DUI 0479, table 4-4).
const CONTROL: Register = unsafe { Register::at(0x4000_1000) };
// SAFETY: as above.
const VALUE: Register = unsafe { Register::at(0x4000_1004) };
// SAFETY: as above.
const RELOAD: Register = unsafe { Register::at(0x4000_1008) };
// SAFETY: as above.
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4000_100C) };

const INTERRUPT: u16 = 9;
const ENABLE: u32 = 1 << 0;
const INTERRUPTS: u32 = 1 << 3;
