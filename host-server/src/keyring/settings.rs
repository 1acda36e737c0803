//! `[keys]` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Limits, between, require};
use crate::store::SecretSource;

/// The name of the secret among a service manager's credentials.
const CREDENTIAL_NAME: &str = "moorline-secret";

/// How often keys are rotated, and what seals them on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// Seconds after which the hub's identity key is followed by another; 0 for never.
    pub identity_seconds: u64,
    /// Seconds after which the issuer's key is followed by another; 0 for never. No token lives longer.
    pub issuer_seconds: u64,
    /// Seconds after which the key is replaced that tickets are sealed under; 0 for never.
    pub ticket_seconds: u64,
    /// A file with 32 random bytes at least, under which secrets are sealed on the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// A file with a passphrase, in the place of `secret_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// Whether the daemon's memory is kept from the disk.
    pub lock_memory: LockMemory,
}

/// Whether memory is locked, so that no key is written to swap space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMemory {
    /// Where the system allows it; else the log says so.
    Auto,
    /// The daemon does not start without.
    Required,
    /// It is not.
    Off,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            identity_seconds: 30 * 86_400,
            issuer_seconds: 86_400,
            ticket_seconds: 86_400,
            secret_file: None,
            passphrase_file: None,
            lock_memory: LockMemory::Auto,
        }
    }
}

impl KeySettings {
    /// Checks the values; no token may outlive the time for which its key signs.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), ConfigError> {
        let year = 366 * 86_400;
        for (key, value, least) in [
            ("keys.identity_seconds", self.identity_seconds, 3_600),
            (
                "keys.issuer_seconds",
                self.issuer_seconds,
                limits.agent_token_seconds,
            ),
            ("keys.ticket_seconds", self.ticket_seconds, 3_600),
        ] {
            if value != 0 {
                between(key, value, least, year)?;
            }
        }
        require(
            "keys.passphrase_file",
            self.secret_file.is_none() || self.passphrase_file.is_none(),
            "there is a `secret_file`; one of the two seals the keys",
        )
    }

    /// Returns where the secret is that seals keys on the disk: what is said here, or else what a service manager gives.
    #[must_use]
    pub fn secret(&self) -> SecretSource {
        if let Some(path) = &self.passphrase_file {
            return SecretSource::Passphrase(path.clone());
        }
        let given = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| PathBuf::from(folder).join(CREDENTIAL_NAME))
            .filter(|path| path.exists());
        match self.secret_file.clone().or(given) {
            Some(path) => SecretSource::File(path),
            None => SecretSource::None,
        }
    }
}
