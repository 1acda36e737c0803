//! Checks the primitives as the agent does at boot, runs every conformance case on the device, and reports one
//! verdict for each.
//!
//! Built with `MOORLINE_BATCH=N` in the environment it has the cases of that batch alone, counted from zero, for a
//! board whose flash does not hold all of them. Built for such a board it leaves out the cases of [`DEEP`].

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use moorline_conformance::{BATCHES, Case, DEEP, batch_cases};
use moorline_core::crypto::self_test;
use moorline_firmware::board::{FAILURE, SUCCESS, exit, take_stack};

#[entry]
fn main() -> ! {
    let Some(stack) = take_stack() else {
        exit(FAILURE);
    };
    if let Err(error) = self_test() {
        defmt::error!("the self-test at boot failed: {}", error);
        exit(FAILURE);
    }
    let mut passed: u32 = 0;
    let mut failed: u32 = 0;
    let mut deepest = (stack.high_water_len(), "the self-test at boot");
    for case in LINKED.iter().flat_map(|batch| batch_cases(batch)) {
        if cfg!(feature = "lm3s6965evb") && DEEP.contains(&case.name) {
            continue;
        }
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
        let len = stack.high_water_len();
        if len > deepest.0 {
            deepest = (len, case.name);
        }
    }
    defmt::println!("verdicts {=u32} passed {=u32} failed", passed, failed);
    defmt::info!(
        "stack {=usize} bytes at most, in {=str}",
        deepest.0,
        deepest.1
    );
    exit(if failed == 0 { SUCCESS } else { FAILURE })
}

/// The batches that this image has.
const LINKED: &[&[&[Case]]] = match option_env!("MOORLINE_BATCH") {
    None => BATCHES,
    Some(number) => match usize::from_str_radix(number, 10) {
        Ok(index) => &[BATCHES[index]],
        Err(_) => panic!("MOORLINE_BATCH is the number of a batch"),
    },
};
