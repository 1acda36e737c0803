//! The hub's identity keys, one after the other, and what leads from those before to the current one (PROTOCOL.md §7.1).
//!
//! `identity.key` is the current private key. `succession.json` has the last five before it, which sign what leads from
//! them to the next one, and the root's last statement. A rotation writes the next key to `identity.next.key`, then
//! `succession.json`, which names it, and then puts the key in its place: what was interrupted is finished, or undone.

use std::fs::File;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{PublicKey, SigningKey};
use moorline_core::entropy::Entropy;
use moorline_core::handshake::Earlier;
use moorline_core::trust::{Rotation, STATEMENT_LEN, Signer};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::issuers::Issuers;
use super::key_file::{create_key_in, load_key_from, parse_scalar};
use super::keys::{IDENTITY_NAME, check_root};
use super::{KeyFileError, StoreError, Vault, decode_key, encode_key, sync_folder};
use crate::entropy::SystemEntropy;

/// How many keys before the current one vouch for it.
pub const MAX_EARLIER: usize = 5;

const NEXT_NAME: &str = "identity.next.key";
const FILE_NAME: &str = "succession.json";
const LOCK_NAME: &str = "keys.lock";

/// What leads from a hub's keys before to its current one.
#[derive(Debug, Default)]
pub struct Succession {
    /// The counter of the root's last statement.
    pub root_counter: u32,
    /// The keys before the current one, the newest first.
    pub earlier: Vec<Earlier>,
    /// The root's statement about the current key, if that was the last one to say something.
    pub by_root: Option<[u8; STATEMENT_LEN]>,
}

/// What a rotation did.
#[derive(Debug)]
pub struct Rotated {
    /// The new identity key.
    pub key: PublicKey,
    /// The one before it.
    pub before: PublicKey,
    /// How many keys vouch for the new one, beside the root.
    pub earlier: usize,
}

/// `succession.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    root_counter: u32,
    /// The public half of the current key.
    current: String,
    by_root: Option<String>,
    earlier: Vec<Entry>,
}

/// A key before the current one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Its private scalar.
    scalar: String,
    /// The counter of its last statement.
    counter: u32,
    statement: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl Entry {
    fn key(&self) -> Option<SigningKey> {
        SigningKey::from_scalar(&parse_scalar(self.scalar.as_bytes())?)
    }

    /// Returns the entry of `key`, which says after `counter` statements that `next` follows it.
    fn vouching(key: &SigningKey, counter: u32, next: PublicKey) -> Result<Self, StoreError> {
        let counter = counter.checked_add(1).ok_or(StoreError::NoStatement)?;
        let rotation = Rotation {
            signer: Signer::Current,
            counter,
            key: next,
            revoked: None,
        };
        Ok(Self {
            scalar: Base64UrlUnpadded::encode_string(key.to_scalar().expose()),
            counter,
            statement: signed(&rotation, key)?,
        })
    }
}

fn signed(rotation: &Rotation, key: &SigningKey) -> Result<String, StoreError> {
    let mut hedge = [0; 32];
    SystemEntropy
        .fill(&mut hedge)
        .map_err(|_| KeyFileError::NoEntropy)?;
    let statement = rotation.sign(key, &hedge);
    let statement = statement.map_err(|_| StoreError::NoStatement)?;
    Ok(Base64UrlUnpadded::encode_string(&statement))
}

fn decoded(statement: &str) -> Option<[u8; STATEMENT_LEN]> {
    let mut bytes = [0; STATEMENT_LEN];
    let len = Base64UrlUnpadded::decode(statement, &mut bytes).ok()?.len();
    (len == STATEMENT_LEN).then_some(bytes)
}

/// Held while the keys in a folder are read or changed.
pub(super) struct Keys<'f> {
    folder: &'f Path,
    vault: &'f Vault,
    _lock: File,
}

impl<'f> Keys<'f> {
    /// Waits until nobody else changes the keys in `folder`, and finishes or undoes what was interrupted.
    pub(super) fn lock(folder: &'f Path, vault: &'f Vault) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_NAME);
        let locked = File::create(&path)
            .and_then(|file| Ok(flock(&file, FlockOperation::LockExclusive).map(|()| file)?));
        let keys = Self {
            folder,
            vault,
            _lock: locked.map_err(|error| StoreError::Io { path, error })?,
        };
        keys.recover()?;
        Ok(keys)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn key(&self, name: &str) -> Result<SigningKey, StoreError> {
        let path = self.path(name);
        let key = load_key_from(&path, self.vault)?;
        key.ok_or_else(|| StoreError::Io {
            path,
            error: std::io::ErrorKind::NotFound.into(),
        })
    }

    /// Returns a counter above that of each statement of the root, about the hub's key or the issuer's.
    pub(super) fn next_root_counter(&self, now: u64) -> Result<u32, StoreError> {
        let of_hub = self.contents()?.map(|contents| contents.root_counter);
        let of_issuer = Issuers::open(self.folder, self.vault, now)?.root_counter;
        let last = of_hub.unwrap_or_default().max(of_issuer);
        last.checked_add(1).ok_or(StoreError::NoStatement)
    }

    fn recover(&self) -> Result<(), StoreError> {
        let next = self.path(NEXT_NAME);
        if !next.exists() {
            return Ok(());
        }
        let current = self.contents()?.map(|contents| contents.current);
        if current == Some(encode_key(self.key(NEXT_NAME)?.public_key())) {
            return self.promote();
        }
        std::fs::remove_file(&next).map_err(|error| StoreError::Io { path: next, error })
    }

    /// Puts the next key into the place of the current one.
    fn promote(&self) -> Result<(), StoreError> {
        let (from, to) = (self.path(NEXT_NAME), self.path(IDENTITY_NAME));
        std::fs::rename(&from, to).map_err(|error| StoreError::Io { path: from, error })?;
        sync_folder(self.folder)
    }

    fn contents(&self) -> Result<Option<Contents>, StoreError> {
        let path = self.path(FILE_NAME);
        let Some(bytes) = self.vault.read(&path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreError::Succession {
                path,
                reason: error.to_string(),
            })
    }

    /// Reads what leads to `current`.
    pub(super) fn succession(&self, current: &PublicKey) -> Result<Succession, StoreError> {
        let Some(contents) = self.contents()? else {
            return Ok(Succession::default());
        };
        let bad = |reason: &str| StoreError::Succession {
            path: self.path(FILE_NAME),
            reason: reason.into(),
        };
        if decode_key(&contents.current).as_ref() != Some(current) {
            return Err(bad("it leads to another key than the one in identity.key"));
        }
        let statement = |text: &str| decoded(text).ok_or_else(|| bad("a statement is none"));
        let earlier = contents.earlier.iter().map(|entry| {
            let key = entry.key().ok_or_else(|| bad("a key is none"))?;
            Ok(Earlier {
                key: key.public_key().hash(),
                statement: statement(&entry.statement)?,
            })
        });
        Ok(Succession {
            root_counter: contents.root_counter,
            earlier: earlier.collect::<Result<_, StoreError>>()?,
            by_root: contents.by_root.as_deref().map(statement).transpose()?,
        })
    }
}

/// Makes a new identity key for the hub in `folder`. The keys before vouch for it; or `root` does, which also says that the
/// one before is not to be trusted again. `now` is in seconds since 1970.
///
/// # Errors
///
/// [`StoreError`]; the hub's keys are as they were then.
pub fn rotate(
    folder: &Path,
    vault: &Vault,
    root: Option<&SigningKey>,
    now: u64,
) -> Result<Rotated, StoreError> {
    let keys = Keys::lock(folder, vault)?;
    let before = keys.key(IDENTITY_NAME)?;
    let mut contents = keys.contents()?.unwrap_or_default();
    if let Some(root) = root {
        check_root(folder, root)?;
    }
    let next = create_key_in(&keys.path(NEXT_NAME), vault)?;
    let named = *next.public_key();
    if let Some(root) = root {
        contents.root_counter = keys.next_root_counter(now)?;
        let rotation = Rotation {
            signer: Signer::Root,
            counter: contents.root_counter,
            key: named,
            revoked: Some(before.public_key().hash().prefix()),
        };
        contents.by_root = Some(signed(&rotation, root)?);
        // Whoever has one of them may have all.
        contents.earlier.clear();
    } else {
        contents.by_root = None;
        let mut earlier = vec![Entry::vouching(&before, 0, named)?];
        for entry in contents.earlier.iter().take(MAX_EARLIER - 1) {
            let key = entry.key().ok_or_else(|| StoreError::Succession {
                path: keys.path(FILE_NAME),
                reason: "a key is none".into(),
            })?;
            earlier.push(Entry::vouching(&key, entry.counter, named)?);
        }
        contents.earlier = earlier;
    }
    contents.current = encode_key(&named);
    let bytes = serde_json::to_vec_pretty(&contents).map_err(|error| StoreError::Succession {
        path: keys.path(FILE_NAME),
        reason: error.to_string(),
    })?;
    vault.write(&keys.path(FILE_NAME), &Zeroizing::new(bytes))?;
    keys.promote()?;
    Ok(Rotated {
        key: named,
        before: *before.public_key(),
        earlier: contents.earlier.len(),
    })
}

#[cfg(test)]
#[path = "succession/tests.rs"]
mod tests;
