//! The MPS2 board with the AN386 image: a Cortex-M4F, a CMSDK UART and timers, two LEDs, a LAN9118.

pub(super) mod alarm;
pub(super) mod counter;
pub mod ethernet;
pub(super) mod led;
pub(super) mod uart;
pub(super) mod watchdog;
