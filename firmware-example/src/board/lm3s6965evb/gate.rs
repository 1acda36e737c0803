//! The clocks of the peripherals, which are off after a reset: a register of a peripheral without a clock is a fault.

use crate::board::register::Register;

/// UART 0, as [`open`] takes it.
pub(super) const UART0: u32 = 1 << 0;
/// Timer 0, as [`open`] takes it.
pub(super) const TIMER0: u32 = 1 << 16;
/// GPIO port A, as [`open_port`] takes it.
pub(super) const PORT_A: u32 = 1 << 0;
/// GPIO port F, as [`open_port`] takes it.
pub(super) const PORT_F: u32 = 1 << 5;

/// Gives `peripheral` its clock.
pub(super) fn open(peripheral: u32) {
    open_in(PERIPHERALS, peripheral);
}

/// Gives `port` its clock.
pub(super) fn open_port(port: u32) {
    open_in(PORTS, port);
}

fn open_in(register: Register, bit: u32) {
    register.write(register.read() | bit);
    // The clock is there three cycles later; reading the register takes as long.
    register.read();
}

// SAFETY: RCGC1 and RCGC2 of the system control (LM3S6965 data sheet, chapter 5).
const PERIPHERALS: Register = unsafe { Register::at(0x400F_E104) };
// SAFETY: as above.
const PORTS: Register = unsafe { Register::at(0x400F_E108) };
