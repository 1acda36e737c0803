//! Programs of this machine that report one verdict for each case, in the words of a device.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::conformance::{Discrepancy, Report, judge};
use crate::error::Error;
use crate::log::LogLine;

/// Runs `command` for `deadline` at most and judges what it prints as that of a device that has the cases called
/// `names`; `on_line` has each line as it comes. Standard error is passed on.
///
/// # Errors
///
/// The program does not start, or its output cannot be read.
pub(crate) fn run<'a>(
    command: &mut Command,
    names: impl IntoIterator<Item = &'a str>,
    deadline: Duration,
    mut on_line: impl FnMut(&LogLine),
) -> Result<Report, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let started = |source| Error::Start {
        program: program.clone(),
        source,
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(started)?;
    let stdout = child.stdout.take();
    let (call_off, called_off) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let timed_out = called_off.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout);
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
    let mut report = judge(names, &lines);
    if timed_out || status.success() != report.is_success() {
        let end = match timed_out {
            true => format!("{program} was ended after {} s", deadline.as_secs()),
            false => format!("{program} ended with {status}"),
        };
        report.discrepancies.push(Discrepancy::End { end });
    }
    Ok(report)
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
