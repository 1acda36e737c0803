use moorline_core::crypto::SigningKey;
use moorline_core::token::{AgentScope, MAX_UNPACKED_LEN, NewClaims, Role, TokenKind, mint};

use super::*;
use crate::entropy::SystemEntropy;

const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

/// Returns the record of the ticket number `number` of `holder`, good for `seconds`.
fn record(number: u8, holder: &str, seconds: u64) -> TicketRecord {
    let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let new = NewClaims {
        kind: TokenKind::Access,
        kid: "k1",
        issuer: "moorline",
        audience: &["moorline"],
        subject: holder,
        key: *key.public_key(),
        role: Role::Agent,
        permissions: &[],
        agents: AgentScope::None,
        generation: 1,
        issued_at: NOW.secs(),
        not_before: None,
        expires_at: NOW.secs() + 3_600,
        jti: [number; 16],
    };
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = mint(&new, &key, &[], &mut buffer).expect("it can be minted");
    let expires = NOW.plus(seconds * 1000).0.to_be_bytes();
    let parts: [&[u8]; 8] = [
        &[number; 16],
        &[0xA5; 32],
        &[1],
        &[7; 32],
        &[8; 32],
        &expires,
        &[64, 4, 0],
        token.as_bytes(),
    ];
    TicketRecord::parse(&parts.concat()).expect("it is one")
}

fn open(folder: &Path, max: usize) -> Tickets {
    Tickets::open(folder, &Arc::default(), max, NOW).expect("it opens")
}

#[test]
fn tickets_survive_a_restart_and_used_ones_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tickets = open(folder.path(), 16);
    for number in 0..4 {
        assert!(tickets.keep(record(number, "boiler", 60)));
    }
    assert!(tickets.redeem(&[1; 16]).is_some());
    assert!(tickets.redeem(&[1; 16]).is_none());
    drop(tickets);
    let mut tickets = open(folder.path(), 16);
    let good = (0..4).filter(|number| tickets.find(&[*number; 16]).is_some());
    assert_eq!(good.collect::<Vec<u8>>(), [0, 2, 3]);
    assert!(tickets.redeem(&[2; 16]).is_some());
    drop(tickets);
    assert!(open(folder.path(), 16).find(&[2; 16]).is_none());
}

#[test]
fn the_file_shows_neither_secrets_nor_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tickets = open(folder.path(), 16);
    assert!(tickets.keep(record(1, "boiler", 60)));
    let bytes = std::fs::read(folder.path().join("tickets")).expect("a file");
    assert!(bytes.len() > 300);
    for secret in [&[0xA5; 8][..], b"boiler", b"at+jwt", &[1; 16]] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn the_oldest_goes_when_there_are_too_many_of_all_or_of_one_holder() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tickets = open(folder.path(), 6);
    for number in 0..6 {
        assert!(tickets.keep(record(number, "boiler", 60)));
    }
    let good = (0..6).filter(|number| tickets.find(&[*number; 16]).is_some());
    assert_eq!(good.collect::<Vec<u8>>(), [2, 3, 4, 5]);
    for number in 6..9 {
        assert!(tickets.keep(record(number, &format!("pump-{number}"), 60)));
    }
    let good = (0..9).filter(|number| tickets.find(&[*number; 16]).is_some());
    assert_eq!(good.collect::<Vec<u8>>(), [3, 4, 5, 6, 7, 8]);
    drop(tickets);
    let tickets = open(folder.path(), 6);
    let good = (0..9).filter(|number| tickets.find(&[*number; 16]).is_some());
    assert_eq!(good.collect::<Vec<u8>>(), [3, 4, 5, 6, 7, 8]);
    let mut none = open(folder.path(), 0);
    assert!(!none.keep(record(20, "boiler", 60)));
}

#[test]
fn the_oldest_go_when_fewer_are_to_be_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tickets = open(folder.path(), 6);
    for number in 0..5 {
        assert!(tickets.keep(record(number, &format!("pump-{number}"), 60)));
    }
    let kept = |tickets: &Tickets| {
        let good = (0..9).filter(|number| tickets.find(&[*number; 16]).is_some());
        good.collect::<Vec<u8>>()
    };
    tickets.set_max(2);
    assert_eq!(kept(&tickets), [3, 4]);
    assert!(tickets.keep(record(5, "pump-5", 60)));
    assert_eq!(kept(&tickets), [4, 5]);
    drop(tickets);
    // They do not come back with a restart.
    assert_eq!(kept(&open(folder.path(), 6)), [4, 5]);
}

#[test]
fn tickets_that_are_over_or_revoked_are_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tickets = open(folder.path(), 16);
    assert!(tickets.keep(record(1, "boiler", 60)));
    assert!(tickets.keep(record(2, "boiler", 120)));
    assert!(tickets.keep(record(3, "pump", 120)));
    drop(tickets);
    let later = NOW.plus(60_000);
    let mut tickets = Tickets::open(folder.path(), &Arc::default(), 16, later).expect("it opens");
    assert!(tickets.find(&[1; 16]).is_none());
    tickets.revoke("boiler");
    drop(tickets);
    let tickets = open(folder.path(), 16);
    let good = (1..4).filter(|number| tickets.find(&[*number; 16]).is_some());
    assert_eq!(good.collect::<Vec<u8>>(), [3]);
}

#[test]
fn a_file_that_is_cut_or_damaged_gives_what_stands_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickets");
    let mut tickets = open(folder.path(), 16);
    let mut ends = Vec::new();
    for number in 0..3 {
        assert!(tickets.keep(record(number, "boiler", 60)));
        ends.push(std::fs::metadata(&path).expect("a file").len());
    }
    drop(tickets);
    let whole = std::fs::read(&path).expect("a file");
    for len in (0..whole.len()).step_by(7) {
        let expected = ends
            .iter()
            .filter(|end| usize::try_from(**end).expect("small") <= len);
        std::fs::write(&path, &whole[..len]).expect("written");
        assert_eq!(
            open(folder.path(), 16).kept.len(),
            expected.count(),
            "cut at {len}"
        );
        let mut flipped = whole.clone();
        flipped[len] ^= 0x10;
        std::fs::write(&path, &flipped).expect("written");
        let before = ends
            .iter()
            .filter(|end| usize::try_from(**end).expect("small") <= len);
        assert_eq!(
            open(folder.path(), 16).kept.len(),
            before.count(),
            "flipped at {len}"
        );
    }
}

#[test]
fn a_file_of_many_used_tickets_is_written_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickets");
    let mut tickets = open(folder.path(), 16);
    let mut longest = 0;
    for _ in 0..1_200 {
        assert!(tickets.keep(record(1, "boiler", 60)));
        assert!(tickets.redeem(&[1; 16]).is_some());
        longest = longest.max(std::fs::metadata(&path).expect("a file").len());
    }
    assert!(std::fs::metadata(&path).expect("a file").len() < longest);
    drop(tickets);
    assert!(open(folder.path(), 16).find(&[1; 16]).is_none());
}
