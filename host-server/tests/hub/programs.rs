//! The two programs, and what a person does with them before a test begins.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use moorline_server::admin::Invitation;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::{World, private_folder};

pub(crate) fn moorline(home: &Path, data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moorline"))
        .arg("--home")
        .arg(home)
        .args(arguments)
        .env("MOORLINED_DATA_DIR", data_dir)
        .output()
        .expect("the program runs")
}

pub(crate) fn json(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A commander's folder with a key, enrolled for the agent `boiler`.
pub(crate) fn enrolled(world: &World, more: &[&str]) -> TempDir {
    let home = private_folder();
    assert!(
        moorline(home.path(), world.folder.path(), &["keygen"])
            .status
            .success()
    );
    let mut arguments = vec!["enroll", "commander", "alice", "--agent", "boiler"];
    arguments.extend(more);
    let output = moorline(home.path(), world.folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    home
}

/// The daemon as a program.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn moorlined(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorlined"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts the daemon as a program and waits until it is ready; returns where it serves HTTP.
pub(crate) fn start_program(data_dir: &Path) -> (Program, SocketAddr) {
    let (program, http, _) = start_program_with_tcp(data_dir);
    (program, http)
}

/// As [`start_program`]; returns where it serves bare TCP too.
pub(crate) fn start_program_with_tcp(data_dir: &Path) -> (Program, SocketAddr, SocketAddr) {
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--listen-tcp",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let child = moorlined(&arguments)
        .env("MOORLINED_DATA_DIR", data_dir)
        .spawn();
    let mut program = Program(child.expect("the program runs"));
    let log = program.0.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let ready = lines
        .find(|line| line.contains("\"ready\""))
        .expect("it says so");
    // What it says later is read on, so that it is never kept waiting.
    std::thread::spawn(move || lines.for_each(drop));
    let ready: Value = serde_json::from_str(&ready).expect("it is JSON");
    let address = |name: &str| {
        let text = ready["fields"][name].as_str().expect("an address");
        text.parse().expect("an address")
    };
    (program, address("http"), address("tcp"))
}

/// Invites `name` and returns what the operator gets.
pub(crate) fn invited(world: &World, arguments: &[&str]) -> Invitation {
    let home = private_folder();
    let mut all = vec!["enroll"];
    all.extend(arguments);
    all.extend(["--code", "--json"]);
    let output = moorline(home.path(), world.folder.path(), &all);
    serde_json::from_value(json(&output)).expect("an invitation")
}

/// Joins the hub of `invitation` with `code`, into `home`; no data directory is near.
pub(crate) fn join(home: &Path, invitation: &Invitation, code: &str) -> Output {
    let arguments = [
        "join",
        &invitation.url,
        "--hub-key",
        &invitation.hub_key,
        "--root-key",
        &invitation.root_key,
        "--code",
        code,
        "--json",
    ];
    moorline(home, &home.join("nowhere"), &arguments)
}
