//! What the documents tell a reader to type, typed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use moorline_core::crypto::SigningKey;
use moorline_server::admin::Invitation;
use moorline_server::client::Profile;
use moorline_server::config::Config;
use moorline_server::entropy::SystemEntropy;

use crate::agent::{Agent, Way};
use crate::world::{Peer, World, encode, private_folder};

/// Returns the text of every block of `language` in `document`.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let fence = format!("```{language}\n");
    let after_fences = document.split(fence.as_str()).skip(1);
    after_fences
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

/// Returns every line of `document` that runs `moorline`, without its comment.
fn command_lines(document: &str) -> Vec<Vec<&str>> {
    let lines = blocks(document, "sh").into_iter().flat_map(str::lines);
    lines
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter_map(|line| line.strip_prefix("moorline "))
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// A person's machine: a home, and the hub's data directory.
struct Machine<'w> {
    world: &'w World,
    home: tempfile::TempDir,
}

impl Machine<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_moorline"))
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("MOORLINE_HOME")
            .env("MOORLINED_DATA_DIR", self.world.folder.path())
            .output()
            .expect("the program runs")
    }

    /// Starts the agent whose profile is in `folder`.
    fn start_agent(&self, folder: &str, http: SocketAddr) -> Agent {
        let profile = Profile::new(&self.home.path().join(folder));
        let key = profile.key().expect("a key");
        let credential = profile.credential().expect("a credential");
        Agent::start(Peer { key, credential }, Way::WebSocket(http))
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("the document is there")
}

#[test]
fn every_command_of_the_readme_works_in_its_order() {
    let world = World::start();
    let machine = Machine {
        world: &world,
        home: private_folder(),
    };
    let mut agent = None;
    let document = read("../README.md");
    let lines = command_lines(&document);
    assert_eq!(lines.len(), 7, "{lines:?}");
    for line in lines {
        if line.first() == Some(&"agents") {
            agent = Some(machine.start_agent("boiler-1", world.http));
        }
        let output = machine.run(&line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {said}");
    }
    drop(agent);
}

#[test]
fn every_command_of_the_hubs_document_works_in_its_order() {
    let world = World::start();
    let machine = Machine {
        world: &world,
        home: private_folder(),
    };
    let key = encode(&SigningKey::generate(&mut SystemEntropy).expect("random bytes"));
    let document = read("README.md");
    let lines = command_lines(&document);
    assert_eq!(lines.len(), 18, "{lines:?}");
    let mut invitation = None;
    for line in lines {
        // Bob's key is his own: the one in the home folder is alice's.
        let home = if line.contains(&"bob") {
            "bob"
        } else {
            "alice"
        };
        if line.contains(&"bob") && !machine.home.path().join("bob").exists() {
            assert!(machine.run(&["--home", "bob", "keygen"]).status.success());
        }
        let home = if line.contains(&"join") {
            "boiler-2"
        } else {
            home
        };
        let mut arguments = vec!["--home", home, "--json"];
        arguments.extend(line.iter().map(|word| match (*word, invitation.as_ref()) {
            ("PUBLIC_KEY", _) => &key,
            ("KEY", Some(Invitation { hub_key, .. })) => hub_key,
            ("ROOT_KEY", Some(Invitation { root_key, .. })) => root_key,
            ("ws://HOST:PORT/ws", Some(Invitation { url, .. })) => url,
            (word, _) => word,
        }));
        if let (true, Some(Invitation { code, .. })) = (line.contains(&"join"), &invitation) {
            // A person types it.
            arguments.extend(["--code", code]);
        }
        let output = machine.run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {said}");
        if line.contains(&"--code") {
            let said = serde_json::from_slice::<Invitation>(&output.stdout);
            invitation = Some(said.expect("an invitation"));
        }
    }
}

#[test]
fn the_documented_configuration_is_the_default_one() {
    let document = read("README.md");
    let documented = blocks(&document, "toml");
    assert_eq!(documented.len(), 1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("moorlined.toml");
    std::fs::write(&path, documented[0]).expect("a file");
    let config = Config::load(Some(&path)).expect("it is valid");
    // Where the data is depends on who runs the daemon.
    let expected = Config {
        data_dir: config.data_dir.clone(),
        ..Config::default()
    };
    assert_eq!(config, expected);
    let written = toml::to_string(&expected).expect("it is TOML");
    for line in written.lines().filter(|line| line.contains('=')) {
        let key = line.split(' ').next().unwrap_or_default();
        assert!(
            documented[0].contains(&format!("{key} = ")),
            "{key} is not documented"
        );
    }
}
