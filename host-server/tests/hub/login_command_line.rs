//! Logging in from the command line.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::agent::{Agent, Way};
use crate::people::{log_in_at, log_in_by_program, pins};
use crate::programs::{json, moorline, stderr};
use crate::tls::Authority;
use crate::world::{World, private_folder};

#[test]
fn a_person_logs_in_by_a_key_works_and_is_logged_out() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let done = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    world.commander("alice", "boiler");
    let log_in = |more: &[&str]| log_in_by_program(home.path(), &world, more);
    for kind in [&["--ed25519"][..], &[]] {
        let file = home.path().join(format!("login-{}", kind.len()));
        let file = file.to_str().expect("a path");
        let public = done(&[&["login-key", file], kind].concat());
        let mode = std::fs::metadata(file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let login = ["--account", "alice", "--login-key", file];
        let refused = log_in(&login);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        done(&["users", "add-key", "alice", &public]);
        assert!(log_in(&login).status.success());
        assert!(done(&["agents"]).starts_with("boiler  online"));
        done(&["renew"]);
        assert_eq!(done(&["send", "boiler", "echo", "hello"]), "text  hello");
        assert!(done(&["users", "show", "alice"]).contains(&public));
        done(&["users", "log-out", "alice"]);
        let refused = run(&["agents"]);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        // A key that is taken away takes along what it has begun.
        assert!(log_in(&login).status.success());
        done(&["agents"]);
        done(&["users", "remove-key", "alice", &public]);
        assert_eq!(run(&["agents"]).status.code(), Some(4));
        assert_eq!(log_in(&login).status.code(), Some(4));
    }
    // Another hub's key is trusted: what is signed is good for nobody here.
    let file = home.path().join("login-0");
    let file = file.to_str().expect("a path");
    let public = done(&["login-key", &format!("{file}-public")]);
    done(&["users", "add-key", "alice", &public]);
    let (hub_key, root_key) = pins(&world);
    let with = |url: &str, key: &str| {
        let file = format!("{file}-public");
        run(&[
            "login",
            url,
            "--hub-key",
            key,
            "--root-key",
            &root_key,
            "--account",
            "alice",
            "--login-key",
            &file,
        ])
    };
    let url = format!("http://{}", world.http);
    assert_eq!(with(&url, &root_key).status.code(), Some(4));
    assert_eq!(with("hub:7443", &hub_key).status.code(), Some(2));
    assert!(with(&url, &hub_key).status.success());
    // A key that is refused for ever is no login key either.
    let (_, point) = public.split_once(':').expect("a kind");
    done(&["revoke", "--key", point]);
    assert_eq!(with(&url, &hub_key).status.code(), Some(4));
}

#[test]
fn a_program_logs_in_by_an_api_key_that_is_shown_once() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    world.commander("alice", "boiler");
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let made = json(&run(&[
        "users",
        "api-key",
        "alice",
        "--label",
        "nightly",
        "--permission",
        "agent.command.ping",
        "--json",
    ]));
    let file = home.path().join("api-key");
    std::fs::write(&file, made["key"].as_str().expect("a key")).expect("a file");
    let login = ["--api-key", file.to_str().expect("a path")];
    let log_in = || log_in_by_program(home.path(), &world, &login);
    let open = log_in();
    assert_eq!(
        open.status.code(),
        Some(2),
        "others can read it: {}",
        stderr(&open)
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let output = log_in();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(run(&["send", "boiler", "ping"]).status.success());
    assert_eq!(run(&["send", "boiler", "led", "on"]).status.code(), Some(4));
    let shown = run(&["users", "show", "alice"]);
    let shown = String::from_utf8_lossy(&shown.stdout);
    let id = made["id"].as_str().expect("a name");
    assert!(shown.contains(id) && shown.contains("nightly"), "{shown}");
    assert!(!shown.contains(made["key"].as_str().expect("a key")));
    assert!(
        run(&["users", "remove-api-key", "alice", id])
            .status
            .success()
    );
    assert_eq!(run(&["send", "boiler", "ping"]).status.code(), Some(4));
}

#[test]
fn a_login_in_tls_is_bound_to_its_connection() {
    let authority = Authority::new();
    let world = authority.start(|_| {});
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    world.commander("alice", "boiler");
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let file = home.path().join("login");
    let file = file.to_str().expect("a path");
    let public = run(&["login-key", file]);
    let public = String::from_utf8_lossy(&public.stdout).trim().to_owned();
    assert!(
        run(&["users", "add-key", "alice", &public])
            .status
            .success()
    );
    let port = world.https.expect("it serves TLS").port();
    let url = format!("https://localhost:{port}");
    let ca = authority_file(&authority);
    let login = ["--account", "alice", "--login-key", file, "--ca", &ca];
    let output = log_in_at(&url, home.path(), &world, &login);
    assert!(output.status.success(), "{}", stderr(&output));
    let agents = run(&["agents", "--ca", &ca]);
    assert!(agents.status.success(), "{}", stderr(&agents));
}

fn authority_file(authority: &Authority) -> String {
    let path: &Path = authority.folder();
    path.join("ca.pem").to_str().expect("a path").to_owned()
}

#[test]
fn who_is_invited_registers_from_the_command_line() {
    let world = World::start();
    let home = private_folder();
    let run = |arguments: &[&str]| moorline(home.path(), world.folder.path(), arguments);
    let invited = json(&run(&[
        "enroll",
        "commander",
        "dora",
        "--role",
        "user",
        "--code",
        "--json",
    ]));
    let file = home.path().join("login");
    let file = file.to_str().expect("a path");
    assert!(run(&["login-key", file, "--ed25519"]).status.success());
    let code = invited["code"].as_str().expect("a code");
    let login = [
        "--account",
        "dora",
        "--login-key",
        file,
        "--register",
        "--code",
        code,
    ];
    let output = log_in_by_program(home.path(), &world, &login);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(run(&["agents"]).status.success());
}
