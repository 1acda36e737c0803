//! Faults of the world around the agent: each ends in recovery, or in a state that the device names, and none in a hang or
//! a panic.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use moorline_conformance::fixture::NOW;
use moorline_core::message::{Alert, AlertCode, Status};
use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::monitor::Monitor;
use moorline_qemu::site::{Hub as Daemon, Road, Site};
use moorline_qemu::{Error, Level, Outcome, Qemu, Running};

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod hub;
mod proxy;

use hub::Hub;
use proxy::{Harm, Proxy, Random};
use serde_json::Value;

static AGENT: LazyLock<PathBuf> =
    LazyLock::new(|| build_image("agent", Profile::Device).expect("the agent builds"));

/// No run takes longer: a device that hangs fails its test here.
const DEADLINE: Duration = Duration::from_secs(120);
/// A device that has lost its link a few times pauses for up to 8 s, and a line that was silent is given up after 12 s.
const RECOVERY: Duration = Duration::from_secs(60);

#[test]
fn a_serial_line_that_does_harm_is_got_over() -> Result<(), Error> {
    let (some, few) = (200, 1_500);
    let harms: [(&str, &[Harm]); 4] = [
        (
            "loses",
            &[
                Harm::Lose {
                    one_in: some,
                    run: 1,
                },
                Harm::Lose {
                    one_in: few,
                    run: 64,
                },
            ],
        ),
        (
            "flips",
            &[Harm::Flip { one_in: some }, Harm::Flip { one_in: few }],
        ),
        (
            "adds",
            &[
                Harm::Insert {
                    one_in: some,
                    run: 300,
                },
                Harm::Insert {
                    one_in: few,
                    run: 4,
                },
            ],
        ),
        (
            "repeats",
            &[Harm::Repeat { one_in: 2 }, Harm::Repeat { one_in: 6 }],
        ),
    ];
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    at_once(harms, |(name, harms)| {
        let mut bench = Bench::on_serial_line(&site, &hub, name)?;
        for harm in harms {
            bench.suffer(*harm, 1)?;
            bench.recover()?;
        }
        bench.stop()
    })
}

#[test]
fn a_serial_line_that_is_slow_is_served_and_one_that_stalls_is_given_up() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let mut bench = Bench::on_serial_line(&site, &hub, "slow")?;
    bench.proxy.set(Harm::Delay { millis: 100 });
    for _ in 0..4 {
        assert!(bench.echo(30), "a slow line is a line");
    }
    assert!(bench.proxy.harmed() > 0);
    bench.proxy.set(Harm::None);
    assert_eq!(bench.lost(), 0);
    // What was kept comes all at once, to a device that is done with that session.
    bench.suffer(Harm::Stall, 1)?;
    bench.recover()?;
    bench.stop()
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_frame_is_made_again() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let proxy = Proxy::listen(hub.http(), 5);
    // In the answer to the upgrade and in the handshake.
    let budgets = [20, 200, 400];
    proxy.cut_after(&budgets);
    let mut bench = Bench::with(&site, proxy, "cut", Road::Network)?;
    for count in 1..=budgets.len() {
        bench.device.wait_for("link lost: ")?;
        assert_eq!(bench.proxy.cuts(), u64::try_from(count).expect("a few"));
    }
    bench.device.wait_for("link open")?;
    assert!(bench.echo(30));
    let cuts = bench.proxy.cuts();
    bench.proxy.cut_next();
    // It may reach the device; its answer is then cut off, or the next frame.
    bench.echo(2);
    bench.device.wait_for("link lost: ")?;
    assert_eq!(bench.proxy.cuts(), cuts + 1);
    bench.device.wait_for("link open")?;
    assert!(bench.echo(30));
    bench.stop()
}

#[test]
fn a_network_that_does_harm_is_got_over() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let proxy = Proxy::listen(hub.http(), 6);
    let mut bench = Bench::with(&site, proxy, "network", Road::Network)?;
    bench.device.wait_for("link open")?;
    for harm in [
        Harm::Flip { one_in: 200 },
        Harm::Lose {
            one_in: 300,
            run: 8,
        },
        Harm::Insert {
            one_in: 300,
            run: 8,
        },
    ] {
        bench.suffer(harm, 1)?;
        bench.recover()?;
    }
    bench.stop()
}

#[test]
fn a_hub_that_is_killed_again_and_again_is_found_each_time() -> Result<(), Error> {
    let site = Site::build()?;
    let mut hub = site.start_hub(None)?;
    let places = hub.places();
    let proxy = Proxy::listen(hub.http(), 7);
    let mut bench = Bench::with(&site, proxy, "restarts", Road::Network)?;
    for _ in 0..5 {
        bench.device.wait_for("link open")?;
        assert!(bench.echo(30));
        hub.kill();
        bench.device.wait_for("link lost: ")?;
        hub = site.start_hub(Some(places))?;
    }
    bench.device.wait_for("link open")?;
    assert!(bench.echo(30));
    assert!(bench.lost() >= 5);
    bench.stop()
}

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
    hub::answer_request(&mut hub.accept(), b"HTTP/1.1 101 Swit");
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
    for (clock, code) in [(50 * MINUTE, "Credential"), (5 * MINUTE, "NoTime")] {
        hub.set_clock(clock);
        let mut peer = hub.welcome();
        let refused = peer.try_open_channel().expect_err("the token is over");
        println!("hub: the channel is refused: {refused:?}");
        assert!(format!("{refused:?}").contains(code), "{refused:?}");
        peer.leave(Alert::new(AlertCode::GoingAway));
    }

    // By these clocks the device's own token is over, or not there yet: the hub says so.
    for (clock, reason) in [(3 * HOUR, "Expired"), (-3 * HOUR, "IssuedInFuture")] {
        hub.set_clock(clock);
        let refused = hub.turn_away();
        assert!(refused.contains(reason), "{refused}");
        let lost = device.wait_for("RefusedCredential")?.message;
        assert!(lost.starts_with("link lost: "), "{lost}");
    }

    hub.set_clock(51 * MINUTE);
    hub.give_commander(50 * 60..100 * 60);
    served(&mut hub, device)
}

#[test]
fn a_flash_that_is_worn_out_keeps_what_it_has_and_the_device_serves() -> Result<(), Error> {
    let bench = FlashBench::new("worn")?;
    let mut device = bench.boot(None)?;
    device.wait_for("new prekey")?;
    // The hub has it when it answers what comes after it.
    assert_eq!(bench.status(&["config", "set", "sample_ms", "2500"])?, 0);
    device.stop()?;
    bench.leave(&["led", "on"])?;

    let mut device = bench.boot(Some(1))?;
    device.wait_for("offline command refused: ")?;
    assert_eq!(bench.status(&["config", "set", "sample_ms", "3000"])?, 1);
    assert_eq!(bench.sample_ms()?, "2500");
    assert_eq!(bench.send(&["led"])?["fields"]["on"], false);
    let replies = bench.site.json("alice", &["replies"])?.to_string();
    assert!(replies.contains("refused"), "{replies}");
    let outcome = device.stop()?;
    check_sound(&outcome);
    let said = |wanted: &str| {
        let mut lines = outcome.lines.iter();
        lines.any(|line| line.message.contains(wanted))
    };
    for what in ["start", "ticket", "counters", "settings"] {
        assert!(said(&format!("{what} not kept: ")), "{what}: {outcome}");
    }
    assert!(!said("offline command led"), "{outcome}");
    // The ticket that could not be taken out is not used.
    assert!(!said(", resumed"), "{outcome}");

    let device = bench.boot(None)?;
    assert_eq!(bench.sample_ms()?, "2500");
    assert_eq!(bench.status(&["config", "set", "sample_ms", "3000"])?, 0);
    check_sound(&device.stop()?);
    Ok(())
}

#[test]
fn a_flash_that_fails_from_any_step_on_costs_no_more_than_what_was_not_kept() -> Result<(), Error> {
    let bench = FlashBench::new("failing")?;
    for step in [1, 20, 60, 140, 230, 287, 310] {
        let _new = std::fs::remove_file(bench.flash());
        let device = bench.boot(Some(step))?;
        let (mut kept, mut lost) = ("10000", None);
        for value in ["3000", "3100", "3200", "3300", "3400", "3500"] {
            match bench.status(&["config", "set", "sample_ms", value])? {
                0 => kept = value,
                status => {
                    assert_eq!(status, 1, "{step}");
                    lost.get_or_insert(value);
                }
            }
            assert_eq!(bench.sample_ms()?, kept, "{step}");
        }
        let outcome = device.stop()?;
        check_sound(&outcome);
        let is_told = |line: &moorline_qemu::LogLine| line.message.contains(" not kept: ");
        assert!(outcome.lines.iter().any(is_told), "{step}: {outcome}");
        let device = bench.boot(None)?;
        // The write that the flash failed in may have gone far enough.
        let found = bench.sample_ms()?;
        assert!(
            found == kept || Some(found.as_str()) == lost,
            "{step}: {found}"
        );
        assert_eq!(bench.status(&["config", "set", "sample_ms", "4000"])?, 0);
        check_sound(&device.stop()?);
    }
    Ok(())
}

#[test]
fn a_flash_with_anything_in_it_is_begun_anew() -> Result<(), Error> {
    let bench = FlashBench::new("odd")?;
    bench.boot(None)?.stop()?;
    let len = std::fs::read(bench.flash()).expect("it was made").len();
    let mut random = Random::new(11);
    let garbage = (0..len).map(|_| random.byte()).collect();
    for bytes in [vec![0; len], vec![0xFF; len], garbage] {
        std::fs::write(bench.flash(), &bytes).expect("a file");
        let device = bench.boot(None)?;
        assert_eq!(bench.sample_ms()?, "10000");
        assert_eq!(bench.status(&["config", "set", "sample_ms", "2500"])?, 0);
        let outcome = device.stop()?;
        check_sound(&outcome);
        let resumed = |line: &moorline_qemu::LogLine| line.message.contains(", resumed");
        assert!(!outcome.lines.iter().any(resumed), "{outcome}");
        let device = bench.boot(None)?;
        assert_eq!(bench.sample_ms()?, "2500");
        let outcome = device.stop()?;
        check_sound(&outcome);
        assert!(outcome.lines.iter().any(resumed), "{outcome}");
    }
    // What is no flash at all is gone without.
    std::fs::write(bench.flash(), [0xFF; 1000]).expect("a file");
    let mut device = bench.qemu(None).spawn()?;
    device.wait_for("what comes is lost at a reset: Length")?;
    device.wait_for("link open")?;
    assert_eq!(bench.status(&["config", "set", "sample_ms", "2500"])?, 0);
    check_sound(&device.stop()?);
    Ok(())
}

/// A device with a flash, its hub and a commander.
struct FlashBench {
    site: Site,
    hub: Daemon,
    image: Vec<u8>,
    name: &'static str,
    folder: tempfile::TempDir,
}

impl FlashBench {
    fn new(name: &'static str) -> Result<Self, Error> {
        let site = Site::build()?;
        let hub = site.start_hub(None)?;
        let image = site.provision_agent("boiler-1", &hub, Road::Network)?;
        site.enrol_commander("alice", "boiler-1")?;
        Ok(Self {
            site,
            hub,
            image,
            name,
            folder: tempfile::tempdir().expect("a folder"),
        })
    }

    fn flash(&self) -> PathBuf {
        self.folder.path().join("flash")
    }

    fn qemu(&self, fails_from: Option<u32>) -> Qemu {
        let name = self.name;
        let mut qemu = Qemu::new(&*AGENT)
            .provision(self.image.clone())
            .deadline(DEADLINE)
            .flash(self.flash())
            .on_line(move |line| println!("{name}: {line}"));
        if let Some(step) = fails_from {
            qemu = qemu.flash_fails_from(step);
        }
        Road::Network.lay(qemu, &self.hub)
    }

    /// Boots the device and waits for its link.
    fn boot(&self, fails_from: Option<u32>) -> Result<Running, Error> {
        let mut device = self.qemu(fails_from).spawn()?;
        device.wait_for("link open")?;
        Ok(device)
    }

    fn send(&self, words: &[&str]) -> Result<Value, Error> {
        let all = [&["send", "boiler-1"], words].concat();
        self.site.json("alice", &all)
    }

    /// Leaves a command for the device.
    fn leave(&self, words: &[&str]) -> Result<Value, Error> {
        self.send(&[words, &["--offline"]].concat())
    }

    /// Sends a command and returns how the command line ends: 0 when it was done, 1 when the device could not.
    fn status(&self, words: &[&str]) -> Result<i32, Error> {
        let all = [&["send", "boiler-1"], words].concat();
        let output = self.site.run("alice", &all)?;
        Ok(output.status.code().expect("it ends by itself"))
    }

    fn sample_ms(&self) -> Result<String, Error> {
        let reply = self.send(&["config", "get", "sample_ms"])?;
        let text = reply["fields"]["sample_ms"].as_str();
        Ok(text.expect("a text").to_owned())
    }
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

/// Does each of `cases` on a thread of its own: what they do most is to wait.
fn at_once<T: Send, const N: usize>(
    cases: [T; N],
    run: impl Fn(T) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let run = &run;
        for case in cases.map(|case| scope.spawn(move || run(case))) {
            case.join().expect("the case passes")?;
        }
        Ok(())
    })
}

/// A device that reaches its hub through a proxy, and a commander that does not.
struct Bench<'s> {
    site: &'s Site,
    agent: String,
    commander: String,
    proxy: Proxy,
    device: Running,
    losses: Arc<AtomicU64>,
    asked: usize,
    answered: usize,
}

impl<'s> Bench<'s> {
    fn on_serial_line(site: &'s Site, hub: &Daemon, name: &str) -> Result<Self, Error> {
        let seed = name.bytes().map(u64::from).sum();
        let proxy = Proxy::listen(hub.tcp(), seed);
        let mut bench = Self::with(site, proxy, name, Road::SerialLine)?;
        bench.device.wait_for("link open")?;
        assert!(bench.echo(30));
        Ok(bench)
    }

    fn with(site: &'s Site, proxy: Proxy, name: &str, road: Road) -> Result<Self, Error> {
        let agent = format!("boiler-{name}");
        let commander = format!("alice-{name}");
        let image = site.provision_agent_at(&agent, proxy.port(), road)?;
        site.enrol_commander(&commander, &agent)?;
        let losses = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&losses);
        let shown = name.to_owned();
        let qemu = Qemu::new(&*AGENT)
            .provision(image)
            .deadline(DEADLINE)
            .on_line(move |line| {
                println!("{shown}: {line}");
                if line.message.starts_with("link lost: ") {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        let qemu = match road {
            Road::Network => qemu.network(),
            Road::SerialLine => qemu.serial(format!("127.0.0.1:{}", proxy.port())),
        };
        Ok(Self {
            site,
            agent,
            commander,
            proxy,
            device: qemu.spawn()?,
            losses,
            asked: 0,
            answered: 0,
        })
    }

    /// Returns how many links were lost.
    fn lost(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Has the device say something back, and says whether it did so within `seconds`.
    fn echo(&mut self, seconds: u64) -> bool {
        self.asked += 1;
        let text = format!("{} {}", self.asked, "x".repeat(200));
        let timeout = seconds.to_string();
        let words = ["send", &self.agent, "echo", &text, "--timeout", &timeout];
        let reply = self.site.json(&self.commander, &words);
        if let Ok(reply) = &reply {
            assert_eq!(reply["fields"]["text"], text.as_str());
            self.answered += 1;
        }
        reply.is_ok()
    }

    /// Lets the line do `harm` until `count` more links are lost, with commands all the time.
    fn suffer(&mut self, harm: Harm, count: u64) -> Result<(), Error> {
        let (lost, harmed) = (self.lost(), self.proxy.harmed());
        self.proxy.set(harm);
        let begin = Instant::now();
        while self.lost() < lost + count {
            assert!(begin.elapsed() < RECOVERY, "{harm:?} does no harm");
            self.echo(2);
        }
        self.proxy.set(Harm::None);
        let done = self.proxy.harmed() - harmed;
        println!("{harm:?}: {done} times, {} links lost", self.lost() - lost);
        assert!(done > 0);
        Ok(())
    }

    /// Waits until a command is answered again.
    fn recover(&mut self) -> Result<(), Error> {
        let begin = Instant::now();
        while !self.echo(5) {
            assert!(begin.elapsed() < RECOVERY, "the device does not come back");
        }
        println!("{}: back after {:?}", self.agent, begin.elapsed());
        Ok(())
    }

    /// Ends the run, in which nothing ran that was not asked for, and every link that ended said why.
    fn stop(self) -> Result<(), Error> {
        let outcome = self.device.stop()?;
        check_sound(&outcome);
        let mut ran = 0;
        let mut is_open = false;
        for line in &outcome.lines {
            if line.message.starts_with("command ") {
                assert!(line.message.starts_with("command echo "), "{line}");
                ran += 1;
            } else if line.message.starts_with("link open ") {
                assert!(!is_open, "a link ended without a word: {line}");
                is_open = true;
            } else if let Some(why) = line.message.strip_prefix("link lost: ") {
                assert!(!why.is_empty(), "{line}");
                is_open = false;
            }
        }
        assert!((self.answered..=self.asked).contains(&ran), "{outcome}");
        Ok(())
    }
}

/// Nothing may have gone wrong on the device itself.
fn check_sound(outcome: &Outcome) {
    assert!(!outcome.timed_out, "{outcome}");
    assert_eq!(outcome.status, None, "{outcome}");
    assert_eq!(outcome.malformed_count, 0, "{outcome}");
    let is_error = |line: &&moorline_qemu::LogLine| line.level == Some(Level::Error);
    assert_eq!(outcome.lines.iter().find(is_error), None, "{outcome}");
}
