//! The hub's own keys: its identity, which peers trust, the root, which says who follows it, and the issuer's, which signs
//! tokens.

use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{PublicKey, SigningKey};

use super::succession::{Keys, Succession};
use super::{KeyFileError, StoreError, create_key, decode_key, encode_key, load_key, replace};

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
    /// The key that signs tokens.
    pub issuer: SigningKey,
}

impl HubKeys {
    /// Reads the keys in `data_dir`, or makes those that are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`], which names the file.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let keys = Keys::lock(data_dir)?;
        let identity = open_or_create(&data_dir.join(IDENTITY_NAME))?;
        Ok(Self {
            succession: keys.succession(identity.public_key())?,
            identity: [identity],
            root: open_or_create_root(data_dir)?,
            issuer: open_or_create(&data_dir.join("issuer.key"))?,
        })
    }

    /// Returns the public half of the identity.
    #[must_use]
    pub fn identity_key(&self) -> &PublicKey {
        let [identity] = &self.identity;
        identity.public_key()
    }

    /// Returns the name of the issuer's key in tokens: the first 11 characters of the hash of it.
    #[must_use]
    pub fn issuer_kid(&self) -> String {
        let hash = self.issuer.public_key().hash();
        Base64UrlUnpadded::encode_string(&hash.prefix::<8>())
    }
}

pub(super) fn open_or_create(path: &Path) -> Result<SigningKey, StoreError> {
    if path.exists() {
        return Ok(load_key(path)?);
    }
    let key = create_key(path)?;
    tracing::info!(path = %path.display(), "made a key");
    Ok(key)
}

/// Reads the public half of the root key in `data_dir`.
pub(super) fn read_root(data_dir: &Path) -> Result<PublicKey, StoreError> {
    let path = data_dir.join(ROOT_PUBLIC_NAME);
    let text = std::fs::read_to_string(&path).map_err(|error| StoreError::Io {
        path: path.clone(),
        error,
    })?;
    let key = decode_key(text.trim_end());
    Ok(key.ok_or(KeyFileError::NotPublic { path })?)
}

/// Reads the public half of the root key. Where there is none the key is made, for the operator to take away.
fn open_or_create_root(data_dir: &Path) -> Result<PublicKey, StoreError> {
    let path = data_dir.join(ROOT_PUBLIC_NAME);
    if path.exists() {
        return read_root(data_dir);
    }
    let private = data_dir.join(ROOT_NAME);
    let root = open_or_create(&private)?;
    let mut text = encode_key(root.public_key());
    text.push('\n');
    replace(&path, text.as_bytes())?;
    tracing::warn!(
        path = %private.display(),
        "this is the root key, which belongs offline: move it to a place that this machine does not reach"
    );
    Ok(*root.public_key())
}
