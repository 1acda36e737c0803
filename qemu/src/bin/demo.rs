//! Shows the whole line: a hub on this machine, an emulated device, and a commander who talks to it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use moorline_qemu::Error;
use moorline_qemu::Qemu;
use moorline_qemu::Running;
use moorline_qemu::bench;
use moorline_qemu::bench::Cost;
use moorline_qemu::image::Profile;
use moorline_qemu::image::build_image;
use moorline_qemu::image::build_program;
use moorline_qemu::setup;
use moorline_qemu::site::Daemon;
use moorline_qemu::site::Person;
use serde_json::Value;

/// Starts a hub, boots a device in QEMU, enrols both ends and runs every command over the sealed line.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Leaves hub and device running, and says what to type in another terminal.
    #[arg(long)]
    keep: bool,
    /// Leaves out the instruction counts, which take half a minute to build.
    #[arg(long)]
    no_counts: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    setup::ensure()?;
    let programs = Programs::build()?;
    let folder = tempfile::tempdir().map_err(|source| Error::File {
        path: std::env::temp_dir(),
        source,
    })?;
    let data_dir = folder.path().join("hub");

    let hub = Daemon::start(&programs.moorlined, &data_dir)?;
    say(&format!("the hub serves on {}", hub.address()));

    let workshop = Person::new(&programs.moorline, folder.path().join("device"));
    workshop.enrolls(&["agent", AGENT], &data_dir)?;
    let image = workshop.provision()?;
    say(&format!(
        "{AGENT} is enrolled; its provisioning image has {} bytes",
        image.len()
    ));

    let home = folder.path().join("alice");
    let alice = Person::new(&programs.moorline, home.clone());
    alice.enrolls(&["commander", "alice", "--agent", AGENT], &data_dir)?;
    say(&format!("alice is enrolled and may command {AGENT}"));

    let device = boot(&programs.agent, hub.address(), image, arguments.keep)?;
    for words in COMMANDS {
        show(words, &send(&alice, words)?);
    }
    if !arguments.no_counts {
        show_costs()?;
    }
    if arguments.keep {
        wait_for_enter(&programs.moorline, &home);
    }
    device.stop().map(drop)
}

/// What takes part.
struct Programs {
    moorlined: PathBuf,
    moorline: PathBuf,
    agent: PathBuf,
}

impl Programs {
    fn build() -> Result<Self, Error> {
        say("building the hub, the command line and the device's image");
        Ok(Self {
            moorlined: build_program("moorline-server", "moorlined")?,
            moorline: build_program("moorline-server", "moorline")?,
            agent: build_image("agent", Profile::Device)?,
        })
    }
}

fn boot(image: &Path, address: &str, provision: Vec<u8>, keep: bool) -> Result<Running, Error> {
    say("booting the device with its serial line to the hub");
    let qemu = Qemu::new(image)
        .serial(address)
        .provision(provision)
        .on_line(|line| println!("device: {line}"));
    let qemu = if keep {
        qemu.without_deadline()
    } else {
        qemu.deadline(DEADLINE)
    };
    let mut device = qemu.spawn()?;
    device.wait_for("link open session")?;
    Ok(device)
}

fn send(alice: &Person, words: &[&str]) -> Result<Value, Error> {
    let typed: Vec<&OsStr> = ["send", AGENT]
        .iter()
        .chain(words)
        .map(OsStr::new)
        .collect();
    alice.types(&typed)
}

fn show(words: &[&str], reply: &Value) {
    let number = |name: &str| reply.get(name).and_then(Value::as_u64).unwrap_or(0);
    println!();
    say(&format!("alice: {}", words.join(" ")));
    for (name, value) in reply
        .get("fields")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        println!("    {name:24} {value}");
    }
    println!(
        "    {}; {} bytes there, {} bytes back",
        reply.get("status").and_then(Value::as_str).unwrap_or("?"),
        number("request_bytes"),
        number("reply_bytes")
    );
}

/// Measures what the line costs the device.
fn show_costs() -> Result<(), Error> {
    println!();
    say("counting the device's instructions");
    for figure in bench::operations(Profile::Device)? {
        let Some((_, text)) = COSTS.iter().find(|(name, _)| *name == figure.id.name) else {
            continue;
        };
        if let Cost::Operation { instructions, .. } = figure.cost {
            // At one instruction a cycle, which a Cortex-M4 comes near to.
            let micros = instructions / CYCLES_PER_MICROSECOND;
            println!(
                "    {text:36} {:>12} instructions, about {} µs at 100 MHz",
                grouped(instructions),
                grouped(micros)
            );
        }
    }
    Ok(())
}

fn wait_for_enter(moorline: &Path, home: &Path) {
    println!();
    say("hub and device go on; in another terminal, type for example:");
    let (moorline, home) = (moorline.display(), home.display());
    println!("    {moorline} --home {home} agents");
    println!("    {moorline} --home {home} send {AGENT} led on");
    say("press Enter here to end");
    let _ended = io::stdin().read_line(&mut String::new());
}

/// Writes `number` with a space after every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn say(text: &str) {
    println!("demo: {text}");
}

const AGENT: &str = "boiler-1";
/// Every command of the device.
const COMMANDS: &[&[&str]] = &[
    &["ping"],
    &["echo", "hello, device"],
    &["info"],
    &["led", "on"],
    &["led"],
    &["led", "off"],
    &["read"],
    &["read"],
];
/// What is shown of the bench's figures.
const COSTS: &[(&str, &str)] = &[
    ("handshake.full", "the handshake, both ends proved"),
    ("token.verify", "a commander's token verified"),
    ("frame.seal.64", "64 bytes sealed"),
    ("frame.seal.1024", "1024 bytes sealed"),
    ("frame.open.64", "64 bytes opened"),
];
const CYCLES_PER_MICROSECOND: u64 = 100;
const DEADLINE: Duration = Duration::from_secs(300);
