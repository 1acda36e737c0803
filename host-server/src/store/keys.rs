//! The hub's own keys: its identity, which peers pin, and the issuer's, which signs tokens.

use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::SigningKey;

use super::{StoreError, create_key, load_key};

/// The hub's keys.
#[derive(Debug)]
pub struct HubKeys {
    /// The identities, the current one first.
    pub identities: Vec<SigningKey>,
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
        Ok(Self {
            identities: vec![open_or_create(&data_dir.join("identity.key"))?],
            issuer: open_or_create(&data_dir.join("issuer.key"))?,
        })
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
