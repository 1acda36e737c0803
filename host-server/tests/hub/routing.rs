//! Commands to agents, and replies to whoever asked.

use std::time::Duration;

use moorline_core::message::{Command, Reply, RouteRefusal, Status, Value};
use moorline_core::token::AgentId;
use moorline_server::client::{Client, ClientError};
use moorline_server::store::{PeerRole, Reach};

use crate::agent::{Agent, Way};
use crate::world::{ALL, World};

/// How long a reply may take that is sure to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Sends `name` with `arguments` to the agent `agent` of the default hub, and returns status and text of the reply.
pub(crate) async fn send(
    client: &mut Client<'_>,
    agent: &str,
    name: &str,
    arguments: &[&str],
) -> Result<(Status, String), ClientError> {
    let command = Command {
        name,
        arguments: arguments.iter().copied().collect(),
    };
    let id = AgentId::of("moorline", agent);
    let (reply, _) = client.send(id, command, PATIENCE, text).await?;
    Ok(reply)
}

fn text(reply: &Reply<'_>) -> (Status, String) {
    let text = reply.fields.first().map(|field| match field.value {
        Value::Text(text) => text.to_owned(),
        other => format!("{other:?}"),
    });
    (reply.status, text.unwrap_or_default())
}

fn done(text: &str) -> (Status, String) {
    (Status::Done, text.into())
}

#[test]
fn a_command_reaches_an_agent_on_a_websocket_and_its_reply_comes_back() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let replies = alice.connected(async |client| {
        let pong = send(client, "boiler", "ping", &[]).await?;
        let echo = send(client, "boiler", "echo", &["so", "it", "is"]).await?;
        let unknown = send(client, "boiler", "reboot", &[]).await?;
        Ok::<_, ClientError>([pong, echo, unknown])
    });
    let unknown = (Status::UnknownCommand, String::new());
    assert_eq!(
        replies.expect("connected").expect("answered"),
        [done("pong"), done("so it is"), unknown]
    );
}

#[test]
fn a_command_reaches_an_agent_on_bare_tcp_and_its_reply_comes_back() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::Tcp(world.tcp));
    let alice = world.commander("alice", "boiler");
    let reply = alice.connected(async |client| send(client, "boiler", "ping", &[]).await);
    assert_eq!(reply.expect("connected").expect("answered"), done("pong"));
}

#[test]
fn two_commanders_at_once_each_get_only_their_own_replies() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let commanders = ["alice", "bob"].map(|name| (name, world.commander(name, "boiler")));
    std::thread::scope(|scope| {
        for (name, commander) in &commanders {
            scope.spawn(move || {
                let all = commander.connected(async |client| {
                    for count in 0..100 {
                        let mine = format!("{name} {count}");
                        let reply = send(client, "boiler", "echo", &[&mine]).await?;
                        assert_eq!(reply, done(&mine));
                    }
                    Ok::<_, ClientError>(())
                });
                all.expect("connected").expect("answered");
            });
        }
    });
}

#[test]
fn replies_out_of_order_find_their_askers() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let bob = world.commander("bob", "boiler");
    let (asked, ask) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let held = scope.spawn(move || {
            alice.connected(async |client| {
                asked.send(()).expect("the test waits");
                send(client, "boiler", "hold", &[]).await
            })
        });
        ask.recv().expect("alice is connected");
        // The agent answers alice after the first of bob's commands that it hears after hers.
        let last = bob.connected(async |client| {
            let mut last = None;
            while !held.is_finished() {
                last = Some(send(client, "boiler", "ping", &[]).await);
            }
            last
        });
        assert_eq!(
            last.expect("connected").expect("asked").expect("answered"),
            done("pong")
        );
        let held = held.join().expect("no panic");
        assert_eq!(held.expect("connected").expect("answered"), done("held"));
    });
}

#[test]
fn an_agent_that_leaves_with_a_command_is_told_to_the_asker() {
    let world = World::start();
    let agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let reply = alice.connected(async |client| send(client, "boiler", "quit", &[]).await);
    let refused = reply.expect("connected").expect_err("no answer");
    // `quit` is a name that the protocol does not know: it needs every command's permission, which alice has.
    assert!(
        matches!(refused, ClientError::NotCarried(RouteRefusal::Offline)),
        "{refused}"
    );
    agent.end();
}

#[test]
fn a_command_without_an_answer_is_given_up_in_time() {
    let world = World::start();
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let alice = world.commander("alice", "boiler");
    let late = alice.connected(async |client| {
        let command = Command {
            name: "hold",
            arguments: [].into_iter().collect(),
        };
        let id = AgentId::of("moorline", "boiler");
        let patience = Duration::from_millis(500);
        let late = client.send(id, command, patience, text).await;
        // The next one opens a channel of its own.
        (late, send(client, "boiler", "ping", &[]).await)
    });
    let (late, pong) = late.expect("connected");
    assert!(matches!(late, Err(ClientError::Late(_))), "{late:?}");
    assert_eq!(pong.expect("answered"), done("pong"));
}

#[test]
fn a_commander_sees_the_agents_that_it_reaches_and_no_others() {
    let world = World::start();
    let group = Some("north");
    for count in 0..20 {
        let name = format!("pump-{count}");
        world.enrol(&name, PeerRole::Agent, group, Reach::Nobody, &[]);
    }
    let _boiler = Agent::start(
        world.enrol("boiler", PeerRole::Agent, group, Reach::Nobody, &[]),
        Way::Tcp(world.tcp),
    );
    world.agent("elsewhere");
    let alice = world.commander_with("alice", Reach::Group("north".into()), ALL);
    let agents = alice.connected(async |client| client.agents().await);
    let agents = agents.expect("connected").expect("permitted");
    assert_eq!(agents.len(), 21);
    assert!(agents.iter().all(|agent| agent.name != "elsewhere"));
    assert!(
        agents
            .iter()
            .all(|agent| agent.online == (agent.name == "boiler"))
    );
    let bob = world.commander("bob", "pump-3");
    let agents = bob.connected(async |client| client.agents().await);
    let names: Vec<String> = agents
        .expect("connected")
        .expect("permitted")
        .into_iter()
        .map(|agent| agent.name)
        .collect();
    assert_eq!(names, ["pump-3"]);
}

#[test]
fn the_newest_session_of_an_agent_wins() {
    let world = World::start();
    let first = world.agent("boiler");
    let again = first.again();
    let first = Agent::start(first, Way::WebSocket(world.http));
    let _second = Agent::start(again, Way::WebSocket(world.http));
    let end = first.end();
    assert!(format!("{end:?}").contains("Superseded"), "{end:?}");
    let alice = world.commander("alice", "boiler");
    let reply = alice.connected(async |client| send(client, "boiler", "ping", &[]).await);
    assert_eq!(reply.expect("connected").expect("answered"), done("pong"));
}
