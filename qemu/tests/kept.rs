//! What the agent keeps in flash, as a user finds it after resets and cuts of power.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::Road;
use moorline_qemu::stand::Stand;
use moorline_qemu::{Error, POWER_CUT};
use serde_json::Value;

/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(180);

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

#[test]
fn a_reset_takes_neither_ticket_nor_settings() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let (device, opened) = stand.boot(&*AGENT)?;
    assert!(!opened.contains("resumed"), "{opened}");
    stand.send(&["config", "set", "sample_ms", "2500"])?;
    // The answer came after the ticket of this session.
    device.stop()?;
    let (device, opened) = stand.boot(&*AGENT)?;
    assert!(opened.contains("resumed"), "{opened}");
    let kept = stand.send(&["config", "get", "sample_ms"])?;
    assert_eq!(kept["fields"]["sample_ms"], "2500");
    let outcome = device.stop()?;
    let said = |wanted: &str| outcome.lines.iter().any(|line| line.message == wanted);
    assert!(said("started 1 times before"), "{outcome}");
    // A device without flash begins anew, and says that it will.
    let mut device = stand.device_without_flash(&*AGENT).spawn()?;
    device.wait_for("what comes is lost at a reset")?;
    let opened = device.wait_for("link open session")?;
    assert!(!opened.message.contains("resumed"));
    device.stop()?;
    Ok(())
}

#[test]
fn a_command_that_is_left_for_a_device_that_is_off_finds_it_after_a_reset() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let (mut device, _) = stand.boot(&*AGENT)?;
    device.wait_for("new prekey")?;
    // The hub has it when it answers what comes after it.
    stand.send(&["ping"])?;
    device.stop()?;
    let left = ["send", "boiler-1", "led", "on", "--offline"];
    stand.site.json("alice", &left)?;
    let (mut device, _) = stand.boot(&*AGENT)?;
    device.wait_for("offline command led: Done")?;
    let replies = stand.site.json("alice", &["replies"])?;
    assert!(replies.to_string().contains("done"), "{replies}");
    // The same command does not run again in a later life: its counter outlasts the reset.
    device.stop()?;
    let (mut device, _) = stand.boot(&*AGENT)?;
    stand.site.json("alice", &left)?;
    device.wait_for("offline command led: Done")?;
    let outcome = device.stop()?;
    let ran = |line: &&moorline_qemu::LogLine| line.message.starts_with("offline command led");
    assert_eq!(outcome.lines.iter().filter(ran).count(), 1, "{outcome}");
    Ok(())
}

#[test]
fn a_device_whose_token_is_worth_nothing_comes_back_by_its_key() -> Result<(), Error> {
    let mut stand = Stand::new(Road::Network)?;
    // Tokens of before are of an earlier generation now.
    stand.stop_hub()?;
    let path = stand.site.data_dir().join("peers.json");
    let file = |source| Error::File {
        path: path.clone(),
        source,
    };
    let peers = std::fs::read_to_string(&path).map_err(file)?;
    let mut peers: Value = serde_json::from_str(&peers).expect("it is JSON");
    peers["boiler-1"]["generation"] = 1_000_000.into();
    std::fs::write(&path, peers.to_string()).map_err(file)?;
    stand.start_hub()?;
    let mut device = stand.device(&*AGENT).spawn()?;
    device.wait_for("the key alone is tried")?;
    device.wait_for("link open session")?;
    device.wait_for("token renewed")?;
    device.wait_for("new prekey")?;
    stand.send(&["ping"])?;
    device.stop()?;
    // The token that it was given is kept.
    let (mut device, _) = stand.boot(&*AGENT)?;
    assert!(!device.has_said("the key alone is tried"));
    stand.send(&["ping"])?;
    // Who is shut out does not come back.
    stand.site.json("alice", &["revoke", "boiler-1"])?;
    for _ in 0..2 {
        device.wait_for("the key alone is tried")?;
        let lost = device.wait_for("link lost: ")?.message;
        assert_eq!(lost, "link lost: Closed(Refused(RefusedCredential))");
    }
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_that_is_provisioned_anew_begins_anew() -> Result<(), Error> {
    let mut stand = Stand::new(Road::Network)?;
    let (device, _) = stand.boot(&*AGENT)?;
    stand.send(&["config", "set", "sample_ms", "2500"])?;
    device.stop()?;
    stand.provision = stand
        .site
        .provision_agent("boiler-2", stand.hub(), Road::Network)?;
    stand.site.enrol_commander("bob", "boiler-2")?;
    let (device, opened) = stand.boot(&*AGENT)?;
    assert!(!opened.contains("resumed"), "{opened}");
    let words = ["send", "boiler-2", "config", "get", "sample_ms"];
    let kept = stand.site.json("bob", &words)?;
    assert_eq!(kept["fields"]["sample_ms"], "10000");
    device.stop()?;
    Ok(())
}

#[test]
fn power_that_is_cut_while_it_keeps_something_costs_no_more_than_that() -> Result<(), Error> {
    let stand = Stand::new(Road::Network)?;
    let mut acknowledged = 10_000_u32;
    let mut cuts = 0;
    for life in 0..12_u32 {
        // A start takes about fifty steps, the ticket of a session eighty, a setting twelve.
        let step = 1 + life * 23;
        let device = stand.device(&*AGENT).deadline(DEADLINE);
        let mut device = device.power_cut_after(step, life).spawn()?;
        let is_open = loop {
            match device.next_line() {
                Some(line) if line.message.contains("link open session") => break true,
                Some(_) => {}
                None => break false,
            }
        };
        let mut asked = acknowledged;
        let mut goes_on = is_open;
        while goes_on {
            asked += 1;
            let value = asked.to_string();
            let words = [
                "--json",
                "send",
                "boiler-1",
                "config",
                "set",
                "sample_ms",
                &value,
                "--timeout",
                "5",
            ];
            let output = stand.site.run("alice", &words)?;
            goes_on = output.status.success();
            if goes_on {
                acknowledged = asked;
            }
        }
        let outcome = device.wait()?;
        assert_eq!(outcome.status, Some(POWER_CUT), "life {life}: {outcome}");
        cuts += 1;
        let (device, _) = stand.boot(&*AGENT)?;
        let kept = stand.send(&["config", "get", "sample_ms"])?;
        let kept = kept["fields"]["sample_ms"].as_str().expect("a text");
        let kept: u32 = kept.parse().expect("a number");
        assert!(
            kept == acknowledged || kept == asked,
            "life {life}: {kept} is neither {acknowledged} nor {asked}"
        );
        acknowledged = kept;
        device.stop()?;
    }
    assert_eq!(cuts, 12);
    Ok(())
}
