//! What core does with secrets, run under valgrind with the secrets marked as undefined.

use std::process::Command;
use std::time::Duration;

use crate::conformance::Report;
use crate::error::Error;
use crate::image::{Profile, build_watched};
use crate::log::LogLine;
use crate::{reporting, setup};

/// Builds the operations for this machine, optimised as `profile` says, and runs them under memcheck; `on_line` has each
/// line as it comes.
///
/// # Errors
///
/// [`Error::Skipped`] where valgrind cannot be had. The program does not build, or valgrind does not start.
pub fn run(profile: Profile, on_line: impl FnMut(&LogLine)) -> Result<Report, Error> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err(Error::Skipped {
            reason: "the operations are judged on x86-64 under Linux".into(),
        });
    }
    setup::need_valgrind()?;
    let program = build_watched(profile)?;
    let mut command = Command::new(setup::VALGRIND);
    command
        // Every report counts, also the ten thousandth.
        .args(["--quiet", "--error-limit=no", "--log-file=/dev/null"])
        .arg(&program);
    let names = moorline_constant_time::names();
    reporting::run(&mut command, names, DEADLINE, on_line)
}

/// The operations take seconds; a loaded machine may take longer.
const DEADLINE: Duration = Duration::from_secs(300);
