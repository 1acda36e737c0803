//! A newcomer that enrols itself by a code or an external key, as a person or a script has it do.

use std::path::Path;

use moorline_server::admin::Invitation;
use moorline_server::client::Profile;

use crate::agent::{Agent, Way};
use crate::programs::{invited, join, json, moorline, stderr};
use crate::world::{Peer, World, private_folder};

#[test]
fn a_newcomer_joins_with_a_code_and_nothing_else_is_carried_by_hand() {
    let mut world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let invitation = invited(&world, &["commander", "carol", "--agent", "boiler"]);
    let home = private_folder();
    let nowhere = home.path().join("no-data-dir");
    let run = |arguments: &[&str]| moorline(home.path(), &nowhere, arguments);
    let wrong = join(home.path(), &invitation, "0000-0000-0000");
    assert_eq!(wrong.status.code(), Some(4), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("wrong, used, or over"));
    assert_eq!(run(&["agents"]).status.code(), Some(2), "not enrolled");
    // Another hub's key: what answers there does not learn the code.
    let other = moorline(home.path(), world.folder.path(), &["pubkey"]);
    let other = String::from_utf8(other.stdout).expect("text");
    let other = Invitation {
        hub_key: other.trim().into(),
        ..invitation.clone()
    };
    let wrong_hub = join(home.path(), &other, &invitation.code);
    assert_eq!(wrong_hub.status.code(), Some(3), "{}", stderr(&wrong_hub));

    let joined = json(&join(
        home.path(),
        &invitation,
        &invitation.code.to_lowercase(),
    ));
    assert_eq!(joined["name"], "carol");
    assert!(run(&["send", "boiler", "ping"]).status.success());
    // Once.
    let second = private_folder();
    let again = join(second.path(), &invitation, &invitation.code);
    assert_eq!(again.status.code(), Some(4), "{}", stderr(&again));
    // The hub knows her after a restart as it does everyone.
    let renewed = run(&["renew"]);
    assert!(renewed.status.success(), "{}", stderr(&renewed));
    world.stop();
    let file = std::fs::read_to_string(world.folder.path().join("peers.json"));
    assert!(file.expect("the registry").contains("carol"));
}

#[test]
fn a_name_that_is_invited_again_gets_the_new_key_and_loses_the_old_one() {
    let world = World::start();
    let invitation = invited(&world, &["commander", "carol", "--agent", "boiler"]);
    let (first, second) = (private_folder(), private_folder());
    assert!(
        join(first.path(), &invitation, &invitation.code)
            .status
            .success()
    );
    let invitation = invited(&world, &["commander", "carol", "--agent", "boiler"]);
    let agents = |home: &Path| {
        moorline(home, &home.join("nowhere"), &["agents"])
            .status
            .code()
    };
    assert_eq!(
        agents(first.path()),
        Some(0),
        "an invitation changes nothing"
    );
    assert!(
        join(second.path(), &invitation, &invitation.code)
            .status
            .success()
    );
    assert_eq!(agents(second.path()), Some(0));
    assert_eq!(agents(first.path()), Some(4));
    // Who is shut out is not invited, and an invitation goes with its name.
    let revoked = moorline(second.path(), world.folder.path(), &["revoke", "carol"]);
    assert!(revoked.status.success());
    let arguments = [
        "enroll",
        "commander",
        "carol",
        "--agent",
        "boiler",
        "--code",
    ];
    let refused = moorline(second.path(), world.folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
}

#[test]
fn a_machine_is_provisioned_with_an_external_key_that_is_good_once() {
    let world = World::start();
    let arguments = ["agent", "boiler-9", "--group", "north", "--external-key"];
    let invitation = invited(&world, &arguments);
    let home = private_folder();
    // The right name with another key, another name, and what is none.
    let (identity, secret) = invitation.code.split_once(':').expect("name and key");
    let other = "A".repeat(secret.len());
    for (wrong, code) in [
        (format!("{identity}:{other}"), 3),
        (format!("{}:{secret}", "A".repeat(identity.len())), 3),
        (format!("{identity}:{}", &secret[1..]), 2),
    ] {
        let output = join(home.path(), &invitation, &wrong);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{wrong}: {}",
            stderr(&output)
        );
    }
    let joined = json(&join(home.path(), &invitation, &invitation.code));
    assert_eq!(joined["name"], "boiler-9");
    assert_eq!(joined["group"], "north");
    // The credential works: the agent comes back with its own key and token.
    let profile = Profile::new(home.path());
    let peer = Peer {
        key: profile.key().expect("a key"),
        credential: profile.credential().expect("a credential"),
    };
    let _agent = Agent::start(peer, Way::WebSocket(world.http));
    let second = private_folder();
    let again = join(second.path(), &invitation, &invitation.code);
    assert_eq!(again.status.code(), Some(3), "{}", stderr(&again));
}

#[test]
fn an_invitation_in_one_line_is_all_that_a_newcomer_needs() {
    let world = World::start();
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let invited = run(&[
        "enroll",
        "commander",
        "carol",
        "--agent",
        "boiler",
        "--code",
        "--qr",
    ]);
    assert!(invited.status.success(), "{}", stderr(&invited));
    let said = String::from_utf8(invited.stdout).expect("text");
    let line = said
        .lines()
        .find(|line| line.starts_with("moorline:join?"))
        .expect("a line");
    let squares = said.lines().filter(|line| line.contains(['█', '▀', '▄']));
    assert!(squares.count() > 20, "{said}");
    let cut = run(&["join", &line[..40]]);
    assert_eq!(cut.status.code(), Some(2), "{}", stderr(&cut));
    let twice = run(&["join", line, "--code", "0123456789AB"]);
    assert_eq!(twice.status.code(), Some(2), "{}", stderr(&twice));
    let no_key = run(&["join", "ws://127.0.0.1:1/ws", "--root-key", "AAAA"]);
    assert!(stderr(&no_key).contains("--hub-key KEY is missing"));
    let joined = run(&["join", line, "--json"]);
    assert_eq!(json(&joined)["name"], "carol");
    assert!(run(&["agents"]).status.success());
}
