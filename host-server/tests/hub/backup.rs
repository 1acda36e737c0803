//! A hub in one file, and back.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use moorline_server::admin::AdminRequest;
use moorline_server::backup::{self, BackupError};
use moorline_server::client::ClientError;
use moorline_server::store::{SecretSource, Vault};

use crate::keys::private_file;
use crate::world::{World, private_folder};

fn moorline(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moorline"))
        .args(arguments)
        .env("MOORLINED_DATA_DIR", data_dir)
        .output()
        .expect("it runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn a_hub_that_is_restored_knows_whom_it_knew_and_shuts_out_whom_it_shut_out() {
    let world = World::start();
    let (boiler, alice) = (world.agent("boiler"), world.commander("alice", "boiler"));
    let bob = world.commander("bob", "boiler");
    world.ask(&AdminRequest::Revoke { name: "bob".into() });
    let elsewhere = private_folder();
    let (file, secret) = (
        elsewhere.path().join("hub.backup"),
        elsewhere.path().join("secret"),
    );
    private_file(&secret, &[7; 32]);
    // The daemon runs, and goes on.
    let arguments = [
        "backup",
        "--out",
        text(&file),
        "--secret-file",
        text(&secret),
    ];
    let done = moorline(world.folder.path(), &arguments);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    world.commander("later", "boiler");
    let again = moorline(world.folder.path(), &arguments);
    assert_eq!(again.status.code(), Some(2), "it is not replaced");
    let scalar = std::fs::read(world.folder.path().join("identity.key")).expect("a key");
    let sealed = std::fs::read(&file).expect("a file");
    assert!(!sealed.windows(43).any(|part| scalar.starts_with(part)));
    drop(world);

    let restored = private_folder();
    let target = restored.path().join("hub");
    let check = [
        "restore",
        text(&file),
        "--check",
        "--secret-file",
        text(&secret),
    ];
    assert!(moorline(&target, &check).status.success());
    assert!(!target.exists());
    let without = moorline(&target, &["restore", text(&file)]);
    assert_eq!(without.status.code(), Some(2));
    assert!(!target.exists());
    let arguments = ["restore", text(&file), "--secret-file", text(&secret)];
    let done = moorline(&target, &arguments);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(
        moorline(&target, &arguments).status.code(),
        Some(2),
        "nor is a hub"
    );

    let config = target.clone();
    let world = World::start_in(Arc::new(restored), move |settings| {
        settings.data_dir = config
    });
    let url = format!("ws://{}/ws", world.http);
    for peer in [&alice, &boiler] {
        assert!(peer.connected_to(&url, async |_| ()).is_ok());
    }
    let refused = bob.connected_to(&url, async |_| ());
    assert!(
        matches!(refused, Err(ClientError::CredentialRefused)),
        "{refused:?}"
    );
    let verified = moorline(&target, &["audit", "verify"]);
    assert!(verified.status.success());
}

#[test]
fn what_is_kept_for_who_is_away_is_kept_and_tickets_are_not() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    world.agent("boiler");
    // She has a ticket now.
    alice.connected(async |_| ()).expect("it connects");
    world.stop();
    let kept = world.folder.path().join("offline/commands/kept");
    std::fs::write(&kept, b"a sealed command").expect("a file");
    assert!(world.folder.path().join("tickets").exists());
    let elsewhere = private_folder();
    let (file, target) = (elsewhere.path().join("file"), elsewhere.path().join("hub"));
    let written = backup::write(world.folder.path(), &file, &Vault::default()).expect("written");
    let read = backup::read(&file, Some(&target), &Vault::default()).expect("restored");
    assert_eq!(written, read);
    let restored = std::fs::read(target.join("offline/commands/kept")).expect("a file");
    assert_eq!(restored, b"a sealed command");
    assert!(!target.join("tickets").exists() && target.join("tickets.key").exists());
}

#[test]
fn what_is_damaged_cut_or_made_by_somebody_else_restores_nothing() {
    let mut world = World::start();
    world.agent("boiler");
    world.stop();
    let elsewhere = private_folder();
    let at = |name: &str| elsewhere.path().join(name);
    private_file(&at("secret"), &[1; 32]);
    private_file(&at("other"), &[2; 32]);
    let open = |name: &str| {
        let source = SecretSource::File(at(name));
        Vault::open(elsewhere.path(), &source).expect("a secret")
    };
    let refused = |bytes: &[u8], vault: &Vault, step: usize| {
        let file = at("changed");
        std::fs::write(&file, bytes).expect("a file");
        let target = at("target");
        let read = backup::read(&file, Some(&target), vault);
        assert!(
            matches!(
                read,
                Err(BackupError::Damaged { .. } | BackupError::Sealed(_))
            ),
            "{step}: {read:?}"
        );
        assert!(!target.exists() && !at("target.restoring").exists());
    };
    for (vault, is_sealed) in [(open("secret"), true), (Vault::default(), false)] {
        let file = at("file");
        backup::write(world.folder.path(), &file, &vault).expect("written");
        let whole = std::fs::read(&file).expect("a file");
        std::fs::remove_file(&file).expect("a file");
        for step in (9..whole.len() - 2048).step_by(997) {
            let mut changed = whole.clone();
            changed[step] ^= 1;
            // A name or a length of the archive, or a byte of a file: padding alone says nothing.
            if is_sealed || whole[step] != 0 {
                refused(&changed, &vault, step);
            }
            refused(&whole[..step], &vault, step);
        }
    }
    let file = at("file");
    backup::write(world.folder.path(), &file, &open("secret")).expect("written");
    let sealed = std::fs::read(&file).expect("a file");
    refused(&sealed, &open("other"), 1);
    refused(&sealed, &Vault::default(), 2);
    for (step, name) in ["../out", "/tmp/out", "other.json", "offline/../../out"]
        .into_iter()
        .enumerate()
    {
        refused(&forged(name), &Vault::default(), step);
    }
    refused(b"not an archive at all", &Vault::default(), 9);
    refused(b"", &Vault::default(), 10);
}

/// Returns an archive with one file called `name`, and a list of it.
fn forged(name: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        (name, &b"x"[..]),
        ("manifest.json", b"{\"version\":1,\"files\":[]}"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).expect("it is short"));
        header.set_mode(0o600);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, bytes).expect("memory");
    }
    builder.into_inner().expect("memory")
}
