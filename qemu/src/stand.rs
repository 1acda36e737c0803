//! A test stand: a hub, one device at it, and a commander who reaches that device.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::emulator::Qemu;
use crate::error::Error;
use crate::running::Running;
use crate::site::{Hub, Road, Site};

/// What the device is enrolled as.
pub const AGENT: &str = "boiler-1";

/// The commander who reaches it.
pub const COMMANDER: &str = "alice";

/// A hub that runs, a commander, and a device that is off.
#[derive(Debug)]
pub struct Stand {
    /// The hub's data and the homes of its peers.
    pub site: Site,
    /// What the device is provisioned with.
    pub provision: Vec<u8>,
    road: Road,
    hub: Hub,
    folder: TempDir,
}

impl Stand {
    /// Starts a hub, and enrols both at it. The device reaches it by `road`.
    ///
    /// # Errors
    ///
    /// As [`Site::build`], [`Site::start_hub`], [`Site::provision_agent`] and [`Site::enrol_commander`].
    pub fn new(road: Road) -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let provision = site.provision_agent(AGENT, &hub, road)?;
        site.enrol_commander(COMMANDER, AGENT)?;
        let folder = TempDir::new().map_err(|source| Error::File {
            path: std::env::temp_dir(),
            source,
        })?;
        Ok(Self {
            site,
            provision,
            road,
            hub,
            folder,
        })
    }

    /// Returns the hub, or the last one when it was ended.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Ends the hub as a service manager does, and waits until it has said goodbye.
    ///
    /// # Errors
    ///
    /// As [`Hub::stop`].
    pub fn stop_hub(&mut self) -> Result<(), Error> {
        self.hub.end()
    }

    /// Kills the hub where it stands, as a power cut would.
    pub fn kill_hub(&mut self) {
        self.hub.cut();
    }

    /// Starts the hub again where it was.
    ///
    /// # Errors
    ///
    /// As [`Site::start_hub`].
    pub fn start_hub(&mut self) -> Result<(), Error> {
        self.hub = self.site.start_hub(Some(self.hub.places()))?;
        Ok(())
    }

    /// Returns the device with `image` in it, which keeps nothing through a reset.
    pub fn device_without_flash(&self, image: impl Into<PathBuf>) -> Qemu {
        let device = Qemu::new(image)
            .provision(self.provision.clone())
            .deadline(DEADLINE);
        self.road.lay(device, &self.hub)
    }

    /// Returns the device with `image` in it, and the flash that it had before.
    pub fn device(&self, image: impl Into<PathBuf>) -> Qemu {
        let flash = self.folder.path().join("flash");
        self.device_without_flash(image).flash(flash)
    }

    /// Boots the device with `image` in it and waits for its link; returns what it said of that.
    ///
    /// # Errors
    ///
    /// As [`Qemu::spawn`] and [`Running::wait_for`].
    pub fn boot(&self, image: impl Into<PathBuf>) -> Result<(Running, String), Error> {
        let mut device = self.device(image).spawn()?;
        let opened = device.wait_for("link open session")?;
        Ok((device, opened.message))
    }

    /// Has the commander send a command to the device; returns what came of it.
    ///
    /// # Errors
    ///
    /// As [`Site::json`].
    pub fn send(&self, words: &[&str]) -> Result<Value, Error> {
        let mut all = vec!["send", AGENT];
        all.extend(words);
        self.site.json(COMMANDER, &all)
    }
}

/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(120);
