//! Who may do what: roles, and to whom agents belong and are granted.

use moorline_core::crypto::SigningKey;
use moorline_core::message::RouteRefusal;
use moorline_server::access::RoleDefinition;
use moorline_server::admin::{AccessChange, AdminAnswer, AdminRequest};
use moorline_server::audit::{Kind, Record};
use moorline_server::client::ClientError;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{Particulars, PeerRole, Reach};

use crate::agent::{Agent, Way};
use crate::audit::records;
use crate::programs::{json, moorline, stderr};
use crate::routing::send;
use crate::world::{Peer, World, encode, private_folder};

fn change(world: &World, change: AccessChange) {
    let answer = world.ask(&AdminRequest::ChangeAccess(change));
    assert!(matches!(answer, AdminAnswer::Changed), "{answer:?}");
}

fn own(world: &World, agent: &str, owner: Option<&str>) {
    let (agent, owner) = (agent.into(), owner.map(String::from));
    change(world, AccessChange::Own { agent, owner });
}

fn grant(world: &World, agent: &str, commander: &str, is_granted: bool) {
    let (agent, commander) = (agent.into(), commander.into());
    change(
        world,
        AccessChange::Grant {
            agent,
            commander,
            is_granted,
        },
    );
}

fn set_roles(world: &World, name: &str, roles: &[&str]) {
    let roles = roles.iter().copied().map(String::from).collect();
    let name = name.into();
    change(world, AccessChange::SetRoles { name, roles });
}

/// Enrols a commander that reaches what it owns and is granted.
fn with_roles(world: &World, name: &str, roles: &[&str]) -> Peer {
    let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let request = AdminRequest::Enrol {
        name: name.into(),
        key: encode(&key),
        particulars: Particulars {
            roles: roles.iter().copied().map(String::from).collect(),
            ..Particulars::commander(Reach::Nobody, &[])
        },
    };
    match world.ask(&request) {
        AdminAnswer::Enrolled(credential) => Peer { key, credential },
        other => panic!("not enrolled: {other:?}"),
    }
}

/// Returns `peer` with the token that it is given now.
fn renewed(world: &World, peer: Peer, name: &str) -> Peer {
    let request = AdminRequest::Users {
        after: None,
        name: Some(name.into()),
    };
    let AdminAnswer::Users { users, .. } = world.ask(&request) else {
        panic!("it is a commander");
    };
    let request = AdminRequest::Enrol {
        name: name.into(),
        key: encode(&peer.key),
        particulars: Particulars {
            roles: users[0].roles.clone(),
            ..Particulars::commander(users[0].reach.clone(), &[])
        },
    };
    match world.ask(&request) {
        AdminAnswer::Enrolled(credential) => Peer { credential, ..peer },
        other => panic!("not enrolled: {other:?}"),
    }
}

fn denied(world: &World) -> Vec<Record> {
    let all = records(world.folder.path()).into_iter();
    all.filter(|record| record.kind == Kind::PermissionDenied)
        .collect()
}

fn is_unknown<T: std::fmt::Debug>(answer: Result<T, ClientError>) {
    let is_so = matches!(
        answer,
        Err(ClientError::NotCarried(RouteRefusal::UnknownAgent))
    );
    assert!(is_so, "{answer:?}");
}

fn is_not_permitted<T: std::fmt::Debug>(answer: Result<T, ClientError>) {
    let is_so = matches!(
        answer,
        Err(ClientError::NotPermitted | ClientError::NotCarried(RouteRefusal::NotPermitted))
    );
    assert!(is_so, "{answer:?}");
}

#[test]
fn an_owner_reaches_its_agent_until_it_is_taken_away() {
    let world = World::start();
    let boiler = world.enrol("boiler", PeerRole::Agent, Some("north"), Reach::Nobody, &[]);
    let _boiler = Agent::start(boiler, Way::WebSocket(world.http));
    let _pump = Agent::start(world.agent("pump"), Way::WebSocket(world.http));
    let mut alice = with_roles(&world, "alice", &["user"]);
    let before = alice.connected(async |client| {
        assert!(client.agents().await.expect("a list").is_empty());
        send(client, "boiler", "ping", &[]).await
    });
    is_unknown(before.expect("connected"));

    own(&world, "boiler", Some("alice"));
    alice = renewed(&world, alice, "alice");
    let session = alice.connected(async |client| {
        // The agent is in a group, which its owner's token names for it.
        send(client, "boiler", "ping", &[]).await.expect("answered");
        let agents = client.agents().await.expect("a list");
        let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
        assert_eq!(names, ["boiler"]);
        is_unknown(send(client, "pump", "ping", &[]).await);

        own(&world, "boiler", None);
        is_unknown(send(client, "boiler", "ping", &[]).await);
        assert!(client.agents().await.expect("a list").is_empty());
    });
    session.expect("connected");
    // The record is on the disk with the next one that is durable.
    own(&world, "boiler", Some("alice"));
    let why: Vec<String> = denied(&world)
        .iter()
        .map(|record| record.details["why"].to_string())
        .collect();
    assert_eq!(why, ["UnknownAgent"; 3]);
}

#[test]
fn an_agent_that_is_granted_is_reached_beside_its_owner_and_until_it_is_withdrawn() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = with_roles(&world, "alice", &["user"]);
    let bob = with_roles(&world, "bob", &["user"]);
    own(&world, "boiler", Some("alice"));
    grant(&world, "boiler", "bob", true);
    let (alice, bob) = (renewed(&world, alice, "alice"), renewed(&world, bob, "bob"));
    let both = bob.connected(async |client| {
        send(client, "boiler", "ping", &[]).await.expect("answered");
        grant(&world, "boiler", "bob", false);
        is_unknown(send(client, "boiler", "ping", &[]).await);
    });
    both.expect("connected");
    let still = alice.connected(async |client| send(client, "boiler", "ping", &[]).await);
    still.expect("connected").expect("it is alice's own");
}

#[test]
fn a_role_that_is_taken_away_or_narrowed_is_so_at_once() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let put = |permissions: &[&str]| {
        let role = RoleDefinition {
            inherits: vec!["guest".into()],
            permissions: permissions.iter().copied().map(String::from).collect(),
        };
        let name = "fitter".into();
        change(&world, AccessChange::PutRole { name, role });
    };
    put(&["agent.list", "agent.command.ping"]);
    let alice = with_roles(&world, "alice", &["fitter"]);
    own(&world, "boiler", Some("alice"));
    let alice = renewed(&world, alice, "alice");
    let session = alice.connected(async |client| {
        send(client, "boiler", "ping", &[]).await.expect("answered");
        put(&["agent.command.ping"]);
        is_not_permitted(client.agents().await);
        send(client, "boiler", "ping", &[]).await.expect("answered");
        set_roles(&world, "alice", &["guest"]);
        is_not_permitted(send(client, "boiler", "ping", &[]).await);
        // What is given back counts at once too, as far as the token goes.
        set_roles(&world, "alice", &["admin"]);
        send(client, "boiler", "ping", &[]).await.expect("answered");
        is_unknown(send(client, "other", "ping", &[]).await);
    });
    session.expect("connected");
}

#[test]
fn who_is_shut_out_owns_nothing_any_more() {
    let world = World::start();
    world.agent("boiler");
    with_roles(&world, "alice", &["user"]);
    with_roles(&world, "bob", &["user"]);
    own(&world, "boiler", Some("alice"));
    grant(&world, "boiler", "bob", true);
    for name in ["alice", "bob"] {
        let answer = world.ask(&AdminRequest::Revoke { name: name.into() });
        assert!(matches!(answer, AdminAnswer::Revoked), "{answer:?}");
    }
    let answer = world.ask(&AdminRequest::Access {
        agent: "boiler".into(),
    });
    let AdminAnswer::Access(access) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((access.owner, access.granted), (None, Vec::new()));
}

#[test]
fn roles_users_and_access_are_for_the_command_line() {
    let world = World::start();
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let done = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    done(&["keygen"]);
    done(&[
        "roles",
        "set",
        "fitter",
        "--inherit",
        "guest",
        "--permission",
        "agent.command.*",
    ]);
    let roles = json(&run(&["roles", "--json"]));
    assert_eq!(roles["fitter"]["inherits"][0], "guest");
    let permits = roles["fitter"]["permits"].as_array().expect("a list");
    assert_eq!(permits.len(), 10, "{permits:?}");
    assert!(done(&["roles"]).contains("moderator (on user): agent.*, chat.*, enrol"));

    done(&["enroll", "commander", "alice", "--role", "fitter"]);
    world.agent("boiler");
    done(&["access", "own", "boiler", "alice"]);
    done(&["access", "grant", "boiler", "alice"]);
    assert!(done(&["access", "show", "boiler"]).contains("owner:    alice\ngranted:  alice"));
    done(&["access", "withdraw", "boiler", "alice"]);
    assert!(done(&["users"]).starts_with("alice"));
    let alice = json(&run(&["users", "show", "alice", "--json"]));
    assert_eq!(alice["roles"][0], "fitter");
    assert_eq!(alice["owns"][0], "boiler");
    done(&["users", "roles", "alice", "user", "fitter"]);
    assert!(done(&["users", "show", "alice"]).contains("roles:    user, fitter"));

    let refused: [(&[&str], i32, &str); 9] = [
        (
            &["roles", "set", "admin"],
            4,
            "every hub has the role `admin`",
        ),
        (&["roles", "set", "New"], 4, "no name of a role"),
        (
            &["roles", "set", "new", "--permission", "age*"],
            4,
            "`age*` is no permission",
        ),
        (
            &["roles", "set", "new", "--inherit", "new"],
            4,
            "`new` would build on itself",
        ),
        (
            &["roles", "remove", "fitter"],
            4,
            "`alice` has the role `fitter`",
        ),
        (
            &["users", "roles", "alice", "king"],
            4,
            "no role is called `king`",
        ),
        (
            &["users", "show", "nobody"],
            4,
            "no commander is called `nobody`",
        ),
        (
            &["access", "own", "alice", "alice"],
            4,
            "`alice` is no agent",
        ),
        (
            &["enroll", "agent", "pump", "--role", "user"],
            2,
            "are for commanders",
        ),
    ];
    for (arguments, code, why) in refused {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    done(&["users", "roles", "alice"]);
    done(&["roles", "remove", "fitter"]);
    let kinds: Vec<Kind> = records(world.folder.path())
        .iter()
        .map(|record| record.kind)
        .collect();
    let changes = kinds.iter().filter(|kind| **kind == Kind::AccessChanged);
    assert_eq!(changes.count(), 7, "{kinds:?}");
}
