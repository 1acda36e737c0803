//! Runs every conformance case on the host, each as a test under its own name.

use std::collections::HashSet;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use moorline_conformance::{Case, DEEP, cases, interpreted};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<_> = cases().map(trial).collect();
    trials.push(Trial::test(
        "every case has a name of its own and a clause",
        names_are_unique,
    ));
    trials.push(Trial::test(
        "every case that is left out on a small board is one",
        deep_cases_exist,
    ));
    trials.push(Trial::test(
        "every case that is left out under Miri is one",
        long_cases_exist,
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

fn deep_cases_exist() -> Result<(), Failed> {
    are_cases(DEEP)
}

fn long_cases_exist() -> Result<(), Failed> {
    are_cases(interpreted::LONG)
}

fn are_cases(list: &[&str]) -> Result<(), Failed> {
    let mut names = HashSet::new();
    for name in list {
        if !names.insert(name) || !cases().any(|case| case.name == *name) {
            return Err(format!("no case of its own: {name}").into());
        }
    }
    Ok(())
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
