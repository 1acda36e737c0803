//! The two programs as a person or a script runs them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use moorline_core::crypto::SigningKey;
use moorline_core::provision::{Provision, Road};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_server::admin::Credential;
use moorline_server::entropy::SystemEntropy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::agent::{Agent, Way};
use crate::offline_agent::{AwayAgent, Memory, Told};
use crate::programs::{enrolled, json, moorline, start_program, start_program_with_tcp, stderr};
use crate::world::{Peer, World, encode, private_folder};

#[test]
fn a_person_makes_a_key_enrols_lists_and_sends() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);

    let agents = run(&["agents"]);
    assert!(String::from_utf8_lossy(&agents.stdout).starts_with("boiler  online   "));
    let agents = json(&run(&["agents", "--json"]));
    assert_eq!(agents[0]["name"], "boiler");
    assert_eq!(agents[0]["online"], true);

    let reply = run(&["send", "boiler", "echo", "hello", "there"]);
    assert_eq!(
        String::from_utf8_lossy(&reply.stdout),
        "text  hello there\n"
    );
    let id = agents[0]["id"].as_str().expect("an id").to_owned();
    let reply = json(&run(&["send", &id, "ping", "--json"]));
    assert_eq!(reply["status"], "done");
    assert_eq!(reply["fields"]["text"], "pong");
    assert!(reply["request_bytes"].as_u64() > Some(24), "{reply}");
}

#[test]
fn every_way_to_fail_has_its_exit_code_and_says_why() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &["--permission", "agent.command.ping"]);
    let empty = private_folder();
    let data_dir = world.folder.path();
    let nowhere = empty.path().join("nowhere");
    let cases: [(&Path, &Path, &[&str], i32, &str); 9] = [
        (
            home.path(),
            data_dir,
            &["send", "boiler", "led", "on"],
            4,
            "does not permit",
        ),
        (home.path(), data_dir, &["agents"], 4, "does not permit"),
        (
            home.path(),
            data_dir,
            &["send", "ghost", "ping"],
            5,
            "reaches no agent",
        ),
        (
            home.path(),
            data_dir,
            &["keygen"],
            2,
            "there is a key already",
        ),
        (
            home.path(),
            data_dir,
            &["enroll", "commander", "alice"],
            2,
            "whom the commander reaches",
        ),
        (empty.path(), data_dir, &["agents"], 2, "moorline keygen"),
        (
            home.path(),
            &nowhere,
            &["enroll", "agent", "x"],
            3,
            "is moorlined running",
        ),
        (
            home.path(),
            data_dir,
            &["revoke", "ghost"],
            4,
            "nobody called",
        ),
        (home.path(), data_dir, &["send", "boiler"], 2, "Usage"),
    ];
    for (home, data_dir, arguments, code, why) in cases {
        let output = moorline(home, data_dir, arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(why),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let refused = moorline(home.path(), data_dir, &["--json", "send", "ghost", "ping"]);
    let refused: Value = serde_json::from_slice(&refused.stderr).expect("it is JSON");
    assert_eq!(refused["exit_code"], 5);
}

#[test]
fn an_agent_that_fails_or_stays_silent_has_its_exit_code() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let unknown = run(&["send", "boiler", "dance"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    let late = run(&["send", "--timeout", "1", "boiler", "hold"]);
    assert_eq!(late.status.code(), Some(6), "{}", stderr(&late));
}

#[test]
fn a_hub_that_is_gone_is_said_to_be() {
    let mut world = World::start();
    let home = enrolled(&world, &[]);
    world.stop();
    let output = moorline(home.path(), world.folder.path(), &["agents"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn a_credential_for_a_key_that_is_elsewhere_is_printed() {
    let world = World::start();
    let home = private_folder();
    let key = encode(&SigningKey::generate(&mut SystemEntropy).expect("random bytes"));
    let arguments = ["enroll", "agent", "pump", "--key", &key];
    let output = moorline(home.path(), world.folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let credential: Credential = serde_json::from_slice(&output.stdout).expect("a credential");
    assert_eq!(
        (credential.name.as_str(), credential.hub.as_str()),
        ("pump", "moorline")
    );
    let mut buffer = [0; MAX_UNPACKED_LEN];
    assert!(credential.token(&mut buffer).is_ok());
    assert!(credential.anchors().is_ok());
}

#[test]
fn an_agents_image_holds_what_the_device_needs_and_is_for_its_owner_alone() {
    let world = World::start();
    let home = private_folder();
    let image = home.path().join("boiler.img");
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let path = image.to_str().expect("a path");
    assert_eq!(
        run(&["provision", "--out", path]).status.code(),
        Some(2),
        "there is no key yet"
    );
    let key = json(&run(&["--json", "keygen"]));
    json(&run(&[
        "--json", "enroll", "agent", "boiler", "--group", "north",
    ]));
    let written = json(&run(&["--json", "provision", "--out", path]));
    let mode = std::fs::metadata(&image)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&image).expect("a file");
    assert_eq!(written["bytes"], bytes.len());
    let provision = Provision::parse(&bytes).expect("an image");
    let enrolled_at = world.http.to_string();
    assert_eq!(provision.host(), enrolled_at);
    assert_eq!(provision.road(), Road::Network);
    assert_eq!(written["road"], "network");
    assert_eq!(written["host"], enrolled_at);
    let signing_key = SigningKey::from_scalar(provision.scalar()).expect("a key");
    assert_eq!(key["public_key"], encode(&signing_key));
    let odd = run(&["provision", "--out", path, "--host", "a b"]);
    assert_eq!(odd.status.code(), Some(2), "{}", stderr(&odd));
    let itself = run(&["provision", "--out", path]);
    let text = String::from_utf8_lossy(&itself.stdout);
    assert!(text.contains("the device itself"), "{text}");
    let elsewhere = ["--road", "serial", "--host", "hub.example:7444"];
    let said = run(&[&["provision", "--out", path][..], &elsewhere].concat());
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("by its serial line"), "{text}");
    let bytes = std::fs::read(&image).expect("a file");
    let provision = Provision::parse(&bytes).expect("an image");
    assert_eq!(provision.road(), Road::SerialLine);
    assert_eq!(provision.place(), ("hub.example", 7444));

    let commander = enrolled(&world, &[]);
    let refused = moorline(
        commander.path(),
        world.folder.path(),
        &["provision", "--out", path],
    );
    assert!(
        stderr(&refused).contains("is a commander"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn the_daemon_needs_no_file_and_sigterm_ends_it_with_a_goodbye() {
    let folder = private_folder();
    let data_dir = folder.path().join("hub");
    let (mut program, http) = start_program(&data_dir);
    let home = private_folder();
    assert!(
        moorline(home.path(), &data_dir, &["keygen"])
            .status
            .success()
    );
    let output = moorline(
        home.path(),
        &data_dir,
        &["--json", "enroll", "agent", "boiler"],
    );
    let credential = serde_json::from_value(json(&output)).expect("a credential");
    let key = moorline_server::store::load_key(&home.path().join("key")).expect("a key");
    let agent = Agent::start(Peer { key, credential }, Way::WebSocket(http));

    let pid = Pid::from_child(&program.0);
    kill_process(pid, Signal::TERM).expect("it runs");
    let end = agent.end();
    assert!(format!("{end:?}").contains("GoingAway"), "{end:?}");
    assert!(program.0.wait().expect("it ends").success());
}

#[test]
fn what_was_kept_is_there_after_the_daemon_was_killed() {
    let folder = private_folder();
    let data_dir = folder.path().join("hub");
    let enrolled = |home: &Path, arguments: &[&str]| {
        assert!(moorline(home, &data_dir, &["keygen"]).status.success());
        json(&moorline(
            home,
            &data_dir,
            &[&["--json", "enroll"][..], arguments].concat(),
        ))
    };
    let (program, _, tcp) = start_program_with_tcp(&data_dir);
    let (device, alice) = (private_folder(), private_folder());
    let credential = enrolled(device.path(), &["agent", "boiler"]);
    let agent = Arc::new(Peer {
        key: moorline_server::store::load_key(&device.path().join("key")).expect("a key"),
        credential: serde_json::from_value(credential).expect("a credential"),
    });
    enrolled(alice.path(), &["commander", "alice", "--agent", "boiler"]);
    let memory = Arc::new(Mutex::new(Memory::default()));
    let at_work = AwayAgent::start(&agent, &memory, tcp);
    assert_eq!(at_work.told(), Told::Ready { resumed: false });
    at_work.leave();
    let send = ["send", "boiler", "echo", "kept", "--offline"];
    let kept = moorline(alice.path(), &data_dir, &send);
    assert!(kept.status.success(), "{}", stderr(&kept));
    // SIGKILL: nothing is written after this.
    drop(program);

    let (_program, http, tcp) = start_program_with_tcp(&data_dir);
    let at_work = AwayAgent::start(&agent, &memory, tcp);
    assert!(matches!(at_work.told(), Told::Ready { .. }));
    assert_eq!(at_work.told(), Told::Answered);
    at_work.leave();
    // The hub has another port now.
    let path = alice.path().join("credential.json");
    let mut credential: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("it is JSON");
    credential["url"] = format!("ws://{http}/ws").into();
    std::fs::write(&path, credential.to_string()).expect("own file");
    let replies = json(&moorline(alice.path(), &data_dir, &["replies", "--json"]));
    assert_eq!(replies[0]["outcome"], "result", "{replies}");
    assert_eq!(replies[0]["reply"]["fields"]["text"], "echo kept");
}

fn credential(home: &Path) -> Credential {
    let bytes = std::fs::read(home.join("credential.json")).expect("it is enrolled");
    serde_json::from_slice(&bytes).expect("a credential")
}

#[test]
fn a_person_renews_a_token_and_a_key() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let (first, first_key) = (credential(home.path()), run(&["pubkey", "--json"]).stdout);

    let renewed = json(&run(&["renew", "--json"]));
    let second = credential(home.path());
    assert_ne!(second.token, first.token);
    assert_eq!(renewed["expires_at"], second.expires_at);
    assert!(run(&["send", "boiler", "ping"]).status.success());
    assert_eq!(run(&["pubkey", "--json"]).stdout, first_key);

    let renewed = json(&run(&["renew", "--new-key", "--json"]));
    assert_eq!(renewed["new_key"], true);
    assert_ne!(run(&["pubkey", "--json"]).stdout, first_key);
    assert!(run(&["send", "boiler", "ping"]).status.success());
    assert!(!home.path().join("next/key").exists());
}

#[test]
fn a_key_that_the_hub_took_up_unheard_is_found_again() {
    let world = World::start();
    let home = enrolled(&world, &[]);
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let old: Vec<(&str, Vec<u8>)> = ["key", "credential.json"]
        .into_iter()
        .map(|name| (name, std::fs::read(home.path().join(name)).expect("a file")))
        .collect();
    assert!(run(&["renew", "--new-key"]).status.success());
    // As if the machine had stopped between the hub's answer and the first file that changes.
    let next = home.path().join("next");
    for (name, bytes) in &old {
        std::fs::rename(home.path().join(name), next.join(name)).expect("it moves");
        std::fs::write(home.path().join(name), bytes).expect("it is written");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(home.path().join(name), private).expect("it is ours");
    }
    let _ = std::fs::remove_dir_all(home.path().join("tickets"));
    assert!(run(&["agents"]).status.success());
    // And between the first file and the second.
    assert!(run(&["renew", "--new-key"]).status.success());
    std::fs::rename(
        home.path().join("credential.json"),
        next.join("credential.json"),
    )
    .expect("it moves");
    let (_, bytes) = &old[1];
    std::fs::write(home.path().join("credential.json"), bytes).expect("it is written");
    assert!(run(&["agents"]).status.success());
}
