//! Who is not let in, and what is not carried. Nobody else notices.

use moorline_core::crypto::SigningKey;
use moorline_core::message::{RouteRefusal, Status};
use moorline_core::token::{
    AgentId, AgentScope, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, NewClaims, Role, TokenKind, mint,
};
use moorline_server::admin::{AdminAnswer, AdminRequest};
use moorline_server::client::ClientError;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{HubKeys, PeerRole, Reach, Vault};
use moorline_server::{clock, entropy};

use crate::agent::{Agent, Way};
use crate::routing::send;
use crate::world::{Peer, World, encode};

fn refused_by_hub(peer: &Peer) -> bool {
    matches!(
        peer.connected(async |_| ()),
        Err(ClientError::CredentialRefused)
    )
}

#[test]
fn a_token_for_another_agent_reaches_none_and_does_not_tell_whether_there_is_one() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let mallory = world.commander("mallory", "pump");
    for agent in ["boiler", "nobody"] {
        let reply = mallory.connected(async |client| send(client, agent, "ping", &[]).await);
        let refused = reply.expect("connected").expect_err("refused");
        assert!(
            matches!(refused, ClientError::NotCarried(RouteRefusal::UnknownAgent)),
            "{refused}"
        );
    }
}

#[test]
fn a_command_without_its_permission_is_refused_by_the_agent() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let reach = Reach::Agents(vec!["boiler".into()]);
    let bob = world.commander_with("bob", reach, &["agent.command.ping"]);
    let replies = bob.connected(async |client| {
        let led = send(client, "boiler", "led", &["on"]).await;
        let own = send(client, "boiler", "a-command-of-ones-own", &[]).await;
        let list = client.agents().await;
        (led, own, list, send(client, "boiler", "ping", &[]).await)
    });
    let (led, own, list, ping) = replies.expect("connected");
    for reply in [led, own] {
        assert!(matches!(reply, Ok((Status::NotPermitted, _))), "{reply:?}");
    }
    assert!(matches!(list, Err(ClientError::NotPermitted)));
    assert!(ping.is_ok(), "the connection goes on");
}

#[test]
fn who_may_give_no_command_at_all_does_not_reach_an_agent() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let reach = Reach::Agents(vec!["boiler".into()]);
    let bob = world.commander_with("bob", reach, &["agent.list"]);
    let reply = bob.connected(async |client| send(client, "boiler", "ping", &[]).await);
    let refused = reply.expect("connected").expect_err("refused");
    assert!(
        matches!(refused, ClientError::NotCarried(RouteRefusal::NotPermitted)),
        "{refused}"
    );
}

#[test]
fn a_message_that_is_too_long_is_refused_where_that_is_known() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    // The agent takes 1,000 bytes, the hub and the commander 4,096.
    let (for_agent, for_hub) = ("a".repeat(1100), "a".repeat(4100));
    let replies = alice.connected(async |client| {
        let agent = send(client, "boiler", "echo", &[&for_agent]).await;
        let hub = send(client, "boiler", "echo", &[&for_hub]).await;
        (agent, hub, send(client, "boiler", "ping", &[]).await)
    });
    let (agent, hub, ping) = replies.expect("connected");
    assert!(matches!(agent, Err(ClientError::TooLong)), "{agent:?}");
    assert!(matches!(hub, Err(ClientError::TooLong)), "{hub:?}");
    assert!(ping.is_ok(), "the connections go on");
}

#[test]
fn an_agent_that_is_offline_is_said_to_be() {
    let world = World::start();
    world.agent("boiler");
    let alice = world.commander("alice", "boiler");
    let reply = alice.connected(async |client| send(client, "boiler", "ping", &[]).await);
    let refused = reply.expect("connected").expect_err("refused");
    assert!(
        matches!(refused, ClientError::NotCarried(RouteRefusal::Offline)),
        "{refused}"
    );
}

#[test]
fn a_stolen_token_is_worth_nothing_without_its_key() {
    let world = World::start();
    let mut alice = world.commander("alice", "boiler");
    alice.key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    assert!(refused_by_hub(&alice));
}

#[test]
fn a_hub_with_another_key_is_told_nothing() {
    let world = World::start();
    let other = World::start();
    let alice = world.commander("alice", "boiler");
    let url = format!("ws://{}/ws", other.http);
    let refused = alice.connected_to(&url, async |_| ()).expect_err("refused");
    assert!(matches!(refused, ClientError::WrongHub(_)), "{refused}");
}

/// Makes a token for `peer` with the hub's own issuer key, changed by `change`.
pub(crate) fn forge(world: &World, peer: &Peer, change: impl FnOnce(&mut NewClaims<'_>)) -> String {
    let keys = HubKeys::open(world.folder.path(), "moorline", &Vault::default(), 0)
        .expect("the hub's keys");
    forge_with(keys.issuer(), &keys.issuer_kid(), peer, change)
}

fn forge_with(
    issuer: &SigningKey,
    kid: &str,
    peer: &Peer,
    change: impl FnOnce(&mut NewClaims<'_>),
) -> String {
    let now = clock::now().unix.secs();
    let mut new = NewClaims {
        kind: TokenKind::Access,
        kid,
        issuer: "moorline",
        audience: &["moorline"],
        subject: &peer.credential.name,
        key: *peer.key.public_key(),
        role: Role::Commander,
        permissions: &["agent.command.*"],
        agents: AgentScope::of_agents(&[AgentId::of("moorline", "boiler")]).expect("one agent"),
        generation: 1,
        issued_at: now,
        not_before: None,
        expires_at: now + 600,
        jti: entropy::random().expect("random bytes"),
    };
    change(&mut new);
    let mut unpacked = [0; MAX_UNPACKED_LEN];
    let token = mint(&new, issuer, &[], &mut unpacked).expect("a token");
    let mut compact = [0; MAX_COMPACT_LEN];
    token.to_compact(&mut compact).expect("it fits").into()
}

/// What is wrong with a token; the number is the time in seconds.
type Change = fn(&mut NewClaims<'_>, u64);

#[test]
fn every_wrong_token_is_refused_in_the_same_way() {
    let world = World::start();
    let mut alice = world.commander("alice", "boiler");
    let now = clock::now().unix.secs();
    alice.credential.token = forge(&world, &alice, |_| {});
    assert!(
        alice.connected(async |_| ()).is_ok(),
        "the unchanged one is good"
    );
    let wrong: [(&str, Change); 5] = [
        ("expired", |new, now| {
            new.issued_at = now - 1000;
            new.expires_at = now - 1;
        }),
        ("another audience", |new, _| new.audience = &["another-hub"]),
        ("another issuer", |new, _| new.issuer = "another-issuer"),
        ("a role that was not enrolled", |new, _| {
            new.role = Role::Agent;
            new.permissions = &[];
            new.agents = AgentScope::None;
        }),
        ("a name that was not enrolled", |new, _| {
            new.subject = "nobody"
        }),
    ];
    for (name, change) in wrong {
        alice.credential.token = forge(&world, &alice, |new| change(new, now));
        assert!(refused_by_hub(&alice), "{name}");
    }
    let keys = HubKeys::open(world.folder.path(), "moorline", &Vault::default(), 0)
        .expect("the hub's keys");
    let foreign = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    alice.credential.token = forge_with(&foreign, &keys.issuer_kid(), &alice, |_| {});
    assert!(
        refused_by_hub(&alice),
        "signed by another issuer under this one's name"
    );
}

#[test]
fn a_revoked_peer_is_shut_out_at_once_and_for_good() {
    let world = World::start();
    let boiler = world.agent("boiler");
    let again = boiler.again();
    let agent = Agent::start(boiler, Way::WebSocket(world.http));
    let answer = world.ask(&AdminRequest::Revoke {
        name: "boiler".into(),
    });
    assert!(matches!(answer, AdminAnswer::Revoked), "{answer:?}");
    let end = agent.end();
    assert!(format!("{end:?}").contains("Revoked"), "{end:?}");
    let end = Agent::try_start(again, Way::WebSocket(world.http)).end();
    assert!(format!("{end:?}").contains("RefusedCredential"), "{end:?}");
}

#[test]
fn what_cannot_be_enrolled_is_refused_with_the_reason() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let key = encode(&alice.key);
    let fresh = encode(&SigningKey::generate(&mut SystemEntropy).expect("random bytes"));
    let enrol = |name: &str, role, key: &str, reach, permissions: &[&str]| AdminRequest::Enrol {
        name: name.into(),
        role,
        key: key.into(),
        group: None,
        reach,
        permissions: permissions.iter().copied().map(String::from).collect(),
    };
    let boiler = || Reach::Agents(vec!["boiler".into()]);
    let nine = Reach::Agents((0..9).map(|count| format!("a{count}")).collect());
    let cases = [
        (
            "is enrolled as `alice`",
            enrol("bob", PeerRole::Commander, &key, boiler(), &[]),
        ),
        (
            "choose another name",
            enrol("alice", PeerRole::Commander, &fresh, boiler(), &[]),
        ),
        (
            "not a point on P-256",
            enrol("bob", PeerRole::Commander, "AAAA", boiler(), &[]),
        ),
        (
            "1 to 8 agents",
            enrol("bob", PeerRole::Commander, &fresh, nine, &[]),
        ),
        (
            "no token can say this",
            enrol("bob smith", PeerRole::Commander, &fresh, boiler(), &[]),
        ),
        (
            "no token can say this",
            enrol("bob", PeerRole::Commander, &fresh, boiler(), &["all"]),
        ),
        (
            "an agent reaches nobody",
            enrol("pump", PeerRole::Agent, &fresh, boiler(), &[]),
        ),
        (
            "nobody called `ghost`",
            AdminRequest::Revoke {
                name: "ghost".into(),
            },
        ),
    ];
    for (expected, request) in cases {
        match world.ask(&request) {
            AdminAnswer::Refused(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
