//! `[accounts]` of the configuration.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::error::between;

/// How commanders log in over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSettings {
    /// Who may make an account.
    pub registration: Registration,
    /// Accounts that are made without an invitation, at most.
    pub guests: usize,
    /// Logins of one commander at a time; the one that was used longest ago gives way.
    pub logins: usize,
    /// Seconds after which a login is over that is not used.
    pub idle_seconds: u64,
    /// Seconds after which a login is over in any case.
    pub login_seconds: u64,
    /// Seconds in which a challenge is to be signed.
    pub challenge_seconds: u64,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Nobody.
    Off,
    /// Who has a code of the operator's.
    Invited,
    /// Anybody, as a guest.
    Open,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            registration: Registration::Invited,
            guests: 100,
            logins: 5,
            idle_seconds: 1_800,
            login_seconds: 43_200,
            challenge_seconds: 60,
        }
    }
}

impl AccountSettings {
    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let checks = [
            between("accounts.guests", number(self.guests), 0, 65_536),
            between("accounts.logins", number(self.logins), 1, 64),
            between("accounts.idle_seconds", self.idle_seconds, 60, 86_400),
            between("accounts.login_seconds", self.login_seconds, 300, 86_400),
            between(
                "accounts.challenge_seconds",
                self.challenge_seconds,
                10,
                300,
            ),
        ];
        checks.into_iter().filter_map(Result::err)
    }
}
