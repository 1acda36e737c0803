//! The daemon is killed at any moment, and what it acknowledged is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use moorline_core::crypto::SigningKey;
use moorline_server::admin::{AdminAnswer, AdminRequest, ask};
use moorline_server::audit::Kind;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach, Registry};
use serde_json::Value;
use tempfile::TempDir;

use crate::audit::records;
use crate::programs::{Program, moorline, moorlined, start_program, stderr};
use crate::world::{encode, private_folder};

/// Kills in one folder: each keeps all that was acknowledged before, which is looked for again after each.
const KILLS_PER_FOLDER: u64 = 25;

/// Names for which there are invitations at a time.
const INVITED: u64 = 8;

/// A sequence of numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// What the operator was told that is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Act {
    kind: Kind,
    name: String,
}

/// What was counted.
#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    kills_at_start: u64,
    acts: BTreeMap<Kind, u64>,
    torn: u64,
}

/// Has an operator enrol, invite and revoke until nobody answers; each act that was acknowledged is sent on.
fn operate(data_dir: &Path, round: u64) -> Receiver<Act> {
    let (done, acts) = channel();
    let data_dir = data_dir.to_owned();
    std::thread::spawn(move || {
        let key = || SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        for number in 0u64.. {
            let name = format!("peer-{round}-{number}");
            let invited = format!("guest-{}", number % INVITED);
            let peer = |name: &str| AdminRequest::Enrol {
                name: name.into(),
                role: PeerRole::Agent,
                key: encode(&key()),
                group: None,
                reach: Reach::Nobody,
                permissions: Vec::new(),
            };
            let invite = AdminRequest::Invite {
                name: invited.clone(),
                role: PeerRole::Agent,
                group: None,
                reach: Reach::Nobody,
                permissions: Vec::new(),
                seconds: 900,
                with_key: number % 2 == 0,
            };
            let revoke = AdminRequest::Revoke { name: name.clone() };
            for (request, kind, name) in [
                (peer(&name), Kind::Enrolled, &name),
                (invite, Kind::Invited, &invited),
                (revoke, Kind::Revoked, &name),
            ] {
                match ask(&data_dir, &request) {
                    Ok(AdminAnswer::Refused(why)) => panic!("{name}: {why}"),
                    Ok(_) => {}
                    Err(_) => return,
                }
                let name = name.clone();
                if done.send(Act { kind, name }).is_err() {
                    return;
                }
            }
        }
    });
    acts
}

fn pause(micros: u64) {
    let until = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// Kills the daemon before it is ready.
fn kill_at_start(data_dir: &Path, numbers: &mut Numbers) {
    let arguments = ["--listen", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0"];
    let child = moorlined(&arguments)
        .env("MOORLINED_DATA_DIR", data_dir)
        .stderr(Stdio::null())
        .spawn();
    let program = Program(child.expect("the program runs"));
    pause(numbers.next(40_000));
    drop(program);
}

/// Kills the daemon at its work; returns what it acknowledged.
fn kill_at_work(data_dir: &Path, round: u64, numbers: &mut Numbers) -> Vec<Act> {
    let (program, _) = start_program(data_dir);
    let acts = operate(data_dir, round);
    let mut done = Vec::new();
    for _ in 0..numbers.next(9) {
        done.push(
            acts.recv_timeout(Duration::from_secs(20))
                .expect("it works"),
        );
    }
    pause(numbers.next(4_000));
    drop(program);
    // What was acknowledged in between, until the operator has noticed.
    done.extend(acts.iter());
    done
}

/// Checks that everything in `acts` is there; returns whether the last line of the log was torn.
fn check(data_dir: &Path, acts: &[Act]) -> bool {
    let home = private_folder();
    let verified = moorline(home.path(), data_dir, &["--json", "audit", "verify"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    let verified: Value = serde_json::from_slice(&verified.stdout).expect("it is JSON");
    let mut recorded = BTreeMap::<Act, usize>::new();
    for record in records(data_dir) {
        if let Some(name) = record.subject {
            let kind = record.kind;
            *recorded.entry(Act { kind, name }).or_default() += 1;
        }
    }
    let registry = Registry::open(data_dir, "moorline").expect("it is whole");
    let revoked = std::fs::read_to_string(data_dir.join("revocations.json")).unwrap_or_default();
    let invited = std::fs::read_to_string(data_dir.join("invitations.json")).unwrap_or_default();
    for act in acts {
        let left = recorded.get_mut(act).filter(|left| **left > 0);
        *left.unwrap_or_else(|| panic!("{act:?} is not on record")) -= 1;
        let name = format!("\"{}\"", act.name);
        match act.kind {
            Kind::Enrolled => assert!(registry.find(&act.name).is_some(), "{act:?}"),
            Kind::Invited => assert!(invited.contains(&name), "{act:?}"),
            Kind::Revoked => {
                let peer = registry.find(&act.name).expect("it is enrolled");
                assert!(peer.revoked && revoked.contains(&name), "{act:?}");
            }
            other => panic!("{other}"),
        }
    }
    verified["torn_bytes"].as_u64() > Some(0)
}

fn kill(kills: u64, seed: u64) -> Figures {
    let mut numbers = Numbers(seed);
    let mut figures = Figures::default();
    let mut folder: Option<(TempDir, Vec<Act>)> = None;
    for round in 0..kills {
        if round % KILLS_PER_FOLDER == 0 {
            folder = None;
        }
        let (folder, acts) = folder.get_or_insert_with(|| (private_folder(), Vec::new()));
        let data_dir = folder.path().join("hub");
        // The first start has nothing to lose, and something to leave half made.
        if numbers.next(4) == 0 {
            kill_at_start(&data_dir, &mut numbers);
            figures.kills_at_start += 1;
        } else {
            let done = kill_at_work(&data_dir, round, &mut numbers);
            for act in &done {
                *figures.acts.entry(act.kind).or_default() += 1;
            }
            acts.extend(done);
        }
        figures.kills += 1;
        if !acts.is_empty() {
            // As it was left, and after the next start.
            figures.torn += u64::from(check(&data_dir, acts));
            let (program, _) = start_program(&data_dir);
            assert!(!check(&data_dir, acts), "a torn line is cut off");
            drop(program);
        }
    }
    figures
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let figures = kill(12, 7);
    assert_eq!(figures.kills, 12);
    assert!(
        figures.acts.len() == 3 && figures.kills_at_start > 0,
        "{figures:?}"
    );
}

#[test]
#[ignore = "it takes minutes: MOORLINE_KILLS and MOORLINE_SEED say how often and where"]
fn what_was_acknowledged_survives_a_thousand_kills() {
    let number = |name: &str, otherwise: u64| {
        let text = std::env::var(name).ok();
        text.map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (kills, seed) = (number("MOORLINE_KILLS", 1_000), number("MOORLINE_SEED", 1));
    let begun = Instant::now();
    let figures = kill(kills, seed);
    println!(
        "seed {seed}: {figures:?}, in {} s",
        begun.elapsed().as_secs()
    );
}
