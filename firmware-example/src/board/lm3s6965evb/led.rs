//! The user LED, at pin PF0.

use super::gate;
use crate::board::register::Register;

/// How many there are.
pub(in crate::board) const LED_COUNT: u32 = 1;

/// Makes it ready.
pub(in crate::board) fn start() {
    gate::open_port(gate::PORT_F);
    DIRECTION.write(PIN);
    DIGITAL.write(PIN);
}

/// Lights it if its bit is set in `lit`.
pub(in crate::board) fn show(lit: u32) {
    DATA.write(lit);
}

/// Returns its bit if it is lit.
pub(in crate::board) fn lit() -> u32 {
    DATA.read()
}

/// The pin in the registers of its port.
const PIN: u32 = 1 << 0;

// SAFETY: the registers of GPIO port F (LM3S6965 data sheet, chapter 8). The address of the data register masks all
// pins but PF0.
const DATA: Register = unsafe { Register::at(0x4002_5004) };
// SAFETY: as above.
const DIRECTION: Register = unsafe { Register::at(0x4002_5400) };
// SAFETY: as above.
const DIGITAL: Register = unsafe { Register::at(0x4002_551C) };
