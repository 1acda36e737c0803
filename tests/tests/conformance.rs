//! Runs every conformance case on the host, each as a test under its own name.

use std::collections::HashSet;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use moorline_conformance::{Case, cases};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<_> = cases().map(trial).collect();
    trials.push(Trial::test(
        "every case has a name of its own and a clause",
        names_are_unique,
    ));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(case: &'static Case) -> Trial {
    Trial::test(case.name, move || {
        (case.run)().map_err(|failure| {
            Failed::from(format!(
                "{} does not hold at {}:{}, step {} ({})",
                failure.condition, failure.file, failure.line, failure.step, case.clause
            ))
        })
    })
}

fn names_are_unique() -> Result<(), Failed> {
    let mut names = HashSet::new();
    for case in cases() {
        if !names.insert(case.name) {
            return Err(format!("two cases are called: {}", case.name).into());
        }
        if case.name.is_empty() || case.clause.is_empty() {
            return Err(format!("name {:?}, clause {:?}", case.name, case.clause).into());
        }
    }
    Ok(())
}
