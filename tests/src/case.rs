//! What a conformance case is, and how it fails.

/// One conformance case.
#[derive(Debug)]
pub struct Case {
    /// A sentence saying what holds, unique in the table.
    pub name: &'static str,
    /// The clause that the case holds the code to, such as `PROTOCOL.md §3.2` or `RFC 7515 §A.3`.
    pub clause: &'static str,
    /// Runs the case.
    pub run: fn() -> Result<(), Failure>,
}

/// Why a case failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The condition that did not hold.
    pub condition: &'static str,
    /// The file in which it stands.
    pub file: &'static str,
    /// The line on which it stands.
    pub line: u32,
    /// A number that tells a failing step of a loop from the others, such as the flipped bit.
    pub step: usize,
}

/// Fails the case unless the condition holds; a second argument is the step of a loop.
#[macro_export]
macro_rules! ensure {
    ($condition:expr) => {
        $crate::ensure!($condition, 0)
    };
    ($condition:expr, $step:expr) => {
        if !$condition {
            return Err($crate::Failure {
                condition: stringify!($condition),
                file: file!(),
                line: line!(),
                step: $step,
            });
        }
    };
}
