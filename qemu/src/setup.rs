//! Sees to the tools that device runs need: the emulator and the compiler's target.
//!
//! Whatever is installed is announced first, and what cannot be installed is an error that says what to type.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::emulator::PROGRAM;
use crate::error::Error;
use crate::image::{TARGET, workspace_root};

/// Installs what is missing, and says on standard error what it finds and does.
///
/// # Errors
///
/// Something is missing and cannot be installed from here.
pub fn ensure() -> Result<(), Error> {
    ensure_target()?;
    ensure_emulator()
}

fn ensure_emulator() -> Result<(), Error> {
    ensure_program(PROGRAM, &[PROGRAM], Error::QemuMissing)
}

/// As [`ensure`], for the C compiler that images on the accelerated provider need.
///
/// # Errors
///
/// It is missing and cannot be installed from here.
pub fn ensure_compiler() -> Result<(), Error> {
    let missing = Error::Missing {
        what: COMPILER_NAME,
        command: COMPILER_COMMAND,
    };
    ensure_program(COMPILER, &COMPILER_PACKAGES, missing)
}

/// As [`ensure`], for valgrind with its headers and the C compiler that they are for.
///
/// # Errors
///
/// [`Error::Skipped`] when it is missing and cannot be installed from here.
pub fn need_valgrind() -> Result<(), Error> {
    let skipped = |_| Error::Skipped {
        reason: format!("valgrind is not installed; type: {VALGRIND_COMMAND}"),
    };
    let missing = Error::Missing {
        what: VALGRIND,
        command: VALGRIND_COMMAND,
    };
    ensure_program(VALGRIND, &VALGRIND_PACKAGES, missing).map_err(skipped)
}

/// Sees to Miri, which comes with a toolchain of its own.
///
/// # Errors
///
/// [`Error::Skipped`] when it is missing and cannot be installed from here.
pub fn need_miri() -> Result<(), Error> {
    let mut check = Command::new("rustup");
    check.args(["run", "nightly", "cargo", "miri", "--version"]);
    if let Some(version) = first_line(&mut check)? {
        eprintln!("setup: {version}");
        return Ok(());
    }
    run(Command::new("rustup").args(MIRI_ARGUMENTS)).map_err(|_| Error::Skipped {
        reason: format!(
            "Miri is not installed; type: rustup {}",
            MIRI_ARGUMENTS.join(" ")
        ),
    })
}

/// Finds `program`, or installs the packages that have it; `missing` says what to type where that cannot be done.
fn ensure_program(program: &str, packages: &[&str], missing: Error) -> Result<(), Error> {
    if let Some(version) = first_line(Command::new(program).arg("--version"))? {
        eprintln!("setup: {version}");
        return Ok(());
    }
    let Some(privilege) = Privilege::find()? else {
        return Err(missing);
    };
    if first_line(Command::new("apt-get").arg("--version"))?.is_none() {
        return Err(missing);
    }
    // A machine that has never updated its list of packages finds none.
    let _stale_list = run(privilege.command("apt-get").args(["update", "--quiet"]));
    run(privilege
        .command("apt-get")
        .args(["install", "--yes"])
        .args(packages))
}

/// Sees to a target of the compiler that a check needs.
///
/// # Errors
///
/// [`Error::Skipped`] when it is missing and cannot be installed from here.
pub fn need_target(target: &str) -> Result<(), Error> {
    if has_target(target)? {
        return Ok(());
    }
    let added = run(Command::new("rustup")
        .current_dir(workspace_root())
        .args(["target", "add", target]));
    added.map_err(|_| Error::Skipped {
        reason: format!(
            "the Rust target {target} is not installed; type: rustup target add {target}"
        ),
    })
}

fn ensure_target() -> Result<(), Error> {
    if has_target(TARGET)? {
        eprintln!("setup: the Rust target {TARGET} is installed");
        return Ok(());
    }
    if first_line(Command::new("rustup").arg("--version"))?.is_none() {
        return Err(Error::Missing {
            what: TARGET_NAME,
            command: TARGET_COMMAND,
        });
    }
    // In the workspace, rustup takes the toolchain that the workspace pins.
    run(Command::new("rustup")
        .current_dir(workspace_root())
        .args(["target", "add", TARGET]))
}

fn has_target(target: &str) -> Result<bool, Error> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .current_dir(workspace_root())
        .args(["--print", "target-libdir", "--target", target]);
    let folder = first_line(&mut command)?.map(PathBuf::from);
    Ok(folder.as_deref().is_some_and(Path::is_dir))
}

/// How this user may install packages.
enum Privilege {
    Root,
    Sudo,
}

impl Privilege {
    /// Returns `None` when the user would have to type a password.
    fn find() -> Result<Option<Self>, Error> {
        if first_line(Command::new("id").arg("-u"))?.as_deref() == Some("0") {
            return Ok(Some(Self::Root));
        }
        let sudo = first_line(Command::new("sudo").args(["-n", "id", "-u"]))?;
        Ok(if sudo.as_deref() == Some("0") {
            Some(Self::Sudo)
        } else {
            None
        })
    }

    fn command(&self, program: &str) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", program]);
                command
            }
        }
    }
}

/// Returns the first line that the program prints; `None` when it is not there or fails.
fn first_line(command: &mut Command) -> Result<Option<String>, Error> {
    match command.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().next().map(str::to_owned))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Start {
            program: shown(command),
            source,
        }),
    }
}

/// Announces the command, runs it and lets it speak for itself.
fn run(command: &mut Command) -> Result<(), Error> {
    let shown = shown(command);
    eprintln!("setup: {shown}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::Install { command: shown }),
        Err(source) => Err(Error::Start {
            program: shown,
            source,
        }),
    }
}

fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

/// What watches a program's use of its memory.
pub(crate) const VALGRIND: &str = "valgrind";
const VALGRIND_PACKAGES: [&str; 2] = [VALGRIND, "gcc"];
const VALGRIND_COMMAND: &str = "sudo apt-get install valgrind gcc";
const MIRI_ARGUMENTS: [&str; 8] = [
    "toolchain",
    "install",
    "nightly",
    "--profile=minimal",
    "--component",
    "miri",
    "--component",
    "rust-src",
];
const COMPILER: &str = "arm-none-eabi-gcc";
const COMPILER_PACKAGES: [&str; 2] = ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"];
const COMPILER_NAME: &str = "the C compiler arm-none-eabi-gcc";
const COMPILER_COMMAND: &str = "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi";
const TARGET_NAME: &str = "the Rust target thumbv7em-none-eabihf";
const TARGET_COMMAND: &str = "rustup target add thumbv7em-none-eabihf";
