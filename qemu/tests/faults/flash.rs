//! Flash that is worn out, or holds what nobody wrote.

use std::path::PathBuf;

use moorline_qemu::site::{Hub as Daemon, Road, Site};
use moorline_qemu::{Error, Qemu, Running};
use serde_json::Value;

use crate::proxy::Random;
use crate::{AGENT, DEADLINE, check_sound};

#[test]
fn a_flash_that_is_worn_out_keeps_what_it_has_and_the_device_serves() -> Result<(), Error> {
    let bench = FlashBench::new("worn")?;
    let mut device = bench.boot(None)?;
    device.wait_for("new prekey")?;
    // The hub has it when it answers what comes after it.
    assert_eq!(bench.status(&["config", "set", "sample_ms", "2500"])?, 0);
    device.stop()?;
    bench.leave(&["led", "on"])?;

    let mut device = bench.boot(Some(1))?;
    device.wait_for("offline command refused: ")?;
    assert_eq!(bench.status(&["config", "set", "sample_ms", "3000"])?, 1);
    assert_eq!(bench.sample_ms()?, "2500");
    assert_eq!(bench.send(&["led"])?["fields"]["on"], false);
    let replies = bench.site.json("alice", &["replies"])?.to_string();
    assert!(replies.contains("refused"), "{replies}");
    let outcome = device.stop()?;
    check_sound(&outcome);
    let said = |wanted: &str| {
        let mut lines = outcome.lines.iter();
        lines.any(|line| line.message.contains(wanted))
    };
    for what in ["start", "ticket", "counters", "settings"] {
        assert!(said(&format!("{what} not kept: ")), "{what}: {outcome}");
    }
    assert!(!said("offline command led"), "{outcome}");
    // The ticket that could not be taken out is not used.
    assert!(!said(", resumed"), "{outcome}");

    let device = bench.boot(None)?;
    assert_eq!(bench.sample_ms()?, "2500");
    assert_eq!(bench.status(&["config", "set", "sample_ms", "3000"])?, 0);
    check_sound(&device.stop()?);
    Ok(())
}

#[test]
fn a_flash_that_fails_from_any_step_on_costs_no_more_than_what_was_not_kept() -> Result<(), Error> {
    let bench = FlashBench::new("failing")?;
    for step in [1, 20, 60, 140, 230, 287, 310] {
        let _new = std::fs::remove_file(bench.flash());
        let device = bench.boot(Some(step))?;
        let (mut kept, mut lost) = ("10000", None);
        for value in ["3000", "3100", "3200", "3300", "3400", "3500"] {
            match bench.status(&["config", "set", "sample_ms", value])? {
                0 => kept = value,
                status => {
                    assert_eq!(status, 1, "{step}");
                    lost.get_or_insert(value);
                }
            }
            assert_eq!(bench.sample_ms()?, kept, "{step}");
        }
        let outcome = device.stop()?;
        check_sound(&outcome);
        let is_told = |line: &moorline_qemu::LogLine| line.message.contains(" not kept: ");
        assert!(outcome.lines.iter().any(is_told), "{step}: {outcome}");
        let device = bench.boot(None)?;
        // The write that the flash failed in may have gone far enough.
        let found = bench.sample_ms()?;
        assert!(
            found == kept || Some(found.as_str()) == lost,
            "{step}: {found}"
        );
        assert_eq!(bench.status(&["config", "set", "sample_ms", "4000"])?, 0);
        check_sound(&device.stop()?);
    }
    Ok(())
}

#[test]
fn a_flash_with_anything_in_it_is_begun_anew() -> Result<(), Error> {
    let bench = FlashBench::new("odd")?;
    bench.boot(None)?.stop()?;
    let len = std::fs::read(bench.flash()).expect("it was made").len();
    let mut random = Random::new(11);
    let garbage = (0..len).map(|_| random.byte()).collect();
    for bytes in [vec![0; len], vec![0xFF; len], garbage] {
        std::fs::write(bench.flash(), &bytes).expect("a file");
        let device = bench.boot(None)?;
        assert_eq!(bench.sample_ms()?, "10000");
        assert_eq!(bench.status(&["config", "set", "sample_ms", "2500"])?, 0);
        let outcome = device.stop()?;
        check_sound(&outcome);
        let resumed = |line: &moorline_qemu::LogLine| line.message.contains(", resumed");
        assert!(!outcome.lines.iter().any(resumed), "{outcome}");
        let device = bench.boot(None)?;
        assert_eq!(bench.sample_ms()?, "2500");
        let outcome = device.stop()?;
        check_sound(&outcome);
        assert!(outcome.lines.iter().any(resumed), "{outcome}");
    }
    // What is no flash at all is gone without.
    std::fs::write(bench.flash(), [0xFF; 1000]).expect("a file");
    let mut device = bench.qemu(None).spawn()?;
    device.wait_for("what comes is lost at a reset: Length")?;
    device.wait_for("link open")?;
    assert_eq!(bench.status(&["config", "set", "sample_ms", "2500"])?, 0);
    check_sound(&device.stop()?);
    Ok(())
}

/// A device with a flash, its hub and a commander.
struct FlashBench {
    site: Site,
    hub: Daemon,
    image: Vec<u8>,
    name: &'static str,
    folder: tempfile::TempDir,
}

impl FlashBench {
    fn new(name: &'static str) -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let image = site.provision_agent("boiler-1", &hub, Road::Network)?;
        site.enrol_commander("alice", "boiler-1")?;
        Ok(Self {
            site,
            hub,
            image,
            name,
            folder: tempfile::tempdir().expect("a folder"),
        })
    }

    fn flash(&self) -> PathBuf {
        self.folder.path().join("flash")
    }

    fn qemu(&self, fails_from: Option<u32>) -> Qemu {
        let name = self.name;
        let mut qemu = Qemu::new(&*AGENT)
            .provision(self.image.clone())
            .deadline(DEADLINE)
            .flash(self.flash())
            .on_line(move |line| println!("{name}: {line}"));
        if let Some(step) = fails_from {
            qemu = qemu.flash_fails_from(step);
        }
        Road::Network.lay(qemu, &self.hub)
    }

    /// Boots the device and waits for its link.
    fn boot(&self, fails_from: Option<u32>) -> Result<Running, Error> {
        let mut device = self.qemu(fails_from).spawn()?;
        device.wait_for("link open")?;
        Ok(device)
    }

    fn send(&self, words: &[&str]) -> Result<Value, Error> {
        let all = [&["send", "boiler-1"], words].concat();
        self.site.json("alice", &all)
    }

    /// Leaves a command for the device.
    fn leave(&self, words: &[&str]) -> Result<Value, Error> {
        self.send(&[words, &["--offline"]].concat())
    }

    /// Sends a command and returns how the command line ends: 0 when it was done, 1 when the device could not.
    fn status(&self, words: &[&str]) -> Result<i32, Error> {
        let all = [&["send", "boiler-1"], words].concat();
        let output = self.site.run("alice", &all)?;
        Ok(output.status.code().expect("it ends by itself"))
    }

    fn sample_ms(&self) -> Result<String, Error> {
        let reply = self.send(&["config", "get", "sample_ms"])?;
        let text = reply["fields"]["sample_ms"].as_str();
        Ok(text.expect("a text").to_owned())
    }
}
