//! Runs every conformance case on the device and reports one verdict for each.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use defmt_semihosting as _;
use moorline_firmware::board::{Board, FAILURE, SUCCESS, exit};

#[entry]
fn main() -> ! {
    if Board::take().is_none() {
        exit(FAILURE);
    }
    let mut passed: u32 = 0;
    let mut failed: u32 = 0;
    for case in moorline_conformance::cases() {
        match (case.run)() {
            Ok(()) => {
                passed += 1;
                defmt::println!("verdict passed \"{=str}\"", case.name);
            }
            Err(failure) => {
                failed += 1;
                defmt::println!(
                    "verdict failed \"{=str}\" at {=str}:{=u32} step {=usize}: {=str}",
                    case.name,
                    failure.file,
                    failure.line,
                    failure.step,
                    failure.condition
                );
            }
        }
    }
    defmt::println!("verdicts {=u32} passed {=u32} failed", passed, failed);
    exit(if failed == 0 { SUCCESS } else { FAILURE })
}
