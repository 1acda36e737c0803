//! A hub whose keys change while it runs.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use futures_lite::future;
use moorline_core::message::{Command as Asked, Status};
use moorline_core::token::TrustAnchors;
use moorline_core::trust::IssuerKeys;
use moorline_server::admin::{AdminAnswer, AdminRequest};
use moorline_server::client::{Client, ClientError, Profile};
use moorline_server::clock;
use moorline_server::daemon::Daemon;
use moorline_server::keyring::HubKey;
use moorline_server::store::{Particulars, ROOT_NAME, Reach, Vault, load_key, rotate_issuer};

use crate::agent::{Agent, Way};
use crate::world::{ALL, Peer, World, config, private_folder};

const PATIENCE: Duration = Duration::from_secs(10);

fn rotate(world: &World, key: HubKey) {
    let answer = world.ask(&AdminRequest::RotateKey { key });
    assert!(
        matches!(answer, AdminAnswer::KeysInUse { .. }),
        "{answer:?}"
    );
}

async fn ping(client: &mut Client<'_>, peer: &Peer) -> Result<Status, ClientError> {
    let ping = Asked {
        name: "ping",
        arguments: std::iter::empty().collect(),
    };
    let agent = peer.credential.agent_id("boiler");
    let (status, _) = client
        .send(agent, ping, PATIENCE, |reply| reply.status)
        .await?;
    Ok(status)
}

pub(crate) fn private_file(path: &Path, bytes: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.expect("a file").write_all(bytes).expect("written");
}

fn issuers(peer: &Peer) -> IssuerKeys {
    let credential = &peer.credential;
    let known = IssuerKeys::of(&credential.hub, &peer.anchors(), credential.root_counter);
    known.expect("a key")
}

#[test]
fn keys_are_rotated_while_sessions_go_on_and_newcomers_come() {
    let world = World::start();
    let (boiler, alice) = (world.agent("boiler"), world.commander("alice", "boiler"));
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    let done = alice.connected(async |client| {
        assert_eq!(ping(client, &alice).await.expect("a reply"), Status::Done);
        for key in [
            HubKey::Issuer,
            HubKey::Identity,
            HubKey::Tickets,
            HubKey::Issuer,
        ] {
            rotate(&world, key);
            assert_eq!(ping(client, &alice).await.expect("a reply"), Status::Done);
        }
        client.agents().await.expect("the session goes on").len()
    });
    assert_eq!(done.expect("it connects"), 1);
    let data_dir = world.folder.path().to_str().expect("a path");
    let found = Command::new(env!("CARGO_BIN_EXE_moorline"))
        .args(["audit", "search", "--kind", "key_rotated", "--json"])
        .args(["--data-dir", data_dir])
        .output()
        .expect("it runs");
    let found = String::from_utf8(found.stdout).expect("text");
    let subjects = ["issuer", "identity", "tickets", "issuer"];
    assert_eq!(found.lines().count(), subjects.len(), "{found}");
    for (line, subject) in found.lines().zip(subjects) {
        assert!(
            line.contains(&format!("\"subject\":\"{subject}\"")),
            "{line}"
        );
    }
    // Her token is of a key before, and good; his is of the newest, which the agent has followed to.
    alice.connected(async |_| ()).expect_err("another identity");
    let bob = world.commander("bob", "boiler");
    assert_ne!(bob.credential.issuer_kid, alice.credential.issuer_kid);
    let carol = world.commander("carol", "boiler");
    rotate(&world, HubKey::Tickets);
    for peer in [&bob, &carol] {
        let said = peer.connected(async |client| client.agents().await.expect("a list"));
        assert_eq!(said.expect("it connects").len(), 1);
    }
}

#[test]
fn an_agents_token_of_the_key_before_counts_with_who_was_enrolled_after_it() {
    let world = World::start();
    let boiler = world.agent("boiler");
    rotate(&world, HubKey::Issuer);
    let bob = world.commander("bob", "boiler");
    assert_eq!(bob.credential.issuer_keys.len(), 3);
    let _agent = Agent::start(boiler, Way::WebSocket(world.http));
    let said = bob.connected(async |client| ping(client, &bob).await);
    assert_eq!(said.expect("it connects").expect("a reply"), Status::Done);
}

#[test]
fn a_commander_that_was_away_follows_the_issuer_over_many_keys() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    for _ in 0..7 {
        rotate(&world, HubKey::Issuer);
    }
    // The tokens of a key that long ago are refused, and the key that is enrolled is not.
    let boiler = world.agent("boiler");
    let _agent = Agent::start(boiler, Way::Tcp(world.tcp));
    let home = private_folder();
    let profile = Profile::new(home.path());
    let mut expired = alice.credential.clone();
    expired.expires_at = 0;
    profile.enrol(&expired).expect("stored");
    let key = Base64UrlUnpadded::encode_string(alice.key.to_scalar().expose());
    private_file(&profile.key_path(), key.as_bytes());
    let before = profile.issuers(&expired).expect("keys");
    let output = Command::new(env!("CARGO_BIN_EXE_moorline"))
        .args(["send", "boiler", "ping"])
        .env("MOORLINE_HOME", home.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let after = profile.issuers(&expired).expect("keys");
    assert_ne!(after, before);
    assert_eq!(after.newest(), issuers(&world.agent("pump")).newest());
}

#[test]
fn what_the_root_says_of_the_issuer_ends_all_sessions_and_tokens() {
    let world = World::start();
    let (boiler, alice) = (world.agent("boiler"), world.commander("alice", "boiler"));
    let agent = Agent::start(boiler, Way::Tcp(world.tcp));
    let root = load_key(&world.folder.path().join(ROOT_NAME)).expect("the root key");
    let ended = alice.connected(async |client| {
        let now = clock::now().unix.secs();
        let rotated = rotate_issuer(world.folder.path(), &Vault::default(), Some(&root), now);
        rotated.expect("it rotates");
        let answer = world.ask(&AdminRequest::TakeUpKeys);
        assert!(
            matches!(answer, AdminAnswer::KeysInUse { .. }),
            "{answer:?}"
        );
        client.agents().await
    });
    assert!(matches!(ended, Ok(Err(ClientError::Ended(_)))), "{ended:?}");
    agent.end();
    let refused = alice.connected(async |_| ());
    assert!(
        matches!(refused, Err(ClientError::CredentialRefused)),
        "{refused:?}"
    );
    // Who knows the key before follows the root's word, and nothing else leads on.
    let bob = world.commander("bob", "boiler");
    let mut known = issuers(&alice);
    let followed =
        bob.connected(async |client| client.follow_issuers(&mut known).await.expect("it follows"));
    assert!(followed.expect("it connects"));
    assert_eq!(known.newest(), issuers(&bob).newest());
    assert_eq!(known.root_counter(), 1);
}

#[test]
fn an_issuer_that_nobody_known_vouches_for_is_not_followed() {
    let (world, other) = (World::start(), World::start());
    let alice = world.commander("alice", "boiler");
    let mut strange = issuers(&other.agent("boiler"));
    let before = strange.clone();
    let followed = alice.connected(async |client| client.follow_issuers(&mut strange).await);
    // The hub knows nothing that came after a key of another.
    assert!(matches!(followed, Ok(Ok(false))), "{followed:?}");
    assert_eq!(strange, before);
    let base = TrustAnchors::new();
    let anchors = strange.anchors("moorline", &base);
    assert!(anchors.find(&alice.credential.issuer_kid).is_none());
}

#[test]
fn keys_that_are_sealed_open_for_a_hub_that_has_the_secret_alone() {
    let secrets = private_folder();
    let secret = |name: &str, byte: u8| {
        let path = secrets.path().join(name);
        private_file(&path, &[byte; 32]);
        path
    };
    let (own, strange) = (secret("own", 1), secret("strange", 2));
    // What was plain is sealed at the first start with a secret.
    let mut world = World::start();
    let alice = world.commander_with("alice", Reach::Nobody, ALL);
    let identity = std::fs::read(world.folder.path().join("identity.key")).expect("a key");
    world.stop();
    let own_again = own.clone();
    let mut world = World::start_in(Arc::clone(&world.folder), move |config| {
        config.keys.secret_file = Some(own_again);
    });
    for key in [HubKey::Identity, HubKey::Issuer, HubKey::Tickets] {
        rotate(&world, key);
    }
    let invited = world.ask(&AdminRequest::Invite {
        name: "pump".into(),
        particulars: Particulars::agent(None),
        seconds: 600,
        with_key: true,
    });
    let AdminAnswer::Invited(invitation) = invited else {
        panic!("{invited:?}")
    };
    let (_, key) = invitation.code.split_once(':').expect("an external key");
    world.stop();
    let scalar = identity.strip_suffix(b"\n").expect("a line");
    for name in [
        "identity.key",
        "issuers.json",
        "succession.json",
        "tickets.key",
        "invitations.json",
    ] {
        let sealed = std::fs::read(world.folder.path().join(name)).expect("a file");
        assert!(sealed.starts_with(b"MLSEAL1\n"), "{name}");
        for plain in [scalar, key.as_bytes(), b"scalar"] {
            assert!(
                !sealed.windows(plain.len()).any(|part| part == plain),
                "{name}"
            );
        }
    }
    for wrong in [None, Some(strange)] {
        let mut settings = config(world.folder.path());
        settings.keys.secret_file = wrong;
        let started = future::block_on(Daemon::start(settings));
        let error = started.expect_err("it is sealed").to_string();
        assert!(error.contains("sealed"), "{error}");
    }
    let world = World::start_in(Arc::clone(&world.folder), |config| {
        config.keys.secret_file = Some(own);
    });
    let now = world.commander_with("bob", Reach::Nobody, ALL);
    assert_eq!(now.credential.root_key, alice.credential.root_key);
}
