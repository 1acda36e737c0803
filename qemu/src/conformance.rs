//! Runs the conformance image and judges what it reports.
//!
//! The image and this judge link the same table of cases. A case that does not report exactly once fails, so
//! that none is left out unseen.

use std::fmt;
use std::time::Duration;

use moorline_conformance::{BATCHES, DEEP, batch_cases};

use crate::bench::Sections;
use crate::emulator::Qemu;
use crate::error::Error;
use crate::image::{Board, Profile, Provider, build_batch, build_image_on};
use crate::log::LogLine;

/// What the device says about one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The case passed.
    Passed,
    /// The case failed.
    Failed {
        /// The file and line, the step, and the condition that did not hold.
        detail: String,
    },
    /// The case did not report.
    Missing,
}

/// One case of the table, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The name of the case.
    pub name: String,
    /// What the device says about it.
    pub verdict: Verdict,
}

/// Something in the report that must not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discrepancy {
    /// A case reported more than once.
    Duplicate {
        /// The name of the case.
        name: String,
    },
    /// A report names no case of the table.
    Unknown {
        /// The name in the report.
        name: String,
    },
    /// Two cases of the table have one name.
    AmbiguousTable {
        /// The name.
        name: String,
    },
    /// A result line that is no verdict.
    Unreadable {
        /// The line.
        line: String,
    },
    /// The image did not close with the counts that its verdicts add up to.
    Closing {
        /// What it closed with.
        found: Option<String>,
        /// What its verdicts add up to.
        expected: String,
    },
    /// The run did not end as its verdicts say.
    End {
        /// How it ended.
        end: String,
    },
}

/// The judged report of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Each case of the table once, in its order.
    pub cases: Vec<CaseResult>,
    /// What else is wrong.
    pub discrepancies: Vec<Discrepancy>,
}

impl Report {
    /// Says whether every case passed and nothing else is wrong.
    pub fn is_success(&self) -> bool {
        self.failed_count() == 0
    }

    /// Returns the number of cases that passed.
    pub fn passed_count(&self) -> usize {
        self.cases
            .iter()
            .filter(|case| case.verdict == Verdict::Passed)
            .count()
    }

    /// Returns the number of cases that did not pass, and of other discrepancies.
    pub fn failed_count(&self) -> usize {
        self.cases.len() - self.passed_count() + self.discrepancies.len()
    }
}

/// Builds the conformance image on `provider`, runs it and judges its report; `on_line` has each line as it comes.
///
/// # Errors
///
/// The image does not build or QEMU does not start. A case that fails is in the report.
pub fn run(
    provider: Provider,
    on_line: impl FnMut(&LogLine) + Send + 'static,
) -> Result<Report, Error> {
    let names = moorline_conformance::cases().map(|case| case.name);
    run_image("conformance", names, provider, on_line)
}

/// As [`run`], for the groups of Wycheproof's cases: the device reports each with the number of cases that it asked,
/// which must be the number that there is here.
///
/// # Errors
///
/// As [`run`].
pub fn run_wycheproof(
    provider: Provider,
    on_line: impl FnMut(&LogLine) + Send + 'static,
) -> Result<Report, Error> {
    let groups = moorline_wycheproof::GROUPS.iter();
    let names: Vec<_> = groups
        .map(|group| format!("{}, {} cases", group.name, group.count()))
        .collect();
    run_image(
        "wycheproof",
        names.iter().map(String::as_str),
        provider,
        on_line,
    )
}

/// What one image had, and what it took of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The cases that it had, without those that the board has no room for.
    pub case_count: usize,
    /// Its flash, in bytes.
    pub flash_bytes: u64,
}

/// Runs the cases on the board with 64 KiB of RAM, batch after batch: its flash holds no more at once. `on_line` has
/// each line as it comes.
///
/// The report has every case but those of [`moorline_conformance::DEEP`].
///
/// # Errors
///
/// As [`run`].
pub fn run_small(
    on_line: impl FnMut(&LogLine) + Send + Clone + 'static,
) -> Result<(Report, Vec<Batch>), Error> {
    let mut whole = Report {
        cases: Vec::new(),
        discrepancies: Vec::new(),
    };
    let mut batches = Vec::new();
    for (index, batch) in BATCHES.iter().enumerate() {
        let names = batch_cases(batch).map(|case| case.name);
        let names: Vec<_> = names.filter(|name| !DEEP.contains(name)).collect();
        // What is left out needs no flash.
        if names.is_empty() {
            continue;
        }
        let image = build_batch(index)?;
        batches.push(Batch {
            case_count: names.len(),
            flash_bytes: Sections::of(&image)?.flash_bytes,
        });
        let qemu = Qemu::new(image).machine(Board::Lm3s6965evb.name());
        let report = judge_run(names, qemu.on_line(on_line.clone()))?;
        whole.cases.extend(report.cases);
        whole.discrepancies.extend(report.discrepancies);
    }
    Ok((whole, batches))
}

fn run_image<'a>(
    bin: &str,
    names: impl IntoIterator<Item = &'a str>,
    provider: Provider,
    on_line: impl FnMut(&LogLine) + Send + 'static,
) -> Result<Report, Error> {
    let image = build_image_on(provider, bin, Profile::Device)?;
    judge_run(names, Qemu::new(image).on_line(on_line))
}

/// Runs what is described and judges its lines.
fn judge_run<'a>(names: impl IntoIterator<Item = &'a str>, qemu: Qemu) -> Result<Report, Error> {
    let outcome = qemu.deadline(DEADLINE).run()?;
    let mut report = judge(names, &outcome.lines);
    let deserved = if report.is_success() { 0 } else { FAILURE };
    // A panic or a deadline also shows as missing cases, and here with what led to it.
    if outcome.status != Some(deserved) || outcome.malformed_count > 0 {
        report.discrepancies.push(Discrepancy::End {
            end: outcome.to_string(),
        });
    }
    Ok(report)
}

/// Judges the lines of a run against the names of the table.
pub fn judge<'a>(names: impl IntoIterator<Item = &'a str>, lines: &[LogLine]) -> Report {
    let mut report = Report {
        cases: Vec::new(),
        discrepancies: Vec::new(),
    };
    for name in names {
        let name = name.to_owned();
        if report.cases.iter().any(|case| case.name == name) {
            report
                .discrepancies
                .push(Discrepancy::AmbiguousTable { name: name.clone() });
        }
        report.cases.push(CaseResult {
            name,
            verdict: Verdict::Missing,
        });
    }
    let mut closing = None;
    let (mut passed_count, mut failed_count) = (0, 0);
    for line in lines.iter().filter(|line| line.level.is_none()) {
        let message = line.message.as_str();
        if closing.is_none() && message.starts_with("verdicts ") {
            closing = Some(message.to_owned());
            continue;
        }
        match parse(message) {
            Some((name, verdict)) => {
                match verdict {
                    Verdict::Passed => passed_count += 1,
                    _ => failed_count += 1,
                }
                report.record(name, verdict);
            }
            None => report.discrepancies.push(Discrepancy::Unreadable {
                line: message.into(),
            }),
        }
    }
    let expected = format!("verdicts {passed_count} passed {failed_count} failed");
    if closing.as_ref() != Some(&expected) {
        report.discrepancies.push(Discrepancy::Closing {
            found: closing,
            expected,
        });
    }
    report
}

impl Report {
    fn record(&mut self, name: &str, verdict: Verdict) {
        let name = name.to_owned();
        match self.cases.iter_mut().find(|case| case.name == name) {
            None => self.discrepancies.push(Discrepancy::Unknown { name }),
            Some(case) if case.verdict == Verdict::Missing => case.verdict = verdict,
            Some(_) => self.discrepancies.push(Discrepancy::Duplicate { name }),
        }
    }
}

/// Reads `verdict passed "NAME"` and `verdict failed "NAME" at FILE:LINE step N: CONDITION`.
fn parse(message: &str) -> Option<(&str, Verdict)> {
    let (word, rest) = message.strip_prefix("verdict ")?.split_once(" \"")?;
    let (name, detail) = rest.split_once('"')?;
    match (word, detail) {
        ("passed", "") => Some((name, Verdict::Passed)),
        ("failed", detail) => {
            let detail = detail.strip_prefix(" at ")?.to_owned();
            Some((name, Verdict::Failed { detail }))
        }
        _ => None,
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => write!(formatter, "passed: {}", self.name),
            Verdict::Failed { detail } => write!(formatter, "FAILED: {} at {detail}", self.name),
            Verdict::Missing => write!(formatter, "FAILED: {} did not report", self.name),
        }
    }
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { name } => write!(formatter, "{name:?} reported more than once"),
            Self::Unknown { name } => write!(formatter, "{name:?} is no case of the table"),
            Self::AmbiguousTable { name } => {
                write!(formatter, "two cases are called {name:?}; rename one")
            }
            Self::Unreadable { line } => write!(formatter, "{line:?} is no verdict"),
            Self::Closing {
                found: Some(found),
                expected,
            } => {
                write!(
                    formatter,
                    "the image closed with {found:?}, its verdicts make {expected:?}"
                )
            }
            Self::Closing {
                found: None,
                expected,
            } => {
                write!(formatter, "the image did not close with {expected:?}")
            }
            Self::End { end } => write!(
                formatter,
                "the verdicts do not agree with the end of the run: {end}"
            ),
        }
    }
}

/// The status of a run that found a case failing: `firmware-example/src/board/exit.rs`.
const FAILURE: i32 = 1;
/// Whole signatures at size optimisation take a tenth of a second each on a loaded machine, and there are many.
const DEADLINE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn accepts_each_case_once_and_the_right_closing() {
        let report = judge(
            ["a", "b"],
            &said(&[
                "verdict passed \"a\"",
                "verdict failed \"b\" at tests/src/x.rs:7 step 3: left == \"right\"",
                "verdicts 1 passed 1 failed",
            ]),
        );
        assert_eq!(report.discrepancies, []);
        assert_eq!((report.passed_count(), report.failed_count()), (1, 1));
        let failed = report.cases.last().map(ToString::to_string);
        assert_eq!(
            failed.as_deref(),
            Some("FAILED: b at tests/src/x.rs:7 step 3: left == \"right\"")
        );
    }

    #[test]
    fn refuses_a_case_that_did_not_report() {
        let report = judge(
            ["a", "b"],
            &said(&["verdict passed \"a\"", "verdicts 1 passed 0 failed"]),
        );
        assert!(!report.is_success());
        assert_eq!(
            report.cases.last().map(|case| &case.verdict),
            Some(&Verdict::Missing)
        );
    }

    #[test]
    fn refuses_a_case_that_reported_twice() {
        let twice = [
            "verdict passed \"a\"",
            "verdict passed \"a\"",
            "verdicts 2 passed 0 failed",
        ];
        let report = judge(["a"], &said(&twice));
        assert_eq!(
            report.discrepancies,
            [Discrepancy::Duplicate { name: "a".into() }]
        );
    }

    #[test]
    fn refuses_a_name_that_is_not_in_the_table() {
        let report = judge(
            [],
            &said(&["verdict passed \"a\"", "verdicts 1 passed 0 failed"]),
        );
        assert_eq!(
            report.discrepancies,
            [Discrepancy::Unknown { name: "a".into() }]
        );
    }

    #[test]
    fn refuses_a_table_with_one_name_twice() {
        let report = judge(
            ["a", "a"],
            &said(&["verdict passed \"a\"", "verdicts 1 passed 0 failed"]),
        );
        assert_eq!(
            report.discrepancies,
            [Discrepancy::AmbiguousTable { name: "a".into() }]
        );
    }

    #[test]
    fn refuses_a_line_that_is_no_verdict() {
        for line in [
            "verdict",
            "verdict passed a",
            "verdict passed \"a\" not",
            "verdict failed \"a\"",
            "",
        ] {
            let report = judge([], &said(&[line, "verdicts 0 passed 0 failed"]));
            assert_eq!(
                report.discrepancies,
                [Discrepancy::Unreadable { line: line.into() }]
            );
        }
    }

    #[test]
    fn refuses_a_report_without_the_right_closing() {
        for closing in [
            &["verdict passed \"a\"", "verdicts 2 passed 0 failed"][..],
            &["verdict passed \"a\""],
        ] {
            let report = judge(["a"], &said(closing));
            assert!(matches!(
                report.discrepancies.as_slice(),
                [Discrepancy::Closing { .. }]
            ));
        }
    }

    #[test]
    fn leaves_ordinary_log_lines_alone() {
        let mut lines = said(&["verdicts 0 passed 0 failed"]);
        lines.extend(said(&["verdict passed \"a\""]));
        if let Some(line) = lines.last_mut() {
            line.level = Some(Level::Info);
        }
        assert!(judge([], &lines).is_success());
    }

    fn said(messages: &[&str]) -> Vec<LogLine> {
        let line = |message: &&str| LogLine {
            level: None,
            message: (*message).into(),
            location: None,
            timestamp: None,
        };
        messages.iter().map(line).collect()
    }
}
