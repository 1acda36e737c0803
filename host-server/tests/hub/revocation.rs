//! What agents hear of who is shut out.

use moorline_core::connection::{Event, NewToken};
use moorline_core::crypto::SigningKey;
use moorline_core::driver::blocking::Machine;
use moorline_core::framing::Delimited;
use moorline_core::message::FromHub;
use moorline_core::revocation::Revocations;
use moorline_core::token::{
    Claims, MAX_UNPACKED_LEN, TrustAnchors, UnpackedToken, UnverifiedClaims,
};
use moorline_core::trust::NoKeeper;
use moorline_server::admin::AdminRequest;
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::links::{connect, open};
use crate::world::{Peer, World};

fn claims(peer: &Peer) -> Claims {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = UnverifiedClaims::decode(&peer.token(&mut buffer));
    token
        .expect("within the profile")
        .claims_unverified()
        .clone()
}

/// Connects as `agent` and returns the first list of what is revoked that the hub says after `meanwhile`.
fn heard(world: &World, agent: &Peer, meanwhile: impl FnOnce()) -> Vec<u8> {
    let mut assembly = [0; 1100];
    let mut list = None;
    open(
        agent,
        connect(world.tcp),
        Delimited::new(&mut assembly[..]),
        |link| {
            meanwhile();
            let (mut clock, mut entropy) = (clock::now, SystemEntropy);
            let mut machine = Machine {
                clock: &mut clock,
                entropy: &mut entropy,
                keeper: &mut NoKeeper,
            };
            while list.is_none() {
                let said = link.receive(&mut machine, |event| match event {
                    Event::Application(message) => match FromHub::decode(message) {
                        Ok(FromHub::Revoked { list }) => Some(list.to_vec()),
                        Ok(FromHub::Issuers { .. }) => None,
                        other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                });
                list = said.expect("the link stands");
            }
        },
    );
    list.expect("it was said")
}

fn taken(list: &[u8], anchors: &TrustAnchors) -> Revocations<1> {
    let mut revocations = Revocations::new();
    revocations.take(list, anchors).expect("the issuer's");
    revocations
}

#[test]
fn an_agent_hears_at_once_who_is_shut_out_and_again_when_it_comes_back() {
    let world = World::start();
    let agent = world.agent("boiler");
    let (alice, bob) = (
        world.commander("alice", "boiler"),
        world.commander("bob", "boiler"),
    );
    let anchors = agent.anchors();
    let revoke = |name: &str| {
        world.ask(&AdminRequest::Revoke { name: name.into() });
    };
    let list = heard(&world, &agent, || revoke("alice"));
    let revocations = taken(&list, &anchors);
    assert!(revocations.names(&claims(&alice)));
    assert!(!revocations.names(&claims(&bob)));
    let again = heard(&world, &agent, || {});
    assert!(taken(&again, &anchors).names(&claims(&alice)));
    let mut newest = taken(&list, &anchors);
    assert!(newest.take(&again, &anchors).is_err(), "it is not newer");
    revoke("bob");
    let both = heard(&world, &agent, || {});
    newest.take(&both, &anchors).expect("it is newer");
    assert!(newest.names(&claims(&alice)) && newest.names(&claims(&bob)));
}

#[test]
fn an_agent_hears_that_a_key_is_gone() {
    let world = World::start();
    let agent = world.agent("boiler");
    let alice = world.commander("alice", "boiler");
    let old = claims(&alice);
    let rekeyed = alice.connected(async |client| {
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let token = client.ask_token(Some(key.public_key())).await;
        let token = token.expect("the hub gives one");
        let token = UnpackedToken::parse_exact(&token).expect("a token");
        let new = NewToken {
            token,
            key: Some(&key),
        };
        client.take_up(&new).await.expect("the hub takes it");
        let claims = UnverifiedClaims::decode(&token).expect("within the profile");
        claims.claims_unverified().clone()
    });
    let list = heard(&world, &agent, || {});
    let revocations = taken(&list, &agent.anchors());
    assert!(revocations.names(&old));
    assert!(!revocations.names(&rekeyed.expect("it connects")));
}
