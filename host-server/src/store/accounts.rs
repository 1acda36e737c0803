//! By what commanders log in: login keys, and API keys by their hashes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::registry::{read, write};
use super::{RegistryError, StoreError};
use crate::access::check_permissions;
use crate::accounts::{ApiKeySecret, LoginKey};

/// Most login keys of one commander, and most API keys.
const MAX_KEYS: usize = 16;

/// By what one commander logs in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// Whether nobody has invited who made it.
    #[serde(default)]
    pub(crate) is_guest: bool,
    /// The keys that sign challenges.
    #[serde(default)]
    pub(crate) login_keys: Vec<LoginKey>,
    /// Who of other issuers logs in as it.
    #[serde(default)]
    pub(crate) outside: Vec<OutsideSubject>,
    /// The secrets of programs, by name.
    #[serde(default)]
    pub(crate) api_keys: BTreeMap<String, ApiKey>,
}

/// Somebody for whom another issuer vouches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideSubject {
    /// The issuer's name, `iss`.
    pub issuer: String,
    /// The name with that issuer, `sub`.
    pub subject: String,
}

/// What is known of an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKey {
    /// Its hash, in base64url.
    pub(crate) hash: String,
    /// What it is for, in the operator's words.
    pub(crate) label: String,
    /// The most that it permits: names and patterns; none is all that the commander may do.
    pub(crate) permissions: Vec<String>,
    /// Seconds since 1970 from which it is no longer good.
    pub(crate) expires_at: u64,
}

/// All of them, by commander.
#[derive(Debug)]
pub(crate) struct Accounts {
    path: PathBuf,
    accounts: BTreeMap<String, Account>,
}

/// Why an account is not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("an account has {MAX_KEYS} login keys at most, and as many API keys")]
    TooMany,
    #[error("`{0}` has no such key")]
    Unknown(String),
    #[error("`{0}` logs in by it already")]
    Taken(String),
    #[error("what an API key is for is said in 1 to 64 characters")]
    Label,
    #[error(transparent)]
    Permission(#[from] crate::access::RoleError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Reads those in `data_dir`; without a file there are none.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("accounts.json");
        Ok(Self {
            accounts: read(&path)?,
            path,
        })
    }

    /// Returns by what `name` logs in.
    pub(crate) fn find(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    /// Makes the account of `name`, which logs in by `key`. When it returns, that is on the disk.
    pub(crate) fn begin(
        &mut self,
        name: &str,
        key: LoginKey,
        is_guest: bool,
    ) -> Result<(), AccountError> {
        self.change(name, |account| {
            account.is_guest = is_guest;
            account.login_keys = vec![key];
            Ok(())
        })
    }

    /// Returns how many were made without an invitation.
    pub(crate) fn guests(&self) -> usize {
        let all = self.accounts.values();
        all.filter(|account| account.is_guest).count()
    }

    /// Lets `name` log in by `key`. When it returns, that is on the disk.
    pub(crate) fn add_key(&mut self, name: &str, key: LoginKey) -> Result<(), AccountError> {
        self.change(name, |account| {
            if !account.login_keys.contains(&key) {
                account.login_keys.push(key);
            }
            Ok(())
        })
    }

    /// Has `name` not log in by `key` any more. When it returns, that is on the disk.
    pub(crate) fn remove_key(&mut self, name: &str, key: &LoginKey) -> Result<(), AccountError> {
        self.change(name, |account| {
            let before = account.login_keys.len();
            account.login_keys.retain(|known| known != key);
            if account.login_keys.len() == before {
                return Err(AccountError::Unknown(name.into()));
            }
            Ok(())
        })
    }

    /// Lets `name` log in by tokens of another issuer for `subject`. When it returns, that is on the disk.
    pub(crate) fn add_outside(
        &mut self,
        name: &str,
        subject: OutsideSubject,
    ) -> Result<(), AccountError> {
        if let Some(other) = self.of_outside(&subject.issuer, &subject.subject) {
            return Err(AccountError::Taken(other.into()));
        }
        self.change(name, |account| {
            account.outside.push(subject);
            Ok(())
        })
    }

    /// Takes that back. When it returns, that is on the disk.
    pub(crate) fn remove_outside(
        &mut self,
        name: &str,
        subject: &OutsideSubject,
    ) -> Result<(), AccountError> {
        self.change(name, |account| {
            let before = account.outside.len();
            account.outside.retain(|known| known != subject);
            if account.outside.len() == before {
                return Err(AccountError::Unknown(name.into()));
            }
            Ok(())
        })
    }

    /// Returns who logs in by tokens of `issuer` for `subject`.
    pub(crate) fn of_outside(&self, issuer: &str, subject: &str) -> Option<&str> {
        let names_it = |known: &OutsideSubject| known.issuer == issuer && known.subject == subject;
        let mut all = self.accounts.iter();
        let (name, _) = all.find(|(_, account)| account.outside.iter().any(names_it))?;
        Some(name)
    }

    /// Gives `name` an API key of this name, whose hash `key` has. When it returns, that is on the disk.
    pub(crate) fn add_api_key(
        &mut self,
        name: &str,
        id: &str,
        key: ApiKey,
    ) -> Result<(), AccountError> {
        check_permissions(&key.permissions)?;
        let is_said = (1..=64).contains(&key.label.chars().count());
        if !is_said || key.label.chars().any(char::is_control) {
            return Err(AccountError::Label);
        }
        self.change(name, |account| {
            account.api_keys.insert(id.into(), key);
            Ok(())
        })
    }

    /// Takes the API key called `id` away from `name`. When it returns, that is on the disk.
    pub(crate) fn remove_api_key(&mut self, name: &str, id: &str) -> Result<(), AccountError> {
        self.change(name, |account| match account.api_keys.remove(id) {
            Some(_) => Ok(()),
            None => Err(AccountError::Unknown(name.into())),
        })
    }

    /// Forgets by what `name` logs in. When it returns, that is on the disk.
    pub(crate) fn forget(&mut self, name: &str) -> Result<(), AccountError> {
        if !self.accounts.contains_key(name) {
            return Ok(());
        }
        let mut accounts = self.accounts.clone();
        accounts.remove(name);
        self.commit(accounts)
    }

    /// Returns whose API key `shown` is and what is known of it, if it is one that is good at `now`.
    pub(crate) fn holder(&self, shown: &ApiKeySecret, now: u64) -> Option<(&str, &ApiKey)> {
        let mut all = self.accounts.iter();
        let (name, key) = all.find_map(|(name, account)| {
            let key = account.api_keys.get(shown.id())?;
            Some((name.as_str(), key))
        })?;
        (shown.is_known_by(&key.hash) && now < key.expires_at).then_some((name, key))
    }

    fn change(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Account) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let mut accounts = self.accounts.clone();
        let account = accounts.entry(name.into()).or_default();
        change(account)?;
        let counts = [
            account.login_keys.len(),
            account.api_keys.len(),
            account.outside.len(),
        ];
        if counts.into_iter().any(|count| count > MAX_KEYS) {
            return Err(AccountError::TooMany);
        }
        self.commit(accounts)
    }

    fn commit(&mut self, accounts: BTreeMap<String, Account>) -> Result<(), AccountError> {
        write(&self.path, &accounts)?;
        self.accounts = accounts;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_is_on_the_disk_and_no_secret_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut accounts = Accounts::open(folder.path()).expect("there are none");
        let key: LoginKey = {
            let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
            LoginKey::Ed25519(key.verifying_key())
        };
        accounts.add_key("alice", key.clone()).expect("added");
        accounts.add_key("alice", key.clone()).expect("it is there");
        let secret = ApiKeySecret::make().expect("random bytes");
        let known = ApiKey {
            hash: secret.hash(),
            label: "backups".into(),
            permissions: vec!["agent.list".into()],
            expires_at: 100,
        };
        let added = accounts.add_api_key("alice", secret.id(), known.clone());
        added.expect("added");
        let accounts = Accounts::open(folder.path()).expect("they are read");
        assert_eq!(accounts.find("alice").expect("hers").login_keys, [key]);
        assert_eq!(accounts.holder(&secret, 99), Some(("alice", &known)));
        assert_eq!(accounts.holder(&secret, 100), None);
        let text = std::fs::read_to_string(folder.path().join("accounts.json")).expect("a file");
        let shown = secret.reveal();
        let (_, part) = shown.split_once('.').expect("a dot");
        assert!(!text.contains(part));
    }

    #[test]
    fn what_is_too_much_or_unknown_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut accounts = Accounts::open(folder.path()).expect("there are none");
        let key = |label: &str, permission: &str| ApiKey {
            hash: "hash".into(),
            label: label.into(),
            permissions: vec![permission.into()],
            expires_at: 100,
        };
        for number in 0..MAX_KEYS {
            let added = accounts.add_api_key("alice", &number.to_string(), key("a", "*"));
            added.expect("up to the limit");
        }
        let one_more = accounts.add_api_key("alice", "one more", key("a", "*"));
        assert!(matches!(one_more, Err(AccountError::TooMany)));
        let wrong = accounts.add_api_key("bob", "0", key("a", "age*"));
        assert!(matches!(wrong, Err(AccountError::Permission(_))));
        for label in ["", "a\nb", &"x".repeat(65)] {
            let wrong = accounts.add_api_key("bob", "0", key(label, "*"));
            assert!(matches!(wrong, Err(AccountError::Label)), "{label}");
        }
        let unknown = accounts.remove_api_key("alice", "one more");
        assert!(matches!(unknown, Err(AccountError::Unknown(_))));
        accounts.remove_api_key("alice", "0").expect("it is there");
        accounts.forget("alice").expect("forgotten");
        assert!(accounts.find("alice").is_none());
    }
}
