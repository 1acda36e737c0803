//! Issuers that are not this hub, in its configuration.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::SigningKey;
use moorline_core::token::{
    AgentScope, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, NewClaims, Role, TokenKind, mint,
};
use moorline_server::config::OutsideIssuer;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::load_key;

use crate::agent::{Agent, Way};
use crate::people::log_in_by_program;
use crate::programs::{json, moorline, moorlined, stderr};
use crate::world::{World, private_folder};

fn key() -> SigningKey {
    SigningKey::generate(&mut SystemEntropy).expect("random bytes")
}

/// Returns a set of one new key, which has `more` members too.
fn key_set(more: &str) -> String {
    set_of(&key(), more)
}

fn set_of(key: &SigningKey, more: &str) -> String {
    let point = key.public_key().to_bytes();
    let [x, y] = [&point[1..33], &point[33..]].map(Base64UrlUnpadded::encode_string);
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k",{more}"x":"{x}","y":"{y}"}}]}}"#)
}

fn check(folder: &Path, name: &str) -> Output {
    let path = folder.join("moorlined.toml");
    let jwks = folder.join("keys.json");
    let text = format!(
        "[[outside]]\nname = \"{name}\"\njwks = \"{}\"\npermissions = [\"agent.*\"]\n",
        jwks.display()
    );
    std::fs::write(&path, text).expect("a file");
    let path = path.display().to_string();
    let output = moorlined(&["--config", &path, "check-config"]).output();
    output.expect("the program runs")
}

#[test]
fn a_configuration_is_checked_with_the_keys_of_its_issuers() {
    let folder = private_folder();
    let keys = folder.path().join("keys.json");
    for (set, name, why) in [
        (key_set(""), "idp", None),
        (key_set(r#""d":"AAAA","#), "idp", Some("key 1 has `d`")),
        (
            key_set(r#""use":"enc","#),
            "idp",
            Some("`use` is not `sig`"),
        ),
        (
            key_set(""),
            "moorline",
            Some("outside.name: `moorline`: is this hub"),
        ),
        ("{}".into(), "idp", Some("is no JSON Web Key set")),
    ] {
        std::fs::write(&keys, set).expect("a file");
        let output = check(folder.path(), name);
        let said = stderr(&output);
        assert_eq!(output.status.success(), why.is_none(), "{said}");
        if let Some(why) = why {
            assert!(
                said.contains(why) && said.contains("moorlined.toml"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_hub_takes_up_another_issuer_while_it_serves() {
    let folder = private_folder();
    let jwks = folder.path().join("keys.json");
    std::fs::write(&jwks, key_set("")).expect("a file");
    let world = World::start();
    let issuer = OutsideIssuer {
        name: "idp".into(),
        jwks: jwks.clone(),
        permissions: vec!["agent.list".into()],
    };
    let with = |issuer: &OutsideIssuer| {
        let outside = vec![issuer.clone()];
        world.reload(|config| config.outside = outside)
    };
    assert!(with(&issuer).waiting.is_empty());
    // A file that has gone bad ends nothing.
    std::fs::write(&jwks, "half a fi").expect("a file");
    assert!(with(&issuer).waiting.is_empty());
    let alice = world.commander("alice", "boiler");
    assert!(alice.connected(async |_| ()).is_ok());
}

#[test]
fn whom_another_issuer_vouches_for_logs_in_as_the_account_that_the_operator_names() {
    let folder = private_folder();
    let (issuer_key, jwks) = (key(), folder.path().join("keys.json"));
    std::fs::write(&jwks, set_of(&issuer_key, "")).expect("a file");
    let world = World::start_with(|config| {
        config.outside = vec![OutsideIssuer {
            name: "idp".into(),
            jwks: jwks.clone(),
            permissions: vec!["agent.command.ping".into(), "hub.admin".into()],
        }];
    });
    let boiler = world.agent("boiler");
    let _boiler = Agent::start(boiler, Way::WebSocket(world.http));
    world.commander("alice", "boiler");
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let made = json(&run(&["keygen", "--json"]));
    let file = made["private_key_file"].as_str().expect("a path");
    let holder = load_key(Path::new(file)).expect("the key");
    let now = moorline_server::clock::now().unix.secs();
    let claims = NewClaims {
        kind: TokenKind::Access,
        kid: "k",
        issuer: "idp",
        audience: &["moorline"],
        subject: "a.smith",
        key: *holder.public_key(),
        role: Role::Commander,
        permissions: &["agent.command.*"],
        agents: AgentScope::None,
        generation: 1,
        issued_at: now,
        not_before: None,
        expires_at: now + 600,
        jti: [7; 16],
    };
    let (mut unpacked, mut compact) = ([0; MAX_UNPACKED_LEN], [0; MAX_COMPACT_LEN]);
    let token = mint(&claims, &issuer_key, &[1; 32], &mut unpacked).expect("a token");
    let token = token.to_compact(&mut compact).expect("it fits");
    let file = home.path().join("token");
    std::fs::write(&file, token).expect("a file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode");
    let login = ["--token", file.to_str().expect("a path")];
    let log_in = || log_in_by_program(home.path(), &world, &login);
    // Nobody is who the issuer says until the operator says so too.
    assert_eq!(log_in().status.code(), Some(4));
    let unknown = run(&["users", "add-outside", "alice", "another", "a.smith"]);
    assert!(stderr(&unknown).contains("no issuer outside is called `another`"));
    let add = ["users", "add-outside", "alice", "idp", "a.smith"];
    assert!(run(&add).status.success());
    assert_eq!(run(&add).status.code(), Some(4), "it is there");
    let output = log_in();
    assert!(output.status.success(), "{}", stderr(&output));
    // What issuer, token and account permit together.
    assert!(run(&["send", "boiler", "ping"]).status.success());
    assert_eq!(run(&["send", "boiler", "led", "on"]).status.code(), Some(4));
    assert_eq!(run(&["agents"]).status.code(), Some(4));
    // The same key again: agents that have refused it meanwhile take it.
    assert!(run(&["users", "log-out", "alice"]).status.success());
    assert_eq!(run(&["send", "boiler", "ping"]).status.code(), Some(4));
    assert!(log_in().status.success());
    let sent = run(&["send", "boiler", "ping"]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert!(
        run(&["users", "remove-outside", "alice", "idp", "a.smith"])
            .status
            .success()
    );
    assert_eq!(run(&["send", "boiler", "ping"]).status.code(), Some(4));
    assert_eq!(log_in().status.code(), Some(4));
}
