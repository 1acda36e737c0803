//! The two user LEDs.

use crate::board::register::Register;

/// How many there are.
pub(in crate::board) const LED_COUNT: u32 = 2;

/// Makes them ready.
pub(in crate::board) const fn start() {}

/// Lights those whose bit is set in `lit`.
pub(in crate::board) fn show(lit: u32) {
    LED0.write(lit);
}

/// Returns those that are lit.
pub(in crate::board) fn lit() -> u32 {
    LED0.read()
}

// SAFETY: LED0 of the FPGA I/O block (Arm DAI 0386, table 3-8).
const LED0: Register = unsafe { Register::at(0x4002_8000) };
