//! The whole line: the daemon, the command line and the device in QEMU, as a user runs them.

use std::time::Duration;

use moorline_qemu::image::{Profile, build_image};
use moorline_qemu::site::{Hub, Road, Site};
use moorline_qemu::{Error, Qemu, Running};

/// No run takes longer; a loaded machine with one core to spare takes a third of it.
const DEADLINE: Duration = Duration::from_secs(120);

/// Boots the agent with `flash` and its road to the hub.
fn boot(hub: &Hub, flash: &[u8], road: Road) -> Result<Running, Error> {
    let qemu = Qemu::new(build_image("agent", Profile::Device)?)
        .provision(flash.to_vec())
        .deadline(DEADLINE);
    road.lay(qemu, hub).spawn()
}

#[test]
fn a_command_travels_to_the_device_and_its_reply_comes_back() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let flash = site.provision_agent("boiler-1", &hub, Road::Network)?;
    site.enrol_commander("alice", "boiler-1")?;
    let mut device = boot(&hub, &flash, Road::Network)?;
    device.wait_for("link open")?;

    let agents = site.json("alice", &["agents"])?;
    assert_eq!(agents[0]["name"], "boiler-1");
    assert_eq!(agents[0]["online"], true);
    let send = |arguments: &[&str]| {
        let mut all = vec!["send", "boiler-1"];
        all.extend(arguments);
        site.json("alice", &all)
    };
    assert_eq!(send(&["ping"])?["status"], "done");
    assert_eq!(send(&["echo", "so it is"])?["fields"]["text"], "so it is");
    let info = send(&["info"])?;
    assert!(info["fields"]["uptime_ms"].as_u64() > Some(0), "{info}");
    assert!(
        info["fields"]["stack_peak_bytes"].as_u64() > Some(0),
        "{info}"
    );
    assert_eq!(send(&["led", "on"])?["fields"]["on"], true);
    assert_eq!(send(&["led", "off"])?["fields"]["on"], false);
    assert_ne!(
        send(&["read"])?["fields"],
        send(&["read"])?["fields"],
        "the sensor lives"
    );

    let unknown = site.run("alice", &["send", "boiler-1", "dance"])?;
    assert_eq!(unknown.status.code(), Some(1));
    let odd = site.run("alice", &["send", "boiler-1", "led", "sideways"])?;
    assert_eq!(odd.status.code(), Some(1));
    device.stop()?;
    Ok(())
}

#[test]
fn the_least_agent_answers_in_bare_frames_and_judges_what_it_is_told() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let flash = site.provision_agent("boiler-1", &hub, Road::SerialLine)?;
    site.enrol_commander("alice", "boiler-1")?;
    site.json("bob", &["keygen"])?;
    let reads = ["--agent", "boiler-1", "--permission", "agent.command.read"];
    let mut enroll = vec!["enroll", "commander", "bob"];
    enroll.extend(reads);
    site.json("bob", &enroll)?;
    let mut device = Qemu::new(build_image("minimal", Profile::Device)?)
        .serial(hub.tcp().to_string())
        .provision(flash)
        .deadline(DEADLINE)
        .spawn()?;
    device.wait_for("link open")?;
    let echo = ["send", "boiler-1", "echo", "so it is"];
    let reply = site.json("alice", &echo)?;
    assert_eq!(reply["status"], "done");
    assert_eq!(reply["fields"]["text"], "so it is");
    // It has no other command, and does not do this one for everybody.
    let unknown = site.run("alice", &["send", "boiler-1", "ping"])?;
    assert_eq!(unknown.status.code(), Some(1));
    let forbidden = site.run("bob", &echo)?;
    assert_eq!(forbidden.status.code(), Some(4));
    device.stop()?;
    Ok(())
}

#[test]
fn two_commanders_get_their_own_replies_and_a_third_is_refused() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let flash = site.provision_agent("boiler-1", &hub, Road::Network)?;
    site.enrol_commander("alice", "boiler-1")?;
    site.enrol_commander("bob", "boiler-1")?;
    site.enrol_commander("mallory", "boiler-2")?;
    let mut device = boot(&hub, &flash, Road::Network)?;
    device.wait_for("link open")?;
    std::thread::scope(|scope| {
        let site = &site;
        let both = ["alice", "bob"].map(|name| {
            scope.spawn(move || {
                for count in 0..5 {
                    let mine = format!("{name} {count}");
                    let reply = site.json(name, &["send", "boiler-1", "echo", &mine])?;
                    assert_eq!(reply["fields"]["text"], mine.as_str());
                }
                Ok::<_, Error>(())
            })
        });
        for commander in both {
            commander.join().expect("no reply of another's")?;
        }
        Ok::<_, Error>(())
    })?;
    let refused = site.run("mallory", &["send", "boiler-1", "ping"])?;
    assert_eq!(refused.status.code(), Some(5));
    device.stop()?;
    Ok(())
}

#[test]
fn over_the_serial_line_it_is_the_same_in_bare_frames() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let flash = site.provision_agent("boiler-1", &hub, Road::SerialLine)?;
    site.enrol_commander("alice", "boiler-1")?;
    let mut device = boot(&hub, &flash, Road::SerialLine)?;
    device.wait_for("link open")?;
    let send = |arguments: &[&str]| {
        let mut all = vec!["send", "boiler-1"];
        all.extend(arguments);
        site.json("alice", &all)
    };
    assert_eq!(send(&["ping"])?["status"], "done");
    let long = "x".repeat(900);
    assert_eq!(send(&["echo", &long])?["fields"]["text"], long.as_str());
    assert_eq!(send(&["led", "on"])?["fields"]["on"], true);
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_whose_hub_is_killed_reports_it_and_comes_back() -> Result<(), Error> {
    for road in Road::ALL {
        println!("by the road {}", road.name());
        come_back(road)?;
    }
    Ok(())
}

fn come_back(road: Road) -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let places = hub.places();
    let flash = site.provision_agent("boiler-1", &hub, road)?;
    site.enrol_commander("alice", "boiler-1")?;
    let mut device = boot(&hub, &flash, road)?;
    device.wait_for("link open")?;
    let ping = || site.json("alice", &["send", "boiler-1", "ping"]);
    assert_eq!(ping()?["status"], "done");

    hub.kill();
    device.wait_for("link lost")?;
    let hub = site.start_hub(Some(places))?;
    device.wait_for("link open")?;
    assert_eq!(ping()?["status"], "done");

    // A hub that ends in order says so, and the device knows at once.
    hub.stop()?;
    device.wait_for("GoingAway")?;
    let _hub = site.start_hub(Some(places))?;
    device.wait_for("link open")?;
    assert_eq!(ping()?["status"], "done");
    device.stop()?;
    Ok(())
}

#[test]
fn a_device_that_is_revoked_is_shut_out() -> Result<(), Error> {
    let site = Site::build()?;
    let hub = site.start_hub(None)?;
    let flash = site.provision_agent("boiler-1", &hub, Road::Network)?;
    let mut device = boot(&hub, &flash, Road::Network)?;
    device.wait_for("link open")?;
    site.json("operator", &["revoke", "boiler-1"])?;
    device.wait_for("Revoked")?;
    device.wait_for("RefusedCredential")?;
    device.stop()?;
    Ok(())
}
