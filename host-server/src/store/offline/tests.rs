use moorline_core::message::OfflineRefusal;
use moorline_core::offline::CommandLabel;
use moorline_core::time::UnixMillis;
use moorline_core::token::AgentId;

use super::{Bundle, OfflineStore, ReplyState};
use crate::config::OfflineLimits;

const BOILER: AgentId = AgentId([1; 16]);
const PUMP: AgentId = AgentId([2; 16]);
const NOW: UnixMillis = UnixMillis(1_000);

fn limits() -> OfflineLimits {
    OfflineLimits {
        commands: 4,
        bytes: 1_000,
        commands_per_agent: 3,
        bytes_per_agent: 600,
        commands_per_commander: 3,
        bytes_per_commander: 600,
        reply_seconds: 3_600,
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let mut builder = tempfile::Builder::new();
        let folder = builder
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir();
        Self(folder.expect("a folder"))
    }

    fn open(&self) -> OfflineStore {
        OfflineStore::open(self.0.path(), limits()).expect("it opens")
    }
}

fn label(agent: AgentId, number: u8) -> CommandLabel {
    CommandLabel {
        agent,
        key_name: [0; 8],
        not_after: UnixMillis(10_000),
        name: [number; 16],
    }
}

fn add(
    store: &mut OfflineStore,
    commander: &str,
    agent: AgentId,
    number: u8,
    len: usize,
) -> Result<(), OfflineRefusal> {
    store.add_command(commander, &label(agent, number), vec![number; len], NOW)
}

#[test]
fn commands_come_oldest_first_and_survive_a_restart() {
    let place = Place::new();
    let mut store = place.open();
    for (number, agent) in [(9, BOILER), (3, PUMP), (5, BOILER)] {
        add(&mut store, "alice", agent, number, 100).expect("there is room");
    }
    // The same once more is kept once.
    add(&mut store, "alice", BOILER, 9, 100).expect("it is kept");
    drop(store);
    let mut store = place.open();
    let first = store.next_command(BOILER, NOW).expect("a command");
    assert_eq!(first, ([9; 16], vec![9; 100]));
    // Another agent has nothing to say about it.
    store.end_command(PUMP, &[9; 16]);
    assert_eq!(store.put_reply(PUMP, &[9; 16], vec![1], NOW), Ok(None));
    assert_eq!(store.next_command(BOILER, NOW), Some(first));
    store.end_command(BOILER, &[9; 16]);
    let mut store = place.open();
    assert_eq!(
        store.next_command(BOILER, NOW),
        Some(([5; 16], vec![5; 100]))
    );
    store.end_command(BOILER, &[5; 16]);
    assert_eq!(store.next_command(BOILER, NOW), None);
}

#[test]
fn a_reply_takes_the_place_of_its_command_and_is_its_commanders_alone() {
    let place = Place::new();
    let mut store = place.open();
    add(&mut store, "alice", BOILER, 1, 100).expect("there is room");
    assert_eq!(store.reply("alice", &[1; 16], NOW), ReplyState::Waits);
    let whose = store.put_reply(BOILER, &[1; 16], vec![7; 50], NOW);
    assert_eq!(whose, Ok(Some("alice".into())));
    assert_eq!(store.next_command(BOILER, NOW), None);
    // The first reply stays.
    assert_eq!(
        store.put_reply(BOILER, &[1; 16], vec![8; 50], NOW),
        Ok(None)
    );
    let mut store = place.open();
    assert_eq!(store.reply("bob", &[1; 16], NOW), ReplyState::Unknown);
    store.end_reply("bob", &[1; 16]);
    let ready = ReplyState::Ready(vec![7; 50]);
    assert_eq!(store.reply("alice", &[1; 16], NOW), ready);
    store.end_reply("alice", &[1; 16]);
    assert_eq!(store.reply("alice", &[1; 16], NOW), ReplyState::Unknown);
    assert_eq!(
        place.open().reply("alice", &[1; 16], NOW),
        ReplyState::Unknown
    );
}

#[test]
fn every_quota_is_enforced_in_number_and_bytes_and_frees_again() {
    let full = Err(OfflineRefusal::Full);
    let place = Place::new();
    let mut store = place.open();
    // Three of one commander.
    for number in 1..=3 {
        assert_eq!(add(&mut store, "alice", BOILER, number, 10), Ok(()));
    }
    assert_eq!(add(&mut store, "alice", PUMP, 4, 10), full);
    // Three for one agent.
    assert_eq!(add(&mut store, "bob", BOILER, 4, 10), full);
    // Four of all.
    assert_eq!(add(&mut store, "bob", PUMP, 4, 10), Ok(()));
    assert_eq!(add(&mut store, "carol", PUMP, 5, 10), full);
    // A reply is its commander's burden and not the agent's.
    assert!(store.put_reply(BOILER, &[1; 16], vec![0; 20], NOW).is_ok());
    assert_eq!(add(&mut store, "alice", PUMP, 6, 10), full);
    store.end_reply("alice", &[1; 16]);
    assert_eq!(add(&mut store, "alice", PUMP, 6, 10), Ok(()));

    let place = Place::new();
    let mut store = place.open();
    assert_eq!(add(&mut store, "alice", BOILER, 1, 601), full);
    assert_eq!(add(&mut store, "alice", BOILER, 1, 600), Ok(()));
    assert_eq!(add(&mut store, "alice", PUMP, 2, 1), full);
    assert_eq!(add(&mut store, "bob", BOILER, 2, 1), full);
    assert_eq!(add(&mut store, "bob", PUMP, 2, 401), full);
    assert_eq!(add(&mut store, "bob", PUMP, 2, 400), Ok(()));
    assert_eq!(add(&mut store, "carol", AgentId([3; 16]), 3, 1), full);
}

#[test]
fn what_has_lost_its_meaning_is_neither_given_nor_counted() {
    let place = Place::new();
    let mut store = place.open();
    for number in 1..=3 {
        add(&mut store, "alice", BOILER, number, 10).expect("there is room");
    }
    let late = UnixMillis(10_000);
    assert!(store.next_command(BOILER, UnixMillis(9_999)).is_some());
    assert_eq!(store.next_command(BOILER, late), None);
    assert_eq!(store.reply("alice", &[1; 16], late), ReplyState::Unknown);
    store
        .add_command("alice", &label(BOILER, 4), vec![4; 10], late)
        .expect("the others are gone");
    assert!(store.expire(UnixMillis(10_000)));
    assert!(!store.expire(UnixMillis(10_000)));
    // A reply outlives its command.
    add(&mut store, "alice", BOILER, 5, 10).expect("there is room");
    let at = UnixMillis(9_000);
    assert!(store.put_reply(BOILER, &[5; 16], vec![0; 20], at).is_ok());
    let end = at.plus(3_600_000);
    let last = UnixMillis(end.0 - 1);
    assert!(matches!(
        store.reply("alice", &[5; 16], last),
        ReplyState::Ready(_)
    ));
    assert_eq!(store.reply("alice", &[5; 16], end), ReplyState::Unknown);
}

#[test]
fn who_is_revoked_leaves_nothing() {
    let place = Place::new();
    let mut store = place.open();
    let bundle = Bundle {
        prekey: vec![1],
        token: vec![2],
        expires: 5_000,
        max_command_len: 9,
    };
    store.put_bundle(BOILER, bundle.clone()).expect("stored");
    assert_eq!(store.bundle(BOILER, UnixMillis(4_999)), Some(&bundle));
    assert_eq!(store.bundle(BOILER, UnixMillis(5_000)), None);
    assert_eq!(store.bundle(PUMP, NOW), None);
    add(&mut store, "alice", BOILER, 1, 10).expect("there is room");
    add(&mut store, "alice", PUMP, 2, 10).expect("there is room");
    add(&mut store, "bob", PUMP, 3, 10).expect("there is room");
    assert!(store.put_reply(BOILER, &[1; 16], vec![7], NOW).is_ok());
    store.revoke("alice", AgentId([8; 16]));
    let mut store = place.open();
    assert_eq!(store.reply("alice", &[1; 16], NOW), ReplyState::Unknown);
    assert_eq!(
        store.next_command(PUMP, NOW).map(|(name, _)| name),
        Some([3; 16])
    );
    assert_eq!(store.bundle(BOILER, NOW), Some(&bundle));
    store.revoke("boiler", BOILER);
    store.revoke("pump", PUMP);
    let store = place.open();
    assert_eq!(store.bundle(BOILER, NOW), None);
    assert_eq!(store.next_command(PUMP, NOW), None);
}

#[test]
fn half_a_file_and_a_damaged_one_are_passed_over() {
    let place = Place::new();
    let mut store = place.open();
    add(&mut store, "alice", BOILER, 1, 10).expect("there is room");
    let folder = place.0.path().join("offline/commands");
    std::fs::write(folder.join("0000000000000001"), "{\"agent\":").expect("a file");
    std::fs::write(folder.join("0000000000000000.new"), "{}").expect("a file");
    let mut store = place.open();
    assert!(store.next_command(BOILER, NOW).is_some());
    assert!(!folder.join("0000000000000000.new").exists());
    // The next one takes the damaged one's place.
    add(&mut store, "alice", BOILER, 2, 10).expect("there is room");
    store.end_command(BOILER, &[1; 16]);
    let next = place.open().next_command(BOILER, NOW);
    assert_eq!(next.map(|(name, _)| name), Some([2; 16]));
}
