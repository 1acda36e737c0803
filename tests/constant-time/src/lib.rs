//! What core does with secrets, with each secret marked as undefined.
//!
//! Memcheck then reports every branch and every index that depends on one: what valgrind calls the use of a value that
//! was never written is here the use of a value that nobody may learn by its timing. What a caller is told in the end,
//! such as whether a tag is right, is a branch on a secret too; each [`Case`] names these, and how many reports they
//! make.
//!
//! This covers the code that the compiler made for this machine, of the portable arithmetic that the device has too. It
//! says nothing about the machine code of a Cortex-M, nor about instructions that take longer for some operands.

#![forbid(unsafe_code)]

mod cases;
mod controls;
pub mod memory;

pub use cases::CASES;
pub use controls::CONTROLS;

/// One operation on secrets.
#[derive(Debug)]
pub struct Case {
    /// A sentence saying what holds, unique in the tables.
    pub name: &'static str,
    /// The reports that are right, one for each: the answers that whoever asks is given. Any other number of reports
    /// fails the case.
    pub answers: &'static [&'static str],
    /// Does the operation; returns whether it gave the right result.
    pub run: fn() -> bool,
}

/// An operation that gives its secret away: a control that must be reported.
#[derive(Debug)]
pub struct Control {
    /// A sentence saying what memcheck must find.
    pub name: &'static str,
    /// Does the operation; returns whether it gave the right result.
    pub run: fn() -> bool,
}

/// Iterates over the names of all cases and controls, in the order in which they run.
pub fn names() -> impl Iterator<Item = &'static str> {
    let cases = CASES.iter().map(|case| case.name);
    cases.chain(CONTROLS.iter().map(|control| control.name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_operation_gives_the_right_result() {
        for case in CASES {
            assert!((case.run)(), "{}", case.name);
        }
        for control in CONTROLS {
            assert!((control.run)(), "{}", control.name);
        }
    }

    #[test]
    fn every_name_is_of_one_case() {
        let mut seen = HashSet::new();
        assert!(names().all(|name| seen.insert(name)));
    }
}
