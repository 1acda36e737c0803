//! The end of a run.

/// Ends the run: the process of the emulator exits with `status`.
///
/// On hardware without a debugger this is a breakpoint that nobody serves, which stops the core.
pub fn exit(status: u8) -> ! {
    semihosting::process::exit(i32::from(status))
}

/// Starts the board anew, as its reset button does.
pub fn restart() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

/// The status of a run in which all went well.
pub const SUCCESS: u8 = 0;
/// The status of a run that judged something and found it wanting.
pub const FAILURE: u8 = 1;
/// The status of a run that panicked; the one that a panicking process has on a host.
pub const PANICKED: u8 = 101;
/// The status of a run that ended in a hardware fault.
pub const HARD_FAULT: u8 = 102;
/// The status of a run whose power was cut in the middle of a write to flash, as asked for.
pub const POWER_CUT: u8 = 103;
