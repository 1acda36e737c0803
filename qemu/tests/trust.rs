//! A device follows its hub to another identity key, and keeps whom it follows.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::{Hub, Road, Site};
use moorline_qemu::{Error, POWER_CUT, Qemu};

/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(120);

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

struct Bench {
    site: Site,
    hub: Option<Hub>,
    image: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let image = site.provision_agent("boiler-1", &hub, Road::Network)?;
        site.enrol_commander("alice", "boiler-1")?;
        Ok(Self {
            site,
            hub: Some(hub),
            image,
            folder: tempfile::tempdir().expect("a folder"),
        })
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("it runs")
    }

    fn device(&self) -> Qemu {
        let device = Qemu::new(&*AGENT)
            .provision(self.image.clone())
            .deadline(DEADLINE)
            .flash(self.folder.path().join("flash"));
        Road::Network.lay(device, self.hub())
    }

    /// Rotates the hub's key, by the root key or else by the one before, and starts the hub again.
    fn rotate(&mut self, root: Option<&str>) -> Result<(), Error> {
        let hub = self.hub.take().expect("it runs");
        let places = hub.places();
        hub.stop()?;
        let root = root.map(|name| self.site.data_dir().join(name));
        let mut words = vec!["keys".into(), "rotate".into()];
        if let Some(root) = root {
            words.extend(["--root".into(), root.into_os_string()]);
        }
        self.site.json("alice", &words)?;
        self.hub = Some(self.site.start_hub(Some(places))?);
        Ok(())
    }

    fn ping(&self) -> Result<(), Error> {
        let words = ["send", "boiler-1", "ping"];
        self.site.json("alice", &words).map(|_| ())
    }
}

#[test]
fn a_device_follows_its_hub_and_stays_with_it_through_resets() -> Result<(), Error> {
    let mut bench = Bench::new()?;
    let mut device = bench.device().spawn()?;
    device.wait_for("link open session")?;
    // It is there when the key changes, and comes back by itself.
    bench.rotate(None)?;
    device.wait_for("the hub's key is now ")?;
    device.wait_for("link open session")?;
    bench.ping()?;
    device.stop()?;
    // What it has followed to is in flash.
    let mut device = bench.device().spawn()?;
    device.wait_for("link open session")?;
    assert!(!device.has_said("the hub's key is now "));
    device.stop()?;
    // It is away for two, of which the root key's word makes the one before worthless.
    bench.rotate(None)?;
    bench.rotate(Some("root.key"))?;
    let mut device = bench.device().spawn()?;
    device.wait_for("link open session")?;
    assert!(device.has_said("the hub's key is now "));
    bench.ping()?;
    device.stop()?;
    Ok(())
}

#[test]
fn a_cut_of_power_while_it_follows_costs_nothing() -> Result<(), Error> {
    let mut bench = Bench::new()?;
    let (mut kept, mut lost) = (0, 0);
    // A start takes about fifty steps, and whom it follows is kept before anything else of the link.
    for step in (80..260).step_by(20) {
        bench.rotate(None)?;
        let mut device = bench.device().power_cut_after(step, step).spawn()?;
        while device.next_line().is_some() {}
        let outcome = device.wait()?;
        assert_eq!(outcome.status, Some(POWER_CUT), "{step}: {outcome}");
        let mut device = bench.device().spawn()?;
        device.wait_for("link open session")?;
        if device.has_said("the hub's key is now ") {
            lost += 1;
        } else {
            kept += 1;
        }
        bench.ping()?;
        device.stop()?;
    }
    assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
    Ok(())
}

#[test]
fn a_device_that_cannot_keep_whom_it_follows_stays_where_it_is() -> Result<(), Error> {
    let mut bench = Bench::new()?;
    bench.rotate(None)?;
    let mut device = bench.device().flash_fails_from(1).spawn()?;
    let lost = device.wait_for("link lost: ")?.message;
    assert_eq!(lost, "link lost: Closed(Refused(Storage))");
    device.wait_for("retry in ")?;
    assert!(!device.has_said("link open session"));
    device.stop()?;
    let mut device = bench.device().spawn()?;
    device.wait_for("the hub's key is now ")?;
    device.wait_for("link open session")?;
    device.stop()?;
    Ok(())
}

impl Bench {
    /// Has the hub that runs sign tokens with the issuer's next key, so many times.
    fn rotate_issuer(&self, times: usize) -> Result<(), Error> {
        for _ in 0..times {
            self.site.json("alice", &["keys", "rotate", "issuer"])?;
        }
        Ok(())
    }

    /// Has a commander who is new here, and knows the issuer's keys of now, speak with the device.
    fn ping_as_newcomer(&self, name: &str) -> Result<(), Error> {
        self.site.enrol_commander(name, "boiler-1")?;
        let words = ["send", "boiler-1", "ping"];
        self.site.json(name, &words).map(|_| ())
    }
}

#[test]
fn a_device_follows_the_issuer_while_its_link_stands_and_through_resets() -> Result<(), Error> {
    let bench = Bench::new()?;
    let mut device = bench.device().spawn()?;
    // It was provisioned with the one that signs and the next one.
    device.wait_for("link open session")?;
    bench.ping()?;
    bench.rotate_issuer(1)?;
    device.wait_for("the issuer's keys are now 3")?;
    bench.rotate_issuer(1)?;
    device.wait_for("the issuer's keys are now 3")?;
    // Its own token is of a key that newcomers do not know.
    device.wait_for("token renewed")?;
    bench.ping_as_newcomer("bob")?;
    // Whoever was here before follows too.
    bench.ping()?;
    assert!(!device.has_said("link lost"));
    device.stop()?;
    let mut device = bench.device().spawn()?;
    device.wait_for("link open session")?;
    bench.ping_as_newcomer("carol")?;
    assert!(!device.has_said("the issuer's keys are now"));
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_that_was_away_for_many_keys_of_the_issuer_follows_when_it_is_back() -> Result<(), Error>
{
    let bench = Bench::new()?;
    // The hub refuses tokens of a key that long ago: the device comes back by its own.
    bench.rotate_issuer(7)?;
    let mut device = bench.device().spawn()?;
    device.wait_for("the token is refused, the key alone is tried")?;
    device.wait_for("the issuer's keys are now 3")?;
    device.wait_for("the issuer's keys are now 3")?;
    bench.ping_as_newcomer("bob")?;
    device.stop()?;
    Ok(())
}

#[test]
fn the_roots_word_about_the_issuer_brings_a_device_to_the_only_key_that_is_left()
-> Result<(), Error> {
    let bench = Bench::new()?;
    let mut device = bench.device().spawn()?;
    device.wait_for("link open session")?;
    let root = bench.site.data_dir().join("root.key");
    let root = root.to_str().expect("a path");
    let words = ["keys", "rotate", "issuer", "--root", root];
    bench.site.json("alice", &words)?;
    device.wait_for("link lost")?;
    device.wait_for("the token is refused, the key alone is tried")?;
    device.wait_for("the issuer's keys are now 2")?;
    bench.ping_as_newcomer("bob")?;
    // Her token went with the key; she comes back by her own.
    bench.ping()?;
    device.stop()?;
    Ok(())
}
