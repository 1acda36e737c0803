//! What happens to a log, and what is found.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use moorline_core::crypto::{PublicKey, SigningKey};
use moorline_core::time::UnixMillis;

use super::files::{FOLDER, HEADS, list, path_of};
use super::kind::Kind;
use super::log::{Entry, Log};
use super::record::{Event, read};
use super::recover::{AUDIT_KEY_NAME, Ended};
use super::settings::AuditConfig;
use super::verify::{Damage, Whole, verify};
use super::writer::Audit;
use crate::entropy::SystemEntropy;
use crate::store::{Vault, load_key};

const DAY: u64 = 86_400_000;

fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    let builder = builder.permissions(PermissionsExt::from_mode(0o700));
    builder.tempdir().expect("a folder")
}

fn open(folder: &Path, settings: &AuditConfig, now: u64) -> (Log, Ended) {
    Log::open(folder, &Vault::default(), settings, UnixMillis(now)).expect("it opens")
}

fn entries(count: u64, time: u64) -> Vec<Entry> {
    let entry = |number| Entry {
        event: Event::new(Kind::SessionOpened).number("nth", number),
        time: UnixMillis(time),
    };
    (0..count).map(entry).collect()
}

/// Writes `count` records, each by itself, and signs a head over them.
fn write(log: &mut Log, count: u64, now: u64) {
    for entry in entries(count, now) {
        log.append(&[entry], UnixMillis(now)).expect("written");
    }
    log.sign_head(UnixMillis(now)).expect("signed");
}

fn key(folder: &Path) -> PublicKey {
    let key = load_key(&folder.join(AUDIT_KEY_NAME)).expect("the key");
    *key.public_key()
}

fn check(folder: &Path) -> Result<Whole, Damage> {
    verify(folder, &key(folder), "")
}

fn first_file(folder: &Path) -> PathBuf {
    let firsts = list(&folder.join(FOLDER)).expect("files");
    path_of(&folder.join(FOLDER), firsts[0])
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).expect("a file");
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

/// A folder with a log of `count` records in one file.
fn small(count: u64) -> tempfile::TempDir {
    let folder = folder();
    let (mut log, ended) = open(folder.path(), &AuditConfig::default(), 1_000);
    assert_eq!(ended, Ended::First);
    write(&mut log, count, 1_000);
    folder
}

/// Settings under which a file has some three records.
fn narrow(files: usize) -> AuditConfig {
    AuditConfig {
        file_bytes: 900,
        files,
        ..AuditConfig::default()
    }
}

#[test]
fn a_log_is_whole_and_says_what_it_is() {
    let folder = small(5);
    let whole = check(folder.path()).expect("whole");
    assert_eq!((whole.first, whole.last, whole.files), (1, 5, 1));
    assert_eq!((whole.signed, whole.unsigned(), whole.torn), (5, 0, 0));
    let (mut log, ended) = open(folder.path(), &AuditConfig::default(), 2_000);
    assert_eq!(ended, Ended::Cut, "nothing says that it was stopped");
    assert!(log.notices.is_empty());
    log.append(&entries(2, 2_000), UnixMillis(2_000))
        .expect("written");
    let whole = check(folder.path()).expect("whole");
    assert_eq!(
        (whole.last, whole.unsigned()),
        (7, 2),
        "a tail that no head names is said"
    );
    let stopped = Entry {
        event: Event::new(Kind::Stopped),
        time: UnixMillis(3_000),
    };
    log.append(&[stopped], UnixMillis(3_000)).expect("written");
    log.sign_head(UnixMillis(3_000)).expect("signed");
    drop(log);
    assert_eq!(
        open(folder.path(), &AuditConfig::default(), 4_000).1,
        Ended::Stopped
    );
}

#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = small(1);
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    let audit = folder.path().join(FOLDER);
    assert_eq!(mode(&audit), 0o700);
    assert_eq!(mode(&first_file(folder.path())), 0o600);
    assert_eq!(mode(&audit.join(HEADS)), 0o600);
    assert_eq!(mode(&folder.path().join(AUDIT_KEY_NAME)), 0o600);
}

#[test]
fn every_bit_of_every_line_is_missed_and_the_record_is_named() {
    let folder = small(3);
    let path = first_file(folder.path());
    let original = std::fs::read(&path).expect("a file");
    let mut number = 1;
    for place in 0..original.len() {
        for bit in 0..8 {
            let mut changed = original.clone();
            changed[place] ^= 1 << bit;
            std::fs::write(&path, &changed).expect("a file");
            let damage = check(folder.path()).expect_err("it is changed");
            let is_last_end = place == original.len() - 1;
            match damage {
                Damage::Changed { number: named, .. } if !is_last_end => assert_eq!(named, number),
                // Without its end the last line is none.
                Damage::CutOff { last: 2, signed: 3 } if is_last_end => {}
                other => panic!("bit {bit} of byte {place}: {other}"),
            }
        }
        if original[place] == b'\n' {
            number += 1;
        }
    }
}

#[test]
fn a_line_that_is_gone_is_missed() {
    for gone in 0..5u64 {
        let folder = small(5);
        let path = first_file(folder.path());
        let mut left = lines(&path);
        left.remove(usize::try_from(gone).expect("small"));
        std::fs::write(&path, left.concat()).expect("a file");
        let damage = check(folder.path()).expect_err("one is gone");
        let number = gone + 1;
        match damage {
            Damage::Missing { first, last } if number < 5 => {
                assert_eq!((first, last), (number, number))
            }
            Damage::CutOff { last: 4, signed: 5 } if number == 5 => {}
            other => panic!("{number}: {other}"),
        }
    }
}

#[test]
fn lines_that_changed_places_or_stand_twice_are_named() {
    let folder = small(5);
    let path = first_file(folder.path());
    let original = lines(&path);
    for first in 0..5 {
        for second in first + 1..5 {
            let mut swapped = original.clone();
            swapped.swap(first, second);
            std::fs::write(&path, swapped.concat()).expect("a file");
            let damage = check(folder.path()).expect_err("out of order");
            let is_named = matches!(&damage, Damage::OutOfOrder { found, expected }
                if usize::try_from(*found - 1) == Ok(second) && usize::try_from(*expected - 1) == Ok(first));
            assert!(is_named, "{first} {second}: {damage}");
        }
    }
    let mut twice = original.clone();
    twice.insert(2, original[1].clone());
    std::fs::write(&path, twice.concat()).expect("a file");
    let damage = check(folder.path()).expect_err("twice");
    assert!(
        matches!(
            damage,
            Damage::OutOfOrder {
                found: 2,
                expected: 3
            }
        ),
        "{damage}"
    );
}

#[test]
fn a_log_that_is_cut_anywhere_is_cut_off() {
    let folder = small(3);
    let path = first_file(folder.path());
    let original = std::fs::read(&path).expect("a file");
    for len in 0..original.len() {
        std::fs::write(&path, &original[..len]).expect("a file");
        let damage = check(folder.path()).expect_err("it is cut off");
        assert!(
            matches!(damage, Damage::CutOff { signed: 3, .. }),
            "{len}: {damage}"
        );
    }
    std::fs::remove_file(&path).expect("it was there");
    let damage = check(folder.path()).expect_err("it is gone");
    assert!(
        matches!(damage, Damage::CutOff { last: 0, signed: 3 }),
        "{damage}"
    );
}

#[test]
fn a_record_that_somebody_else_wrote_in_its_place_is_named() {
    let folder = small(4);
    let path = first_file(folder.path());
    let original = lines(&path);
    // The thief writes another second record as the daemon would, with its own hash.
    let (_, hash) = read(original[0].strip_suffix(b"\n").expect("an end")).expect("a record");
    let after = super::record::Link { number: 1, hash };
    let event = Event::new(Kind::SessionOpened).subject("somebody else");
    let (forged, _) = super::record::write(event, UnixMillis(5), &after).expect("a line");
    let mut changed = original.clone();
    changed[1] = forged;
    std::fs::write(&path, changed.concat()).expect("a file");
    let damage = check(folder.path()).expect_err("another record");
    assert!(
        matches!(damage, Damage::NotLinked { number: 3 }),
        "{damage}"
    );
    // And all that follow it: the head knows better.
    let mut link = after;
    for line in &mut changed[1..] {
        let event = Event::new(Kind::SessionOpened).subject("somebody else");
        let (forged, next) = super::record::write(event, UnixMillis(5), &link).expect("a line");
        *line = forged;
        link = next;
    }
    std::fs::write(&path, changed.concat()).expect("a file");
    let damage = check(folder.path()).expect_err("other records");
    assert!(
        matches!(damage, Damage::OtherRecord { number: 4 }),
        "{damage}"
    );
}

#[test]
fn a_file_that_is_gone_is_missed_whichever_it_is() {
    let folder = folder();
    let (mut log, _) = open(folder.path(), &narrow(100), 1_000);
    write(&mut log, 20, 1_000);
    drop(log);
    let audit = folder.path().join(FOLDER);
    let firsts = list(&audit).expect("files");
    assert!(firsts.len() > 3, "{firsts:?}");
    assert_eq!(check(folder.path()).expect("whole").files, firsts.len());
    for (place, first) in firsts.iter().enumerate() {
        let path = path_of(&audit, *first);
        let bytes = std::fs::read(&path).expect("a file");
        std::fs::remove_file(&path).expect("it was there");
        let damage = check(folder.path()).expect_err("a file is gone");
        match (damage, firsts.get(place + 1)) {
            (Damage::Missing { first: from, last }, Some(next)) => {
                assert_eq!((from, last), (*first, next - 1));
            }
            (Damage::CutOff { last, signed: 20 }, None) => assert_eq!(last, first - 1),
            (other, _) => panic!("{first}: {other}"),
        }
        std::fs::write(&path, bytes).expect("a file");
    }
    // What is put behind a file that is followed by another is no record either.
    let path = path_of(&audit, firsts[0]);
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes.extend_from_slice(b"{}");
    std::fs::write(&path, bytes).expect("a file");
    let damage = check(folder.path()).expect_err("something behind");
    assert!(matches!(damage, Damage::Behind { .. }), "{damage}");
}

#[test]
fn heads_of_another_key_or_of_nobody_or_none_at_all_are_found() {
    let folder = small(3);
    let other = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let damage = verify(folder.path(), other.public_key(), "").expect_err("another key");
    assert!(
        matches!(damage, Damage::HeadNotSigned { line: 1, .. }),
        "{damage}"
    );
    let heads = folder.path().join(FOLDER).join(HEADS);
    let original = lines(&heads);
    assert_eq!(original.len(), 2, "a start and a head");
    // The thief has a key of its own, and signs what it likes.
    let elsewhere = small(3);
    let foreign = lines(&elsewhere.path().join(FOLDER).join(HEADS));
    std::fs::write(&heads, [&original[0][..], &foreign[1]].concat()).expect("a file");
    let damage = check(folder.path()).expect_err("a foreign head");
    assert!(
        matches!(damage, Damage::HeadNotSigned { line: 2, .. }),
        "{damage}"
    );
    // A head that was true of another log of the same key.
    std::fs::remove_dir_all(elsewhere.path().join(FOLDER)).expect("it was there");
    let (from, to) = (
        folder.path().join(AUDIT_KEY_NAME),
        elsewhere.path().join(AUDIT_KEY_NAME),
    );
    std::fs::copy(from, to).expect("a key");
    let (mut log, _) = open(elsewhere.path(), &AuditConfig::default(), 9_000);
    write(&mut log, 3, 9_000);
    let foreign = lines(&elsewhere.path().join(FOLDER).join(HEADS));
    std::fs::write(&heads, [&original[0][..], &foreign[1]].concat()).expect("a file");
    let damage = check(folder.path()).expect_err("another log's head");
    assert!(
        matches!(damage, Damage::OtherRecord { number: 3 }),
        "{damage}"
    );
    for left in [&b""[..], &original[1]] {
        std::fs::write(&heads, left).expect("a file");
        let damage = check(folder.path()).expect_err("no start");
        assert!(matches!(damage, Damage::NoStart), "{damage}");
    }
    std::fs::remove_file(&heads).expect("it was there");
    assert!(matches!(check(folder.path()), Err(Damage::NoStart)));
    // A start again does not make up for it.
    drop(open(folder.path(), &AuditConfig::default(), 10_000));
    assert!(matches!(check(folder.path()), Err(Damage::NoStart)));
}

#[test]
fn every_bit_of_the_heads_counts() {
    let folder = small(2);
    let heads = folder.path().join(FOLDER).join(HEADS);
    let original = std::fs::read(&heads).expect("a file");
    for place in 0..original.len() - 1 {
        for bit in 0..8 {
            let mut changed = original.clone();
            changed[place] ^= 1 << bit;
            std::fs::write(&heads, &changed).expect("a file");
            assert!(check(folder.path()).is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn a_head_that_was_kept_elsewhere_finds_a_log_that_was_set_back() {
    let folder = small(2);
    let (path, heads) = (
        first_file(folder.path()),
        folder.path().join(FOLDER).join(HEADS),
    );
    let before = (
        std::fs::read(&path).expect("a file"),
        std::fs::read(&heads).expect("a file"),
    );
    let (mut log, _) = open(folder.path(), &AuditConfig::default(), 2_000);
    write(&mut log, 2, 2_000);
    let kept = check(folder.path()).expect("whole").head.expect("a head");
    assert!(verify(folder.path(), &key(folder.path()), &kept).is_ok());
    std::fs::write(&path, before.0).expect("a file");
    std::fs::write(&heads, before.1).expect("a file");
    assert!(
        check(folder.path()).is_ok(),
        "nothing on this machine knows"
    );
    let damage = verify(folder.path(), &key(folder.path()), &kept).expect_err("set back");
    assert!(
        matches!(damage, Damage::CutOff { last: 2, signed: 4 }),
        "{damage}"
    );
    let changed = kept.replace("4,", "5,");
    let damage = verify(folder.path(), &key(folder.path()), &changed).expect_err("no head");
    assert!(
        matches!(damage, Damage::HeadNotSigned { line: 1, .. }),
        "{damage}"
    );
}

#[test]
fn files_that_are_too_many_go_and_the_rest_is_whole() {
    let folder = folder();
    let (mut log, _) = open(folder.path(), &narrow(3), 1_000);
    for round in 1..30 {
        write(&mut log, 2, 1_000 * round);
        let whole = check(folder.path()).expect("whole");
        assert!(whole.files <= 3, "{}", whole.files);
        assert_eq!(whole.last, 2 * round);
    }
    let whole = check(folder.path()).expect("whole");
    assert!(whole.first > 40, "{}", whole.first);
    assert!(log.notices.iter().any(|event| event.kind == Kind::Pruned));
    let count = lines(&folder.path().join(FOLDER).join(HEADS)).len();
    assert!(count <= 6, "heads are bounded too: {count}");
    drop(log);
    // The oldest file that is kept cannot go unnoticed.
    std::fs::remove_file(first_file(folder.path())).expect("it was there");
    assert!(matches!(check(folder.path()), Err(Damage::Missing { .. })));
}

#[test]
fn files_that_are_too_old_go() {
    let folder = folder();
    let settings = AuditConfig {
        keep_days: 10,
        ..narrow(100)
    };
    let (mut log, _) = open(folder.path(), &settings, 0);
    for day in 0..20 {
        write(&mut log, 3, day * DAY);
    }
    log.retire(UnixMillis(20 * DAY)).expect("removed");
    let whole = check(folder.path()).expect("whole");
    assert_eq!(whole.last, 60);
    let path = first_file(folder.path());
    let oldest = lines(&path).pop().expect("a record");
    let (oldest, _) = read(oldest.strip_suffix(b"\n").expect("an end")).expect("a record");
    assert!(
        (9 * DAY..=10 * DAY).contains(&oldest.time),
        "{}",
        oldest.time / DAY
    );
}

#[test]
fn a_removal_that_was_interrupted_is_finished_at_the_next_start() {
    let folder = folder();
    let (mut log, _) = open(folder.path(), &narrow(100), 1_000);
    write(&mut log, 12, 1_000);
    let path = first_file(folder.path());
    let bytes = std::fs::read(&path).expect("a file");
    log.settings.files = 2;
    log.retire(UnixMillis(1_000)).expect("removed");
    drop(log);
    std::fs::write(&path, bytes).expect("it was not removed yet");
    let (log, _) = open(folder.path(), &narrow(100), 2_000);
    assert!(!path.exists());
    assert_eq!(
        check(folder.path()).expect("whole").last,
        log.written.last.number
    );
}

#[test]
fn a_last_line_that_is_torn_at_any_byte_is_cut_off_and_told() {
    let folder = small(2);
    let path = first_file(folder.path());
    let (mut log, _) = open(folder.path(), &AuditConfig::default(), 2_000);
    let whole_len = std::fs::read(&path).expect("a file").len();
    log.append(&entries(1, 2_000), UnixMillis(2_000))
        .expect("written");
    drop(log);
    let original = std::fs::read(&path).expect("a file");
    for len in whole_len..=original.len() {
        std::fs::write(&path, &original[..len]).expect("a file");
        let found = check(folder.path()).expect("it is not damage yet");
        let is_torn = len > whole_len && len < original.len();
        assert_eq!(found.torn > 0, is_torn, "{len}");
        let (mut log, _) = open(folder.path(), &AuditConfig::default(), 3_000);
        let told: Vec<Event> = log.notices.drain(..).collect();
        assert_eq!(told.len(), usize::from(is_torn), "{len}");
        let notices = told.into_iter().map(|event| Entry {
            event,
            time: UnixMillis(3_000),
        });
        let notices: Vec<Entry> = notices.collect();
        log.append(&notices, UnixMillis(3_000)).expect("written");
        log.append(&entries(1, 3_000), UnixMillis(3_000))
            .expect("written");
        drop(log);
        let whole = check(folder.path()).expect("whole");
        let kept = if len == original.len() { 3 } else { 2 };
        assert_eq!(whole.last, kept + u64::from(is_torn) + 1, "{len}");
    }
}

#[test]
fn a_head_that_is_torn_is_cut_off() {
    let folder = small(2);
    let heads = folder.path().join(FOLDER).join(HEADS);
    let original = std::fs::read(&heads).expect("a file");
    let start_len = lines(&heads)[0].len();
    for len in start_len..original.len() {
        std::fs::write(&heads, &original[..len]).expect("a file");
        let whole = check(folder.path()).expect("it is on its way");
        assert_eq!(whole.unsigned(), 2);
        let (mut log, _) = open(folder.path(), &AuditConfig::default(), 2_000);
        log.sign_head(UnixMillis(2_000)).expect("signed");
        assert_eq!(check(folder.path()).expect("whole").signed, 2);
    }
}

#[test]
fn a_log_that_lost_signed_records_goes_on_behind_them_and_stays_damaged() {
    let folder = small(4);
    let path = first_file(folder.path());
    let left = lines(&path)[..2].concat();
    std::fs::write(&path, left).expect("a file");
    let (mut log, _) = open(folder.path(), &AuditConfig::default(), 2_000);
    assert_eq!(log.notices.len(), 1);
    write(&mut log, 1, 2_000);
    let damage = check(folder.path()).expect_err("two are gone");
    assert!(
        matches!(damage, Damage::Missing { first: 3, last: 4 }),
        "{damage}"
    );
}

#[test]
fn what_is_written_in_one_go_waits_for_the_disk_once() {
    let folder = folder();
    let (mut log, _) = open(folder.path(), &AuditConfig::default(), 1_000);
    log.append(&entries(100, 1_000), UnixMillis(1_000))
        .expect("written");
    log.sync().expect("on the disk");
    log.sync().expect("there is nothing new");
    assert_eq!(log.syncs.load(Ordering::Acquire), 1);
}

#[test]
fn many_that_wait_at_once_share_the_disk() {
    let folder = folder();
    let (audit, _) =
        Audit::open(folder.path(), &Vault::default(), &AuditConfig::default()).expect("it opens");
    let executor = smol::Executor::new();
    futures_lite::future::block_on(executor.run(async {
        let tasks: Vec<_> = (0..400)
            .map(|number| {
                let audit = audit.clone();
                let event = Event::new(Kind::Enrolled).number("nth", number);
                executor.spawn(async move { audit.record_durably(event).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("recorded");
        }
    }));
    let syncs = audit.syncs();
    let whole = check(folder.path()).expect("whole");
    assert_eq!(whole.last, 400, "all are there at once");
    assert!((1..200).contains(&syncs), "{syncs}");
    futures_lite::future::block_on(audit.stop(Event::new(Kind::Stopped)));
    assert_eq!(check(folder.path()).expect("whole").unsigned(), 0);
}

#[test]
fn what_there_is_no_room_for_is_counted_and_that_is_a_record() {
    let folder = folder();
    let settings = AuditConfig {
        queue: 16,
        ..AuditConfig::default()
    };
    let (audit, messages) = Audit::stalled(&settings);
    for number in 0..40u64 {
        audit.note(Event::new(Kind::SessionOpened).subject(&number.to_string()));
    }
    audit
        .begin(folder.path(), &Vault::default(), &settings, messages)
        .expect("it opens");
    futures_lite::future::block_on(audit.stop(Event::new(Kind::Stopped)));
    let said = std::fs::read_to_string(first_file(folder.path())).expect("a file");
    assert!(
        said.contains("\"kind\":\"lost\"") && said.contains("\"records\":24"),
        "{said}"
    );
    assert_eq!(check(folder.path()).expect("whole").last, 16 + 1 + 1);
}
