//! Faults of the line between the device and its hub, and of the daemon at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moorline_qemu::site::{Hub as Daemon, Road, Site};
use moorline_qemu::{Error, Qemu, Running};

use crate::proxy::{Harm, Proxy};
use crate::{AGENT, DEADLINE, at_once, check_sound};

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
