//! What keeps an image from being built, run or judged.

use std::io;
use std::path::PathBuf;

/// Why an image could not be built, run or judged. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no emulator.
    #[error("qemu-system-arm is not installed; install it with: apt-get install qemu-system-arm")]
    QemuMissing,
    /// Something is missing that only the user can install.
    #[error("{what} is missing; install it with: {command}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// What to type.
        command: &'static str,
    },
    /// A check cannot be made on this machine. It has neither passed nor failed.
    #[error("skipped: {reason}")]
    Skipped {
        /// What the machine does not have.
        reason: String,
    },
    /// An installation was tried and failed.
    #[error("`{command}` failed; run it by hand to see why")]
    Install {
        /// What was run.
        command: String,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}; check that it is installed and on the PATH")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// A program of this workspace failed.
    #[error("{program} failed; it says:\n{output}")]
    Program {
        /// The program.
        program: String,
        /// Its own words.
        output: String,
    },
    /// A file could not be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Cargo refuses to build a binary.
    #[error("{bin} does not build; the compiler says:\n{output}")]
    Build {
        /// The name of the binary.
        bin: String,
        /// The compiler's own words.
        output: String,
    },
    /// Cargo built, and named no executable.
    #[error(
        "cargo built no executable called {bin}; look at the [[bin]] entries of its Cargo.toml"
    )]
    NoExecutable {
        /// The name of the binary.
        bin: String,
    },
    /// The image has no table of log messages.
    #[error(
        "{} has no defmt messages in it: {reason}; link it with -Tdefmt.x and build it with this workspace's defmt",
        path.display()
    )]
    NoTable {
        /// The image.
        path: PathBuf,
        /// What is wrong with the table.
        reason: String,
    },
    /// The serial line is not given as host and port.
    #[error("{address:?} is not a serial line; write HOST:PORT, such as 127.0.0.1:7878")]
    SerialAddress {
        /// What was given.
        address: String,
    },
    /// The emulator speaks, but not to us: its pipes are gone.
    #[error("the log of QEMU cannot be read: {source}")]
    Log {
        /// What the system says.
        source: io::Error,
    },
    /// A line that was waited for did not come.
    #[error("the device ended before it said {wanted:?}: {end}")]
    NeverSaid {
        /// What was waited for.
        wanted: String,
        /// How the run ended, with its last lines.
        end: String,
    },
    /// The run failed.
    #[error("the device run failed: {end}")]
    Failed {
        /// How the run ended, with its last lines.
        end: String,
    },
    /// The device says something about a measurement that is none.
    #[error(
        "the bench image says {line:?}, which is no figure; compare firmware-example/src/bin/bench.rs"
    )]
    Figure {
        /// The line.
        line: String,
    },
    /// An ELF file cannot be measured.
    #[error("cannot measure the sections of {}: {reason}", path.display())]
    Sections {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The budget is not valid.
    #[error("{} is not a valid budget: {reason}", path.display())]
    Budget {
        /// The file.
        path: PathBuf,
        /// The key and what is wrong with it.
        reason: String,
    },
}
