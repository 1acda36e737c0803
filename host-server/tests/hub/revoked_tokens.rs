//! Tokens that count no more, whose holders are not shut out.

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use futures_lite::future;
use moorline_core::handshake::Ticket;
use moorline_server::admin::{AdminAnswer, AdminRequest, Tokens};
use moorline_server::audit::Kind;
use moorline_server::client::{Client, ClientError, Newcomer};
use moorline_server::keyring::HubKey;

use crate::agent::{Agent, Way};
use crate::audit::records;
use crate::programs::{moorline, stderr};
use crate::revocation::{claims, heard, taken};
use crate::world::{Peer, World, encode, private_folder};

/// Returns the `jti` of the token of `peer`.
fn id_of(peer: &Peer) -> String {
    Base64UrlUnpadded::encode_string(&claims(peer).jti)
}

fn revoke(world: &World, tokens: Tokens) {
    let answer = world.ask(&AdminRequest::RevokeTokens(tokens));
    assert!(matches!(answer, AdminAnswer::Revoked), "{answer:?}");
}

/// Connects with the token of `peer`, or with `ticket`.
fn connect(world: &World, peer: &Peer, ticket: Option<&Ticket>) -> Result<(), ClientError> {
    let url = format!("ws://{}/ws", world.http);
    peer.as_commander(async |commander| {
        let copy = ticket.map(|ticket| Ticket::from_bytes(&ticket.to_bytes()).expect("a copy"));
        let mut client = match copy {
            Some(ticket) => Client::resume(&url, commander, ticket).await?,
            None => Client::connect(&url, commander).await?,
        };
        client.agents().await?;
        client.close().await;
        Ok(())
    })
}

fn comes_back(world: &World, peer: &Peer) -> bool {
    let url = format!("ws://{}/ws", world.http);
    let trust = peer.trust();
    let back = future::block_on(Newcomer::come_back(&url, &trust, None, &peer.key));
    back.is_ok()
}

/// Has alice be in a session, and bob in another, and revokes `tokens` of hers: hers ends, her token and her ticket are good
/// no more, also after a restart, and bob's are.
fn check(tokens: impl FnOnce(&World, &Peer) -> Tokens, comes: bool) {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    // His token is of the issuer's next key, where hers is of the one before.
    let rotated = world.ask(&AdminRequest::RotateKey {
        key: HubKey::Issuer,
    });
    assert!(
        matches!(rotated, AdminAnswer::KeysInUse { .. }),
        "{rotated:?}"
    );
    let bob = world.commander("bob", "boiler");
    let url = format!("ws://{}/ws", world.http);
    let (ticket, ended) = alice.as_commander(async |commander| {
        let mut client = Client::connect(&url, commander).await.expect("it connects");
        client.agents().await.expect("a list");
        let ticket = client.take_ticket().expect("a ticket");
        let of_bob = bob.connected(async |of_bob| {
            revoke(&world, tokens(&world, &alice));
            of_bob.agents().await
        });
        of_bob.expect("connected").expect("his session goes on");
        (ticket, client.agents().await)
    });
    let why = format!("{ended:?}");
    assert!(why.contains("Revoked"), "{why}");
    for _ in 0..2 {
        for ticket in [None, Some(&ticket)] {
            let refused = connect(&world, &alice, ticket);
            assert!(
                matches!(refused, Err(ClientError::CredentialRefused)),
                "{refused:?}"
            );
        }
        connect(&world, &bob, None).expect("his token is as good as before");
        assert_eq!(comes_back(&world, &alice), comes);
        world.stop();
        world = World::start_in(Arc::clone(&world.folder), |_| {});
    }
    let records = records(world.folder.path());
    let revoked = records
        .iter()
        .filter(|record| record.kind == Kind::TokensRevoked);
    assert_eq!(revoked.count(), 1);
}

#[test]
fn all_tokens_of_a_peer_are_revoked_and_it_comes_back_by_its_key() {
    check(|_, _| Tokens::OfPeer("alice".into()), true);
}

#[test]
fn one_token_is_revoked_by_its_id() {
    check(|_, alice| Tokens::WithId(id_of(alice)), true);
}

#[test]
fn a_key_is_refused_for_ever() {
    check(|_, alice| Tokens::ForKey(encode(&alice.key)), false);
}

#[test]
fn the_tokens_that_a_key_of_the_issuer_has_signed_are_revoked() {
    check(
        |_, alice| Tokens::SignedBy(alice.credential.issuer_kid.clone()),
        true,
    );
}

#[test]
fn a_token_that_is_given_after_its_forerunners_are_revoked_is_good() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    revoke(&world, Tokens::OfPeer("alice".into()));
    let home = private_folder();
    // She is enrolled again, with the same key; what is written of her generation stays.
    let again = AdminRequest::Enrol {
        name: "alice".into(),
        key: encode(&alice.key),
        particulars: moorline_server::store::Particulars::commander(
            moorline_server::store::Reach::Agents(vec!["boiler".into()]),
            crate::world::ALL,
        ),
    };
    let AdminAnswer::Enrolled(credential) = world.ask(&again) else {
        panic!("enrolled");
    };
    let old = connect(&world, &alice, None);
    assert!(
        matches!(old, Err(ClientError::CredentialRefused)),
        "{old:?}"
    );
    let alice = Peer {
        credential,
        ..alice
    };
    connect(&world, &alice, None).expect("the new one is good");
    // A key that is refused for ever is enrolled for nobody.
    revoke(&world, Tokens::ForKey(encode(&alice.key)));
    let refused = world.ask(&again);
    let AdminAnswer::Refused(why) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("refused for ever"), "{why}");
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let cases: [(&[&str], i32, &str); 7] = [
        (&["revoke"], 2, "required"),
        (&["revoke", "alice", "--kid", "x"], 2, "cannot be used with"),
        (
            &["revoke", "nobody", "--tokens"],
            4,
            "nobody called `nobody`",
        ),
        (&["revoke", "--token", "AAAA"], 4, "22 characters"),
        (&["revoke", "--key", "AAAA"], 4, "not a point on P-256"),
        (
            &["revoke", "--kid", "nothing"],
            4,
            "no key of the issuer is called `nothing`",
        ),
        (
            &["revoke", "--kid", &alice.credential.issuer_kid],
            4,
            "signs now",
        ),
    ];
    for (arguments, code, why) in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    for arguments in [
        &["revoke", "alice", "--tokens"][..],
        &["revoke", "--token", "AAAAAAAAAAAAAAAAAAAAAA"],
    ] {
        assert!(run(arguments).status.success(), "{arguments:?}");
    }
}

#[test]
fn agents_hear_which_tokens_and_keys_count_no_more() {
    let world = World::start();
    let agent = world.agent("boiler");
    let names = ["alice", "bob", "carol", "dave"];
    let [alice, bob, carol, dave] = names.map(|name| world.commander(name, "boiler"));
    let list = heard(&world, &agent, || {
        revoke(&world, Tokens::WithId(id_of(&alice)));
    });
    let anchors = agent.anchors();
    assert!(taken(&list, &anchors).names(&claims(&alice)));
    revoke(&world, Tokens::ForKey(encode(&bob.key)));
    revoke(&world, Tokens::OfPeer("carol".into()));
    let revocations = taken(&heard(&world, &agent, || {}), &anchors);
    for peer in [&alice, &bob, &carol] {
        assert!(revocations.names(&claims(peer)));
    }
    assert!(!revocations.names(&claims(&dave)));
}
