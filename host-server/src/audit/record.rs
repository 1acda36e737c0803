//! One record: what it says, and how it is written.

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::Hash;
use moorline_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::kind::{Kind, Outcome, Severity};
use crate::hub::{Hex, SessionKey};

/// Longest line of a file in bytes, with its end. What is written is bounded well below.
pub(super) const MAX_LINE_LEN: usize = 16 * 1024;

/// Most characters of a text in a record.
const MAX_TEXT: usize = 96;

/// Most details of a record.
const MAX_DETAILS: usize = 8;

/// What stands before the hash of a record, and behind it.
const BEFORE_HASH: &str = ",\"hash\":\"";
const AFTER_HASH: &str = "\"}";

/// Length of a hash in base64url.
const HASH_TEXT_LEN: usize = 43;

/// What is hashed before a record, so that the hash is never that of anything else.
const HASH_LABEL: &[u8] = b"ML1 audit record\0";

/// One value of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Detail {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A text of at most 96 characters.
    Text(String),
}

impl std::fmt::Display for Detail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// What has happened: a record that has no place in the log yet.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(super) kind: Kind,
    pub(super) severity: Severity,
    pub(super) outcome: Outcome,
    pub(super) subject: Option<String>,
    pub(super) address: Option<String>,
    pub(super) session: Option<String>,
    pub(super) details: BTreeMap<String, Detail>,
    pub(super) held_back: u64,
}

impl Event {
    /// Returns what has happened, with the severity and the outcome of its kind.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            severity: kind.severity(),
            outcome: kind.outcome(),
            subject: None,
            address: None,
            session: None,
            details: BTreeMap::new(),
            held_back: 0,
        }
    }

    /// Returns what it is about.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns where the peer comes from.
    pub(crate) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Says whom it is about.
    pub(crate) fn subject(mut self, name: &str) -> Self {
        self.subject = Some(bounded(name));
        self
    }

    /// Says where the peer comes from: an address, or the name of a door, a blank and an address.
    pub(crate) fn peer(mut self, peer: &str) -> Self {
        let address = peer.rsplit(' ').next().unwrap_or(peer);
        self.address = Some(bounded(address));
        self
    }

    /// Says in which session.
    pub(crate) fn session(mut self, session: SessionKey) -> Self {
        self.session = Some(Hex(&session.0).to_string());
        self
    }

    /// Says how much it matters.
    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Adds a text, which is cut after 96 characters.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.detail(name, Detail::Text(bounded(text)))
    }

    /// Adds a number.
    pub(crate) fn number(self, name: &str, number: u64) -> Self {
        self.detail(name, Detail::Number(number))
    }

    /// Adds a yes or no.
    pub(crate) fn flag(self, name: &str, flag: bool) -> Self {
        self.detail(name, Detail::Flag(flag))
    }

    fn detail(mut self, name: &str, detail: Detail) -> Self {
        debug_assert!(self.details.len() < MAX_DETAILS, "a record is short");
        self.details.insert(name.into(), detail);
        self
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// The end of a chain of records: the number and the hash of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) hash: Hash,
}

impl Link {
    /// What the first record of a log follows.
    pub(super) const ORIGIN: Self = Self {
        number: 0,
        hash: Hash([0; 32]),
    };
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number: one more than that of the record before it, from 1.
    pub number: u64,
    /// When it was made, in milliseconds since 1970.
    pub time: u64,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// What came of it.
    pub outcome: Outcome,
    /// The name of whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where the peer comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The session, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What else is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Detail>,
    /// How many records like it were counted and not written before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held_back: u64,
    /// The hash of the record before it, in base64url.
    pub previous: String,
    /// Its own hash, in base64url.
    #[serde(skip)]
    pub hash: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a line is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotARecord {
    /// It has not the form of one.
    Malformed,
    /// Its hash is that of another.
    OtherHash,
}

/// Returns `event` as the line that follows `after`, with its end, and what the next record follows.
pub(super) fn write(
    event: Event,
    time: UnixMillis,
    after: &Link,
) -> serde_json::Result<(Vec<u8>, Link)> {
    let number = after.number.saturating_add(1);
    let record = Record {
        number,
        time: time.0,
        kind: event.kind,
        severity: event.severity,
        outcome: event.outcome,
        subject: event.subject,
        address: event.address,
        session: event.session,
        details: event.details,
        held_back: event.held_back,
        previous: encode(&after.hash),
        hash: String::new(),
    };
    let mut line = serde_json::to_vec(&record)?;
    // The closing brace comes behind the hash.
    line.pop();
    let hash = hash_of(&line);
    for part in [BEFORE_HASH, &encode(&hash), AFTER_HASH, "\n"] {
        line.extend_from_slice(part.as_bytes());
    }
    Ok((line, Link { number, hash }))
}

/// Reads the record in `line`, which has no end any more, and checks its own hash.
pub(super) fn read(line: &[u8]) -> Result<(Record, Hash), NotARecord> {
    let suffix_len = BEFORE_HASH.len() + HASH_TEXT_LEN + AFTER_HASH.len();
    let at = line.len().checked_sub(suffix_len);
    let (body, suffix) = at
        .and_then(|at| line.split_at_checked(at))
        .ok_or(NotARecord::Malformed)?;
    let hash = hash_of(body);
    let text = encode(&hash);
    // Byte for byte: there is one way to write a hash.
    if suffix != [BEFORE_HASH, &text, AFTER_HASH].concat().as_bytes() {
        return Err(NotARecord::OtherHash);
    }
    let whole = [body, b"}"].concat();
    let mut record: Record = serde_json::from_slice(&whole).map_err(|_| NotARecord::Malformed)?;
    record.hash = text;
    Ok((record, hash))
}

fn hash_of(body: &[u8]) -> Hash {
    Hash::of(&[HASH_LABEL, body])
}

/// Returns `hash` in base64url.
pub(super) fn encode(hash: &Hash) -> String {
    Base64UrlUnpadded::encode_string(hash.as_bytes())
}

/// Returns the hash in base64url `text`.
pub(super) fn decode(text: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
    (decoded.len() == 32).then_some(Hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::new(Kind::SessionOpened)
            .subject("boiler\n\"=1")
            .peer("ws 127.0.0.1:7")
            .session(SessionKey([7; 8]))
            .text("role", "agent")
            .number("channels", 3)
            .flag("is_new", true)
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let (line, link) = write(event(), UnixMillis(5), &Link::ORIGIN).expect("a line");
        let line = line.strip_suffix(b"\n").expect("an end");
        let (record, hash) = read(line).expect("a record");
        assert_eq!((record.number, record.time), (1, 5));
        assert_eq!((hash, link.number), (link.hash, 1));
        assert_eq!(record.address.as_deref(), Some("127.0.0.1:7"));
        assert_eq!(record.session.as_deref(), Some("0707070707070707"));
        assert_eq!(record.details["channels"], Detail::Number(3));
        assert_eq!(decode(&record.hash), Some(hash));
    }

    #[test]
    fn a_record_is_bounded_whatever_is_said() {
        let long = "\u{1}".repeat(10_000);
        let mut event = Event::new(Kind::LimitHit).subject(&long).peer(&long);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            event = event.text(name, &long);
        }
        let (line, _) = write(event, UnixMillis(u64::MAX), &Link::ORIGIN).expect("a line");
        assert!(line.len() < MAX_LINE_LEN, "{}", line.len());
    }

    #[test]
    fn every_bit_of_a_record_counts() {
        let (line, _) = write(event(), UnixMillis(5), &Link::ORIGIN).expect("a line");
        let line = line.strip_suffix(b"\n").expect("an end");
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.to_vec();
                changed[place] ^= 1 << bit;
                assert!(read(&changed).is_err(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn names_are_those_of_the_records() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(*kind));
            let written = serde_json::to_string(kind).expect("a name");
            assert_eq!(written, format!("\"{}\"", kind.name()));
        }
        assert_eq!(Severity::from_name("nothing"), None);
    }
}
