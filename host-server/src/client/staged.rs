//! A key and a credential that are about to take the place of a profile's own.
//!
//! They stand in a folder of the profile until the hub has taken them up. The hub may have done so when this machine
//! stops before it hears of it: whoever is refused under the old ones tries these.

use std::path::{Path, PathBuf};

use moorline_core::crypto::SigningKey;

use super::profile::{CREDENTIAL_NAME, KEY_NAME};
use super::{Profile, ProfileError};
use crate::admin::Credential;
use crate::store::{StoreError, sync_folder};

/// The folder in the profile's.
const FOLDER_NAME: &str = "next";

/// A key and a credential that are about to take the place of a profile's own.
#[derive(Debug)]
pub struct Staged<'p> {
    profile: &'p Profile,
    next: Profile,
}

impl Profile {
    /// Returns where the next key and credential stand.
    #[must_use]
    pub fn staged(&self) -> Staged<'_> {
        Staged {
            profile: self,
            next: Self::new(&self.folder().join(FOLDER_NAME)),
        }
    }
}

impl Staged<'_> {
    /// Returns the next key; it is made when there is none.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn key(&self) -> Result<SigningKey, ProfileError> {
        match self.next.key() {
            Err(ProfileError::NoKey(_)) => self.next.create_key(),
            other => other,
        }
    }

    /// Writes the credential that goes with the next key.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn store(&self, credential: &Credential) -> Result<(), ProfileError> {
        self.next.store(credential)
    }

    /// Returns whether a key and its credential stand here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.next.key_path().exists() && self.path(CREDENTIAL_NAME).exists()
    }

    /// Puts key and credential into the place of the profile's own. What was begun and not finished is finished.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn promote(&self) -> Result<(), ProfileError> {
        self.profile.forget_tickets()?;
        for name in [KEY_NAME, CREDENTIAL_NAME] {
            let (from, to) = (self.path(name), self.profile.folder().join(name));
            match std::fs::rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::Io { path: from, error }.into());
                }
                _ => sync_folder(self.profile.folder())?,
            }
        }
        Ok(())
    }

    /// Finishes what was interrupted: a key that is in its place without its credential.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn recover(&self) -> Result<(), ProfileError> {
        if self.path(CREDENTIAL_NAME).exists() && !self.next.key_path().exists() {
            self.promote()?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.next.folder()).join(name)
    }
}
