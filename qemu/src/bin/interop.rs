//! Runs the second peer, in Python, against the hub, the command line and the device: `cargo interop`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use moorline_qemu::{Error, interop, setup};

/// Runs the tests of tests/interop and closes with one line: `N passed, N failed`.
#[derive(Parser)]
#[command(name = "interop")]
struct Arguments {}

fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    match run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("interop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    setup::ensure()?;
    let tally = interop::run()?;
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
