//! The second peer, in Python: its virtual environment, and its tests against what this workspace builds.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::image::{Profile, build_image, build_program, workspace_root};
use crate::suite::Tally;

/// Runs every test of `tests/interop`, passing on what it prints; each is one check.
///
/// A run that ends without its count is one failure.
///
/// # Errors
///
/// Python, its `venv` or a package is missing: the error says what to type. A program or the image does not build.
pub fn run() -> Result<Tally, Error> {
    let python = environment()?;
    let started = |source| Error::Start {
        program: python.display().to_string(),
        source,
    };
    let mut child = Command::new(&python)
        .args(["-B", "-W", "error"])
        .arg(folder().join("run.py"))
        .env(
            "MOORLINE_HUB_PROGRAM",
            build_program("moorline-server", "moorlined")?,
        )
        .env(
            "MOORLINE_PROGRAM",
            build_program("moorline-server", "moorline")?,
        )
        .env(
            "QEMU_RUN_PROGRAM",
            build_program("moorline-qemu", "qemu-run")?,
        )
        .env(
            "MOORLINE_AGENT_IMAGE",
            build_image("agent", Profile::Device)?,
        )
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(started)?;
    let mut tally = None;
    let lines = child.stdout.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(started)?;
        println!("{line}");
        tally = parse_count(&line).or(tally);
    }
    let status = child.wait().map_err(started)?;
    Ok(judge(tally, status.success()))
}

/// Holds the count against how the run ended.
fn judge(tally: Option<Tally>, success: bool) -> Tally {
    let mut tally = tally.unwrap_or_default();
    if tally.failed == 0 && (!success || tally.passed == 0) {
        tally.failed = 1;
    }
    tally
}

/// Reads `12 passed, 0 failed`.
fn parse_count(line: &str) -> Option<Tally> {
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some(Tally {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
    })
}

/// Returns the Python of the virtual environment under `target/`, made when it is not there, with the packages that
/// `requirements.txt` pins by their hashes.
fn environment() -> Result<PathBuf, Error> {
    let folder = workspace_root().join("target").join("interop-venv");
    let python = folder.join("bin").join("python");
    let requirements = self::folder().join("requirements.txt");
    let wanted = std::fs::read(&requirements).map_err(|source| Error::File {
        path: requirements.clone(),
        source,
    })?;
    // Written when the installation was complete.
    let installed = folder.join("requirements.txt");
    if std::fs::read(&installed).is_ok_and(|bytes| bytes == wanted) && works(&python) {
        return Ok(python);
    }
    let version = Command::new(SYSTEM_PYTHON)
        .args(["-c", VERSION_CHECK])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        return Err(PYTHON_MISSING);
    }
    say(&format!(
        "{SYSTEM_PYTHON} -m venv --clear {}",
        folder.display()
    ));
    let made = Command::new(SYSTEM_PYTHON)
        .args(["-m", "venv", "--clear"])
        .arg(&folder)
        .stdin(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(VENV_MISSING);
    }
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let shown = format!(
        "{} {} --require-hashes -r {}",
        python.display(),
        arguments.join(" "),
        requirements.display()
    );
    say(&shown);
    let packages = Command::new(&python)
        .args(arguments)
        .args(["--require-hashes", "-r"])
        .arg(&requirements)
        .stdin(Stdio::null())
        .status();
    if !packages.is_ok_and(|status| status.success()) {
        return Err(Error::Install { command: shown });
    }
    std::fs::write(&installed, wanted).map_err(|source| Error::File {
        path: installed,
        source,
    })?;
    Ok(python)
}

/// Says whether the environment's Python starts: the system's may have gone since.
fn works(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "import cryptography, websockets"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn folder() -> PathBuf {
    workspace_root().join("tests").join("interop")
}

fn say(command: &str) {
    eprintln!("setup: {command}");
}

const SYSTEM_PYTHON: &str = "python3";
const VERSION_CHECK: &str = "import sys; sys.exit(sys.version_info < (3, 11))";
const PYTHON_MISSING: Error = Error::Missing {
    what: "Python 3.11 or later",
    command: "sudo apt-get install python3 python3-venv",
};
const VENV_MISSING: Error = Error::Missing {
    what: "Python's module venv",
    command: "sudo apt-get install python3-venv",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_count_of_the_tests() {
        assert_eq!(
            parse_count("12 passed, 3 failed"),
            Some(Tally {
                passed: 12,
                failed: 3
            })
        );
        for line in ["", "12 passed", "many passed, 0 failed", "1 passed, 2"] {
            assert_eq!(parse_count(line), None, "{line}");
        }
    }

    #[test]
    fn a_run_without_a_count_or_with_a_bad_end_has_failed() {
        let passed = Tally {
            passed: 5,
            failed: 0,
        };
        assert_eq!(judge(Some(passed), true), passed);
        assert_eq!(judge(None, true).failed, 1);
        assert_eq!(judge(Some(passed), false).failed, 1);
        assert_eq!(judge(Some(Tally::default()), true).failed, 1);
    }
}
