//! Runs the cases that Miri has time for and reports one verdict for each, in the words of the device's image.
//!
//! Built with `--cfg moorline_record` it does the same with real public-key operations and writes their results to
//! `recording.bin`, where Miri looks them up.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use moorline_conformance::interpreted;

fn main() -> ExitCode {
    let mut passed: usize = 0;
    let mut failed: usize = 0;
    for case in interpreted::cases() {
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
    #[cfg(all(moorline_record, not(miri)))]
    if write().is_err() {
        return ExitCode::FAILURE;
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Writes what was recorded.
#[cfg(all(moorline_record, not(miri)))]
fn write() -> std::io::Result<()> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/recording.bin");
    let recording = moorline_core::crypto::provider::RECORDING
        .lock()
        .map_err(|_| std::io::ErrorKind::Other)?;
    let bytes: Vec<u8> = recording.iter().flatten().copied().collect();
    std::fs::write(file, bytes)
}
