//! Newer tokens within a session.

use moorline_core::connection::NewToken;
use moorline_core::crypto::SigningKey;
use moorline_core::token::{UnpackedToken, UnverifiedClaims};
use moorline_server::client::{Client, ClientError};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{Particulars, Reach};

use crate::agent::{Agent, Way};
use crate::world::{Peer, World};

fn unpacked(token: &[u8]) -> UnpackedToken<'_> {
    UnpackedToken::parse_exact(token).expect("a token")
}

fn issued_at(token: &UnpackedToken<'_>) -> u64 {
    let claims = UnverifiedClaims::decode(token).expect("within the profile");
    claims.claims_unverified().issued_at
}

#[test]
fn a_session_takes_up_a_newer_token_and_the_next_one_rests_on_it() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let mut alice = world.commander("alice", "boiler");
    let renewed = alice.connected(async |client| {
        let token = client.ask_token(None).await.expect("the hub gives one");
        let token = unpacked(&token);
        let new = NewToken { token, key: None };
        client.take_up(&new).await.expect("the hub takes it");
        client.agents().await.expect("the session goes on");
        alice.credential.with_token(&token).expect("a credential")
    });
    let renewed = renewed.expect("it connects");
    let mut buffers = [[0; moorline_core::token::MAX_UNPACKED_LEN]; 2];
    let [old, new] = &mut buffers;
    let old = alice.credential.token(old).expect("a token");
    let new = renewed.token(new).expect("a token");
    assert!(issued_at(&new) > issued_at(&old));
    alice.credential = renewed;
    let agents = alice.connected(async |client| client.agents().await);
    assert!(agents.expect("it connects").is_ok());
}

#[test]
fn what_the_operator_changed_is_in_the_newer_token_and_holds_at_once() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let done = alice.connected(async |client| {
        client.agents().await.expect("it may list");
        // The same key and role: what is written of her changes, her session does not.
        let narrowed = moorline_server::admin::AdminRequest::Enrol {
            name: "alice".into(),
            key: crate::world::encode(&alice.key),
            particulars: Particulars::commander(
                Reach::Agents(vec!["boiler".into()]),
                &["agent.command.ping"],
            ),
        };
        world.ask(&narrowed);
        // What is taken away is taken away at once, whatever the token says.
        let refused = client.agents().await;
        assert!(
            matches!(refused, Err(ClientError::NotPermitted)),
            "{refused:?}"
        );
        let token = client.ask_token(None).await.expect("the hub gives one");
        let new = NewToken {
            token: unpacked(&token),
            key: None,
        };
        client.take_up(&new).await.expect("the hub takes it");
        client.agents().await
    });
    let refused = done.expect("it connects");
    assert!(
        matches!(refused, Err(ClientError::NotPermitted)),
        "{refused:?}"
    );
}

/// Takes up a new key; returns the commander under it.
async fn rekeyed(client: &mut Client<'_>, alice: &Peer) -> Peer {
    let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let token = client.ask_token(Some(key.public_key())).await;
    let token = token.expect("the hub gives one");
    let token = unpacked(&token);
    let new = NewToken {
        token,
        key: Some(&key),
    };
    client.take_up(&new).await.expect("the hub takes it");
    let credential = alice.credential.with_token(&token).expect("a credential");
    Peer { key, credential }
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one_everywhere() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    let (new, other_session) = alice.as_commander(async |commander| {
        let url = alice.credential.url.as_str();
        let mut client = Client::connect(url, commander).await.expect("it connects");
        let mut other = Client::connect(url, commander).await.expect("it connects");
        let new = rekeyed(&mut client, &alice).await;
        client.agents().await.expect("this session goes on");
        // The other one rests on the old key.
        (new, other.agents().await)
    });
    assert!(other_session.is_err());
    let refused = alice.connected(async |_| ());
    assert!(
        matches!(refused, Err(ClientError::CredentialRefused)),
        "{refused:?}"
    );
    assert!(new.connected(async |client| client.agents().await).is_ok());
    // It is on the disk.
    world.stop();
    let world = World::start_in(std::sync::Arc::clone(&world.folder), |_| {});
    let url = format!("ws://{}/ws", world.http);
    assert!(new.connected_to(&url, async |_| ()).is_ok());
    let refused = alice.connected_to(&url, async |_| ());
    assert!(matches!(refused, Err(ClientError::CredentialRefused)));
}

#[test]
fn a_key_of_somebody_else_and_a_token_too_soon_are_refused() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let bob = world.commander("bob", "boiler");
    let done = alice.connected(async |client| {
        let taken = client.ask_token(Some(bob.key.public_key())).await;
        let too_soon = client.ask_token(None).await;
        client.agents().await.expect("the session goes on");
        (taken, too_soon)
    });
    let (taken, too_soon) = done.expect("it connects");
    assert!(matches!(taken, Err(ClientError::RenewalRefused)));
    assert!(matches!(too_soon, Err(ClientError::RenewalRefused)));
}

#[test]
fn a_token_for_a_new_key_without_its_proof_changes_nothing() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let done = alice.connected(async |client| {
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let token = client.ask_token(Some(key.public_key())).await;
        let token = token.expect("the hub gives one");
        let new = NewToken {
            token: unpacked(&token),
            key: Some(&alice.key),
        };
        let refused = client.take_up(&new).await;
        client.agents().await.expect("the session goes on");
        refused
    });
    let refused = done.expect("it connects");
    assert!(matches!(refused, Err(ClientError::RenewalRefused)));
    assert!(alice.connected(async |_| ()).is_ok());
}
