//! Device images, and the programs beside them, built by cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{env, fmt, fs};

use serde::Deserialize;

use crate::error::Error;

/// The target of the device.
pub const TARGET: &str = "thumbv7em-none-eabihf";

/// How an image is optimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// For size: what a device ships with.
    Device,
    /// For speed: the other end of the scale.
    DeviceFast,
}

impl Profile {
    /// Returns the name of the profile in `Cargo.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::DeviceFast => "device-fast",
        }
    }

    /// Returns its optimisation level, as `Cargo.toml` writes it.
    pub const fn opt_level(self) -> &'static str {
        match self {
            Self::Device => "s",
            Self::DeviceFast => "3",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Whose arithmetic an image runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// What every image runs on unless it says otherwise.
    Default,
    /// The assembly for a Cortex-M4, which needs a C compiler for the device.
    Accelerated,
}

impl Provider {
    /// Both, in the order of reports.
    pub const ALL: [Self; 2] = [Self::Default, Self::Accelerated];

    /// Returns what core calls it, and its feature if it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Accelerated => "accelerated",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Builds the binary `bin` of the firmware and returns the path of the image.
///
/// # Errors
///
/// Cargo cannot be started, or refuses: the error passes on what the compiler says.
pub fn build_image(bin: &str, profile: Profile) -> Result<PathBuf, Error> {
    build_image_on(Provider::Default, bin, profile)
}

/// As [`build_image`], on the arithmetic of `provider`.
///
/// The image stands where that of the other provider stood: it is to be read or booted before the next one is built.
///
/// # Errors
///
/// As [`build_image`].
pub fn build_image_on(provider: Provider, bin: &str, profile: Profile) -> Result<PathBuf, Error> {
    let mut place = vec![
        "--package",
        "moorline-firmware",
        "--target",
        TARGET,
        "--profile",
        profile.name(),
    ];
    if provider == Provider::Accelerated {
        place.extend(["--features", provider.name()]);
    }
    build(bin, &place)
}

/// A board that images are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// The agent's: a Cortex-M4F with 4 MiB of code memory and 4 MiB of RAM.
    Mps2An386,
    /// A Cortex-M3 with 256 KiB of flash and 64 KiB of RAM: for the least agent and the conformance cases.
    Lm3s6965evb,
}

impl Board {
    /// Returns what QEMU calls the machine, and the firmware its feature and its memory map.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mps2An386 => "mps2-an386",
            Self::Lm3s6965evb => "lm3s6965evb",
        }
    }

    /// Returns the compiler's target.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Mps2An386 => TARGET,
            Self::Lm3s6965evb => "thumbv7m-none-eabi",
        }
    }
}

/// As [`build_image`], for the small board.
///
/// # Errors
///
/// As [`build_image`]; an image that has outgrown the board's memories does not link.
pub fn build_small_image(bin: &str, profile: Profile) -> Result<PathBuf, Error> {
    build(bin, &small_place(profile.name()))
}

/// Builds the conformance image of the small board with one of [`moorline_conformance::BATCHES`].
///
/// The image stands where that of the batch before stood, as with [`build_image_on`].
///
/// # Errors
///
/// As [`build_small_image`].
pub fn build_batch(batch: usize) -> Result<PathBuf, Error> {
    build_with(
        "conformance",
        &small_place(PARTS_PROFILE),
        &[("MOORLINE_BATCH", &batch.to_string())],
    )
}

/// Returns what tells cargo to build for the small board.
const fn small_place(profile: &str) -> [&str; 9] {
    let board = Board::Lm3s6965evb;
    [
        "--package",
        "moorline-firmware",
        "--no-default-features",
        "--features",
        board.name(),
        "--target",
        board.target(),
        "--profile",
        profile,
    ]
}

/// Builds the image that must have no panic in it, with one on purpose if `panics`. Each stands where the other stood;
/// the path is that of a copy.
///
/// # Errors
///
/// As [`build_image`].
pub fn build_nopanic(panics: bool) -> Result<PathBuf, Error> {
    let place = [
        "--package",
        "moorline-firmware",
        "--target",
        TARGET,
        "--profile",
        Profile::Device.name(),
    ];
    let (variables, name): (&[_], _) = match panics {
        true => (&[("MOORLINE_PANIC", "1")], "nopanic-control"),
        false => (&[], "nopanic-image"),
    };
    // Two tests build at once.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let built = build_with("nopanic", &place, variables)?;
    let path = built.with_file_name(name);
    match fs::copy(&built, &path) {
        Ok(_) => Ok(path),
        Err(source) => Err(Error::File { path, source }),
    }
}

/// Builds the binary `bin` of `package` for this machine and returns its path: the daemon, to run beside a device.
///
/// # Errors
///
/// As [`build_image`].
pub fn build_program(package: &str, bin: &str) -> Result<PathBuf, Error> {
    build(bin, &["--package", package])
}

/// Builds the operations on secrets for this machine, on the portable arithmetic that the device has, and returns the
/// path.
///
/// # Errors
///
/// As [`build_image`].
pub fn build_watched(profile: Profile) -> Result<PathBuf, Error> {
    let place = [
        "--package",
        "moorline-constant-time",
        "--features",
        "valgrind",
        "--profile",
        profile.name(),
        // Of its own: the flags are no other program's.
        "--target-dir",
        "target/constant-time",
    ];
    build_with("constant-time", &place, &[("RUSTFLAGS", PORTABLE)])
}

/// As [`build_program`], for the target that is called `target`.
///
/// # Errors
///
/// As [`build_image`].
pub fn build_program_for(target: &str, package: &str, bin: &str) -> Result<PathBuf, Error> {
    build(bin, &["--package", package, "--target", target])
}

fn build(bin: &str, place: &[&str]) -> Result<PathBuf, Error> {
    build_with(bin, place, &[])
}

fn build_with(bin: &str, place: &[&str], variables: &[(&str, &str)]) -> Result<PathBuf, Error> {
    let program = cargo();
    let output = Command::new(&program)
        .env_remove("MOORLINE_BATCH")
        .env_remove("MOORLINE_PANIC")
        .envs(variables.iter().copied())
        .current_dir(workspace_root())
        .args(["build", "--bin", bin])
        .args(place)
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .output()
        .map_err(|source| Error::Start { program, source })?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Build {
            bin: bin.into(),
            output,
        });
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| executable(line, bin))
        .ok_or_else(|| Error::NoExecutable { bin: bin.into() })
}

/// Returns the folder of the workspace that this crate was built in.
pub fn workspace_root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Returns the cargo that started this program, or else the one on the PATH.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

fn executable(line: &str, bin: &str) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    let wanted = message.reason == "compiler-artifact" && message.target?.name == bin;
    if wanted { message.executable } else { None }
}

/// Keeps the libraries from what this machine does in hardware and a microcontroller in software.
const PORTABLE: &str = "--cfg aes_backend=\"soft\" --cfg chacha20_backend=\"soft\" --cfg sha2_backend=\"soft\" \
                        --cfg polyval_backend=\"soft\" --cfg poly1305_backend=\"soft\" \
                        --cfg curve25519_dalek_backend=\"serial\"";

/// Images of the same libraries, of which only what differs is compiled again.
const PARTS_PROFILE: &str = "device-parts";

/// What is needed of a line that cargo writes; its other keys are cargo's business.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<BuiltTarget>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct BuiltTarget {
    name: String,
}
