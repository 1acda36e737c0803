//! The hub's own keys: its identity, which peers trust, the root, which says who follows it, and the issuer's, which sign
//! tokens.

use std::path::Path;

use moorline_core::crypto::{PublicKey, SigningKey};
use moorline_core::token::{TrustAnchor, TrustAnchors};

use super::issuers::{self, Issuers};
use super::key_file::{create_key_in, load_key_from};
use super::succession::{Keys, Succession};
use super::{KeyFileError, StoreError, Vault, decode_key, encode_key, replace};

/// The identity's private key.
pub const IDENTITY_NAME: &str = "identity.key";

/// The root's private key, until the operator takes it away, and its public half.
pub const ROOT_NAME: &str = "root.key";
const ROOT_PUBLIC_NAME: &str = "root.pub";

/// The hub's keys.
#[derive(Debug)]
pub struct HubKeys {
    /// The identity.
    pub identity: [SigningKey; 1],
    /// What leads to it from those before.
    pub succession: Succession,
    /// The public half of the root key. The private half belongs offline.
    pub root: PublicKey,
    /// The keys that sign tokens.
    pub issuers: Issuers,
    /// The keys by which tokens are good.
    pub anchors: TrustAnchors,
}

impl HubKeys {
    /// Reads the keys in `data_dir` of the hub called `name`, or makes those that are missing. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`StoreError`], which names the file.
    pub fn open(data_dir: &Path, name: &str, vault: &Vault, now: u64) -> Result<Self, StoreError> {
        let keys = Keys::lock(data_dir, vault)?;
        let identity = open_or_create(&data_dir.join(IDENTITY_NAME), vault)?;
        let issuers = Issuers::open(data_dir, vault, now)?;
        let mut anchors = TrustAnchors::new();
        for anchor in issuers.anchors(name, now).map_err(StoreError::Issuer)? {
            // The keys that have signed are fewer than there is room for, and none is there twice.
            let _ = anchors.insert(anchor);
        }
        Ok(Self {
            succession: keys.succession(identity.public_key())?,
            identity: [identity],
            root: open_or_create_root(data_dir)?,
            issuers,
            anchors,
        })
    }

    /// Returns the public half of the identity.
    #[must_use]
    pub fn identity_key(&self) -> &PublicKey {
        let [identity] = &self.identity;
        identity.public_key()
    }

    /// Returns the key that signs tokens.
    #[must_use]
    pub fn issuer(&self) -> &SigningKey {
        &self.issuers.current
    }

    /// Returns the name of that key in tokens.
    #[must_use]
    pub fn issuer_kid(&self) -> String {
        kid(self.issuer().public_key())
    }

    /// Returns the counter of the root's last statement, about either key.
    #[must_use]
    pub fn root_counter(&self) -> u32 {
        self.succession.root_counter.max(self.issuers.root_counter)
    }
}

/// Returns the name in tokens of an issuer's key (PROTOCOL.md §7.5).
#[must_use]
pub fn kid(key: &PublicKey) -> String {
    // Any name of an issuer does: the key's own is made of the key alone.
    let anchor = TrustAnchor::following("hub", *key);
    anchor.map_or_else(|_| String::new(), |anchor| anchor.kid().into())
}

/// Puts the issuer's next key in the place of the one that signs. With `root`, keys that nobody knows yet take the place of
/// both, and no token of before is good. `now` is in seconds since 1970.
///
/// # Errors
///
/// [`StoreError`]; the keys are as they were then.
pub fn rotate_issuer(
    folder: &Path,
    vault: &Vault,
    root: Option<&SigningKey>,
    now: u64,
) -> Result<Issuers, StoreError> {
    let keys = Keys::lock(folder, vault)?;
    let Some(root) = root else {
        return issuers::rotate(folder, vault, now);
    };
    check_root(folder, root)?;
    let counter = keys.next_root_counter(now)?;
    issuers::replace_by_root(folder, vault, root, counter, now)
}

/// Checks that `root` is the root key of the hub in `folder`.
pub(super) fn check_root(folder: &Path, root: &SigningKey) -> Result<(), StoreError> {
    if *root.public_key() == read_root(folder)? {
        Ok(())
    } else {
        Err(StoreError::NotTheRoot)
    }
}

pub(crate) fn open_or_create(path: &Path, vault: &Vault) -> Result<SigningKey, StoreError> {
    if let Some(key) = load_key_from(path, vault)? {
        return Ok(key);
    }
    let key = create_key_in(path, vault)?;
    tracing::info!(path = %path.display(), "made a key");
    Ok(key)
}

/// Reads the public half of the root key in `data_dir`.
fn read_root(data_dir: &Path) -> Result<PublicKey, StoreError> {
    let path = data_dir.join(ROOT_PUBLIC_NAME);
    let text = std::fs::read_to_string(&path).map_err(|error| StoreError::Io {
        path: path.clone(),
        error,
    })?;
    let key = decode_key(text.trim_end());
    Ok(key.ok_or(KeyFileError::NotPublic { path })?)
}

/// Reads the public half of the root key. Where there is none the key is made, for the operator to take away: it is not sealed
/// under what stays here.
fn open_or_create_root(data_dir: &Path) -> Result<PublicKey, StoreError> {
    let path = data_dir.join(ROOT_PUBLIC_NAME);
    if path.exists() {
        return read_root(data_dir);
    }
    let private = data_dir.join(ROOT_NAME);
    let root = open_or_create(&private, &Vault::default())?;
    let mut text = encode_key(root.public_key());
    text.push('\n');
    replace(&path, text.as_bytes())?;
    tracing::warn!(
        path = %private.display(),
        "this is the root key, which belongs offline: move it to a place that this machine does not reach"
    );
    Ok(*root.public_key())
}
