//! The agent as a task of an executor: the same agent as the one whose reads block, with another task beside it, and a core
//! that sleeps when neither has anything to do.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use moorline_core::message::{Alert, AlertCode, Status};
use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::monitor::{Monitor, RAM_ADDRESS};
use moorline_qemu::site::{self, Road, Site};
use moorline_qemu::{Error, Level, Qemu, Running};
use object::{Object, ObjectSymbol};

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod hub;

use hub::Hub;

static EXECUTOR: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("executor", Profile::Device).expect("the image builds"));

#[test]
fn it_answers_every_command_as_the_agent_that_blocks() -> Result<(), Error> {
    let mut hub = Hub::listen_on(Road::SerialLine);
    let mut device = hub.lay(image(hub.provision())).spawn()?;
    let mut peer = hub.welcome();
    device.wait_for(&format!("link open session {}", peer.session()))?;
    hub::commands::answer_every_command(&mut peer);
    stop(device)
}

#[test]
fn another_task_goes_on_while_it_serves() -> Result<(), Error> {
    let mut hub = Hub::listen_on(Road::SerialLine);
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let mut device = hub.lay(image(hub.provision()).monitor(&socket)).spawn()?;
    device.wait_for("agent ready")?;
    let mut peer = hub.welcome();
    let mut monitor = Monitor::connect(&socket)?;
    // The LED of the commanders, and beside it that of the other task: neither takes the other's away.
    assert_eq!(peer.ask("led", &["on"]).fields["on"], "Bool(true)");
    let mut other = monitor.register(LEDS)? & BLINKING;
    for change in 0..4 {
        while monitor.register(LEDS)? & BLINKING == other {
            assert_eq!(peer.ask("ping", &[]).status, Status::Done, "{change}");
        }
        other ^= BLINKING;
        assert_eq!(monitor.register(LEDS)? & COMMANDED, COMMANDED, "{change}");
    }
    assert_eq!(peer.ask("led", &["off"]).fields["on"], "Bool(false)");
    assert_eq!(monitor.register(LEDS)? & COMMANDED, 0);
    stop(device)
}

#[test]
fn the_core_sleeps_when_there_is_nothing_to_do() -> Result<(), Error> {
    let mut hub = Hub::listen_on(Road::SerialLine);
    let mut device = hub.lay(image(hub.provision())).spawn()?;
    let mut peer = hub.welcome();
    // The last that it does by itself when a link opens.
    device.wait_for("new prekey")?;
    assert_eq!(peer.ask("log", &["level", "debug"]).status, Status::Done);
    // The first of these seconds has the answer in it, and in the fifth the device asks whether the hub is there.
    device.wait_for("turns")?;
    for _ in 0..2 {
        let line = device.wait_for("turns")?.message;
        // Five reads that time out, and the LED; a second that came late may have one more.
        for word in ["turns", "wake-ups"] {
            assert!((1..=7).contains(&count_of(word, &line)), "{line}");
        }
    }
    stop(device)
}

#[test]
fn nothing_of_a_link_stays_in_the_place_of_the_task() -> Result<(), Error> {
    let mut hub = Hub::listen_on(Road::SerialLine);
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let mut device = hub.lay(image(hub.provision()).monitor(&socket)).spawn()?;
    device.wait_for("agent ready")?;
    let mut monitor = Monitor::connect(&socket)?;
    let place = place_of_the_task();
    let mut peer = hub.welcome();
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    let open = longest_zeros(&monitor.ram_image()?[place.clone()]);
    // A pause of a minute: the device rests while this test looks.
    peer.say_last(Alert::new(AlertCode::Superseded));
    device.wait_for("retry in ")?;
    let rests = longest_zeros(&monitor.ram_image()?[place.clone()]);
    println!(
        "of {} bytes {open} in a row are zero, then {rests}",
        place.len()
    );
    assert!(open < LINK_LEN && rests >= LINK_LEN, "{open}, {rests}");
    stop(device)
}

#[test]
fn a_hub_that_is_killed_is_found_again() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let places = hub.places();
    let folder = tempfile::tempdir().expect("a folder");
    let flash = folder.path().join("flash");
    let provision = site.provision_agent("boiler-1", &hub, Road::SerialLine)?;
    site.enrol_commander("alice", "boiler-1")?;
    let boot = |hub: &site::Hub| {
        let qemu = image(provision.clone()).flash(&flash);
        Road::SerialLine.lay(qemu, hub).spawn()
    };
    let send = |words: &[&str]| {
        let mut all = vec!["send", "boiler-1"];
        all.extend(words);
        site.json("alice", &all)
    };
    let mut device = boot(&hub)?;
    device.wait_for("link open")?;
    assert_eq!(send(&["ping"])?["status"], "done");

    hub.kill();
    device.wait_for("link lost: Closed(Refused(Silent))")?;
    let hub = site.start_hub(Some(places))?;
    device.wait_for("link open")?;
    assert_eq!(send(&["ping"])?["status"], "done");

    // A hub that ends in order says so, and the device knows at once.
    hub.stop()?;
    device.wait_for("GoingAway")?;
    let hub = site.start_hub(Some(places))?;
    device.wait_for("link open")?;

    // What it learns outlasts a reset: another key, the ticket of the session, a setting.
    assert_eq!(send(&["rekey"])?["status"], "done");
    device.wait_for("the key is now")?;
    send(&["config", "set", "sample_ms", "2500"])?;
    stop(device)?;
    let mut device = boot(&hub)?;
    device.wait_for("link open")?;
    let kept = send(&["config", "get", "sample_ms"])?;
    assert_eq!(kept["fields"]["sample_ms"], "2500");
    stop(device)
}

fn image(provision: Vec<u8>) -> Qemu {
    Qemu::new(&*EXECUTOR)
        .provision(provision)
        .deadline(DEADLINE)
        .on_line(|line| println!("device: {line}"))
}

/// Ends a run in which nothing may have gone wrong on the device itself.
fn stop(device: Running) -> Result<(), Error> {
    let outcome = device.stop()?;
    assert!(!outcome.timed_out, "{outcome}");
    let mut lines = outcome.lines.iter();
    let has_failed = lines.any(|line| line.level == Some(Level::Error));
    assert!(!has_failed, "{outcome}");
    Ok(())
}

/// Returns where in RAM the task of the agent has what it works in.
fn place_of_the_task() -> Range<usize> {
    let bytes = std::fs::read(&*EXECUTOR).expect("the image");
    let image = object::File::parse(&*bytes).expect("an image");
    let is_place = |symbol: &object::Symbol<'_, '_>| {
        let name = symbol.name().unwrap_or_default();
        name.contains("serve") && name.contains("POOL")
    };
    let place = image
        .symbols()
        .find(is_place)
        .expect("the task has a place");
    let in_ram = |address: u64| usize::try_from(address - RAM_ADDRESS).expect("an address in RAM");
    in_ram(place.address())..in_ram(place.address() + place.size())
}

fn longest_zeros(bytes: &[u8]) -> usize {
    let runs = bytes.split(|byte| *byte != 0);
    runs.map(<[u8]>::len).max().unwrap_or(0)
}

/// Reads the number before `word`.
fn count_of(word: &str, line: &str) -> u32 {
    let (before, _) = line.split_once(word).expect("the word");
    let number = before.split_whitespace().last().expect("a number");
    number.parse().expect("a number")
}

/// The register of the two user LEDs.
const LEDS: u32 = 0x4002_8000;
/// The LED of the command `led`.
const COMMANDED: u32 = 1 << 0;
/// The LED of the other task.
const BLINKING: u32 = 1 << 1;
/// What an open link takes in the place of the task, in bytes, is more than this.
const LINK_LEN: usize = 3_000;
/// A hub that vanishes is given up after 12 s, and the line comes back a few seconds later.
const DEADLINE: Duration = Duration::from_secs(180);
