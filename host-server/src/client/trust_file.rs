//! Where a profile keeps which keys are its hub's, once they have changed (PROTOCOL.md §7.1).

use std::io::ErrorKind;
use std::path::PathBuf;

use moorline_core::trust::{TrustKeeper, TrustStore};

use super::ProfileError;
use crate::store::{StoreError, replace};

/// The file with the keys that are taken for the hub's.
#[derive(Debug, Clone)]
pub struct TrustFile(PathBuf);

impl TrustFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the file; there is none as long as nothing has changed.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]. A damaged file is not passed over: a key that was revoked would come back.
    pub fn read(&self) -> Result<Option<TrustStore>, ProfileError> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let path = self.0.clone();
                return Err(StoreError::Io { path, error }.into());
            }
        };
        let store = bytes.as_slice().try_into().ok();
        let store = store.and_then(|bytes| TrustStore::from_bytes(bytes).ok());
        match store {
            Some(store) => Ok(Some(store)),
            None => Err(ProfileError::BadTrust(self.0.clone())),
        }
    }

    /// Takes the place of `other`, if it is there.
    pub(super) fn replace(&self, other: &Self) -> Result<(), ProfileError> {
        match std::fs::rename(&self.0, &other.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let path = self.0.clone();
                Err(StoreError::Io { path, error }.into())
            }
            _ => Ok(()),
        }
    }

    /// Forgets it, for a hub that is trusted anew.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn forget(&self) -> Result<(), ProfileError> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let path = self.0.clone();
                Err(StoreError::Io { path, error }.into())
            }
            _ => Ok(()),
        }
    }
}

impl TrustKeeper for TrustFile {
    fn keep(&mut self, changed: &TrustStore) -> bool {
        replace(&self.0, &changed.to_bytes()).is_ok()
    }
}
