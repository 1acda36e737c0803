//! Start, restart and end.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use futures_lite::future;
use moorline_core::connection::Closure;
use moorline_core::driver::DriverError;
use moorline_core::message::AlertCode;
use moorline_server::clock;
use moorline_server::daemon::{Daemon, StartError};
use moorline_server::store::Reach;

use crate::agent::{Agent, Way};
use crate::routing::send;
use crate::world::{ALL, Peer, World, config};

#[test]
fn a_hub_that_stops_says_a_sealed_goodbye_and_when_to_come_back() {
    let mut world = World::start();
    let on_websocket = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let on_tcp = Agent::start(world.agent("pump"), Way::Tcp(world.tcp));
    world.stop();
    for agent in [on_websocket, on_tcp] {
        match agent.end() {
            DriverError::Closed(Closure::ByPeer(alert)) => {
                assert_eq!(alert.code, AlertCode::GoingAway);
                assert!(alert.argument > 0);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn each_peer_is_asked_back_at_a_moment_of_its_own_inside_the_window() {
    let mut world = World::start_with(|config| {
        config.drain.retry_millis = 1_000;
        config.drain.spread_millis = 100_000;
    });
    let agents: Vec<Agent> = (0..6)
        .map(|number| {
            let peer = world.agent(&format!("boiler-{number}"));
            Agent::start(peer, Way::Tcp(world.tcp))
        })
        .collect();
    world.stop();
    let hints = agents.into_iter().map(|agent| match agent.end() {
        DriverError::Closed(Closure::ByPeer(alert)) => alert.argument,
        other => panic!("{other:?}"),
    });
    let hints: BTreeSet<u32> = hints.collect();
    assert!(hints.len() > 1, "{hints:?}");
    assert!(
        hints.iter().all(|hint| (1_000..=101_000).contains(hint)),
        "{hints:?}"
    );
}

#[test]
fn another_configuration_holds_at_once_and_ends_no_session() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let left = |peer: &Peer| peer.credential.expires_at - clock::now().unix.secs();
    assert!(left(&alice) > 3_000);
    let worked = alice.connected(async |client| {
        let reloaded = world.reload(|config| {
            config.name = "other".into();
            config.listen_udp = None;
            config.limits.commander_token_seconds = 120;
            config.limits.connections = 2;
        });
        assert_eq!(reloaded.waiting, ["name", "listen_udp"]);
        let bob = world.commander("bob", "boiler");
        assert!(left(&bob) <= 120, "{}", left(&bob));
        assert_eq!(bob.credential.hub, "moorline");
        // The agent and alice have all the places.
        assert!(bob.connected(async |_| ()).is_err());
        // Their sessions are of before, and the hub serves them.
        client.agents().await.expect("it goes on").len()
    });
    assert_eq!(worked.expect("it connects"), 1);
}

#[test]
fn channels_have_other_limits_from_a_reload_on() {
    let world = World::start();
    let names = ["boiler", "pump", "valve"];
    let _agents = names.map(|name| Agent::start(world.agent(name), Way::Tcp(world.tcp)));
    let reach = Reach::Agents(names.map(String::from).to_vec());
    let alice = world.commander_with("alice", reach, ALL);
    let worked = alice.connected(async |client| {
        let mut reached = Vec::new();
        for (name, channels) in names.into_iter().zip([1, 1, 2]) {
            let reloaded = world.reload(|config| config.limits.channels = channels);
            assert!(reloaded.waiting.is_empty());
            let sent = send(client, name, "ping", &[]).await;
            reached.push(sent.is_ok());
        }
        reached
    });
    assert_eq!(worked.expect("it connects"), [true, false, true]);
}

#[test]
fn a_restart_keeps_keys_and_peers() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    assert!(alice.connected(async |_| ()).is_ok());
    world.stop();
    let again = World::start_in(Arc::clone(&world.folder), |_| {});
    let url = format!("ws://{}/ws", again.http);
    assert!(alice.connected_to(&url, async |_| ()).is_ok());
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let world = World::start();
    world.agent("boiler");
    for name in ["identity.key", "issuers.json", "peers.json"] {
        let path = world.folder.path().join(name);
        let mode = std::fs::metadata(&path).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn start_error(world: &World) -> StartError {
    future::block_on(Daemon::start(config(world.folder.path()))).expect_err("it does not start")
}

#[test]
fn two_hubs_do_not_share_a_data_directory() {
    let world = World::start();
    assert!(matches!(start_error(&world), StartError::Locked(_)));
}

#[test]
fn damaged_or_open_files_stop_the_start_with_their_name() {
    let mut world = World::start();
    world.agent("boiler");
    world.stop();
    let folder = world.folder.path();
    let identity = folder.join("identity.key");
    let peers = folder.join("peers.json");

    std::fs::set_permissions(&identity, PermissionsExt::from_mode(0o644)).expect("own file");
    let error = start_error(&world).to_string();
    assert!(
        error.contains("identity.key") && error.contains("chmod 600"),
        "{error}"
    );
    std::fs::set_permissions(&identity, PermissionsExt::from_mode(0o600)).expect("own file");

    let good = std::fs::read(&identity).expect("own file");
    std::fs::write(&identity, "not a key\n").expect("own file");
    let error = start_error(&world).to_string();
    assert!(
        error.contains("identity.key") && error.contains("not a private key"),
        "{error}"
    );
    std::fs::write(&identity, good).expect("own file");

    let issuers = folder.join("issuers.json");
    let good = std::fs::read(&issuers).expect("own file");
    std::fs::write(&issuers, &good[..good.len() - 9]).expect("own file");
    let error = start_error(&world).to_string();
    assert!(error.contains("issuers.json"), "{error}");
    std::fs::write(&issuers, good).expect("own file");

    std::fs::write(&peers, "{\"boiler\": {}}").expect("own file");
    let error = start_error(&world).to_string();
    assert!(
        error.contains("peers.json") && error.contains("not a registry"),
        "{error}"
    );
    std::fs::remove_file(&peers).expect("own file");

    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("own folder");
    let error = start_error(&world).to_string();
    assert!(error.contains("chmod 700"), "{error}");
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).expect("own folder");
}
