//! A device's key is followed by another, and no cut of power strands the device between the two.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::{Hub, Road, Site};
use moorline_qemu::{Error, Outcome, POWER_CUT, Qemu, Running};
use serde_json::Value;

/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(120);

/// Steps of writing after which the power is cut first: a start and a link take about two hundred of them.
const FIRST_CUT: u32 = 310;
/// Steps between two cuts; a key that follows another takes about nine hundred.
const CUTS_APART: u32 = 75;
const LIVES: u32 = 12;

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

struct Bench {
    site: Site,
    hub: Hub,
    image: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let image = site.provision_agent("boiler-1", &hub, Road::Network)?;
        site.enrol_commander("alice", "boiler-1")?;
        let folder = tempfile::tempdir().expect("a folder");
        Ok(Self {
            site,
            hub,
            image,
            folder,
        })
    }

    fn device(&self) -> Qemu {
        let device = Qemu::new(&*AGENT)
            .provision(self.image.clone())
            .deadline(DEADLINE)
            .flash(self.folder.path().join("flash"));
        Road::Network.lay(device, &self.hub)
    }

    fn boot(&self) -> Result<Running, Error> {
        let mut device = self.device().spawn()?;
        device.wait_for("link open session")?;
        Ok(device)
    }

    fn send(&self, words: &[&str]) -> Result<Value, Error> {
        let mut all = vec!["send", "boiler-1"];
        all.extend(words);
        self.site.json("alice", &all)
    }

    /// Returns whether another key is on its way.
    fn is_under_way(&self) -> Result<bool, Error> {
        let said = self.send(&["rekey", "status"])?;
        Ok(said["fields"]["under_way"].as_bool().expect("a switch"))
    }
}

fn has(outcome: &Outcome, words: &str) -> bool {
    let mut lines = outcome.lines.iter();
    lines.any(|line| line.message.contains(words))
}

#[test]
fn a_key_follows_another_and_is_kept() -> Result<(), Error> {
    let bench = Bench::new()?;
    let mut device = bench.boot()?;
    device.wait_for("new prekey")?;
    bench.send(&["ping"])?;
    let said = bench.send(&["rekey"])?;
    assert_eq!(said["fields"]["under_way"], true);
    let key = device.wait_for("the key is now")?.message;
    // The link that was there stays, and what commanders leave is sealed for the new key.
    device.wait_for("new prekey")?;
    bench.send(&["ping"])?;
    assert!(!bench.is_under_way()?);
    let outcome = device.stop()?;
    assert!(!has(&outcome, "link lost"), "{outcome}");
    let left = ["send", "boiler-1", "led", "on", "--offline"];
    bench.site.json("alice", &left)?;
    let mut device = bench.boot()?;
    device.wait_for("offline command led: Done")?;
    // With another key yet: the one before is not what the device goes back to.
    bench.send(&["rekey"])?;
    let next = device.wait_for("the key is now")?.message;
    assert_ne!(key, next);
    bench.send(&["ping"])?;
    device.stop()?;
    let device = bench.boot()?;
    bench.send(&["ping"])?;
    let outcome = device.stop()?;
    assert!(!has(&outcome, "the next key is tried"), "{outcome}");
    Ok(())
}

#[test]
fn power_that_is_cut_while_a_key_follows_another_strands_nobody() -> Result<(), Error> {
    let bench = Bench::new()?;
    bench.boot()?.stop()?;
    let mut tries = 0;
    for life in 0..LIVES {
        let step = FIRST_CUT + life * CUTS_APART;
        let mut device = bench.device().power_cut_after(step, life).spawn()?;
        device.wait_for("link open session")?;
        // Whether it is answered depends on when the power goes.
        let words = ["--json", "send", "boiler-1", "rekey", "--timeout", "5"];
        bench.site.run("alice", &words)?;
        let outcome = device.wait()?;
        assert_eq!(outcome.status, Some(POWER_CUT), "step {step}: {outcome}");
        let mut device = bench.boot()?;
        if device.has_said("another key is on its way") && !device.has_said("the key is now") {
            device.wait_for("the key is now")?;
        }
        bench.send(&["ping"])?;
        assert!(!bench.is_under_way()?, "step {step}");
        let outcome = device.stop()?;
        tries += u32::from(has(&outcome, "the next key is tried"));
    }
    // The hub had taken up the key, and the device had not kept that it had.
    assert!(tries >= 1, "{tries}");
    Ok(())
}

#[test]
fn a_device_without_flash_keeps_its_key() -> Result<(), Error> {
    let bench = Bench::new()?;
    let device = Qemu::new(&*AGENT)
        .provision(bench.image.clone())
        .deadline(DEADLINE);
    let mut device = Road::Network.lay(device, &bench.hub).spawn()?;
    device.wait_for("link open session")?;
    let words = ["--json", "send", "boiler-1", "rekey"];
    let output = bench.site.run("alice", &words)?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("failed"), "{said}");
    device.stop()?;
    Ok(())
}
