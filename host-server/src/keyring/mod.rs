//! The hub's keys while it runs: which are in use, and when others follow.
//!
//! A session takes the keys in use when it begins, and again with each message once its peer is authenticated: established
//! sessions rest on keys of their own, and none ends when the hub's are rotated. Only the root's word about the issuer ends
//! them, since it says that tokens may be forged.

mod lock;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum;
pub use lock::LockError;
pub(crate) use lock::lock_memory;
use moorline_core::message::FromHub;
use moorline_core::trust::{KeyName, MAX_ISSUER_STATEMENTS, STATEMENT_LEN};
use serde::{Deserialize, Serialize};

use crate::audit::{Event, Kind};
use crate::clock;
use crate::hub::{Hex, Input};
use crate::shared::Shared;
use crate::store::{
    HubKeys, IDENTITY_NAME, StoreError, TICKET_KEY_NAME, Vault, rotate, rotate_issuer,
};

/// How long to wait after a rotation that failed, and at most until the clock is looked at again.
const PAUSE: Duration = Duration::from_secs(600);

/// The keys in use, and where they are kept.
#[derive(Debug)]
pub(crate) struct Keyring {
    folder: PathBuf,
    name: String,
    vault: Arc<Vault>,
    in_use: RwLock<Arc<HubKeys>>,
}

/// One of the hub's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum HubKey {
    /// The key by which peers know the hub.
    Identity,
    /// The key that signs tokens.
    Issuer,
    /// The key that tickets are sealed under.
    Tickets,
}

impl Keyring {
    /// Reads the keys in `folder` of the hub called `name`, or makes them.
    pub(crate) fn open(folder: &Path, name: &str, vault: Arc<Vault>) -> Result<Self, StoreError> {
        let keys = HubKeys::open(folder, name, &vault, clock::now().unix.secs())?;
        Ok(Self {
            folder: folder.into(),
            name: name.into(),
            vault,
            in_use: RwLock::new(Arc::new(keys)),
        })
    }

    /// Returns the keys in use.
    pub(crate) fn in_use(&self) -> Arc<HubKeys> {
        let keys = self.in_use.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// Takes up the keys as they are on the disk now. Returns those that were in use.
    fn take_up(&self) -> Result<Arc<HubKeys>, StoreError> {
        let now = clock::now().unix.secs();
        let keys = HubKeys::open(&self.folder, &self.name, &self.vault, now)?;
        let mut in_use = self.in_use.write().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut in_use, Arc::new(keys)))
    }

    /// Returns when the key was made that is in use, in seconds since 1970.
    fn since(&self, which: HubKey) -> u64 {
        let name = match which {
            HubKey::Issuer => return self.in_use().issuers.since,
            HubKey::Identity => IDENTITY_NAME,
            HubKey::Tickets => TICKET_KEY_NAME,
        };
        let written = std::fs::metadata(self.folder.join(name)).and_then(|data| data.modified());
        let since = written
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        // A file that cannot be looked at is a matter for the rotation to report.
        since.map_or(0, |since| since.as_secs())
    }
}

impl Shared {
    /// Returns the keys in use.
    pub(crate) fn keys(&self) -> Arc<HubKeys> {
        self.keyring.in_use()
    }

    /// Returns how many seconds ago each of the hub's keys was made that is in use.
    pub(crate) fn key_ages(&self) -> [(&'static str, u64); 3] {
        let now = clock::now().unix.secs();
        let age = |which| now.saturating_sub(self.keyring.since(which));
        [
            ("identity", age(HubKey::Identity)),
            ("issuer", age(HubKey::Issuer)),
            ("tickets", age(HubKey::Tickets)),
        ]
    }

    /// Takes up the keys as they are on the disk now, and tells whom it concerns. Sessions go on; but when the root has ended
    /// the issuer's keys, all end, and peers come back by their own keys. Returns what is to be recorded of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the keys in use stay in use then.
    pub(crate) async fn take_up_keys(&self) -> Result<Vec<Event>, StoreError> {
        let before = self.keyring.take_up()?;
        let keys = self.keys();
        let mut acts = Vec::new();
        if keys.identity_key() != before.identity_key() {
            tracing::info!("the hub has another identity key");
            let name = keys.identity_key().hash().prefix::<8>();
            acts.push(rotated(HubKey::Identity).text("name", &Hex(&name).to_string()));
        }
        if keys.issuer().public_key() == before.issuer().public_key() {
            return Ok(acts);
        }
        let is_ended = keys.anchors.find(&before.issuer_kid()).is_none();
        acts.push(
            rotated(HubKey::Issuer)
                .text("name", &keys.issuer_kid())
                .text("before", if is_ended { "ended" } else { "retired" }),
        );
        tracing::info!(kid = keys.issuer_kid(), "the issuer signs with another key");
        if is_ended {
            tracing::warn!("the root has ended the issuer's keys: all sessions end");
            self.hub
                .tell(Input::EndAll(self.config().drain.clone()))
                .await;
        } else if let Some(message) = self.issuers_message(None) {
            self.hub.tell(Input::ToAll { message }).await;
        }
        Ok(acts)
    }

    /// Puts another key in the place of one, now. Returns what is to be recorded of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the key stays in use then.
    pub(crate) async fn rotate_key(&self, which: HubKey) -> Result<Vec<Event>, StoreError> {
        let (folder, vault) = (self.keyring.folder.clone(), Arc::clone(&self.keyring.vault));
        let now = clock::now().unix.secs();
        match which {
            HubKey::Tickets => {
                self.tickets().rotate_key()?;
                tracing::info!("tickets are sealed under another key");
                return Ok(vec![rotated(which)]);
            }
            HubKey::Identity => {
                smol::unblock(move || rotate(&folder, &vault, None, now).map(drop)).await?;
            }
            HubKey::Issuer => {
                smol::unblock(move || rotate_issuer(&folder, &vault, None, now).map(drop)).await?;
            }
        }
        self.take_up_keys().await
    }

    /// Returns the message with the statements about the issuer's keys that came after the key called `after`; without one,
    /// with the newest.
    pub(crate) fn issuers_message(&self, after: Option<&KeyName>) -> Option<Vec<u8>> {
        let keys = self.keys();
        let (statements, more) = match after {
            Some(after) => keys.issuers.statements_after(after),
            None => (keys.issuers.newest_statement().to_vec(), false),
        };
        let mut message = [0; MAX_ISSUER_STATEMENTS * STATEMENT_LEN + 8];
        let said = FromHub::Issuers {
            statements: &statements,
            more,
        };
        said.encode(&mut message)
            .ok()
            .map(|message| message.to_vec())
    }

    async fn rotate_on_record(&self, which: HubKey) {
        match self.rotate_key(which).await {
            Ok(acts) => self.record(acts).await,
            Err(error) => tracing::error!(?which, %error, "a key is not rotated"),
        }
    }

    /// Records what was done with keys, where nobody waits for an answer.
    pub(crate) async fn record(&self, acts: Vec<Event>) {
        for act in acts {
            if let Err(error) = self.witness.record_durably(act).await {
                tracing::error!(%error, "another key of the hub is not on record");
            }
        }
    }

    /// Rotates keys when they are due, for ever.
    pub(crate) async fn keep_keys(&self) {
        loop {
            let settings = self.config().keys.clone();
            let now = clock::now().unix.secs();
            let mut wait = PAUSE;
            for (which, seconds) in [
                (HubKey::Identity, settings.identity_seconds),
                (HubKey::Issuer, settings.issuer_seconds),
                (HubKey::Tickets, settings.ticket_seconds),
            ] {
                let due = self.keyring.since(which).saturating_add(seconds);
                if seconds == 0 {
                    continue;
                }
                if due > now {
                    wait = wait.min(Duration::from_secs(due - now));
                } else {
                    self.rotate_on_record(which).await;
                }
            }
            smol::Timer::after(wait).await;
        }
    }
}

fn rotated(which: HubKey) -> Event {
    let name = match which {
        HubKey::Identity => "identity",
        HubKey::Issuer => "issuer",
        HubKey::Tickets => "tickets",
    };
    Event::new(Kind::KeyRotated).subject(name)
}
