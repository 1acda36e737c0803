//! How deep the stack of a device goes while it serves a hub and a commander.

use std::path::Path;
use std::time::Duration;

use crate::emulator::Qemu;
use crate::error::Error;
use crate::image::Board;
use crate::site::{Hub, Road, Site};

/// A hub, a commander, and what its device is provisioned with.
struct Bench {
    site: Site,
    hub: Hub,
    provision: Vec<u8>,
}

impl Bench {
    fn new(road: Road) -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let provision = site.provision_agent("boiler-1", &hub, road)?;
        site.enrol_commander("alice", "boiler-1")?;
        Ok(Self {
            site,
            hub,
            provision,
        })
    }

    /// Has the device do most of what it can: the longest answer on a channel.
    fn command(&self) -> Result<(), Error> {
        let long = "x".repeat(900);
        let words = ["send", "boiler-1", "echo", &long];
        self.site.json("alice", &words).map(drop)
    }
}

/// Returns the deepest that the stack of the agent in `image` goes, in bytes.
///
/// # Errors
///
/// The hub or the device does not do its part.
pub(super) fn of_agent(image: &Path) -> Result<u64, Error> {
    let bench = Bench::new(Road::Network)?;
    let flash = tempfile::tempdir().map_err(|source| Error::File {
        path: std::env::temp_dir(),
        source,
    })?;
    let device = Qemu::new(image)
        .provision(bench.provision.clone())
        .flash(flash.path().join("flash"))
        .deadline(DEADLINE);
    let mut device = Road::Network.lay(device, &bench.hub).spawn()?;
    device.wait_for("link open session")?;
    device.wait_for("new prekey")?;
    bench.command()?;
    let said = bench.site.json("alice", &["send", "boiler-1", "info"])?;
    let peak = said["fields"]["stack_peak_bytes"].as_u64();
    device.stop()?;
    peak.ok_or_else(|| Error::Figure {
        line: said.to_string(),
    })
}

/// Returns the deepest that the stack of the least agent in `image` goes on the small board, in bytes.
///
/// # Errors
///
/// As [`of_agent`].
pub(super) fn of_minimal(image: &Path) -> Result<u64, Error> {
    let bench = Bench::new(Road::SerialLine)?;
    let device = Qemu::new(image)
        .machine(Board::Lm3s6965evb.name())
        .provision(bench.provision.clone())
        .deadline(DEADLINE);
    let mut device = Road::SerialLine.lay(device, &bench.hub).spawn()?;
    device.wait_for("link open")?;
    bench.command()?;
    let Bench { site, hub, .. } = bench;
    let places = hub.places();
    hub.kill();
    device.wait_for("link lost")?;
    let _hub = site.start_hub(Some(places))?;
    // It says how deep it went so far.
    let open = device.wait_for("link open")?;
    device.stop()?;
    let mut words = open.message.split(' ');
    words
        .find_map(|word| word.parse().ok())
        .ok_or(Error::Figure { line: open.message })
}

/// A loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(120);
