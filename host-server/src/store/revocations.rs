//! What is revoked (PROTOCOL.md §7.4): what agents have yet to hear of from the hub, as issuer, and what the hub refuses
//! itself beside the peers that are shut out.

use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::PublicKey;
use moorline_core::revocation::{MAX_REVOKE_LIST_LEN, MAX_REVOKED, RevokeList, Revoked};
use moorline_core::token::TOKEN_ID_LEN;
use serde::{Deserialize, Serialize};

use super::{HubKeys, StoreError, replace};
use crate::entropy::random;
use crate::standing::TokenName;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    what: What,
    /// Seconds since 1970 at which every token that it names has expired.
    until: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// A subject's tokens below this generation.
    Subject { name: String, least: u32 },
    /// All tokens for the key whose name begins so, in base64url.
    Key(String),
    /// The token with this `jti`, in base64url.
    Token(String),
    /// All tokens that the issuer's key of this name has signed. Agents hear of that from the root alone.
    IssuerKey(String),
}

/// The list and its counter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    counter: u32,
    entries: Vec<Entry>,
    /// The hashes of keys that are nobody's any more, in base64url.
    #[serde(default)]
    keys: Vec<String>,
}

/// What is revoked, on the disk.
#[derive(Debug)]
pub(crate) struct Revocations {
    path: PathBuf,
    state: State,
}

impl Revocations {
    /// Reads the list in `data_dir`; without a file it is empty.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("revocations.json");
        let state = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| StoreError::Registry {
                path: path.clone(),
                error,
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(StoreError::Io { path, error }),
        };
        Ok(Self { path, state })
    }

    /// Revokes the tokens of `name` below the generation `least`, which have all expired at `until`. When it returns,
    /// that is on the disk.
    pub(crate) fn revoke_subject(
        &mut self,
        name: &str,
        least: u32,
        now: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        let name = name.into();
        self.add(What::Subject { name, least }, now, until)
    }

    /// Revokes all tokens for `key`, which have all expired at `until`. When it returns, that is on the disk.
    pub(crate) fn revoke_key(
        &mut self,
        key: &PublicKey,
        now: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        let name = Base64UrlUnpadded::encode_string(&key.hash().prefix::<16>());
        self.add(What::Key(name), now, until)
    }

    /// Takes back that tokens for `key` are revoked, unless it is refused for ever. Returns whether they were at `now`. When
    /// it returns, that is on the disk.
    pub(crate) fn pardon_key(&mut self, key: &PublicKey, now: u64) -> Result<bool, StoreError> {
        let name = Base64UrlUnpadded::encode_string(&key.hash().prefix::<16>());
        let is_it = |entry: &Entry| entry.what == What::Key(name.clone());
        let mut state = self.state.clone();
        let is_revoked = state
            .entries
            .iter()
            .any(|entry| is_it(entry) && entry.until > now);
        if !is_revoked || self.refuses(key.hash().as_bytes()) {
            return Ok(false);
        }
        state
            .entries
            .retain(|entry| entry.until > now && !is_it(entry));
        state.counter = state.counter.saturating_add(1);
        self.commit(state).map(|()| true)
    }

    /// Returns whether it is a key that its holder has let go of itself: nobody has said that it was stolen.
    fn is_ordinary(&self, what: &What) -> bool {
        let What::Key(name) = what else {
            return false;
        };
        let begins_so = |hash: &String| {
            let hash = Base64UrlUnpadded::decode_vec(hash).unwrap_or_default();
            let prefix = hash.get(..16).unwrap_or_default();
            Base64UrlUnpadded::encode_string(prefix) == *name
        };
        !self.state.keys.iter().any(begins_so)
    }

    /// Revokes the token whose `jti` this is, which has expired at `until`. When it returns, that is on the disk.
    pub(crate) fn revoke_token(
        &mut self,
        jti: &[u8; TOKEN_ID_LEN],
        now: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        let jti = Base64UrlUnpadded::encode_string(jti);
        self.add(What::Token(jti), now, until)
    }

    /// Revokes all tokens that the issuer's key called `kid` has signed, which have expired at `until`. When it returns,
    /// that is on the disk.
    pub(crate) fn revoke_issuer_key(
        &mut self,
        kid: &str,
        now: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        self.add(What::IssuerKey(kid.into()), now, until)
    }

    /// Refuses `key` for ever, and revokes all tokens for it, which have all expired at `until`. When it returns, that is on
    /// the disk.
    pub(crate) fn refuse_key(
        &mut self,
        key: &PublicKey,
        now: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        let name = Base64UrlUnpadded::encode_string(key.hash().as_bytes());
        if !state.keys.contains(&name) {
            state.keys.push(name);
        }
        self.commit(state)?;
        self.revoke_key(key, now, until)
    }

    /// Returns whether the key with this hash is refused for ever.
    pub(crate) fn refuses(&self, hash: &[u8; 32]) -> bool {
        let name = Base64UrlUnpadded::encode_string(hash);
        self.state.keys.contains(&name)
    }

    /// Returns whether a token of this name is revoked by its id, its key or its issuer's.
    pub(crate) fn covers(&self, token: &TokenName, now: u64) -> bool {
        let jti = token.id();
        let standing = self.state.entries.iter().filter(|entry| entry.until > now);
        let mut named = standing.map(|entry| &entry.what);
        self.refuses(&token.key)
            || named.any(|what| match what {
                What::Token(revoked) => *revoked == jti,
                What::IssuerKey(revoked) => *revoked == token.kid,
                // The registry has the keys and the generations that are good.
                What::Key(_) | What::Subject { .. } => false,
            })
    }

    fn add(&mut self, what: What, now: u64, until: u64) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state
            .entries
            .retain(|entry| entry.until > now && entry.what != what);
        state.entries.push(Entry { what, until });
        state.counter = state.counter.saturating_add(1);
        self.commit(state)
    }

    fn commit(&mut self, state: State) -> Result<(), StoreError> {
        let path = self.path.clone();
        let bytes = serde_json::to_vec_pretty(&state)
            .map_err(|error| StoreError::Registry { path, error })?;
        replace(&self.path, &bytes)?;
        self.state = state;
        Ok(())
    }

    /// Returns the list, signed; nothing when nothing was ever revoked. A list has 16 entries: with more, keys that were
    /// replaced or logged out are left out first, however new, and then the oldest, whose tokens expire first.
    pub(crate) fn list(&self, issuer: &str, keys: &HubKeys, now: u64) -> Option<Vec<u8>> {
        if self.state.counter == 0 {
            return None;
        }
        let standing = self.state.entries.iter().rev();
        let mut standing: Vec<&Entry> = standing.filter(|entry| entry.until > now).collect();
        standing.sort_by_key(|entry| self.is_ordinary(&entry.what));
        let entries: Vec<Revoked> = standing
            .into_iter()
            .filter_map(|entry| match &entry.what {
                What::Subject { name, least } => Some(Revoked::subject(issuer, name, *least)),
                What::Key(name) => {
                    let mut bytes = [0; 16];
                    Base64UrlUnpadded::decode(name, &mut bytes).ok()?;
                    Some(Revoked::Key(bytes))
                }
                What::Token(jti) => {
                    let mut bytes = [0; TOKEN_ID_LEN];
                    Base64UrlUnpadded::decode(jti, &mut bytes).ok()?;
                    Some(Revoked::Token(bytes))
                }
                What::IssuerKey(_) => None,
            })
            .take(MAX_REVOKED)
            .collect();
        let hedge = random::<32>().ok()?;
        let mut out = [0; MAX_REVOKE_LIST_LEN];
        let list = RevokeList::emit(
            self.state.counter,
            &keys.issuer_kid(),
            &entries,
            keys.issuer(),
            &hedge,
            &mut out,
        );
        list.ok().map(|list| list.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::crypto::SigningKey;

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::store::Vault;

    #[test]
    fn the_list_survives_a_restart_and_its_counter_only_rises() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
        let anchors = &keys.anchors;
        let mut agent = moorline_core::revocation::Revocations::<1>::new();

        let mut revocations = Revocations::open(folder.path()).expect("there are none");
        assert_eq!(revocations.list("hub", &keys, 0), None);
        for number in 0..20 {
            let name = format!("peer-{number}");
            let revoked = revocations.revoke_subject(&name, 2, 0, 100);
            revoked.expect("on the disk");
            let list = revocations.list("hub", &keys, 0).expect("a list");
            agent.take(&list, anchors).expect("a newer list");
        }
        let revocations = Revocations::open(folder.path()).expect("it is written");
        let list = revocations.list("hub", &keys, 0).expect("a list");
        // The same list again is not newer.
        assert!(agent.take(&list, anchors).is_err());
        // What has expired is left out.
        let later = revocations.list("hub", &keys, 100).expect("a list");
        assert!(later.len() < list.len());
    }
    #[test]
    fn keys_that_were_let_go_of_crowd_nothing_out_that_somebody_revoked() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
        let mut revocations = Revocations::open(folder.path()).expect("there are none");
        let key = || {
            let key = SigningKey::generate(&mut SystemEntropy).expect("a key");
            *key.public_key()
        };
        let stolen = key();
        revocations
            .refuse_key(&stolen, 0, 100)
            .expect("on the disk");
        let revoked = revocations.revoke_subject("alice", 2, 0, 100);
        revoked.expect("on the disk");
        for _ in 0..20 {
            revocations.revoke_key(&key(), 0, 100).expect("on the disk");
        }
        let list = revocations.list("hub", &keys, 0).expect("a list");
        for wanted in [
            Revoked::subject("hub", "alice", 2),
            Revoked::Key(stolen.hash().prefix()),
        ] {
            let bytes = match wanted {
                Revoked::Subject { name, .. } => name.to_vec(),
                Revoked::Key(name) | Revoked::Token(name) => name.to_vec(),
            };
            assert!(
                list.windows(bytes.len()).any(|part| part == bytes),
                "{wanted:?}"
            );
        }
        // What was let go of is taken back, and what is refused for ever is not.
        assert!(!revocations.pardon_key(&stolen, 0).expect("nothing to do"));
        assert!(revocations.refuses(stolen.hash().as_bytes()));
    }
}
