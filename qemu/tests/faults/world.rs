//! Faults of the network, and of a hub in this process: its silence, its ends and its clock.

use moorline_conformance::fixture::NOW;
use moorline_core::limits::CHANNEL_START_MILLIS;
use moorline_core::message::{Alert, AlertCode, Status};
use moorline_qemu::monitor::Monitor;
use moorline_qemu::site::Road;
use moorline_qemu::{Error, Qemu, Running};

use crate::hub::Hub;
use crate::{AGENT, DEADLINE, at_once, check_sound, hub};

#[test]
fn a_plug_that_is_pulled_at_any_moment_is_got_over() -> Result<(), Error> {
    type Pull = fn(&mut Hub, &mut Running, &mut Monitor) -> Result<(), Error>;
    let pulls: [(&'static str, Pull); 3] = [
        ("in the handshake", |hub, device, monitor| {
            let mut peer = hub.open();
            peer.step(|_| ()).expect("M1 is answered with M2");
            monitor.set_link(false)?;
            device.wait_for("ethernet link false")?;
            // Nobody takes its M3, or answers it.
            device.wait_for("link lost: ")?;
            Ok(())
        }),
        ("in service", |hub, device, monitor| {
            let mut peer = hub.welcome();
            assert_eq!(peer.ask("ping", &[]).status, Status::Done);
            monitor.set_link(false)?;
            device.wait_for("ethernet link false")?;
            device.wait_for("link lost: ")?;
            Ok(())
        }),
        ("in the pause", |hub, device, monitor| {
            hub.welcome().leave(Alert {
                code: AlertCode::GoingAway,
                argument: 2_000,
            });
            device.wait_for("retry in ")?;
            monitor.set_link(false)?;
            device.wait_for("ethernet link false")?;
            device.wait_for("link lost: Stream(Connect(NoWire))")?;
            Ok(())
        }),
    ];
    at_once(pulls, |(name, pull)| {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("monitor");
        let mut hub = Hub::listen();
        let mut device = boot(&hub, name, |qemu| qemu.monitor(&socket))?;
        let mut monitor = Monitor::connect(&socket)?;
        pull(&mut hub, &mut device, &mut monitor)?;
        monitor.set_link(true)?;
        device.wait_for("ethernet link true")?;
        served(&mut hub, device)
    })
}

#[test]
fn a_hub_that_says_nothing_is_given_up() -> Result<(), Error> {
    type Wait = fn(&mut Hub, &mut Running) -> Result<(), Error>;
    let waits: [(&'static str, Road, Wait); 4] = [
        ("to the upgrade", Road::Network, |hub, device| {
            let _line = hub.accept();
            device.wait_for("link lost: Upgrade(NoAnswer)")?;
            Ok(())
        }),
        ("to M1", Road::Network, |hub, device| {
            let _peer = hub.open();
            device.wait_for("link lost: Closed(Refused(HandshakeTimeout))")?;
            Ok(())
        }),
        ("to M1 on a serial line", Road::SerialLine, |hub, device| {
            let _line = hub.accept();
            device.wait_for("link lost: Closed(Refused(HandshakeTimeout))")?;
            device.wait_for("link lost: Closed(Refused(HandshakeTimeout))")?;
            Ok(())
        }),
        ("in service", Road::Network, |hub, device| {
            let _peer = hub.welcome();
            device.wait_for("link lost: Closed(Refused(Silent))")?;
            Ok(())
        }),
    ];
    at_once(waits, |(name, road, wait)| {
        let mut hub = Hub::listen_on(road);
        let mut device = boot(&hub, name, |qemu| qemu)?;
        wait(&mut hub, &mut device)?;
        served(&mut hub, device)
    })
}

#[test]
fn a_hub_that_hangs_up_at_any_stage_is_tried_again() -> Result<(), Error> {
    let mut hub = Hub::listen();
    let mut device = boot(&hub, "hung up on", |qemu| qemu)?;
    // Whether the end comes as such or as a reset depends on what was not read.
    drop(hub.accept());
    device.wait_for("link lost: ")?;
    hub::socket::answer_request(&mut hub.accept(), b"HTTP/1.1 101 Swit");
    device.wait_for("link lost: Truncated")?;
    drop(hub.open());
    device.wait_for("link lost: ")?;
    let mut peer = hub.open();
    peer.step(|_| ()).expect("M1 is answered with M2");
    drop(peer);
    device.wait_for("link lost: ")?;
    drop(hub.welcome());
    device.wait_for("link lost: ")?;
    served(&mut hub, device)
}

#[test]
fn a_hub_whose_clock_is_stepped_takes_no_time_back_that_a_token_has_proved() -> Result<(), Error> {
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    let mut hub = Hub::listen();
    let mut device = boot(&hub, "clock", |qemu| qemu)?;
    let told = |peer: &mut hub::Peer<'_>| {
        let now = u64::try_from(peer.ask("info", &[]).int("hub_time_ms")).expect("a time");
        i64::try_from(now).expect("a time") - i64::try_from(NOW.0).expect("a time")
    };
    let mut peer = hub.welcome();
    assert!((0..MINUTE).contains(&told(&mut peer)));
    peer.leave(Alert::new(AlertCode::GoingAway));

    // The device follows, and a token that was issued meanwhile proves some of it.
    hub.set_clock(50 * MINUTE);
    hub.give_commander(45 * 60..100 * 60);
    let mut peer = hub.welcome();
    assert!((50 * MINUTE..52 * MINUTE).contains(&told(&mut peer)));
    peer.leave(Alert::new(AlertCode::GoingAway));

    // A token that is over is refused, and by a clock that is set back the device goes no further than it was proved.
    hub.give_commander(0..40 * 60);
    // A stranger may begin four channels at once: after the fourth the device is sent away until it allows one more.
    let more = u32::try_from(CHANNEL_START_MILLIS).expect("a pause");
    for (clock, code, argument) in [(50 * MINUTE, "Credential", 0), (5 * MINUTE, "NoTime", more)] {
        hub.set_clock(clock);
        let mut peer = hub.welcome();
        let refused = peer.try_open_channel().expect_err("the token is over");
        println!("hub: the channel is refused: {refused:?}");
        assert!(format!("{refused:?}").contains(code), "{refused:?}");
        let code = AlertCode::GoingAway;
        peer.leave(Alert { code, argument });
    }

    // By these clocks the device's own token is over, or not there yet: the hub says so, and this one gives no other.
    for (clock, reason) in [(3 * HOUR, "Expired"), (-3 * HOUR, "IssuedInFuture")] {
        hub.set_clock(clock);
        let refused = hub.turn_away();
        assert!(refused.contains(reason), "{refused}");
        let refused = hub.turn_away();
        assert!(refused.contains("UnknownKey"), "{refused}");
        let lost = device.wait_for("RefusedCredential")?.message;
        assert!(lost.starts_with("link lost: "), "{lost}");
    }

    hub.set_clock(51 * MINUTE);
    hub.give_commander(50 * 60..100 * 60);
    served(&mut hub, device)
}

/// Boots a device that belongs to `hub`.
fn boot(hub: &Hub, name: &'static str, with: impl FnOnce(Qemu) -> Qemu) -> Result<Running, Error> {
    let qemu = Qemu::new(&*AGENT)
        .provision(hub.provision())
        .deadline(DEADLINE)
        .on_line(move |line| println!("{name}: {line}"));
    with(hub.lay(qemu)).spawn()
}

/// Waits until the device is back, has it do something, and ends the run.
fn served(hub: &mut Hub, mut device: Running) -> Result<(), Error> {
    let mut peer = hub.welcome();
    device.wait_for(&format!("link open session {}", peer.session()))?;
    assert_eq!(peer.ask("ping", &[]).status, Status::Done);
    drop(peer);
    check_sound(&device.stop()?);
    Ok(())
}
