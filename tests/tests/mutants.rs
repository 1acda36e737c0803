//! The cases that judge mutants of core, by which `cargo mutants` asks whether a line that is broken is missed.
//!
//! They run one after the other and end at the first that fails: a mutant that is caught costs little. Each is also a
//! test of `conformance.rs`; this program runs only where it is named.

use std::process::ExitCode;

use moorline_conformance::cases;

fn main() -> ExitCode {
    for case in cases().filter(|case| !case.name.starts_with(SCHEDULES)) {
        if let Err(failure) = (case.run)() {
            println!("{}: {failure:?}", case.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// How the schedules over faulty lines are called, which take longer than all the other cases together.
const SCHEDULES: &str = "over a ";
