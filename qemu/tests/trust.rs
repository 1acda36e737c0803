//! A device follows its hub to another identity key, and keeps whom it follows.

use std::path::PathBuf;
use std::sync::LazyLock;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::Road;
use moorline_qemu::stand::{AGENT, COMMANDER, Stand};
use moorline_qemu::{Error, POWER_CUT};

static IMAGE: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

/// Rotates the hub's key, by the root key or else by the one before, and starts the hub again.
fn rotate(stand: &mut Stand, root: Option<&str>) -> Result<(), Error> {
    stand.stop_hub()?;
    let root = root.map(|name| stand.site.data_dir().join(name));
    let mut words = vec!["keys".into(), "rotate".into()];
    if let Some(root) = root {
        words.extend(["--root".into(), root.into_os_string()]);
    }
    stand.site.json(COMMANDER, &words)?;
    stand.start_hub()
}

/// Has the hub that runs sign tokens with the issuer's next key, so many times.
fn rotate_issuer(stand: &Stand, times: usize) -> Result<(), Error> {
    for _ in 0..times {
        stand.site.json(COMMANDER, &["keys", "rotate", "issuer"])?;
    }
    Ok(())
}

/// Has a commander who is new here, and knows the issuer's keys of now, speak with the device.
fn ping_as_newcomer(stand: &Stand, name: &str) -> Result<(), Error> {
    stand.site.enrol_commander(name, AGENT)?;
    stand.site.json(name, &["send", AGENT, "ping"]).map(drop)
}

fn ping(stand: &Stand) -> Result<(), Error> {
    stand.send(&["ping"]).map(drop)
}

#[test]
fn a_device_follows_its_hub_and_stays_with_it_through_resets() -> Result<(), Error> {
    let mut stand = Stand::new(Road::Network)?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("link open session")?;
    // It is there when the key changes, and comes back by itself.
    rotate(&mut stand, None)?;
    device.wait_for("the hub's key is now ")?;
    device.wait_for("link open session")?;
    ping(&stand)?;
    device.stop()?;
    // What it has followed to is in flash.
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("link open session")?;
    assert!(!device.has_said("the hub's key is now "));
    device.stop()?;
    // It is away for two, of which the root key's word makes the one before worthless.
    rotate(&mut stand, None)?;
    rotate(&mut stand, Some("root.key"))?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("link open session")?;
    assert!(device.has_said("the hub's key is now "));
    ping(&stand)?;
    device.stop()?;
    Ok(())
}

#[test]
fn a_cut_of_power_while_it_follows_costs_nothing() -> Result<(), Error> {
    let mut stand = Stand::new(Road::Network)?;
    let (mut kept, mut lost) = (0, 0);
    // A start takes about fifty steps, and whom it follows is kept before anything else of the link.
    for step in (80..260).step_by(20) {
        rotate(&mut stand, None)?;
        let mut device = stand.device(&*IMAGE).power_cut_after(step, step).spawn()?;
        while device.next_line().is_some() {}
        let outcome = device.wait()?;
        assert_eq!(outcome.status, Some(POWER_CUT), "{step}: {outcome}");
        let mut device = stand.device(&*IMAGE).spawn()?;
        device.wait_for("link open session")?;
        if device.has_said("the hub's key is now ") {
            lost += 1;
        } else {
            kept += 1;
        }
        ping(&stand)?;
        device.stop()?;
    }
    assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
    Ok(())
}

#[test]
fn a_device_that_cannot_keep_whom_it_follows_stays_where_it_is() -> Result<(), Error> {
    let mut stand = Stand::new(Road::Network)?;
    rotate(&mut stand, None)?;
    let mut device = stand.device(&*IMAGE).flash_fails_from(1).spawn()?;
    let lost = device.wait_for("link lost: ")?.message;
    assert_eq!(lost, "link lost: Closed(Refused(Storage))");
    device.wait_for("retry in ")?;
    assert!(!device.has_said("link open session"));
    device.stop()?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("the hub's key is now ")?;
    device.wait_for("link open session")?;
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_follows_the_issuer_while_its_link_stands_and_through_resets() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    // It was provisioned with the one that signs and the next one.
    device.wait_for("link open session")?;
    ping(&stand)?;
    rotate_issuer(&stand, 1)?;
    device.wait_for("the issuer's keys are now 3")?;
    rotate_issuer(&stand, 1)?;
    device.wait_for("the issuer's keys are now 3")?;
    // Its own token is of a key that newcomers do not know.
    device.wait_for("token renewed")?;
    ping_as_newcomer(&stand, "bob")?;
    // Whoever was here before follows too.
    ping(&stand)?;
    assert!(!device.has_said("link lost"));
    device.stop()?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("link open session")?;
    ping_as_newcomer(&stand, "carol")?;
    assert!(!device.has_said("the issuer's keys are now"));
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_that_was_away_for_many_keys_of_the_issuer_follows_when_it_is_back() -> Result<(), Error>
{
    let stand = Stand::new(Road::Network)?;
    // The hub refuses tokens of a key that long ago: the device comes back by its own.
    rotate_issuer(&stand, 7)?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("the token is refused, the key alone is tried")?;
    device.wait_for("the issuer's keys are now 3")?;
    device.wait_for("the issuer's keys are now 3")?;
    ping_as_newcomer(&stand, "bob")?;
    device.stop()?;
    Ok(())
}

#[test]
fn the_roots_word_about_the_issuer_brings_a_device_to_the_only_key_that_is_left()
-> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let mut device = stand.device(&*IMAGE).spawn()?;
    device.wait_for("link open session")?;
    let root = stand.site.data_dir().join("root.key");
    let root = root.to_str().expect("a path");
    let words = ["keys", "rotate", "issuer", "--root", root];
    stand.site.json(COMMANDER, &words)?;
    device.wait_for("link lost")?;
    device.wait_for("the token is refused, the key alone is tried")?;
    device.wait_for("the issuer's keys are now 2")?;
    ping_as_newcomer(&stand, "bob")?;
    // Her token went with the key; she comes back by her own.
    ping(&stand)?;
    device.stop()?;
    Ok(())
}
