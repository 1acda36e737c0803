//! What operators ask of accounts: by what commanders log in, and who is logged in.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::AdminAnswer;
use crate::accounts::{ApiKeySecret, LoginKey};
use crate::audit::{Event, Kind};
use crate::clock;
use crate::shared::Shared;
use crate::store::{ApiKey, OutsideSubject, PeerRole};

/// Seconds for which an API key is good: from an hour to ten years.
const API_KEY_SECONDS: std::ops::RangeInclusive<u64> = 3_600..=315_576_000;

/// A change of by what a commander logs in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccountChange {
    /// Lets it log in by this key.
    AddKey(LoginKey),
    /// Has it not log in by this key any more.
    RemoveKey(LoginKey),
    /// Lets it log in by tokens of another issuer.
    AddOutside(OutsideSubject),
    /// Has it not log in by those any more.
    RemoveOutside(OutsideSubject),
    /// Gives it an API key.
    MakeApiKey {
        /// What it is for.
        label: String,
        /// The most that it permits; none is all that the commander may do.
        permissions: Vec<String>,
        /// Seconds for which it is good.
        seconds: u64,
    },
    /// Takes the API key of this name away.
    RemoveApiKey(String),
    /// Ends its logins.
    LogOut,
}

/// An API key that was made. It is said once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// Its name, which is no secret.
    pub id: String,
    /// The key.
    pub key: Zeroizing<String>,
    /// Seconds since 1970 from which it is no longer good.
    pub expires_at: u64,
}

impl std::fmt::Debug for NewApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "NewApiKey({})", self.id)
    }
}

/// By what a commander logs in, and where it is logged in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// Its login keys.
    pub login_keys: Vec<LoginKey>,
    /// Who of other issuers logs in as it.
    pub outside: Vec<OutsideSubject>,
    /// Its API keys.
    pub api_keys: Vec<ApiKeyReport>,
    /// Its logins.
    pub logins: Vec<LoginReport>,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyReport {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// The most that it permits.
    pub permissions: Vec<String>,
    /// Seconds since 1970 from which it is no longer good.
    pub expires_at: u64,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginReport {
    /// Its name.
    pub id: String,
    /// By what.
    pub by: String,
    /// Seconds since 1970 at which it began.
    pub since: u64,
    /// Seconds since 1970 at which it was last used.
    pub used: u64,
}

/// Returns by what `name` logs in, and where it is.
pub(super) fn report(name: &str, shared: &Shared) -> AccountReport {
    let now = clock::now().unix.secs();
    let logins = shared.logins().of(name, now).into_iter();
    let logins = logins.map(|login| LoginReport {
        id: login.id,
        by: login.by,
        since: login.since,
        used: login.used,
    });
    let logins = logins.collect();
    let accounts = shared.accounts();
    let Some(account) = accounts.find(name) else {
        return AccountReport {
            logins,
            ..AccountReport::default()
        };
    };
    let api_keys = account.api_keys.iter().map(|(id, key)| ApiKeyReport {
        id: id.clone(),
        label: key.label.clone(),
        permissions: key.permissions.clone(),
        expires_at: key.expires_at,
    });
    AccountReport {
        login_keys: account.login_keys.clone(),
        outside: account.outside.clone(),
        api_keys: api_keys.collect(),
        logins,
    }
}

/// Makes `change` for the commander `name`. Returns the answer and what is recorded of it, or why nothing is changed.
pub(super) async fn change(
    name: &str,
    change: AccountChange,
    shared: &Shared,
) -> Result<(AdminAnswer, Event), String> {
    {
        let registry = shared.registry();
        let peer = registry.find(name).filter(|peer| !peer.revoked);
        if peer.is_none_or(|peer| peer.role != PeerRole::Commander) {
            return Err(format!("no commander is called `{name}`"));
        }
    }
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let event = Event::new(Kind::AccountChanged).subject(name);
    let changed = |event| Ok((AdminAnswer::Changed, event));
    match change {
        AccountChange::AddKey(key) => {
            let event = event.text("added", &key.to_string());
            let added = shared.accounts().add_key(name, key);
            added.map_err(|error| words(&error))?;
            changed(event)
        }
        AccountChange::RemoveKey(key) => {
            let removed = shared.accounts().remove_key(name, &key);
            removed.map_err(|error| words(&error))?;
            // What it has begun ends with it.
            let by = key.to_string();
            let is_by_it = |login: &crate::store::Login| login.account == name && login.by == by;
            let ended = shared.log_out("its key is taken away", is_by_it).await;
            ended.map_err(|error| words(&error))?;
            changed(event.text("removed", &by))
        }
        AccountChange::AddOutside(subject) => {
            if !shared.outside.now().knows(&subject.issuer) {
                return Err(format!("no issuer outside is called `{}`", subject.issuer));
            }
            let event = event.text("added", &format!("{} {}", subject.issuer, subject.subject));
            let added = shared.accounts().add_outside(name, subject);
            added.map_err(|error| words(&error))?;
            changed(event)
        }
        AccountChange::RemoveOutside(subject) => {
            let removed = shared.accounts().remove_outside(name, &subject);
            removed.map_err(|error| words(&error))?;
            let by = format!("{} {}", subject.issuer, subject.subject);
            let is_by_it = |login: &crate::store::Login| login.account == name && login.by == by;
            let ended = shared.log_out("its issuer is taken away", is_by_it).await;
            ended.map_err(|error| words(&error))?;
            changed(event.text("removed", &by))
        }
        AccountChange::MakeApiKey {
            label,
            permissions,
            seconds,
        } => make_api_key(name, (label, permissions, seconds), event, shared),
        AccountChange::RemoveApiKey(id) => {
            let removed = shared.accounts().remove_api_key(name, &id);
            removed.map_err(|error| words(&error))?;
            let is_by_it = |login: &crate::store::Login| login.account == name && login.by == id;
            let ended = shared.log_out("its API key is taken away", is_by_it).await;
            ended.map_err(|error| words(&error))?;
            changed(event.text("removed", &id))
        }
        AccountChange::LogOut => {
            let is_its = |login: &crate::store::Login| login.account == name;
            let ended = shared.log_out("ended by the operator", is_its).await;
            let count = ended.map_err(|error| words(&error))?;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            changed(event.number("logged_out", count))
        }
    }
}

fn make_api_key(
    name: &str,
    (label, permissions, seconds): (String, Vec<String>, u64),
    event: Event,
    shared: &Shared,
) -> Result<(AdminAnswer, Event), String> {
    if !API_KEY_SECONDS.contains(&seconds) {
        return Err("an API key is good for an hour at least and ten years at most".into());
    }
    let secret = ApiKeySecret::make().map_err(|_| "the system gives no random bytes")?;
    let expires_at = clock::now().unix.secs().saturating_add(seconds);
    let event = event.text("api_key", secret.id()).text("label", &label);
    let key = ApiKey {
        hash: secret.hash(),
        label,
        permissions,
        expires_at,
    };
    let added = shared.accounts().add_api_key(name, secret.id(), key);
    added.map_err(|error| error.to_string())?;
    let made = NewApiKey {
        id: secret.id().into(),
        key: secret.reveal(),
        expires_at,
    };
    Ok((AdminAnswer::ApiKey(made), event))
}
