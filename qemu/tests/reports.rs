//! What the device says by itself, as a user follows it: events, its log, settings, and a new start.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::{Hub, Road, Site};
use moorline_qemu::{Error, Qemu, Running};
use serde_json::Value;

/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(180);

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

struct Line {
    site: Site,
    _hub: Hub,
    device: Running,
}

impl Line {
    fn open() -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let flash = site.provision_agent("boiler-1", &hub, Road::Network)?;
        site.enrol_commander("alice", "boiler-1")?;
        let qemu = Qemu::new(&*AGENT).provision(flash).deadline(DEADLINE);
        let mut device = Road::Network.lay(qemu, &hub).spawn()?;
        device.wait_for("link open")?;
        Ok(Self {
            site,
            _hub: hub,
            device,
        })
    }

    fn send(&self, words: &[&str]) -> Result<Value, Error> {
        let mut all = vec!["send", "boiler-1"];
        all.extend(words);
        self.site.json("alice", &all)
    }

    /// Returns the exit code of a command line of `name`'s, and every line of JSON that it prints.
    fn lines(&self, name: &str, words: &[&str]) -> Result<(Option<i32>, Vec<Value>), Error> {
        let mut all = vec!["--json"];
        all.extend(words);
        let output = self.site.run(name, &all)?;
        let lines = output.stdout.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let values = lines.map(|line| serde_json::from_slice(line).expect("JSON"));
        Ok((output.status.code(), values.collect()))
    }
}

fn numbers(lines: &[Value]) -> Vec<u64> {
    let numbers = lines.iter().map(|line| line["number"].as_u64());
    numbers.map(|number| number.expect("a number")).collect()
}

#[test]
fn what_the_sensor_measures_is_kept_and_followed() -> Result<(), Error> {
    let line = Line::open()?;
    let set = line.send(&["config", "set", "sample_ms", "100"])?;
    assert_eq!(set["fields"]["sample_ms"], "100");
    let (code, events) = line.lines("alice", &["watch", "boiler-1", "--count", "5"])?;
    assert_eq!(code, Some(0));
    // It kept the one that it made before it was asked.
    assert_eq!(numbers(&events), [0, 1, 2, 3, 4]);
    for event in &events {
        assert_eq!(event["name"], "temperature");
        assert_eq!(event["lost"], 0);
        let degrees = event["fields"]["temperature_millicelsius"].as_i64();
        assert!(degrees.is_some_and(|degrees| (18_000..=26_000).contains(&degrees)));
    }
    // It goes on where another reader is to begin, and keeps a few dozen.
    let (_, events) = line.lines(
        "alice",
        &["watch", "boiler-1", "--from", "3", "--count", "2"],
    )?;
    assert_eq!(numbers(&events), [3, 4]);
    let (_, events) = line.lines("alice", &["watch", "boiler-1", "--new", "--count", "1"])?;
    let newest = numbers(&events)[0];
    assert!(newest > 4, "{newest}");
    // After more than it keeps, who wants the first is told what is lost.
    line.lines("alice", &["watch", "boiler-1", "--new", "--count", "60"])?;
    let (_, events) = line.lines(
        "alice",
        &["watch", "boiler-1", "--from", "0", "--count", "1"],
    )?;
    let lost = events[0]["lost"].as_u64().expect("a number");
    assert!(lost > 0);
    assert_eq!(numbers(&events), [lost]);
    line.device.stop()?;
    Ok(())
}

#[test]
fn the_log_is_read_with_the_program_that_writes_it() -> Result<(), Error> {
    let mut line = Line::open()?;
    line.send(&["echo", "one of the lines"])?;
    let elf = AGENT.to_str().expect("a path");
    let follow = ["logs", "boiler-1", "--elf", elf, "--seconds", "3"];
    let (code, lines) = line.lines("alice", &follow)?;
    assert_eq!(code, Some(0));
    let texts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    let has = |wanted: &str| texts.iter().any(|text| text.contains(wanted));
    // From before there was a link, and of what was asked.
    assert!(has("this is boiler-1"), "{texts:?}");
    assert!(has("link open session"), "{texts:?}");
    assert!(has("command echo id"), "{texts:?}");
    assert!(lines.iter().all(|line| line["level"] != "DEBUG"));
    let first = lines[0]["number"].as_u64().expect("a number");
    let expected = (first..).take(lines.len());
    assert_eq!(numbers(&lines), expected.collect::<Vec<_>>());
    // Debug lines come when they are asked for, on the host's log too.
    assert_eq!(
        line.send(&["log", "level", "debug"])?["fields"]["level"],
        "debug"
    );
    line.device.wait_for("round trip of")?;
    assert_eq!(
        line.send(&["log", "level", "error"])?["fields"]["level"],
        "error"
    );
    let after = line.lines(
        "alice",
        &["logs", "boiler-1", "--elf", elf, "--new", "--seconds", "3"],
    )?;
    assert_eq!(after.1, Vec::<Value>::new(), "nothing is an error");
    // Another file is none.
    let no_elf = line.lines("alice", &["logs", "boiler-1", "--elf", "/etc/hostname"])?;
    assert_eq!(no_elf.0, Some(2));
    line.device.stop()?;
    Ok(())
}

#[test]
fn what_a_commander_may_not_is_not_done() -> Result<(), Error> {
    let line = Line::open()?;
    line.site.json("bob", &["keygen"])?;
    let enroll = [
        "enroll",
        "commander",
        "bob",
        "--agent",
        "boiler-1",
        "--permission",
        "agent.command.led",
    ];
    line.site.json("bob", &enroll)?;
    let elf = AGENT.to_str().expect("a path");
    for words in [
        &["watch", "boiler-1", "--seconds", "5"][..],
        &["logs", "boiler-1", "--elf", elf, "--seconds", "5"],
        &["send", "boiler-1", "reboot"],
        &["send", "boiler-1", "config", "get", "sample_ms"],
        &["send", "boiler-1", "log", "level", "trace"],
    ] {
        assert_eq!(line.lines("bob", words)?.0, Some(4), "{words:?}");
    }
    assert_eq!(
        line.lines("bob", &["send", "boiler-1", "led", "on"])?.0,
        Some(0)
    );
    // What there is no such thing as is told to who may.
    for words in [
        &["send", "boiler-1", "config", "get", "colour"][..],
        &["send", "boiler-1", "config", "set", "sample_ms", "99"],
        &["send", "boiler-1", "config", "set", "sample_ms"],
        &["send", "boiler-1", "config", "set", "log_level", "loud"],
        &["send", "boiler-1", "log", "level", "loud"],
        &["send", "boiler-1", "log"],
        &["send", "boiler-1", "watch", "yesterday"],
        &["send", "boiler-1", "reboot", "now"],
    ] {
        assert_eq!(line.lines("alice", words)?.0, Some(1), "{words:?}");
    }
    assert_eq!(
        line.send(&["config", "get", "sample_ms"])?["fields"]["sample_ms"],
        "10000"
    );
    line.device.stop()?;
    Ok(())
}

#[test]
fn a_device_that_is_told_to_starts_anew_and_comes_back() -> Result<(), Error> {
    let mut line = Line::open()?;
    assert_eq!(line.send(&["reboot"])?["status"], "done");
    line.device.wait_for("starting anew, as told")?;
    line.device.wait_for("link open session")?;
    assert_eq!(line.send(&["ping"])?["status"], "done");
    line.device.stop()?;
    Ok(())
}
