//! Where a profile keeps the keys of its hub's issuer, once there are others than at the enrolment (PROTOCOL.md §7.5).

use std::io::ErrorKind;
use std::path::PathBuf;

use moorline_core::trust::IssuerKeys;

use super::ProfileError;
use crate::store::{StoreError, replace};

/// The file with the issuer's keys.
#[derive(Debug)]
pub(super) struct IssuersFile(pub(super) PathBuf);

impl IssuersFile {
    /// Reads the file; there is none as long as nothing has changed.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]. A damaged file is not passed over: a key that the root has ended would come back.
    pub(super) fn read(&self) -> Result<Option<IssuerKeys>, ProfileError> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let keys = bytes.as_slice().try_into().ok();
        let keys = keys.and_then(|bytes| IssuerKeys::from_bytes(bytes).ok());
        match keys {
            Some(keys) => Ok(Some(keys)),
            None => Err(ProfileError::BadTrust(self.0.clone())),
        }
    }

    /// Replaces the file.
    pub(super) fn keep(&self, keys: &IssuerKeys) -> Result<(), ProfileError> {
        Ok(replace(&self.0, &keys.to_bytes())?)
    }

    /// Forgets it, for a hub that is trusted anew.
    pub(super) fn forget(&self) -> Result<(), ProfileError> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, error: std::io::Error) -> ProfileError {
        let path = self.0.clone();
        StoreError::Io { path, error }.into()
    }
}
