//! Logging in from the command line.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::agent::{Agent, Way};
use crate::programs::{json, moorline, stderr};
use crate::tls::Authority;
use crate::world::{World, private_folder};

/// Returns the hub's key and root key, as an operator says them.
fn pins(world: &World) -> (String, String) {
    let boiler = world.agent(&format!("pin-{}", world.http.port()));
    (boiler.credential.hub_key, boiler.credential.root_key)
}

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
    let (hub_key, root_key) = pins(&world);
    let url = format!("http://{}", world.http);
    for kind in [&["--ed25519"][..], &[]] {
        let file = home.path().join(format!("login-{}", kind.len()));
        let file = file.to_str().expect("a path");
        let public = done(&[&["login-key", file], kind].concat());
        let mode = std::fs::metadata(file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let login = [
            "login",
            &url,
            "--hub-key",
            &hub_key,
            "--root-key",
            &root_key,
            "--account",
            "alice",
            "--login-key",
            file,
        ];
        let refused = run(&login);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        done(&["users", "add-key", "alice", &public]);
        done(&login);
        assert!(done(&["agents"]).starts_with("boiler  online"));
        done(&["renew"]);
        assert_eq!(done(&["send", "boiler", "echo", "hello"]), "text  hello");
        assert!(done(&["users", "show", "alice"]).contains(&public));
        done(&["users", "log-out", "alice"]);
        let refused = run(&["agents"]);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        // A key that is taken away takes along what it has begun.
        done(&login);
        done(&["agents"]);
        done(&["users", "remove-key", "alice", &public]);
        assert_eq!(run(&["agents"]).status.code(), Some(4));
        assert_eq!(run(&login).status.code(), Some(4));
    }
    // Another hub's key is trusted: nothing is told to this one.
    let file = home.path().join("login-0");
    let wrong = run(&[
        "login",
        &url,
        "--hub-key",
        &root_key,
        "--root-key",
        &root_key,
        "--account",
        "alice",
        "--login-key",
        file.to_str().expect("a path"),
    ]);
    assert_eq!(wrong.status.code(), Some(4), "{}", stderr(&wrong));
    let no_url = run(&[
        "login",
        "hub:7443",
        "--hub-key",
        &hub_key,
        "--root-key",
        &root_key,
        "--account",
        "alice",
        "--login-key",
        file.to_str().expect("a path"),
    ]);
    assert_eq!(no_url.status.code(), Some(2), "{}", stderr(&no_url));
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
    let (hub_key, root_key) = pins(&world);
    let url = format!("http://{}", world.http);
    let login = [
        "login",
        &url,
        "--hub-key",
        &hub_key,
        "--root-key",
        &root_key,
        "--api-key",
        file.to_str().expect("a path"),
    ];
    let open = run(&login);
    assert_eq!(
        open.status.code(),
        Some(2),
        "others can read it: {}",
        stderr(&open)
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let output = run(&login);
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
    let (hub_key, root_key) = pins(&world);
    let port = world.https.expect("it serves TLS").port();
    let url = format!("https://localhost:{port}");
    let ca = authority_file(&authority);
    let output = run(&[
        "login",
        &url,
        "--hub-key",
        &hub_key,
        "--root-key",
        &root_key,
        "--account",
        "alice",
        "--login-key",
        file,
        "--ca",
        &ca,
    ]);
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
    let (hub_key, root_key) = pins(&world);
    let url = format!("http://{}", world.http);
    let output = run(&[
        "login",
        &url,
        "--hub-key",
        &hub_key,
        "--root-key",
        &root_key,
        "--account",
        "dora",
        "--login-key",
        file,
        "--register",
        "--code",
        invited["code"].as_str().expect("a code"),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(run(&["agents"]).status.success());
}
