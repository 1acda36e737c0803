//! A siege: strangers of six kinds come from many addresses, while honest agents and their commanders go on.
//!
//! ```text
//! cargo run --release -p moorline-server --example siege -- --seconds 60 --connections 10000
//! ```
//!
//! The hub is a process of its own, with the limits that are the default. The siege is lost, and the exit code 1, when an
//! honest command fails, when the 99th percentile of their time is 50 ms or more, when the hub has grown by more than
//! 16 KiB for each hostile connection, or when a stranger that is held holds more than that of its memory. Hubs of their own
//! hold hundreds of strangers of one kind for that, and those in TLS are held against a bound of their own.

mod held;
mod honest;
mod hostile;
mod hub;

#[path = "../../tests/hub/agent.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod agent;
#[path = "../../tests/strangers/kinds.rs"]
mod kinds;
#[path = "../../tests/hub/links.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod links;
#[path = "../../tests/hub/world.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Longest 99th percentile of the time of an honest command.
const MAX_P99: Duration = Duration::from_millis(50);

/// Most KiB by which the hub may grow for each hostile connection, and most that it may hold for one stranger.
const MAX_KIB: f64 = 16.0;

/// Most that it may hold for a stranger in TLS.
const MAX_KIB_IN_TLS: f64 = 32.0;

/// Besieges a hub.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seconds the siege lasts.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many hostile connections there are in all.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// How many honest agents there are, each with a commander.
    #[arg(long, default_value_t = 100)]
    agents: u32,
    /// Serves as the hub, with this data directory, until standard input ends.
    #[arg(long, hide = true)]
    hub: Option<PathBuf>,
    /// Serves as a hub that holds hundreds of strangers.
    #[arg(long, hide = true)]
    holds_many: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(folder) = arguments.hub {
        hub::serve(&folder, arguments.holds_many);
        return ExitCode::SUCCESS;
    }
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the number of open files stays as it is: {error}");
    }
    let (plain, in_tls) = (held::plain(), held::in_tls());
    let holds_few = |costs: &[held::Cost], most| costs.iter().all(|cost| cost.kib <= most);
    let holds_few = holds_few(&plain, MAX_KIB) && holds_few(&in_tls, MAX_KIB_IN_TLS);
    println!("a stranger that is held");
    for cost in plain.iter().chain(&in_tls) {
        println!("  {cost}");
    }
    let hub = hub::Hub::start();
    let pairs = honest::enrol(&hub, arguments.agents);
    let mut honest = honest::start(&hub, pairs);
    // What all share is paid for before it is measured, and so is how fast it goes in peace.
    let peace = honest.work(Duration::from_secs(arguments.seconds.min(5)));
    let (before, cpu_before) = (hub.resident_kib(), hub.cpu_seconds());
    let began = Instant::now();
    let length = Duration::from_secs(arguments.seconds);
    let enemies = hostile::start(&hub, arguments.connections, began + length);
    let war = honest.work(length);
    let (after, cpu) = (hub.resident_kib(), hub.cpu_seconds() - cpu_before);
    let number = enemies.join();
    let each = f64::from(after.saturating_sub(before)) / f64::from(number.total().max(1));
    println!("honest pairs        {}", arguments.agents);
    println!("in peace            {peace}");
    println!("besieged            {war}");
    println!("hostile connections {number}");
    println!(
        "hub's memory        {before} KiB before, {after} KiB after: {each:.2} KiB a connection"
    );
    println!(
        "hub's processor     {cpu:.1} s in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let holds = war.p99() < MAX_P99 && war.failed() == 0 && each <= MAX_KIB && holds_few;
    println!(
        "{}",
        if holds {
            "the hub holds"
        } else {
            "the hub does not hold"
        }
    );
    honest.end();
    ExitCode::from(u8::from(!holds))
}
