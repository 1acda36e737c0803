//! `[keys]` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::{between, require};
use super::{ConfigError, Limits, path_or_off};
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
    /// A file with 32 random bytes at least, under which secrets are sealed on the disk; `"off"` for none.
    #[serde(with = "path_or_off")]
    pub secret_file: Option<PathBuf>,
    /// A file with a passphrase, in the place of `secret_file`; `"off"` for none.
    #[serde(with = "path_or_off")]
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
    /// Returns what is out of range; no token may outlive the time for which its key signs.
    pub(super) fn mistakes(&self, limits: &Limits) -> Vec<ConfigError> {
        let year = 366 * 86_400;
        let spans = [
            ("keys.identity_seconds", self.identity_seconds, 3_600),
            (
                "keys.issuer_seconds",
                self.issuer_seconds,
                limits.agent_token_seconds,
            ),
            ("keys.ticket_seconds", self.ticket_seconds, 3_600),
        ];
        let spans = spans
            .into_iter()
            .filter(|(_, value, _)| *value != 0)
            .filter_map(|(key, value, least)| between(key, value, least, year).err());
        let both = require(
            "keys.passphrase_file",
            self.secret_file.is_none() || self.passphrase_file.is_none(),
            "there is a `secret_file`; one of the two seals the keys",
        );
        spans.chain(both.err()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(settings: &KeySettings) -> Vec<String> {
        let mistakes = settings.mistakes(&Limits::default()).into_iter();
        mistakes.map(|mistake| mistake.to_string()).collect()
    }

    #[test]
    fn spans_are_in_range_or_zero_and_no_token_outlives_its_keys_time() {
        let fine = KeySettings::default();
        assert_eq!(wrong(&fine), [""; 0]);
        let never = KeySettings {
            identity_seconds: 0,
            issuer_seconds: 0,
            ticket_seconds: 0,
            ..fine.clone()
        };
        assert_eq!(wrong(&never), [""; 0]);
        let short = KeySettings {
            identity_seconds: 3_599,
            issuer_seconds: 86_399,
            ticket_seconds: 1,
            secret_file: Some("a".into()),
            passphrase_file: Some("b".into()),
            ..fine
        };
        let keys = [
            "identity_seconds",
            "issuer_seconds",
            "ticket_seconds",
            "passphrase_file",
        ];
        let mistakes = wrong(&short);
        assert_eq!(mistakes.len(), keys.len());
        for (mistake, key) in mistakes.iter().zip(keys) {
            assert!(mistake.starts_with(&format!("keys.{key}: ")), "{mistake}");
        }
    }
}
