//! Peers whose token is over come back by the key with which they are enrolled.

use std::path::Path;
use std::process::{Command, Output};

use futures_lite::future;
use moorline_core::crypto::SigningKey;
use moorline_server::admin::{AdminAnswer, AdminRequest};
use moorline_server::client::{Client, ClientError, Newcomer};
use moorline_server::entropy::SystemEntropy;
use serde_json::Value;

use crate::world::{Peer, World, private_folder};

/// Comes back to the hub at `url` as the holder of `key`; returns what the hub gave, unless it refuses.
fn come_back(peer: &Peer, key: &SigningKey, url: &str) -> Result<Vec<u8>, ClientError> {
    let trust = peer.trust();
    future::block_on(async {
        let back = Newcomer::come_back(url, &trust, None, key).await?;
        let token = back.token().to_vec();
        back.finish().await?;
        Ok(token)
    })
}

#[test]
fn an_enrolled_key_gets_a_token_and_no_other_does() {
    let world = World::start();
    let (boiler, alice) = (world.agent("boiler"), world.commander("alice", "boiler"));
    for url in [format!("ws://{}/ws", world.http), world.udp_url()] {
        for peer in [&boiler, &alice] {
            let token = come_back(peer, &peer.key, &url).expect("it comes back");
            assert!(!token.is_empty());
        }
        let stranger = SigningKey::generate(&mut SystemEntropy).expect("a key");
        let refused = come_back(&alice, &stranger, &url);
        assert!(
            matches!(refused, Err(ClientError::CredentialRefused)),
            "{refused:?}"
        );
    }
    // The token is a token like any other.
    let name = "alice".to_owned();
    let answer = world.ask(&AdminRequest::Revoke { name });
    assert!(matches!(answer, AdminAnswer::Revoked), "{answer:?}");
    let refused = come_back(&alice, &alice.key, &world.udp_url());
    assert!(
        matches!(refused, Err(ClientError::CredentialRefused)),
        "{refused:?}"
    );
}

/// Runs `moorline` with the home and the hub's data folder.
fn moorline(home: &Path, data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moorline"))
        .args(arguments)
        .env("MOORLINE_HOME", home)
        .env("MOORLINED_DATA_DIR", data)
        .output()
        .expect("it starts")
}

#[test]
fn a_commander_whose_token_is_over_goes_on_by_itself() {
    let world = World::start();
    let (home, data) = (private_folder(), world.folder.path().to_owned());
    world.agent("boiler");
    let run = |arguments: &[&str]| {
        let output = moorline(home.path(), &data, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    assert!(run(&["keygen"]).0);
    let enrolled = run(&["enroll", "commander", "alice", "--agent", "boiler"]);
    assert!(enrolled.0, "{}", enrolled.1);
    let path = home.path().join("credential.json");
    let read = || {
        let text = std::fs::read_to_string(&path).expect("a credential");
        serde_json::from_str::<Value>(&text).expect("it is JSON")
    };
    let before = read();
    let mut over = before.clone();
    over["expires_at"] = 1.into();
    // One that the hub would refuse: of the token there is nothing left but its form.
    let token = over["token"].as_str().expect("a text").to_owned();
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    over["token"] = format!("{signed}.{}", "A".repeat(86)).into();
    std::fs::write(&path, over.to_string()).expect("written");
    let listed = run(&["agents"]);
    assert!(listed.0, "{}", listed.1);
    let after = read();
    let now = before["expires_at"].as_u64().expect("a number");
    assert!(after["expires_at"].as_u64().expect("a number") >= now);
    assert_ne!(after["token"], over["token"]);
    // And who is shut out is told so.
    over["expires_at"] = 1.into();
    std::fs::write(&path, over.to_string()).expect("written");
    assert!(run(&["revoke", "alice"]).0);
    let refused = run(&["agents"]);
    assert!(!refused.0);
    assert!(refused.1.contains("refuse"), "{}", refused.1);
}

#[test]
fn a_token_by_key_opens_a_session() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let url = format!("ws://{}/ws", world.http);
    let token = come_back(&alice, &alice.key, &url).expect("it comes back");
    let token = moorline_core::token::UnpackedToken::parse_exact(&token).expect("a token");
    alice.as_commander(async |mut commander| {
        commander.token = token;
        let client = Client::connect(&url, commander)
            .await
            .expect("it is let in");
        client.close().await;
    });
}
