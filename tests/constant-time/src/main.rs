//! Runs every case under valgrind and reports one verdict for each, in the words of the device's image.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use moorline_constant_time::memory::{is_watched, report_count};
use moorline_constant_time::{CASES, CONTROLS};

fn main() -> ExitCode {
    if !is_watched() {
        eprintln!("constant-time: run it under valgrind: cargo test-all --stage \"constant time\"");
        return ExitCode::FAILURE;
    }
    let mut count = Count::default();
    for case in CASES {
        let (is_right, reports) = watched(case.run);
        let fault = if is_right {
            let expected = case.answers.len();
            (reports != expected).then(|| format!("{reports} reports, {expected} answers"))
        } else {
            Some("wrong result".into())
        };
        count.say(case.name, fault);
    }
    for control in CONTROLS {
        let (is_right, reports) = watched(control.run);
        let fault = (!is_right || reports == 0).then(|| "not reported".into());
        count.say(control.name, fault);
    }
    println!("verdicts {} passed {} failed", count.passed, count.failed);
    if count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the result of `run`, and how many reports memcheck made meanwhile.
fn watched(run: fn() -> bool) -> (bool, usize) {
    let before = report_count();
    let is_right = run();
    (is_right, report_count() - before)
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
}

impl Count {
    fn say(&mut self, name: &str, fault: Option<String>) {
        match fault {
            None => {
                self.passed += 1;
                println!("verdict passed \"{name}\"");
            }
            Some(fault) => {
                self.failed += 1;
                println!("verdict failed \"{name}\" at {}:0 step 0: {fault}", file!());
            }
        }
    }
}
