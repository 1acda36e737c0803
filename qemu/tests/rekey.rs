//! A device's key is followed by another, and no cut of power strands the device between the two.

use std::path::PathBuf;
use std::sync::LazyLock;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::Road;
use moorline_qemu::stand::Stand;
use moorline_qemu::{Error, Outcome, POWER_CUT, Running};

/// Steps of writing after which the power is cut first: a start and a link take about two hundred of them.
const FIRST_CUT: u32 = 310;
/// Steps between two cuts; a key that follows another takes about nine hundred.
const CUTS_APART: u32 = 75;
const LIVES: u32 = 12;

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

/// Returns whether another key is on its way.
fn is_under_way(stand: &Stand) -> Result<bool, Error> {
    let said = stand.send(&["rekey", "status"])?;
    Ok(said["fields"]["under_way"].as_bool().expect("a switch"))
}

fn boot(stand: &Stand) -> Result<Running, Error> {
    stand.boot(&*AGENT).map(|(device, _)| device)
}

fn has(outcome: &Outcome, words: &str) -> bool {
    let mut lines = outcome.lines.iter();
    lines.any(|line| line.message.contains(words))
}

#[test]
fn a_key_follows_another_and_is_kept() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let mut device = boot(&stand)?;
    device.wait_for("new prekey")?;
    stand.send(&["ping"])?;
    let said = stand.send(&["rekey"])?;
    assert_eq!(said["fields"]["under_way"], true);
    let key = device.wait_for("the key is now")?.message;
    // The link that was there stays, and what commanders leave is sealed for the new key.
    device.wait_for("new prekey")?;
    stand.send(&["ping"])?;
    assert!(!is_under_way(&stand)?);
    let outcome = device.stop()?;
    assert!(!has(&outcome, "link lost"), "{outcome}");
    let left = ["send", "boiler-1", "led", "on", "--offline"];
    stand.site.json("alice", &left)?;
    let mut device = boot(&stand)?;
    device.wait_for("offline command led: Done")?;
    // With another key yet: the one before is not what the device goes back to.
    stand.send(&["rekey"])?;
    let next = device.wait_for("the key is now")?.message;
    assert_ne!(key, next);
    stand.send(&["ping"])?;
    device.stop()?;
    let device = boot(&stand)?;
    stand.send(&["ping"])?;
    let outcome = device.stop()?;
    assert!(!has(&outcome, "the next key is tried"), "{outcome}");
    Ok(())
}

#[test]
fn power_that_is_cut_while_a_key_follows_another_strands_nobody() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    boot(&stand)?.stop()?;
    let mut tries = 0;
    for life in 0..LIVES {
        let step = FIRST_CUT + life * CUTS_APART;
        let mut device = stand.device(&*AGENT).power_cut_after(step, life).spawn()?;
        device.wait_for("link open session")?;
        // Whether it is answered depends on when the power goes.
        let words = ["--json", "send", "boiler-1", "rekey", "--timeout", "5"];
        stand.site.run("alice", &words)?;
        let outcome = device.wait()?;
        assert_eq!(outcome.status, Some(POWER_CUT), "step {step}: {outcome}");
        let mut device = boot(&stand)?;
        if device.has_said("another key is on its way") && !device.has_said("the key is now") {
            device.wait_for("the key is now")?;
        }
        stand.send(&["ping"])?;
        assert!(!is_under_way(&stand)?, "step {step}");
        let outcome = device.stop()?;
        tries += u32::from(has(&outcome, "the next key is tried"));
    }
    // The hub had taken up the key, and the device had not kept that it had.
    assert!(tries >= 1, "{tries}");
    Ok(())
}

#[test]
fn a_device_without_flash_keeps_its_key() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let mut device = stand.device_without_flash(&*AGENT).spawn()?;
    device.wait_for("link open session")?;
    let words = ["--json", "send", "boiler-1", "rekey"];
    let output = stand.site.run("alice", &words)?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("failed"), "{said}");
    device.stop()?;
    Ok(())
}
