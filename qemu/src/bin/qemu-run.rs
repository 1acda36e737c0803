//! Runs a device image in QEMU, as a cargo runner: `cargo run` boots the image as it would flash a board.

#![forbid(unsafe_code)]

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Parser};
use moorline_qemu::{Error, GATEWAY, Level, LogLine, Qemu};

/// Runs a device image in QEMU and prints what it says; ends with the device's own status.
#[derive(Parser)]
#[command(name = "qemu-run")]
struct Arguments {
    /// The image, an ELF file.
    image: PathBuf,
    /// Takes another machine than mps2-an386.
    #[arg(long)]
    machine: Option<String>,
    /// Connects the device's serial line to the listener at HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", env = "MOORLINE_SERIAL")]
    serial: Option<String>,
    /// Puts the device on a network: 10.0.2.2 is the loopback of this machine there.
    #[arg(long, env = "MOORLINE_NETWORK", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    network: bool,
    /// Provisions the device with the bytes of FILE.
    #[arg(long, value_name = "FILE", env = "MOORLINE_PROVISION")]
    provision: Option<PathBuf>,
    /// Keeps the device's flash in FILE, which is made when it is not there; without it a reset loses what was kept.
    #[arg(long, value_name = "FILE", env = "MOORLINE_FLASH")]
    flash: Option<PathBuf>,
    /// Ends the run after SECONDS; without it the run lasts until the device or the user ends it.
    #[arg(long, value_name = "SECONDS", env = "MOORLINE_DEADLINE")]
    deadline: Option<u64>,
    /// Lets every instruction take 32 ns, so that timers count instructions.
    #[arg(long, env = "MOORLINE_ICOUNT")]
    icount: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("qemu-run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let mut qemu = Qemu::new(&arguments.image);
    eprintln!("qemu-run: {}", wiring(&arguments));
    if let Some(machine) = arguments.machine {
        qemu = qemu.machine(machine);
    }
    if let Some(address) = arguments.serial {
        qemu = qemu.serial(address);
    }
    if arguments.network {
        qemu = qemu.network();
    }
    if let Some(path) = arguments.provision {
        qemu = qemu.provision(fs::read(&path).map_err(|source| Error::File { path, source })?);
    }
    if let Some(path) = arguments.flash {
        qemu = qemu.flash(path);
    }
    qemu = match arguments.deadline {
        Some(seconds) => qemu.deadline(Duration::from_secs(seconds)),
        None => qemu.without_deadline(),
    };
    if arguments.icount {
        qemu = qemu.icount(ICOUNT_SHIFT);
    }
    let colour = std::io::stdout().is_terminal();
    let outcome = qemu
        .on_line(move |line| println!("{}", painted(line, colour)))
        .run()?;
    if outcome.timed_out || outcome.malformed_count > 0 || !outcome.complaint.is_empty() {
        // The lines were printed as they came.
        let end = moorline_qemu::Outcome {
            lines: Vec::new(),
            ..outcome.clone()
        };
        eprintln!("qemu-run: {end}");
    }
    let status = outcome.status.and_then(|status| u8::try_from(status).ok());
    Ok(match status {
        Some(0) if !outcome.is_success() => ExitCode::FAILURE,
        Some(status) => status.into(),
        None => ExitCode::FAILURE,
    })
}

/// Says what is wired where.
fn wiring(arguments: &Arguments) -> String {
    let serial = match &arguments.serial {
        Some(address) => format!("serial line to {address}"),
        None => "serial line to nothing (--serial HOST:PORT or MOORLINE_SERIAL)".into(),
    };
    let network = if arguments.network {
        format!("network, with this machine's loopback at {GATEWAY}")
    } else {
        "network to nothing (--network or MOORLINE_NETWORK=1)".into()
    };
    let provision = match &arguments.provision {
        Some(path) => format!("provisioned from {}", path.display()),
        None => "not provisioned (--provision FILE or MOORLINE_PROVISION)".into(),
    };
    let flash = match &arguments.flash {
        Some(path) => format!("flash in {}", path.display()),
        None => "no flash (--flash FILE or MOORLINE_FLASH)".into(),
    };
    format!("{network}; {serial}; {provision}; {flash}")
}

fn painted(line: &LogLine, colour: bool) -> String {
    let code = match line.level {
        _ if !colour => None,
        Some(Level::Error) => Some("31"),
        Some(Level::Warn) => Some("33"),
        Some(Level::Info) => Some("32"),
        Some(Level::Debug | Level::Trace) => Some("2"),
        None => None,
    };
    match code {
        Some(code) => format!("\u{1b}[{code}m{line}\u{1b}[0m"),
        None => line.to_string(),
    }
}

/// 2^5 ns an instruction, the scale of every figure in `qemu/budget.toml`.
const ICOUNT_SHIFT: u32 = 5;
