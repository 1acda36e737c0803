//! The least agent on the small board: a Cortex-M3 with 256 KiB of flash and 64 KiB of RAM.

use std::time::Duration;

use moorline_qemu::bench::Sections;
use moorline_qemu::image::{Board, Profile, build_small_image};
use moorline_qemu::setup::need_target;
use moorline_qemu::site::{Road, Site};
use moorline_qemu::{Error, Qemu};

#[test]
fn the_least_agent_lives_in_64_kib_of_ram() -> Result<(), Error> {
    let board = Board::Lm3s6965evb;
    match need_target(board.target()) {
        Err(error @ Error::Skipped { .. }) => {
            println!("{error}");
            return Ok(());
        }
        other => other?,
    }
    let image = build_small_image("minimal", Profile::Device)?;
    let static_bytes = Sections::of(&image)?.ram_bytes;

    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let places = hub.places();
    let flash = site.provision_agent("boiler-1", &hub, Road::SerialLine)?;
    site.enrol_commander("alice", "boiler-1")?;
    site.json("bob", &["keygen"])?;
    let mut enroll = vec!["enroll", "commander", "bob"];
    enroll.extend(["--agent", "boiler-1", "--permission", "agent.command.read"]);
    site.json("bob", &enroll)?;
    let echo = ["send", "boiler-1", "echo", "so it is"];
    let qemu = Qemu::new(image)
        .machine(board.name())
        .provision(flash)
        .deadline(DEADLINE);
    let mut device = Road::SerialLine.lay(qemu, &hub).spawn()?;

    device.wait_for(OPEN)?;
    assert_eq!(site.json("alice", &echo)?["fields"]["text"], "so it is");
    let forbidden = site.run("bob", &echo)?;
    assert_eq!(forbidden.status.code(), Some(4));
    // As much as a frame takes comes through the 16 bytes of the UART.
    let long = "x".repeat(900);
    let reply = site.json("alice", &["send", "boiler-1", "echo", &long])?;
    assert_eq!(reply["fields"]["text"], long.as_str());

    hub.kill();
    device.wait_for("link lost")?;
    let _hub = site.start_hub(Some(places))?;
    let open = device.wait_for(OPEN)?;
    assert_eq!(site.json("alice", &echo)?["status"], "done");

    // The peak of the first link, with a channel on it.
    let words = open.message.split(' ').find_map(|word| word.parse().ok());
    let stack_bytes: u64 = words.expect("the device says how deep its stack went");
    println!("{static_bytes} bytes of variables, {stack_bytes} of stack");
    assert!(stack_bytes > 0);
    assert!(static_bytes + stack_bytes < RAM_BYTES);
    device.stop()?;
    Ok(())
}

/// What the device says when its hub has proved itself.
const OPEN: &str = "link open";
const RAM_BYTES: u64 = 64 * 1024;
/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(120);
