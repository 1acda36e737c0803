//! The conformance cases in WebAssembly: a WASI program of the same table, run under Node.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::conformance::{Discrepancy, Report, judge};
use crate::error::Error;
use crate::image::{build_program_for, workspace_root};
use crate::log::LogLine;
use crate::setup;

/// The target of the program. Its `std` serves the program that reports; core and the cases are built without.
pub const TARGET: &str = "wasm32-wasip1";

/// Builds the cases for [`TARGET`], runs them under Node and judges the report as that of a device; `on_line` has
/// each line as it comes.
///
/// # Errors
///
/// [`Error::Skipped`] where the target or a Node with `node:wasi` cannot be had. The program does not build, or Node
/// does not start.
pub fn run(mut on_line: impl FnMut(&LogLine)) -> Result<Report, Error> {
    need_node()?;
    setup::need_target(TARGET)?;
    let program = build_program_for(TARGET, "moorline-conformance-wasm", "conformance-wasm")?;
    let started = |source| Error::Start {
        program: NODE.into(),
        source,
    };
    let mut child = Command::new(NODE)
        .arg("--no-warnings")
        .arg(workspace_root().join(RUNNER))
        .arg(&program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(started)?;
    let stdout = child.stdout.take();
    let (call_off, called_off) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let timed_out = called_off.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout);
        if timed_out {
            let _ended_already = child.kill();
        }
        (child.wait(), timed_out)
    });
    let mut lines = Vec::new();
    for text in stdout
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        let line = said(text.map_err(started)?);
        on_line(&line);
        lines.push(line);
    }
    drop(call_off);
    let (status, timed_out) = watch
        .join()
        .map_err(|_| started(std::io::ErrorKind::Other.into()))?;
    let status = status.map_err(started)?;
    let mut report = judge(moorline_conformance::cases().map(|case| case.name), &lines);
    if timed_out || status.success() != report.is_success() {
        let end = match timed_out {
            true => format!("Node was ended after {} s", DEADLINE.as_secs()),
            false => format!("Node ended with {status}"),
        };
        report.discrepancies.push(Discrepancy::End { end });
    }
    Ok(report)
}

/// Asks Node for the module that runs the program.
fn need_node() -> Result<(), Error> {
    let check = Command::new(NODE)
        .args(["--no-warnings", "--input-type=module", "-e", WASI_CHECK])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match check {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::Skipped {
            reason: format!("{NODE} 20 or later, with node:wasi, is not installed"),
        }),
    }
}

/// Returns a line of the program, which reports results alone.
fn said(message: String) -> LogLine {
    LogLine {
        level: None,
        message,
        location: None,
        timestamp: None,
    }
}

const NODE: &str = "node";
const RUNNER: &str = "tests/wasm/run.mjs";
const WASI_CHECK: &str = "import { WASI } from 'node:wasi'; new WASI({ version: 'preview1' });";
/// The cases take a minute; a loaded machine may take several.
const DEADLINE: Duration = Duration::from_secs(600);
