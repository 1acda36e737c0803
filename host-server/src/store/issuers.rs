//! The issuer's keys, one after the other (PROTOCOL.md §7.5).
//!
//! `issuers.json` has the key that signs, the next one, the public halves of those that tokens may still be signed by, and the
//! statements that lead from each key to the one after it. It is replaced whole: a rotation has happened or it has not.

use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{PublicKey, Secret, SigningKey};
use moorline_core::token::{TokenReason, TrustAnchor};
use moorline_core::trust::{
    IssuerStatement, KeyName, MAX_ISSUER_STATEMENTS, STATEMENT_LEN, Signer,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::key_file::parse_scalar;
use super::{KeyFileError, StoreError, Vault, decode_key, encode_key};
use crate::entropy::{SystemEntropy, random};

/// Keys that have signed before, and whose tokens are still good. Those of more hurried rotations are refused.
pub const MAX_RETIRED: usize = 5;

/// Seconds for which the tokens of a key that is retired may go on: as long as any token lives.
const LONGEST_TOKEN_SECONDS: u64 = 86_400;

/// Statements that are kept. Whoever is further behind needs the root's word.
const MAX_STATEMENTS: usize = 1024;

const FILE_NAME: &str = "issuers.json";

/// Where the one key was before keys followed each other.
const FORMER_NAME: &str = "issuer.key";

/// The issuer's keys.
#[derive(Debug)]
pub struct Issuers {
    /// The key that signs.
    pub current: SigningKey,
    /// The key that signs after it.
    pub next: PublicKey,
    /// The counter of the root's last statement about them.
    pub root_counter: u32,
    /// Seconds since 1970 at which the key began to sign.
    pub since: u64,
    /// The keys of which tokens may still be good, the newest first.
    pub retired: Vec<Retired>,
    /// The oldest first.
    statements: Vec<Kept>,
}

/// A statement, with what it is looked for by: a peer that asks costs no look at a curve.
#[derive(Debug)]
struct Kept {
    by: KeyName,
    is_root: bool,
    bytes: [u8; STATEMENT_LEN],
}

/// A key that has signed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// The key.
    pub key: PublicKey,
    /// Seconds since 1970 at which the last of its tokens ends.
    pub until: u64,
}

/// `issuers.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    root_counter: u32,
    since: u64,
    current: Scalar,
    next: Scalar,
    retired: Vec<RetiredEntry>,
    statements: Vec<String>,
}

/// A private key as it is written.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Scalar(String);

impl std::fmt::Debug for Scalar {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Scalar")
    }
}

impl Drop for Scalar {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Scalar {
    fn of(key: &SigningKey) -> Self {
        Self(Base64UrlUnpadded::encode_string(key.to_scalar().expose()))
    }

    fn key(&self) -> Option<SigningKey> {
        let scalar: Secret<32> = parse_scalar(self.0.as_bytes())?;
        SigningKey::from_scalar(&scalar)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredEntry {
    key: String,
    until: u64,
}

impl Issuers {
    /// Reads the issuer's keys in `folder`, or makes them. The folder's keys are locked.
    pub(super) fn open(folder: &Path, vault: &Vault, now: u64) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        if let Some(contents) = read(&path, vault)? {
            return Self::of(&contents, &path);
        }
        let former = folder.join(FORMER_NAME);
        let current = match super::key_file::load_key_from(&former, vault)? {
            Some(key) => key,
            None => generate()?,
        };
        let next = generate()?;
        let contents = Contents {
            root_counter: 0,
            since: now,
            statements: vec![written(&IssuerStatement::by_issuer(
                &current,
                next.public_key(),
                &hedge()?,
            ))],
            current: Scalar::of(&current),
            next: Scalar::of(&next),
            retired: Vec::new(),
        };
        write(&path, &contents, vault)?;
        if former.exists() {
            std::fs::remove_file(&former).map_err(|error| StoreError::Io {
                path: former,
                error,
            })?;
        }
        tracing::info!(path = %path.display(), "made the issuer's keys");
        Self::of(&contents, &path)
    }

    fn of(contents: &Contents, path: &Path) -> Result<Self, StoreError> {
        let bad = || StoreError::Issuers { path: path.into() };
        let retired = contents.retired.iter().map(|entry| {
            let key = decode_key(&entry.key).ok_or_else(bad)?;
            let until = entry.until;
            Ok(Retired { key, until })
        });
        let statements = contents.statements.iter().map(|text| {
            let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| bad())?;
            let parsed = IssuerStatement::parse(&bytes).map_err(|_| bad())?;
            Ok(Kept {
                by: *parsed.by_unverified(),
                is_root: parsed.signer_unverified() == Signer::Root,
                bytes: bytes.try_into().map_err(|_| bad())?,
            })
        });
        let next = contents.next.key().ok_or_else(bad)?;
        Ok(Self {
            current: contents.current.key().ok_or_else(bad)?,
            next: *next.public_key(),
            root_counter: contents.root_counter,
            since: contents.since,
            retired: retired.collect::<Result<_, StoreError>>()?,
            statements: statements.collect::<Result<_, StoreError>>()?,
        })
    }

    /// Returns the anchors of the keys by which tokens of `issuer` may be signed at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`TokenReason`] when no token can name the issuer.
    pub(super) fn anchors(&self, issuer: &str, now: u64) -> Result<Vec<TrustAnchor>, TokenReason> {
        let retired = self.retired.iter().filter(|retired| retired.until > now);
        std::iter::once(*self.current.public_key())
            .chain(retired.map(|retired| retired.key))
            .map(|key| TrustAnchor::following(issuer, key))
            .collect()
    }

    /// Returns the keys that whoever judges tokens is to know, the newest last: the one before, the one that signs, and the next.
    #[must_use]
    pub fn known(&self) -> Vec<PublicKey> {
        let before = self.retired.first().map(|retired| retired.key);
        let own = [*self.current.public_key(), self.next];
        before.into_iter().chain(own).collect()
    }

    /// Returns the newest statement.
    #[must_use]
    pub fn newest_statement(&self) -> &[u8] {
        self.statements
            .last()
            .map(|kept| kept.bytes.as_slice())
            .unwrap_or_default()
    }

    /// Returns up to four statements, one after the other, for who knows the key called `after`, and whether there are more.
    #[must_use]
    pub fn statements_after(&self, after: &KeyName) -> (Vec<u8>, bool) {
        let by_it = self.statements.iter().position(|kept| kept.by == *after);
        let by_root = self.statements.iter().rposition(|kept| kept.is_root);
        // What the root has ended leads nowhere: its word is where to go on from.
        let from = by_it.max(by_root).unwrap_or(self.statements.len());
        let rest = self.statements.get(from..).unwrap_or_default();
        let taken = rest.get(..MAX_ISSUER_STATEMENTS).unwrap_or(rest);
        let bytes = taken.iter().flat_map(|kept| kept.bytes).collect();
        (bytes, taken.len() < rest.len())
    }
}

/// Puts the next key in the place of the one that signs. The folder's keys are locked.
pub(super) fn rotate(folder: &Path, vault: &Vault, now: u64) -> Result<Issuers, StoreError> {
    let path = folder.join(FILE_NAME);
    let before = Issuers::open(folder, vault, now)?;
    let mut contents =
        read(&path, vault)?.ok_or_else(|| StoreError::Issuers { path: path.clone() })?;
    let bad = || StoreError::Issuers { path: path.clone() };
    let current = contents.next.key().ok_or_else(bad)?;
    let next = generate()?;
    let statement = IssuerStatement::by_issuer(&current, next.public_key(), &hedge()?);
    contents.statements.push(written(&statement));
    let surplus = contents.statements.len().saturating_sub(MAX_STATEMENTS);
    contents.statements.drain(..surplus);
    let retired = RetiredEntry {
        key: encode_key(before.current.public_key()),
        until: now.saturating_add(LONGEST_TOKEN_SECONDS),
    };
    contents.retired.retain(|entry| entry.until > now);
    contents.retired.insert(0, retired);
    contents.retired.truncate(MAX_RETIRED);
    contents.since = now;
    contents.current = Scalar::of(&current);
    contents.next = Scalar::of(&next);
    write(&path, &contents, vault)?;
    Issuers::of(&contents, &path)
}

/// Makes keys that nobody knows yet, by the word of `root`, whose statements are counted up to `counter`. Tokens of all keys
/// before are refused from then on. The folder's keys are locked.
pub(super) fn replace_by_root(
    folder: &Path,
    vault: &Vault,
    root: &SigningKey,
    counter: u32,
    now: u64,
) -> Result<Issuers, StoreError> {
    let path = folder.join(FILE_NAME);
    let (current, next) = (generate()?, generate()?);
    let by_root = IssuerStatement::by_root(root, counter, current.public_key(), &hedge()?);
    let by_issuer = IssuerStatement::by_issuer(&current, next.public_key(), &hedge()?);
    let contents = Contents {
        root_counter: counter,
        since: now,
        current: Scalar::of(&current),
        next: Scalar::of(&next),
        retired: Vec::new(),
        // What led to the keys before leads nowhere.
        statements: vec![written(&by_root), written(&by_issuer)],
    };
    write(&path, &contents, vault)?;
    Issuers::of(&contents, &path)
}

fn generate() -> Result<SigningKey, StoreError> {
    Ok(SigningKey::generate(&mut SystemEntropy).map_err(|_| KeyFileError::NoEntropy)?)
}

fn hedge() -> Result<[u8; 32], StoreError> {
    Ok(random().map_err(|_| KeyFileError::NoEntropy)?)
}

fn written(statement: &[u8; STATEMENT_LEN]) -> String {
    Base64UrlUnpadded::encode_string(statement)
}

fn read(path: &Path, vault: &Vault) -> Result<Option<Contents>, StoreError> {
    let Some(bytes) = vault.read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| StoreError::Issuers { path: path.into() })
}

fn write(path: &Path, contents: &Contents, vault: &Vault) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec_pretty(contents)
        .map(Zeroizing::new)
        .map_err(|_| StoreError::Issuers { path: path.into() })?;
    vault.write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use moorline_core::token::TrustAnchors;
    use moorline_core::trust::IssuerKeys;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn open(folder: &Path) -> Issuers {
        Issuers::open(folder, &Vault::default(), NOW).expect("keys")
    }

    /// Returns who knows the key that signs now.
    fn knowing(issuers: &Issuers) -> IssuerKeys {
        let mut anchors = TrustAnchors::new();
        let anchor = TrustAnchor::following("hub", *issuers.current.public_key());
        anchors.insert(anchor.expect("an anchor")).expect("room");
        IssuerKeys::of("hub", &anchors, issuers.root_counter).expect("a key")
    }

    /// Asks as a peer does, until it has all; returns how often it asked.
    fn follow(keys: &mut IssuerKeys, issuers: &Issuers, root: &PublicKey) -> usize {
        for asked in 1.. {
            let (statements, more) = issuers.statements_after(&keys.newest());
            for statement in statements.chunks(STATEMENT_LEN) {
                keys.take(statement, root).expect("it follows");
            }
            if !more {
                return asked;
            }
        }
        unreachable!("it ends");
    }

    #[test]
    fn keys_stay_the_same_until_they_are_rotated_and_then_the_next_one_signs() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path());
        let again = open(folder.path());
        assert_eq!(again.current.public_key(), first.current.public_key());
        assert_eq!(again.next, first.next);
        let second = rotate(folder.path(), &Vault::default(), NOW + 5).expect("rotated");
        assert_eq!(*second.current.public_key(), first.next);
        assert_ne!(second.next, first.next);
        assert_eq!(second.since, NOW + 5);
        let until = NOW + 5 + LONGEST_TOKEN_SECONDS;
        let key = *first.current.public_key();
        assert_eq!(second.retired, [Retired { key, until }]);
        let count = |now| second.anchors("hub", now).expect("anchors").len();
        assert_eq!((count(until - 1), count(until)), (2, 1));
        for _ in 0..9 {
            rotate(folder.path(), &Vault::default(), NOW + 6).expect("rotated");
        }
        assert_eq!(open(folder.path()).retired.len(), MAX_RETIRED);
    }

    #[test]
    fn whoever_knows_any_key_before_follows_to_the_newest() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = generate().expect("a key");
        let first = open(folder.path());
        let mut known = vec![knowing(&first)];
        for _ in 0..9 {
            let issuers = rotate(folder.path(), &Vault::default(), NOW).expect("rotated");
            known.push(knowing(&issuers));
        }
        let newest = open(folder.path());
        for (index, keys) in known.iter_mut().rev().enumerate() {
            let asked = follow(keys, &newest, root.public_key());
            assert_eq!(keys.newest(), newest.next.hash().prefix());
            assert_eq!(
                asked,
                (index + 1).div_ceil(MAX_ISSUER_STATEMENTS),
                "{index}"
            );
            assert_eq!(newest.statements_after(&keys.newest()), (Vec::new(), false));
        }
        assert_eq!(newest.statements_after(&[7; 16]), (Vec::new(), false));
    }

    #[test]
    fn after_the_roots_word_all_follow_it_and_no_key_before_is_good() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = generate().expect("a key");
        let first = open(folder.path());
        let mut keys = knowing(&first);
        rotate(folder.path(), &Vault::default(), NOW).expect("rotated");
        let issuers = replace_by_root(folder.path(), &Vault::default(), &root, 3, NOW);
        let issuers = issuers.expect("replaced");
        assert_eq!(issuers.anchors("hub", NOW).expect("anchors").len(), 1);
        follow(&mut keys, &issuers, root.public_key());
        assert_eq!(keys.newest(), issuers.next.hash().prefix());
        let rotated = rotate(folder.path(), &Vault::default(), NOW).expect("rotated");
        follow(&mut keys, &rotated, root.public_key());
        assert_eq!(keys.newest(), rotated.next.hash().prefix());
        let mut late = knowing(&first);
        follow(&mut late, &rotated, root.public_key());
        assert_eq!(late.newest(), rotated.next.hash().prefix());
    }

    #[test]
    fn the_one_key_of_before_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let former = folder.path().join(FORMER_NAME);
        let key = super::super::create_key(&former).expect("a key");
        let issuers = open(folder.path());
        assert_eq!(issuers.current.public_key(), key.public_key());
        assert_eq!(issuers.since, NOW);
        assert!(!former.exists());
        assert_eq!(open(folder.path()).current.public_key(), key.public_key());
    }
}
