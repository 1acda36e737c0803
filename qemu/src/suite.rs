//! The stages of the whole test suite, and their sum.

use std::io::{BufRead, BufReader, Read};
use std::ops::AddAssign;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::{fmt, io, thread};

use moorline_conformance::DEEP;

use crate::bench::Budget;
use crate::conformance::{Batch, Report, Verdict};
use crate::error::Error;
use crate::image::{Board, Profile, Provider, cargo, workspace_root};
use crate::{bench, conformance, constant_time, interpreted, setup, wasm};

/// How many checks passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed, and whatever kept checks from running.
    pub failed: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs every test of the workspace on the host, on the provider of a host, passing on what cargo prints.
///
/// What cargo calls a test is counted as it counts. A test program that does not build, or ends without a result,
/// counts as one failure.
///
/// # Errors
///
/// Cargo cannot be started.
pub fn host_tests() -> Result<Tally, Error> {
    // The firmware has no tests of its own, and does not build for the host.
    cargo_test(&["--workspace", "--exclude", "moorline-firmware"])
}

/// Runs the tests of core and its cases on the host, on the default provider: cargo gives core the features of all
/// the packages that it tests together.
///
/// # Errors
///
/// As [`host_tests`].
pub fn default_provider_tests() -> Result<Tally, Error> {
    cargo_test(&[
        "--package",
        "moorline-core",
        "--package",
        "moorline-conformance",
    ])
}

fn cargo_test(packages: &[&str]) -> Result<Tally, Error> {
    let program = cargo();
    let start = |source| Error::Start {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(&program)
        .current_dir(workspace_root())
        .args(["test", "--no-fail-fast"])
        .args(packages)
        // Each case is counted by the stage that runs the image.
        .args(["--", "--skip", CONFORMANCE_TEST])
        // Colours would stand between us and the words that are counted.
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let stderr = child.stderr.take();
    let programs = thread::spawn(move || {
        count(
            stderr,
            |line| eprintln!("{line}"),
            |line| usize::from(starts_program(line)),
        )
    });
    let mut tally = Tally::default();
    let result_count = count(
        child.stdout.take(),
        |line| println!("{line}"),
        |line| match parse_result(line) {
            Some(result) => {
                tally += result;
                1
            }
            None => 0,
        },
    );
    let program_count = programs.join().unwrap_or(0);
    let status = child.wait().map_err(start)?;
    tally.failed += program_count.saturating_sub(result_count);
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// Runs the conformance cases on the device, on the arithmetic of `provider`; each is one check.
///
/// # Errors
///
/// The image does not build or does not start.
pub fn device_conformance(provider: Provider) -> Result<Tally, Error> {
    let report = conformance::run(provider, |line| println!("{}", line.message))?;
    print_table(Board::Mps2An386, 0, &report);
    Ok(tally(&report))
}

/// Runs the conformance cases on a Cortex-M3 with 256 KiB of flash and 64 KiB of RAM; each is one check.
///
/// Those that its RAM is too small for are named, and count as nothing.
///
/// # Errors
///
/// [`Error::Skipped`] where this machine has no target for it; otherwise as [`device_conformance`].
pub fn small_device_conformance() -> Result<Tally, Error> {
    let board = Board::Lm3s6965evb;
    setup::need_target(board.target())?;
    let (report, batches) = conformance::run_small(|line| println!("{}", line.message))?;
    for name in DEEP {
        println!(
            "left out on {}, needs more stack than it has: {name}",
            board.name()
        );
    }
    for (index, batch) in batches.iter().enumerate() {
        let Batch {
            case_count,
            flash_bytes,
        } = batch;
        println!("batch {index:>2}: {case_count:>3} cases, {flash_bytes:>6} B of flash");
    }
    let total = moorline_conformance::cases().count();
    let left_out = DEEP.len();
    print_table(board, left_out, &report);
    let mut tally = tally(&report);
    if report.cases.len() + left_out != total {
        println!(
            "FAILED: of {total} cases {} ran and {left_out} were left out",
            report.cases.len()
        );
        tally.failed += 1;
    }
    Ok(tally)
}

/// Asks the device, on the arithmetic of `provider`, every case of Wycheproof; each group is one check.
///
/// # Errors
///
/// As [`device_conformance`].
pub fn device_wycheproof(provider: Provider) -> Result<Tally, Error> {
    conformance::run_wycheproof(provider, |line| println!("{}", line.message))
        .map(|report| tally(&report))
}

/// Runs the conformance cases in WebAssembly, under Node; each is one check.
///
/// # Errors
///
/// [`Error::Skipped`] where this machine has no Node or no target for it; otherwise as [`device_conformance`].
pub fn wasm_conformance() -> Result<Tally, Error> {
    wasm::run(|line| println!("{}", line.message)).map(|report| tally(&report))
}

/// Runs what core does with secrets under valgrind, at the sizes that devices ship and at full speed; each operation and
/// each control is one check.
///
/// # Errors
///
/// [`Error::Skipped`] where this machine has no valgrind; otherwise as [`device_conformance`].
pub fn constant_time() -> Result<Tally, Error> {
    let mut sum = Tally::default();
    for profile in [Profile::Device, Profile::DeviceFast] {
        println!("optimised as {profile}:");
        sum += tally(&constant_time::run(profile, |line| {
            println!("{}", line.message)
        })?);
    }
    Ok(sum)
}

/// Interprets conformance cases with Miri in both byte orders; each is one check in either. Those that there is no time
/// for are counted with the reason, and count as nothing.
///
/// # Errors
///
/// [`Error::Skipped`] where this machine has no Miri; otherwise as [`device_conformance`].
pub fn interpreted_conformance() -> Result<Tally, Error> {
    let mut sum = Tally::default();
    // Both at once: each is one thread for minutes.
    let reports = thread::scope(|scope| {
        let runs = interpreted::TARGETS.map(|target| {
            scope.spawn(move || {
                interpreted::run(target, |line| println!("{target}: {}", line.message))
            })
        });
        runs.map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    for report in reports {
        sum += tally(&report?);
    }
    for (count, reason) in moorline_conformance::interpreted::left_out() {
        println!("left out under Miri: {count} cases: {reason}");
    }
    Ok(sum)
}

/// Prints what became of the conformance cases on `board`.
fn print_table(board: Board, left_out: usize, report: &Report) {
    let (total, passed) = (moorline_conformance::cases().count(), report.passed_count());
    let board = board.name();
    println!(
        "{:<12} {:>5} {:>8} {:>6}",
        "board", "cases", "left out", "passed"
    );
    println!("{board:<12} {total:>5} {left_out:>8} {passed:>6}");
}

/// Prints what is wrong with `report`, and counts.
fn tally(report: &Report) -> Tally {
    for case in report
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Passed)
    {
        println!("{case}");
    }
    for discrepancy in &report.discrepancies {
        println!("FAILED: {discrepancy}");
    }
    Tally {
        passed: report.passed_count(),
        failed: report.failed_count(),
    }
}

/// Holds the figures of the device against their budget; each is one check.
///
/// # Errors
///
/// The budget is not valid, or an image does not build or run.
pub fn device_budget() -> Result<Tally, Error> {
    let judgements = Budget::load()?.judge(&bench::measure()?);
    for judgement in &judgements {
        println!(
            "{}{judgement}",
            if judgement.is_within() {
                ""
            } else {
                "FAILED: "
            }
        );
    }
    let passed = judgements
        .iter()
        .filter(|judgement| judgement.is_within())
        .count();
    Ok(Tally {
        passed,
        failed: judgements.len() - passed,
    })
}

/// Passes each line on and sums what it counts for.
fn count(
    stream: Option<impl Read>,
    mut pass_on: impl FnMut(&str),
    mut weigh: impl FnMut(&str) -> usize,
) -> usize {
    let Some(stream) = stream else { return 0 };
    let mut reader = BufReader::new(stream);
    let mut sum = 0;
    let mut line = Vec::new();
    while let Ok(1..) = read_line(&mut reader, &mut line) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        pass_on(text);
        sum += weigh(text);
    }
    sum
}

/// Reads a line that need not be UTF-8: a test may print anything.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    reader.read_until(b'\n', line)
}

/// Says whether cargo announces that it starts a test program, which owes a result.
fn starts_program(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("Running ") || line.starts_with("Doc-tests ")
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn parse_result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = counts.split("; ");
    let passed = counts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = counts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some(Tally { passed, failed })
}

/// The test in `qemu/tests/device.rs` that runs the same image.
const CONFORMANCE_TEST: &str = "every_conformance_case_passes_on_the_device";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_results_of_cargo() {
        let line = "test result: FAILED. 15 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 3.93s";
        assert_eq!(
            parse_result(line),
            Some(Tally {
                passed: 15,
                failed: 1
            })
        );
        for line in [
            "",
            "test result: ok",
            "test a ... ok",
            "test result: ok. many passed; 0 failed",
        ] {
            assert_eq!(parse_result(line), None, "{line}");
        }
    }

    #[test]
    fn knows_when_a_test_program_starts() {
        assert!(starts_program(
            "     Running unittests src/lib.rs (target/debug/deps/moorline_core-1)"
        ));
        assert!(starts_program("   Doc-tests moorline_core"));
        assert!(!starts_program("   Compiling moorline-core v0.1.0"));
    }

    #[test]
    fn lines_that_are_not_text_are_passed_on_and_counted() {
        let mut seen = Vec::new();
        let bytes: &[u8] = b"one\n\xFF\r\nthree";
        assert_eq!(
            count(Some(bytes), |line| seen.push(line.to_owned()), |_| 1),
            3
        );
        assert_eq!(seen, ["one", "\u{FFFD}", "three"]);
    }
}
