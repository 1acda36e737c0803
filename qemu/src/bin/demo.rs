//! Boots the agent in QEMU with its serial line on a socket of this program, and talks to it.

#![forbid(unsafe_code)]

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use moorline_qemu::Error;
use moorline_qemu::Qemu;
use moorline_qemu::image::Profile;
use moorline_qemu::image::build_image;
use moorline_qemu::setup;

/// Sets up what is needed, boots the agent's image and exchanges a greeting with it.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {}

fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    setup::ensure()?;
    println!(
        "demo: building the agent for {}",
        moorline_qemu::image::TARGET
    );
    let image = build_image("agent", Profile::Device)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(line_failed)?;
    let address = listener.local_addr().map_err(line_failed)?;
    println!("demo: booting it with its serial line on {address}");
    let mut running = Qemu::new(image)
        .serial(address.to_string())
        .deadline(DEADLINE)
        .on_line(|line| println!("device: {line}"))
        .spawn()?;
    running.wait_for("entropy is good")?;
    let echoed = greet(&listener).map_err(line_failed)?;
    println!(
        "demo: the device sent back {:?}",
        String::from_utf8_lossy(&echoed)
    );
    running.stop()?;
    Ok(())
}

fn greet(listener: &TcpListener) -> io::Result<Vec<u8>> {
    let (mut line, _) = listener.accept()?;
    line.write_all(GREETING)?;
    let mut echoed = vec![0; GREETING.len()];
    line.read_exact(&mut echoed)?;
    Ok(echoed)
}

fn line_failed(source: io::Error) -> Error {
    Error::Start {
        program: "the serial line".into(),
        source,
    }
}

const GREETING: &[u8] = b"hello, device";
const DEADLINE: Duration = Duration::from_secs(60);
