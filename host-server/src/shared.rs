//! What every session of a daemon shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use moorline_core::message::FromHub;
use moorline_core::revocation::MAX_REVOKE_LIST_LEN;
use moorline_core::time::Now;

use crate::clock;
use crate::config::{Config, Live};
use crate::door::Budget;
use crate::hub::HubHandle;
use crate::keyring::Keyring;
use crate::metrics::Doors;
use crate::offline::Offline;
use crate::store::{Invitations, Registry, Revocations, Tickets};

/// What every session of a daemon shares.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The hub's name, which no reload changes.
    pub(crate) name: String,
    pub(crate) config: Live<Config>,
    pub(crate) keyring: Keyring,
    pub(crate) registry: Arc<RwLock<Registry>>,
    pub(crate) tickets: Mutex<Tickets>,
    pub(crate) invitations: Mutex<Invitations>,
    pub(crate) revocations: Mutex<Revocations>,
    pub(crate) offline: Offline,
    pub(crate) hub: HubHandle,
    pub(crate) budget: Budget,
    pub(crate) doors: Doors,
    /// When the daemon started.
    pub(crate) started: Now,
}

impl Shared {
    /// Returns the configuration as it is now. Who needs one answer throughout asks once.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.now()
    }

    /// Returns the invitations, for a moment.
    pub(crate) fn invitations(&self) -> MutexGuard<'_, Invitations> {
        self.invitations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the revocations, for a moment.
    pub(crate) fn revocations(&self) -> MutexGuard<'_, Revocations> {
        self.revocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the message that tells agents what is revoked, if anything ever was.
    pub(crate) fn revoked_message(&self) -> Option<Vec<u8>> {
        let now = clock::now().unix.secs();
        let list = self.revocations().list(&self.name, &self.keys(), now)?;
        let mut message = [0; MAX_REVOKE_LIST_LEN + 8];
        let message = FromHub::Revoked { list: &list }.encode(&mut message);
        message.ok().map(|message| message.to_vec())
    }

    /// Returns when every token that commanders have now will have expired, in seconds since 1970.
    pub(crate) fn tokens_end(&self) -> u64 {
        let life = self.config().limits.commander_token_seconds;
        clock::now().unix.secs().saturating_add(life)
    }

    /// Returns the tickets, for a moment.
    pub(crate) fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
