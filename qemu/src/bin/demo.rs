//! Shows the whole line: a hub on this machine, an emulated device, and a commander who talks to it.

#![forbid(unsafe_code)]

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use moorline_qemu::bench::Cost;
use moorline_qemu::image::{Profile, Provider, build_image};
use moorline_qemu::site::{Hub, Road, Site};
use moorline_qemu::{Error, Qemu, Running, bench, setup};
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
    say("building the hub, the command line and the device's image");
    let site = Site::build()?;
    let image = build_image("agent", Profile::Device)?;

    let hub = site.start_hub(None)?;
    say(&format!("the hub serves on {}", hub.http()));
    let flash = site.provision_agent(AGENT, &hub, Road::Network)?;
    say(&format!(
        "{AGENT} has made its key and is enrolled; the image for its flash has {} bytes",
        flash.len()
    ));
    site.enrol_commander("alice", AGENT)?;
    say(&format!(
        "alice has made her key and is enrolled to command {AGENT}"
    ));

    let device = boot(&image, &site, &hub, flash, arguments.keep)?;
    for words in COMMANDS {
        show(words, &send(&site, words)?);
    }
    watch(&site)?;
    if !arguments.no_counts {
        show_costs()?;
    }
    if arguments.keep {
        wait_for_enter(&site);
    }
    device.stop()?;
    hub.stop()
}

fn boot(
    image: &Path,
    site: &Site,
    hub: &Hub,
    provision: Vec<u8>,
    keep: bool,
) -> Result<Running, Error> {
    say("booting the device on the emulated Ethernet");
    let qemu = Qemu::new(image)
        .provision(provision)
        .flash(site.home(AGENT).join("device.flash"))
        .on_line(|line| println!("device: {line}"));
    let qemu = Road::Network.lay(qemu, hub);
    let qemu = if keep {
        qemu.without_deadline()
    } else {
        qemu.deadline(DEADLINE)
    };
    let mut device = qemu.spawn()?;
    device.wait_for("link open session")?;
    Ok(device)
}

fn send(site: &Site, words: &[&str]) -> Result<Value, Error> {
    let mut arguments = vec!["send", AGENT];
    arguments.extend(words);
    site.json("alice", &arguments)
}

/// Shows what the device says by itself.
fn watch(site: &Site) -> Result<(), Error> {
    println!();
    say("alice watches: what the device measures, sealed to her");
    let output = site.run("alice", &["watch", AGENT, "--count", "3"])?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program: "moorline watch".into(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
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
    for figure in bench::operations(Profile::Device, Provider::Default)? {
        let Some((_, text)) = COSTS.iter().find(|(name, _)| *name == figure.id.name) else {
            continue;
        };
        if let Cost::Operation { instructions, .. } = figure.cost {
            println!("    {text:36} {:>12} instructions", grouped(instructions));
        }
    }
    Ok(())
}

fn wait_for_enter(site: &Site) {
    println!();
    say("hub and device go on; in another terminal, type for example:");
    let (moorline, home) = (site.moorline().display(), site.home("alice"));
    let home = home.display();
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
    &["log", "level"],
    &["config", "set", "sample_ms", "500"],
];
/// What is shown of the bench's figures.
const COSTS: &[(&str, &str)] = &[
    ("handshake.full", "the handshake, both ends proved"),
    ("token.verify", "a commander's token verified"),
    ("frame.seal.64", "64 bytes sealed"),
    ("frame.seal.1024", "1024 bytes sealed"),
    ("frame.open.64", "64 bytes opened"),
];
const DEADLINE: Duration = Duration::from_secs(300);
