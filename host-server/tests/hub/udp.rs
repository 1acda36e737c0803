//! Commanders that reach the hub over datagrams.

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use moorline_core::connection::{Closure, NewToken};
use moorline_core::crypto::SigningKey;
use moorline_core::message::{AlertCode, RouteRefusal, Status};
use moorline_core::token::UnpackedToken;
use moorline_server::admin::{AdminRequest, Credential, Invitation};
use moorline_server::client::{Client, ClientError};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach};

use crate::agent::{Agent, Way};
use crate::offline_agent::{AwayAgent, Memory, Told};
use crate::routing::send;
use crate::world::{ALL, Peer, World, private_folder};

#[test]
fn a_command_goes_over_datagrams_to_an_agent_on_a_stream_and_its_reply_comes_back() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let _pump = Agent::start(world.agent("pump"), Way::Tcp(world.tcp));
    let reach = Reach::Agents(vec!["boiler".into(), "pump".into()]);
    let alice = world.commander_with("alice", reach, ALL);
    // A reply of several datagrams.
    let long = "a".repeat(800);
    let replies = alice.connected_to(&format!("{}?mtu=256", world.udp_url()), async |client| {
        let pong = send(client, "boiler", "ping", &[]).await?;
        let echo = send(client, "pump", "echo", &[&long]).await?;
        let agents = client.agents().await?.into_iter();
        let names: Vec<_> = agents.map(|agent| agent.name).collect();
        Ok::<_, ClientError>((pong, echo, names))
    });
    let (pong, echo, mut names) = replies.expect("connected").expect("answered");
    assert_eq!(pong, (Status::Done, "pong".into()));
    assert_eq!(echo, (Status::Done, long));
    names.sort();
    assert_eq!(names, ["boiler", "pump"]);
}

#[test]
fn what_the_hub_does_not_carry_is_said_over_datagrams_too() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let refused = alice.connected_to(&world.udp_url(), async |client| {
        send(client, "boiler", "ping", &[]).await
    });
    assert!(matches!(
        refused.expect("connected"),
        Err(ClientError::NotCarried(
            RouteRefusal::Offline | RouteRefusal::UnknownAgent
        ))
    ));
}

/// Opens a link over datagrams, has `meanwhile` happen, and returns how the link ends.
fn ended(world: &mut World, alice: &Peer, meanwhile: impl FnOnce(&mut World)) -> ClientError {
    let url = world.udp_url();
    alice.as_commander(async |commander| {
        let mut client = Client::connect(&url, commander).await.expect("it connects");
        client.agents().await.expect("the session is open");
        meanwhile(world);
        client.agents().await.expect_err("the session is over")
    })
}

#[test]
fn who_is_revoked_has_no_link_over_datagrams_any_more() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    let end = ended(&mut world, &alice, |world| {
        world.ask(&AdminRequest::Revoke {
            name: "alice".into(),
        });
    });
    match end {
        ClientError::Ended(Closure::ByPeer(alert)) => assert_eq!(alert.code, AlertCode::Revoked),
        other => panic!("{other:?}"),
    }
    let refused = alice.connected_to(&world.udp_url(), async |_| ());
    assert!(
        matches!(refused, Err(ClientError::CredentialRefused)),
        "{refused:?}"
    );
}

#[test]
fn a_hub_that_stops_says_goodbye_over_datagrams_too() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    match ended(&mut world, &alice, World::stop) {
        ClientError::Ended(Closure::ByPeer(alert)) => {
            assert_eq!(alert.code, AlertCode::GoingAway);
            assert!(alert.argument > 0);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_over_datagrams_takes_up_a_new_key_and_comes_back_with_a_ticket() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let url = world.udp_url();
    let (bob, ticket) = alice.as_commander(async |commander| {
        let mut client = Client::connect(&url, commander).await.expect("it connects");
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let token = client.ask_token(Some(key.public_key())).await;
        let token = token.expect("the hub gives one");
        // Asked again, as when the answer was lost, it is the same.
        let again = client.ask_token(Some(key.public_key())).await;
        assert_eq!(again.expect("the hub gives it again"), token);
        let token = UnpackedToken::parse_exact(&token).expect("a token");
        let new = NewToken {
            token,
            key: Some(&key),
        };
        client.take_up(&new).await.expect("the hub takes it");
        client.agents().await.expect("the session goes on");
        let ticket = client.take_ticket().expect("the hub gives one");
        let credential = alice.credential.with_token(&token).expect("a credential");
        client.close().await;
        (Peer { key, credential }, ticket)
    });
    bob.as_commander(async |commander| {
        let client = Client::resume(&url, commander, ticket).await;
        let mut client = client.expect("it connects");
        assert!(client.is_resumed());
        client.agents().await.expect("the session is open");
        client.close().await;
    });
    let refused = alice.connected_to(&url, async |_| ());
    assert!(matches!(refused, Err(ClientError::CredentialRefused)));
}

#[test]
fn another_hub_is_not_spoken_to_and_nobody_is_noticed() {
    let (world, other) = (World::start(), World::start());
    let alice = world.commander("alice", "boiler");
    let wrong = alice.connected_to(&other.udp_url(), async |_| ());
    assert!(matches!(wrong, Err(ClientError::WrongHub(_))), "{wrong:?}");
    // A port of this machine on which nobody listens any more.
    let port = std::net::UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a socket");
    let nobody = alice.connected_to(&format!("udp://{port}"), async |_| ());
    assert!(
        matches!(nobody, Err(ClientError::Unreachable { .. })),
        "{nobody:?}"
    );
}

/// The command line of a person who is told `udp://`.
pub(crate) struct Person<'w> {
    world: &'w World,
    home: tempfile::TempDir,
}

impl<'w> Person<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let home = private_folder();
        Self { world, home }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_moorline"))
            .arg("--home")
            .arg(self.home.path())
            .args(arguments)
            .env("MOORLINED_DATA_DIR", self.world.folder.path())
            .output()
            .expect("the program runs")
    }

    /// Runs what must work, and returns what it prints.
    pub(crate) fn does(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn invited(&self, request: &[&str]) -> Invitation {
        let said = self.does(request);
        serde_json::from_str(&said).expect("an invitation")
    }
}

#[test]
fn a_person_joins_sends_renews_and_leaves_commands_over_datagrams() {
    let world = World::start();
    let boiler = Arc::new(world.agent("boiler"));
    let memory = Arc::new(Mutex::new(Memory::default()));
    let away = AwayAgent::start(&boiler, &memory, world.tcp);
    assert!(matches!(away.told(), Told::Ready { .. }));
    away.leave();
    let _pump = Agent::start(world.agent("pump"), Way::WebSocket(world.http));
    let url = world.udp_url();
    for (name, kind) in [
        ("alice", &["--code"][..]),
        ("bob", &["--code", "--external-key"]),
    ] {
        let person = Person::new(&world);
        let mut invite = vec!["--json", "enroll", "commander", name];
        invite.extend(["--agent", "pump", "--agent", "boiler"]);
        invite.extend(kind);
        let Invitation {
            hub_key,
            root_key,
            code,
            ..
        } = person.invited(&invite);
        person.does(&[
            "join",
            &url,
            "--hub-key",
            &hub_key,
            "--root-key",
            &root_key,
            "--code",
            &code,
        ]);
        // An external key that is spent has no answer.
        if kind.len() == 1 {
            let used = person.run(&[
                "join",
                &url,
                "--hub-key",
                &hub_key,
                "--root-key",
                &root_key,
                "--code",
                &code,
            ]);
            assert_eq!(used.status.code(), Some(4), "a code is good once");
        }
        for _ in 0..2 {
            assert_eq!(
                person.does(&["send", "pump", "echo", "hello"]),
                "text  hello\n"
            );
        }
        assert!(person.does(&["agents"]).contains("pump"));
        person.does(&["renew"]);
        person.does(&["renew", "--new-key"]);
        person.does(&["send", "boiler", "led", "on", "--offline"]);
        let away = AwayAgent::start(&boiler, &memory, world.tcp);
        assert!(matches!(away.told(), Told::Ready { .. }));
        assert_eq!(away.told(), Told::Answered);
        away.leave();
        assert!(person.does(&["replies"]).contains("boiler"));
        assert!(!person.does(&["replies"]).contains("number"));
    }
}

#[test]
fn the_profile_says_where_the_hub_is_unless_the_command_line_does() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let person = Person::new(&world);
    person.does(&["keygen"]);
    person.does(&["enroll", "commander", "alice", "--agent", "boiler"]);
    let url = world.udp_url();
    let sent = person.does(&["--hub", &url, "send", "boiler", "echo", "hello"]);
    assert_eq!(sent, "text  hello\n");
    let nowhere = person.run(&["--hub", "udp://nowhere", "agents"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("udp://HOST:PORT"));
    // It is not written down.
    let credential = std::fs::read(person.home.path().join("credential.json"));
    let credential: Credential =
        serde_json::from_slice(&credential.expect("own file")).expect("a credential");
    assert!(credential.url.starts_with("ws://"));
    assert_eq!(credential.role, PeerRole::Commander);
}
