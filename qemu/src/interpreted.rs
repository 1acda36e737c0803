//! The conformance cases under Miri, which interprets them for one byte order and the other.

use std::process::{Command, Stdio};
use std::time::Duration;

use moorline_conformance::interpreted;

use crate::conformance::Report;
use crate::error::Error;
use crate::image::workspace_root;
use crate::log::LogLine;
use crate::{reporting, setup};

/// The targets whose cases are interpreted: least significant byte first, and most significant byte first.
pub const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu"];

/// Interprets the cases that there is time for as a machine called `target` runs them; `on_line` has each line as it
/// comes.
///
/// # Errors
///
/// [`Error::Skipped`] where Miri cannot be had. The program does not start.
pub fn run(target: &str, on_line: impl FnMut(&LogLine)) -> Result<Report, Error> {
    setup::need_miri()?;
    let mut command = Command::new("rustup");
    command
        .current_dir(workspace_root())
        .args(["run", "nightly", "cargo", "miri", "run", "--quiet"])
        .args(["--package", "moorline-miri", "--bin", "interpreted"])
        .args(["--target", target, "--target-dir", "target/miri"])
        // The cargo that started this program is of another toolchain.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("MIRIFLAGS")
        .stderr(Stdio::inherit());
    let names = interpreted::cases().map(|case| case.name);
    reporting::run(&mut command, names, DEADLINE, on_line)
}

/// For each target, with the first build of the cases for it.
const DEADLINE: Duration = Duration::from_secs(1800);
