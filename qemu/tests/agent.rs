//! The agent's image against a hub in this process: handshake, commands, and every way to lose the link.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use moorline_conformance::fixture::signing_key;
use moorline_core::message::{Alert, AlertCode, Reply, Status, Value};
use moorline_core::offline::{ReplyOutcome, frame_name};
use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::monitor::Monitor;
use moorline_qemu::site::Road;
use moorline_qemu::{Error, Level, Outcome, Qemu, Running};

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod hub;

use hub::Hub;

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

#[test]
fn every_command_is_answered() -> Result<(), Error> {
    answer_every_command(Road::Network)
}

#[test]
fn every_command_is_answered_over_the_serial_line() -> Result<(), Error> {
    answer_every_command(Road::SerialLine)
}

fn answer_every_command(road: Road) -> Result<(), Error> {
    let mut hub = Hub::listen_on(road);
    let mut device = boot(&hub)?;
    let mut peer = hub.welcome();
    device.wait_for(&format!("link open session {}", peer.session()))?;

    hub::commands::answer_every_command(&mut peer);
    stop(device)
}

#[test]
fn the_watchdog_is_armed_and_fed_while_the_device_serves() -> Result<(), Error> {
    const LOAD: u32 = 0x4000_8000;
    const VALUE: u32 = 0x4000_8004;
    const CONTROL: u32 = 0x4000_8008;
    const TICKS_PER_SECOND: u32 = 25_000_000;
    let mut hub = Hub::listen();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("monitor");
    let device = Qemu::new(&*AGENT)
        .provision(hub.provision())
        .monitor(&socket)
        .deadline(DEADLINE);
    let mut device = hub.lay(device).spawn()?;
    device.wait_for("agent ready")?;
    let mut peer = hub.welcome();
    let start = peer.ask("info", &[]).int("uptime_ms");
    while peer.ask("info", &[]).int("uptime_ms") < start + 8_000 {}
    let mut monitor = Monitor::connect(&socket)?;
    // Interrupt and reset, and locked.
    assert_eq!(monitor.register(CONTROL)?, 3);
    let load = monitor.register(LOAD)?;
    assert_eq!(load, 60 * TICKS_PER_SECOND);
    // Unfed it would have come down by eight seconds.
    let value = monitor.register(VALUE)?;
    assert!(load - value < 5 * TICKS_PER_SECOND, "{value} of {load}");
    stop(device)
}

#[test]
fn what_is_no_request_gets_no_answer_and_does_no_harm() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let mut device = boot(&hub)?;
    let mut peer = hub.welcome();
    // What a hub can send without a commander.
    for (inner, reason) in [
        (&[0x31, 1][..], "dropped: OutOfPlace"),
        (&[0x20, 0, 0, 16, 0, 0, 0, 0], "dropped: OutOfPlace"),
        (&[0x01, 1, 0, 0], "dropped: Length"),
        (&[0x01, 9, 0, 0], "dropped: Version"),
    ] {
        peer.carry(inner);
        device.wait_for(reason)?;
    }
    // What a commander can say.
    for (message, reason) in [
        (&[1, 0xFF, 0xFF][..], "no answer: Malformed"),
        (&[9], "no answer: MessageVersion"),
        (&[], "no answer: Length"),
    ] {
        peer.say(message);
        device.wait_for(reason)?;
    }
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    stop(device)
}

#[test]
fn a_commander_that_is_revoked_loses_its_channel() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let mut device = boot(&hub)?;
    let mut peer = hub.welcome();
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    peer.revoke_commander();
    device.wait_for("a newer list of what is revoked")?;
    device.wait_for("channel closed")?;
    stop(device)
}

#[test]
fn a_token_is_renewed_when_half_of_its_life_is_over() -> Result<(), Error> {
    const HALF: u64 = 1_800;
    let mut hub = Hub::listen().later(1_860_000);
    let key = hub.device_key();
    let other_key = signing_key("another device").expect("the name gives a scalar in range");
    let anothers = hub.next_token(HALF, &other_key);
    let next = hub.next_token(HALF, &key);
    let mut forged = next.clone();
    *forged.last_mut().expect("a signature") ^= 1;
    let folder = tempfile::tempdir().expect("a folder");
    let flash = folder.path().join("flash");
    let mut device = boot_with(&hub, Some(&flash))?;
    let mut peer = hub.welcome();
    let first = peer.issued_at();
    peer.hear_that_a_token_is_due();
    // What no issuer signed, and what is another's, is not shown to anyone.
    peer.give_token(&forged);
    device.wait_for("no token: SignatureInvalid")?;
    peer.give_token(&anothers);
    device.wait_for("no token: it is another's, or older")?;
    peer.give_token(&next);
    assert_eq!(peer.hear_of_renewal(), first + HALF);
    device.wait_for("token renewed")?;
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    peer.leave(Alert::new(AlertCode::GoingAway));
    device.wait_for("link lost: ")?;
    // The next session rests on it, after a reset too.
    let peer = hub.welcome();
    assert_eq!(peer.issued_at(), first + HALF);
    drop(peer);
    stop(device)?;
    let device = boot_with(&hub, Some(&flash))?;
    let peer = hub.welcome();
    assert_eq!(peer.issued_at(), first + HALF);
    drop(peer);
    stop(device)?;
    // Another flash knows nothing of it.
    let device = boot(&hub)?;
    let peer = hub.welcome();
    assert_eq!(peer.issued_at(), first);
    drop(peer);
    stop(device)
}

#[test]
fn a_hub_that_vanishes_is_found_again() -> Result<(), Error> {
    find_again(Road::Network)
}

#[test]
fn a_hub_that_vanishes_from_the_serial_line_is_found_again() -> Result<(), Error> {
    find_again(Road::SerialLine)
}

fn find_again(road: Road) -> Result<(), Error> {
    let mut hub = Hub::listen_on(road);
    let mut device = boot(&hub)?;
    let peer = hub.welcome();
    let first = peer.session();
    device.wait_for(&format!("link open session {first}"))?;
    // Without a word, as when its process is killed.
    drop(peer);
    device.wait_for("link lost: ")?;
    device.wait_for("retry in ")?;
    let mut peer = hub.welcome();
    assert_ne!(peer.session(), first);
    device.wait_for(&format!("link open session {}", peer.session()))?;
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    stop(device)
}

#[test]
fn a_command_that_was_left_while_the_link_was_down_runs_once_and_is_answered() -> Result<(), Error>
{
    let mut hub = Hub::listen();
    let mut device = boot(&hub)?;
    let mut peer = hub.welcome();
    let prekey = peer.told_prekey();
    assert_eq!(peer.told_to_go_on(), None);
    drop(peer);
    device.wait_for("link lost: ")?;
    let (pending, frame) = hub.seal(&prekey, 1, "led", &["on"]);
    let mut peer = hub.welcome();
    assert_eq!(peer.told_prekey(), prekey);
    assert_eq!(peer.told_to_go_on(), None);
    let reply = peer.deliver(&frame);
    let mut opened = reply.clone();
    let expected = Reply::bare(Status::Done).with("on", Value::Bool(true));
    assert_eq!(
        pending.open(&mut opened),
        Ok(ReplyOutcome::Result(expected))
    );
    assert_eq!(peer.told_to_go_on(), None);
    // A hostile hub hands it over again, on this link and on the next.
    assert_eq!(peer.deliver(&frame), reply);
    assert_eq!(peer.told_to_go_on(), None);
    drop(peer);
    device.wait_for("link lost: ")?;
    let mut peer = hub.welcome();
    assert_eq!(peer.told_prekey(), prekey);
    assert_eq!(peer.told_to_go_on(), None);
    assert_eq!(peer.deliver(&frame), reply);
    assert_eq!(peer.told_to_go_on(), None);
    // What does not open is dropped, and the hub may forget it.
    let mut changed = frame.clone();
    changed[200] ^= 1;
    peer.hand(&changed);
    assert_eq!(peer.told_to_go_on(), Some(frame_name(&changed)));
    assert_eq!(peer.ask("led", &[]).fields["on"], "Bool(true)");
    let outcome = device.stop()?;
    let ran = |line: &&moorline_qemu::LogLine| line.message.starts_with("offline command led: ");
    assert_eq!(outcome.lines.iter().filter(ran).count(), 1, "{outcome}");
    assert_eq!(last_error(&outcome), "");
    Ok(())
}

#[test]
fn a_device_that_was_reset_opens_no_command_of_before() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let device = boot(&hub)?;
    let mut peer = hub.welcome();
    let prekey = peer.told_prekey();
    drop(peer);
    let (_, frame) = hub.seal(&prekey, 1, "led", &["on"]);
    device.stop()?;
    let device = boot(&hub)?;
    let mut peer = hub.welcome();
    assert_ne!(peer.told_prekey(), prekey);
    assert_eq!(peer.told_to_go_on(), None);
    peer.hand(&frame);
    assert_eq!(peer.told_to_go_on(), Some(frame_name(&frame)));
    assert_eq!(peer.ask("led", &[]).fields["on"], "Bool(false)");
    stop(device)
}

#[test]
fn a_hub_that_goes_away_says_when_to_come_back() -> Result<(), Error> {
    come_back_later(Road::Network)
}

#[test]
fn a_hub_that_goes_away_says_so_on_the_serial_line() -> Result<(), Error> {
    come_back_later(Road::SerialLine)
}

fn come_back_later(road: Road) -> Result<(), Error> {
    let mut hub = Hub::listen_on(road);
    let mut device = boot(&hub)?;
    let argument = 1_700;
    hub.welcome().leave(Alert {
        code: AlertCode::GoingAway,
        argument,
    });
    let lost = device.wait_for("link lost: ")?.message;
    assert!(
        lost.contains("GoingAway") && lost.contains("1700"),
        "{lost}"
    );
    let pause = pause(&device.wait_for("retry in ")?.message);
    assert!((1_700..=2_200).contains(&pause), "{pause}");
    assert_eq!(hub.welcome().ask("ping", &[]).status, Status::Done);
    stop(device)
}

#[test]
fn a_device_that_another_takes_the_place_of_stays_away_for_a_minute() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let mut device = boot(&hub)?;
    // It does not come back while this test looks, so nothing closes the line.
    let mut peer = hub.welcome();
    peer.say_last(Alert::new(AlertCode::Superseded));
    let pause = pause(&device.wait_for("retry in ")?.message);
    assert!((60_000..=60_500).contains(&pause), "{pause}");
    stop(device)
}

#[test]
fn a_hub_with_another_key_learns_nothing() -> Result<(), Error> {
    let mut hub = Hub::listen().with_foreign_key();
    let mut device = boot(&hub)?;
    let mut peer = hub.open();
    peer.step(|_| ()).expect("M1 is answered with M2");
    let lost = device.wait_for("link lost: ")?.message;
    assert_eq!(lost, "link lost: Closed(Refused(NotPinned))");
    // The device closes the connection: M3 never comes.
    assert_eq!(peer.wait_for_the_end(), 0);
    stop(device)
}

#[test]
fn garbage_in_place_of_an_answer_is_got_over() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let mut device = boot(&hub)?;
    let mut line = hub.accept();
    hub::socket::answer_request(
        &mut line,
        b"\x00\xFF+++ATZ\r\nSSH-2.0-something else\r\n\r\n\x82\x7E",
    );
    device.wait_for("link lost: Upgrade(NotHttp)")?;
    drop(line);
    let mut peer = hub.welcome();
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    stop(device)
}

#[test]
fn garbage_on_the_serial_line_is_got_over() -> Result<(), Error> {
    let mut hub = Hub::listen_on(Road::SerialLine);
    let mut device = boot(&hub)?;
    let mut line = hub.accept();
    line.write_all(b"\x00\xFF+++ATZ\r\n\x00\x05abc\x00")
        .expect("a line");
    line.write_all(&[0x55; 5_000]).expect("a line");
    let mut peer = hub.welcome_on(line);
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    device.wait_for("link open")?;
    stop(device)
}

#[test]
fn a_server_without_this_service_is_tried_again_later() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let mut device = boot(&hub)?;
    let mut line = hub.accept();
    hub::socket::answer_request(&mut line, b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
    device.wait_for("link lost: Upgrade(Status(503))")?;
    drop(line);
    let mut peer = hub.welcome();
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    stop(device)
}

#[test]
fn a_device_without_a_right_provisioning_image_does_not_start() -> Result<(), Error> {
    let hub = Hub::listen();
    let good = hub.provision();
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    let erased = vec![0xFF; 4096];
    for (image, report) in [
        (
            damaged,
            "the provisioning image is refused (Checksum); write it again",
        ),
        (
            good[..good.len() - 1].to_vec(),
            "the provisioning image is refused (Checksum); write it again",
        ),
        (
            erased,
            "the device is not provisioned; write its image to flash",
        ),
    ] {
        let outcome = Qemu::new(&*AGENT).provision(image).run()?;
        assert_eq!(outcome.status, Some(1));
        assert_eq!(last_error(&outcome), format!("cannot start: {report}"));
    }
    Ok(())
}

/// Boots the agent with its line to `hub`.
fn boot(hub: &Hub) -> Result<Running, Error> {
    boot_with(hub, None)
}

fn boot_with(hub: &Hub, flash: Option<&Path>) -> Result<Running, Error> {
    let mut device = Qemu::new(&*AGENT)
        .provision(hub.provision())
        .deadline(DEADLINE)
        .on_line(|line| println!("device: {line}"));
    if let Some(flash) = flash {
        device = device.flash(flash);
    }
    let mut device = hub.lay(device).spawn()?;
    device.wait_for("agent ready")?;
    Ok(device)
}

/// Ends a run in which nothing may have gone wrong on the device itself.
fn stop(device: Running) -> Result<(), Error> {
    let outcome = device.stop()?;
    assert!(!outcome.timed_out, "{outcome}");
    assert_eq!(last_error(&outcome), "");
    Ok(())
}

/// Reads `retry in N ms`.
fn pause(line: &str) -> u64 {
    let number = line
        .strip_prefix("retry in ")
        .and_then(|rest| rest.strip_suffix(" ms"));
    number.expect("a pause").parse().expect("a number")
}

fn last_error(outcome: &Outcome) -> &str {
    let mut lines = outcome.lines.iter().rev();
    let error = lines.find(|line| line.level == Some(Level::Error));
    error.map_or("", |line| line.message.as_str())
}

/// A hub that vanishes is given up after 12 s, and the line comes back a few seconds later.
const DEADLINE: Duration = Duration::from_secs(120);
