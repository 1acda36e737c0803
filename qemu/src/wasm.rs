//! The conformance cases in WebAssembly: a WASI program of the same table, run under Node.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::conformance::Report;
use crate::error::Error;
use crate::image::{build_program_for, workspace_root};
use crate::log::LogLine;
use crate::{reporting, setup};

/// The target of the program. Its `std` serves the program that reports; core and the cases are built without.
pub const TARGET: &str = "wasm32-wasip1";

/// Builds the cases for [`TARGET`], runs them under Node and judges the report as that of a device; `on_line` has
/// each line as it comes.
///
/// # Errors
///
/// [`Error::Skipped`] where the target or a Node with `node:wasi` cannot be had. The program does not build, or Node
/// does not start.
pub fn run(on_line: impl FnMut(&LogLine)) -> Result<Report, Error> {
    need_node()?;
    setup::need_target(TARGET)?;
    let program = build_program_for(TARGET, "moorline-conformance-wasm", "conformance-wasm")?;
    let mut command = Command::new(NODE);
    command
        .arg("--no-warnings")
        .arg(workspace_root().join(RUNNER))
        .arg(&program);
    let names = moorline_conformance::cases().map(|case| case.name);
    reporting::run(&mut command, names, DEADLINE, on_line)
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

const NODE: &str = "node";
const RUNNER: &str = "tests/wasm/run.mjs";
const WASI_CHECK: &str = "import { WASI } from 'node:wasi'; new WASI({ version: 'preview1' });";
/// The cases take a minute; a loaded machine may take several.
const DEADLINE: Duration = Duration::from_secs(600);
