//! The Stellaris LM3S6965 evaluation board: a Cortex-M3, a PL011, one LED. Its Ethernet controller has no driver here.

pub(super) mod counter;
mod gate;
pub(super) mod led;
pub(super) mod uart;
