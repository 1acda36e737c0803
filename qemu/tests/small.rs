//! The least agent on the small board: a Cortex-M3 with 256 KiB of flash and 64 KiB of RAM.

use moorline_qemu::Error;
use moorline_qemu::bench::Sections;
use moorline_qemu::image::{Board, Profile, build_small_image};
use moorline_qemu::setup::need_target;
use moorline_qemu::site::Road;
use moorline_qemu::stand::{AGENT, Stand};

#[test]
fn the_least_agent_lives_in_64_kib_of_ram() -> Result<(), Error> {
    let board = Board::Lm3s6965evb;
    // Where the target cannot be installed this says what to type: nothing was tested.
    need_target(board.target())?;
    let image = build_small_image("minimal", Profile::Device)?;
    let static_bytes = Sections::of(&image)?.ram_bytes;

    let mut stand = Stand::new(Road::SerialLine)?;
    stand.site.json("bob", &["keygen"])?;
    let mut enroll = vec!["enroll", "commander", "bob"];
    enroll.extend(["--agent", AGENT, "--permission", "agent.command.read"]);
    stand.site.json("bob", &enroll)?;
    let echo = ["echo", "so it is"];
    let mut device = stand
        .device_without_flash(image)
        .machine(board.name())
        .spawn()?;

    device.wait_for(OPEN)?;
    assert_eq!(stand.send(&echo)?["fields"]["text"], "so it is");
    let forbidden = stand.site.run("bob", &["send", AGENT, "echo", "no"])?;
    assert_eq!(forbidden.status.code(), Some(4));
    // As much as a frame takes comes through the 16 bytes of the UART.
    let long = "x".repeat(900);
    let reply = stand.send(&["echo", &long])?;
    assert_eq!(reply["fields"]["text"], long.as_str());

    stand.kill_hub();
    device.wait_for("link lost")?;
    stand.start_hub()?;
    let open = device.wait_for(OPEN)?;
    assert_eq!(stand.send(&echo)?["status"], "done");

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
