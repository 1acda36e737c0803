//! Asks the provider that this image runs on every case of Wycheproof, and reports one verdict for each group.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use moorline_core::crypto::provider::Active;
use moorline_firmware::board::{Board, FAILURE, SUCCESS, exit};
use moorline_wycheproof::GROUPS;

#[entry]
fn main() -> ! {
    if Board::take().is_none() {
        exit(FAILURE);
    }
    let mut passed: u32 = 0;
    let mut failed: u32 = 0;
    for group in GROUPS {
        let outcome = group.run::<Active>();
        // The cases that were asked: whoever reads the table elsewhere knows how many there are.
        let asked = outcome.passed + outcome.failed;
        match outcome.first_failed {
            None => {
                passed += 1;
                defmt::println!(
                    "verdict passed \"{=str}, {=usize} cases\"",
                    group.name,
                    asked
                );
            }
            Some(number) => {
                failed += 1;
                defmt::println!(
                    "verdict failed \"{=str}, {=usize} cases\" at case {=u16}: {=usize} are wrong",
                    group.name,
                    asked,
                    number,
                    outcome.failed
                );
            }
        }
    }
    defmt::println!("verdicts {=u32} passed {=u32} failed", passed, failed);
    exit(if failed == 0 { SUCCESS } else { FAILURE })
}
