//! How deep the stack of a device goes while it serves a hub and a commander.

use std::path::Path;

use crate::error::Error;
use crate::image::Board;
use crate::site::Road;
use crate::stand::Stand;

/// Has the device do most of what it can: the longest answer on a channel.
fn ask_for_most(stand: &Stand) -> Result<(), Error> {
    let long = "x".repeat(900);
    stand.send(&["echo", &long]).map(drop)
}

/// Returns the deepest that the stack of the agent in `image` goes, in bytes.
///
/// # Errors
///
/// The hub or the device does not do its part.
pub(super) fn of_agent(image: &Path) -> Result<u64, Error> {
    let stand = Stand::new(Road::Network)?;
    let (mut device, _) = stand.boot(image)?;
    device.wait_for("new prekey")?;
    ask_for_most(&stand)?;
    let said = stand.send(&["info"])?;
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
    let mut stand = Stand::new(Road::SerialLine)?;
    let mut device = stand
        .device_without_flash(image)
        .machine(Board::Lm3s6965evb.name())
        .spawn()?;
    device.wait_for("link open")?;
    ask_for_most(&stand)?;
    stand.kill_hub();
    device.wait_for("link lost")?;
    stand.start_hub()?;
    // It says how deep it went so far.
    let open = device.wait_for("link open")?;
    device.stop()?;
    let mut words = open.message.split(' ');
    words
        .find_map(|word| word.parse().ok())
        .ok_or(Error::Figure { line: open.message })
}
