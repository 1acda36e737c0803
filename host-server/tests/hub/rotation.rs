//! A hub that has another identity key than its peers were enrolled with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use moorline_core::crypto::SigningKey;
use moorline_core::message::{Command as Asked, Status};
use moorline_core::trust::TrustStore;
use moorline_server::client::{Client, ClientError, Profile, ProfileError};
use moorline_server::store::{HubKeys, MAX_EARLIER, ROOT_NAME, Vault, load_key, rotate};

use crate::agent::{Agent, Way};
use crate::world::{Peer, World, private_folder};

const PATIENCE: Duration = Duration::from_secs(10);

/// Stops the hub, changes its keys, and starts it again.
fn restarted(mut world: World, change: impl FnOnce(&Path)) -> World {
    world.stop();
    change(world.folder.path());
    World::start_in(Arc::clone(&world.folder), |_| {})
}

fn rotated(world: World, times: usize) -> World {
    restarted(world, |folder| {
        for _ in 0..times {
            rotate(folder, &Vault::default(), None, 0).expect("it rotates");
        }
    })
}

fn root(world: &World) -> SigningKey {
    load_key(&world.folder.path().join(ROOT_NAME)).expect("the root key")
}

/// A home folder, whose owner keeps whom it trusts.
struct Home {
    folder: tempfile::TempDir,
    peer: Peer,
}

impl Home {
    fn new(peer: Peer) -> Self {
        let folder = private_folder();
        let profile = Profile::new(folder.path());
        profile.enrol(&peer.credential).expect("it is stored");
        Self { folder, peer }
    }

    fn trust(&self) -> TrustStore {
        let profile = Profile::new(self.folder.path());
        profile.trust(&self.peer.credential).expect("a store")
    }

    /// Connects to the hub at `url` and sends `ping` to the boiler.
    fn pings(&self, url: &str) -> Result<(), ClientError> {
        let profile = Profile::new(self.folder.path());
        let (trust, keeper) = (self.trust(), profile.trust_file());
        self.peer.as_commander(async |mut commander| {
            commander.trust = &trust;
            commander.keeper = Some(&keeper);
            let mut client = Client::connect(url, commander).await?;
            let ping = Asked {
                name: "ping",
                arguments: std::iter::empty().collect(),
            };
            let agent = self.peer.credential.agent_id("boiler");
            let said = client
                .send(agent, ping, PATIENCE, |reply| reply.status)
                .await?;
            assert_eq!(said.0, Status::Done);
            client.close().await;
            Ok(())
        })
    }
}

fn current(world: &World) -> moorline_core::crypto::PublicKey {
    let keys = HubKeys::open(world.folder.path(), "moorline", &Vault::default(), 0).expect("keys");
    *keys.identity_key()
}

fn url(world: &World) -> String {
    format!("ws://{}/ws", world.http)
}

/// Has an agent and a commander, enrolled before `count` rotations, come back after them.
fn after_rotations(count: usize) {
    let world = World::start();
    let (boiler, alice) = (world.agent("boiler"), world.commander("alice", "boiler"));
    let home = Home::new(alice);
    let world = rotated(world, count);
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    home.pings(&url(&world)).expect("it follows");
    assert_eq!(home.trust().current(), &current(&world));
    assert_eq!(home.trust().keys().count(), 2);
    // And over datagrams, now as ever.
    home.pings(&world.udp_url()).expect("it has followed");
}

#[test]
fn peers_follow_to_the_next_key() {
    after_rotations(1);
}

#[test]
fn peers_that_were_away_for_a_rotation_follow() {
    after_rotations(2);
}

#[test]
fn peers_that_were_away_for_five_rotations_follow() {
    after_rotations(MAX_EARLIER);
}

#[test]
fn a_commander_follows_over_datagrams() {
    let world = World::start();
    let boiler = world.agent("boiler");
    let home = Home::new(world.commander("alice", "boiler"));
    let world = rotated(world, 1);
    let _agent = Agent::start(boiler, Way::WebSocket(world.http));
    home.pings(&world.udp_url()).expect("it follows");
    assert_eq!(home.trust().current(), &current(&world));
}

#[test]
fn after_six_rotations_the_root_alone_brings_peers_back() {
    let world = World::start();
    let (boiler, alice) = (world.agent("boiler"), world.commander("alice", "boiler"));
    let home = Home::new(alice);
    let world = rotated(world, MAX_EARLIER + 1);
    let refused = home.pings(&url(&world));
    assert!(
        matches!(refused, Err(ClientError::WrongHub(_))),
        "{refused:?}"
    );
    let root = root(&world);
    let world = restarted(world, |folder| {
        // It is kept elsewhere.
        std::fs::remove_file(folder.join(ROOT_NAME)).expect("it is there");
        rotate(folder, &Vault::default(), Some(&root), 0).expect("it rotates");
    });
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    home.pings(&url(&world)).expect("it follows");
    assert_eq!(home.trust().root_counter(), 1);
    assert!(home.trust().keys().eq([&current(&world)]));
    // Who is enrolled now has heard the root's word too.
    let late = world.agent("late");
    assert_eq!(late.credential.root_counter, 1);
}

#[test]
fn a_hub_with_a_key_that_the_root_has_revoked_is_refused() {
    let world = World::start();
    let boiler = world.agent("boiler");
    let home = Home::new(world.commander("alice", "boiler"));
    let mut world = rotated(world, 1);
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    home.pings(&url(&world)).expect("it follows");
    // A thief copies the hub's files.
    world.stop();
    let stolen = Arc::new(private_folder());
    for entry in std::fs::read_dir(world.folder.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            let to = stolen.path().join(entry.file_name());
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
    let root = root(&world);
    let world = restarted(world, |folder| {
        rotate(folder, &Vault::default(), Some(&root), 0).expect("it rotates");
    });
    // Until it has heard the true hub it cannot know.
    let boiler = world.agent("boiler-2");
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    let followed = home.pings(&url(&world));
    assert!(
        matches!(followed, Err(ClientError::NotCarried(_)) | Ok(())),
        "{followed:?}"
    );
    assert_eq!(home.trust().root_counter(), 1);
    // The thief has the key, the ones before, and can rotate.
    let thief = World::start_in(Arc::clone(&stolen), |_| {});
    for thief in [thief, restarted_thief(&stolen)] {
        let refused = home.pings(&url(&thief));
        assert!(
            matches!(refused, Err(ClientError::WrongHub(_))),
            "{refused:?}"
        );
    }
    assert!(home.trust().keys().eq([&current(&world)]));
}

/// Starts the thief's hub in a copy of its folder, with a key of its own.
fn restarted_thief(stolen: &Arc<tempfile::TempDir>) -> World {
    let own = Arc::new(private_folder());
    for name in [
        "identity.key",
        "issuers.json",
        "root.pub",
        "succession.json",
    ] {
        let (from, to) = (stolen.path().join(name), own.path().join(name));
        std::fs::copy(from, to).expect("a copy");
    }
    rotate(own.path(), &Vault::default(), None, 0).expect("it rotates");
    World::start_in(own, |_| {})
}

#[test]
fn what_cannot_be_stored_is_not_believed() {
    let world = World::start();
    let home = Home::new(world.commander("alice", "boiler"));
    let world = rotated(world, 1);
    // A folder stands where the file is to be.
    let path = home.folder.path().join("trust.new");
    std::fs::create_dir(&path).expect("a folder");
    let refused = home.pings(&url(&world));
    assert!(
        matches!(refused, Err(ClientError::TrustNotStored)),
        "{refused:?}"
    );
    std::fs::remove_dir(&path).expect("it is empty");
    assert_eq!(home.trust().root_counter(), 0);
    let offline = home.pings(&url(&world));
    assert!(matches!(offline, Err(ClientError::NotCarried(_))));
    assert_eq!(home.trust().current(), &current(&world));
    // A damaged file is not passed over.
    std::fs::write(home.folder.path().join("trust"), [0; 510]).expect("written");
    let profile = Profile::new(home.folder.path());
    let damaged = profile.trust(&home.peer.credential);
    assert!(matches!(damaged, Err(ProfileError::BadTrust(_))));
}

/// Runs `moorline` with the home and the data folder.
fn moorline(home: &Path, data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moorline"))
        .args(arguments)
        .env("MOORLINE_HOME", home)
        .env("MOORLINED_DATA_DIR", data)
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .expect("it starts")
}

#[test]
fn an_operator_rotates_and_commands_go_on() {
    let world = World::start();
    let boiler = world.agent("boiler");
    let (home, data) = (private_folder(), PathBuf::from(world.folder.path()));
    let run = |arguments: &[&str]| {
        let output = moorline(home.path(), &data, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    };
    run(&["keygen"]);
    run(&["enroll", "commander", "alice", "--agent", "boiler"]);
    let shown = run(&["keys", "show"]);
    assert!(shown.contains("root.key lies beside it"), "{shown}");
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    // The hub that runs has it at once, and no session ends.
    let said = run(&["keys", "rotate"]);
    assert!(said.contains("peers follow"), "{said}");
    run(&["agents"]);
    let url = url(&world);
    run(&["--hub", &url, "send", "boiler", "ping"]);
    let elsewhere = private_folder();
    let root = elsewhere.path().join("root.key");
    std::fs::copy(data.join(ROOT_NAME), &root).expect("a copy");
    std::fs::remove_file(data.join(ROOT_NAME)).expect("it is there");
    let root = root.display().to_string();
    let said = run(&["keys", "rotate", "--root", &root, "--json"]);
    assert!(said.contains("\"before_is_revoked\":true"), "{said}");
    assert!(said.contains("\"in_use\":true"), "{said}");
    let shown = run(&["keys", "show"]);
    assert!(
        shown.contains("counter 1") && !shown.contains("beside it"),
        "{shown}"
    );
    let agents = run(&["agents"]);
    assert!(agents.contains("boiler"), "{agents}");
    // Without a hub that runs, its files are changed.
    let mut world = world;
    world.stop();
    let said = run(&["keys", "rotate", "issuer"]);
    assert!(said.contains("from its next start on"), "{said}");
    let world = World::start_in(Arc::clone(&world.folder), |_| {});
    let agents = run(&["--hub", &self::url(&world), "agents"]);
    assert!(agents.contains("boiler"), "{agents}");
    let alone = moorline(home.path(), &data, &["keys", "rotate", "tickets"]);
    assert!(alone.status.success(), "the daemon seals them anew");
    // Where no hub was, none is made.
    let nowhere = private_folder();
    let looked = moorline(home.path(), nowhere.path(), &["keys", "show"]);
    assert_eq!(looked.status.code(), Some(2));
    assert!(!nowhere.path().join("identity.key").exists());
    // Another root key is none of this hub.
    let other = data.join("tickets.key").display().to_string();
    let refused = moorline(home.path(), &data, &["keys", "rotate", "--root", &other]);
    assert_eq!(refused.status.code(), Some(2));
}
