//! `moorline audit`, as a person or a script types it.

use std::path::{Path, PathBuf};
use std::process::Output;

use moorline_server::admin::AdminRequest;
use moorline_server::audit::{AUDIT_KEY_NAME, AUDIT_PUBLIC_NAME};
use moorline_server::store::load_key;
use serde_json::Value;

use crate::programs::{json, moorline, stderr};
use crate::world::{World, encode, private_folder};

fn audit(data_dir: &Path, arguments: &[&str]) -> Output {
    let home = private_folder();
    let arguments = [&["audit"][..], arguments].concat();
    moorline(home.path(), data_dir, &arguments)
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns what is printed as lines of JSON.
fn rows(output: &Output) -> Vec<Value> {
    let text = said(output);
    let rows = text.lines();
    rows.map(|row| serde_json::from_str(row).expect("it is JSON"))
        .collect()
}

fn first_file(world: &World) -> PathBuf {
    world.folder.path().join(format!("audit/{:020}.jsonl", 1))
}

#[test]
fn a_whole_log_is_said_to_be_while_the_daemon_runs_and_after() {
    let mut world = World::start();
    world.agent("boiler");
    let folder = world.folder.path().to_owned();
    let text = said(&audit(&folder, &["verify"]));
    assert!(
        text.starts_with("whole: records 1 to 2 in 1 files"),
        "{text}"
    );
    assert!(text.contains("the last 2 are not signed yet"), "{text}");
    world.stop();
    let value = json(&audit(&folder, &["verify", "--json"]));
    assert_eq!((&value["last"], &value["unsigned"]), (&3.into(), &0.into()));
    // An auditor elsewhere has the folder and the public half.
    let key = load_key(&folder.join(AUDIT_KEY_NAME)).expect("the key");
    assert_eq!(value["key"], encode(&key));
    std::fs::remove_file(folder.join(AUDIT_PUBLIC_NAME)).expect("it was there");
    assert_eq!(audit(&folder, &["verify"]).status.code(), Some(2));
    said(&audit(&folder, &["verify", "--key", &encode(&key)]));
    let kept = folder.join("kept");
    std::fs::write(&kept, value["head"].as_str().expect("a head")).expect("a file");
    let arguments = [
        "verify",
        "--key",
        &encode(&key),
        "--heads",
        kept.to_str().expect("a path"),
    ];
    said(&audit(&folder, &arguments));
}

#[test]
fn damage_ends_with_1_and_is_named() {
    let mut world = World::start();
    world.agent("boiler");
    world.stop();
    let folder = world.folder.path();
    let text = std::fs::read_to_string(first_file(&world)).expect("a file");
    std::fs::write(first_file(&world), text.replace("boiler", "toiler")).expect("a file");
    let output = audit(folder, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("record 2 was changed"),
        "{}",
        stderr(&output)
    );
    let output = audit(folder, &["search"]);
    assert!(
        stderr(&output).contains("1 lines are no records"),
        "{}",
        stderr(&output)
    );
    let nowhere = private_folder();
    assert_eq!(audit(nowhere.path(), &["search"]).status.code(), Some(2));
}

#[test]
fn records_are_found_by_what_is_known_of_them_and_counted() {
    let mut world = World::start();
    for name in ["boiler", "pump"] {
        world.agent(name);
    }
    world.ask(&AdminRequest::Revoke {
        name: "pump".into(),
    });
    let alice = world.commander("alice", "boiler");
    alice.connected(async |_| {}).expect("it connects");
    world.stop();
    let folder = world.folder.path();
    let found = |arguments: &[&str]| {
        rows(&audit(folder, &[&["search", "--json"], arguments].concat())).len()
    };
    assert_eq!(found(&[]), 8);
    assert_eq!(found(&["--kind", "enrolled"]), 3);
    assert_eq!(
        found(&[
            "--kind",
            "enrolled",
            "--kind",
            "revoked",
            "--subject",
            "pump"
        ]),
        2
    );
    assert_eq!(found(&["--severity", "warning"]), 1);
    assert_eq!(
        found(&["--address", "127.0.0.1"]),
        2,
        "a session's begin and end"
    );
    assert_eq!(found(&["--limit", "2"]), 2);
    assert_eq!(found(&["--since", "1h"]), 8);
    assert_eq!(found(&["--until", "1h"]), 0);
    assert_eq!(
        found(&[
            "--since",
            "2001-01-01T00:00:00Z",
            "--until",
            "2001-01-02T00:00:00Z"
        ]),
        0
    );
    assert_eq!(
        audit(folder, &["search", "--since", "soon"]).status.code(),
        Some(2)
    );
    assert_eq!(
        audit(folder, &["search", "--kind", "magic"]).status.code(),
        Some(2)
    );
    let last = rows(&audit(folder, &["search", "--json", "--limit", "1"]));
    assert_eq!(
        (&last[0]["kind"], &last[0]["number"]),
        (&"stopped".into(), &8.into())
    );
    let text = said(&audit(folder, &["search", "--subject", "pump"]));
    assert!(
        text.contains("enrolled") && text.contains("how=operator"),
        "{text}"
    );
    let csv = said(&audit(folder, &["search", "--subject", "pump", "--csv"]));
    assert!(csv.starts_with("\"number\",\"time\","), "{csv}");
    assert_eq!(csv.lines().count(), 3);

    let report = json(&audit(folder, &["report", "--json", "--since", "1h"]));
    let enrolled = report["counts"].as_array().expect("counts").iter();
    let enrolled: Vec<&Value> = enrolled.filter(|row| row["kind"] == "enrolled").collect();
    assert_eq!(enrolled.len(), 3);
    assert_eq!(
        (&enrolled[0]["subject"], &enrolled[0]["records"]),
        (&"alice".into(), &1.into())
    );
    let text = said(&audit(folder, &["report"]));
    assert!(
        text.contains("       1  revoked           done      pump"),
        "{text}"
    );
    let csv = said(&audit(folder, &["report", "--csv"]));
    assert!(
        csv.contains("\"revoked\",\"pump\",\"done\",\"1\",\"0\"\r\n"),
        "{csv}"
    );
    assert_eq!(said(&audit(folder, &["report", "--until", "1h"])), "");
}

#[test]
fn what_a_stranger_says_commands_no_terminal_and_no_spreadsheet() {
    let mut world = World::start();
    // The name is refused, and the refusal is on record.
    world.ask(&AdminRequest::Revoke {
        name: "\u{1b}[31m\n=cmd".into(),
    });
    world.stop();
    let folder = world.folder.path();
    let arguments = ["search", "--kind", "operator_refused"];
    for more in [&[][..], &["--csv"], &["--json"]] {
        let text = said(&audit(folder, &[&arguments[..], more].concat()));
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("31m"), "{text:?}");
    }
}
