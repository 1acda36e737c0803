//! What happens when the program is wrong: a report, and the end of the run.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m_rt::{ExceptionFrame, exception};

use super::exit;
use super::register::Register;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    refuse_second_report(exit::PANICKED);
    let (file, line) = info.location().map_or(("an unknown place", 0), |location| {
        (location.file(), location.line())
    });
    let message = info.message();
    defmt::error!(
        "panicked at {=str}:{=u32}: {}",
        file,
        line,
        defmt::Display2Format(&message)
    );
    exit::exit(exit::PANICKED)
}

/// Ends a run after `defmt::panic!`, which has reported already.
#[defmt::panic_handler]
fn defmt_panic() -> ! {
    exit::exit(exit::PANICKED)
}

/// Reports the registers at the fault.
///
/// # Safety
///
/// Called by the hardware alone, with the frame that it has stacked.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    refuse_second_report(exit::HARD_FAULT);
    defmt::error!(
        "hard fault at pc {=u32:#010x} lr {=u32:#010x} xpsr {=u32:#010x}",
        frame.pc(),
        frame.lr(),
        frame.xpsr()
    );
    defmt::error!(
        "r0 {=u32:#010x} r1 {=u32:#010x} r2 {=u32:#010x} r3 {=u32:#010x} r12 {=u32:#010x}",
        frame.r0(),
        frame.r1(),
        frame.r2(),
        frame.r3(),
        frame.r12()
    );
    defmt::error!(
        "cfsr {=u32:#010x} hfsr {=u32:#010x} mmfar {=u32:#010x} bfar {=u32:#010x}",
        CFSR.read(),
        HFSR.read(),
        MMFAR.read(),
        BFAR.read()
    );
    exit::exit(exit::HARD_FAULT)
}

/// Ends the run at once when the report itself goes wrong, such as a fault inside the logger.
fn refuse_second_report(status: u8) {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if REPORTED.swap(true, Ordering::Relaxed) {
        exit::exit(status);
    }
}

// SAFETY: the fault status registers of the core (Armv7-M B3.2.2).
const CFSR: Register = unsafe { Register::at(0xE000_ED28) };
// SAFETY: as above.
const HFSR: Register = unsafe { Register::at(0xE000_ED2C) };
// SAFETY: as above.
const MMFAR: Register = unsafe { Register::at(0xE000_ED34) };
// SAFETY: as above.
const BFAR: Register = unsafe { Register::at(0xE000_ED38) };
