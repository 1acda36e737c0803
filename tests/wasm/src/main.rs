//! Runs every conformance case and reports one verdict for each, in the words of the device's image.
//!
//! Built for `wasm32-wasip1` and run under Node by `run.mjs`. The target's `std` is this program's alone: the cases
//! and core are built without it, as everywhere.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut passed: usize = 0;
    let mut failed: usize = 0;
    for case in moorline_conformance::cases() {
        match (case.run)() {
            Ok(()) => {
                passed += 1;
                println!("verdict passed \"{}\"", case.name);
            }
            Err(failure) => {
                failed += 1;
                println!(
                    "verdict failed \"{}\" at {}:{} step {}: {}",
                    case.name, failure.file, failure.line, failure.step, failure.condition
                );
            }
        }
    }
    println!("verdicts {passed} passed {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
