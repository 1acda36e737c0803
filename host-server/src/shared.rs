//! What every session of a daemon shares.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use moorline_core::message::FromHub;
use moorline_core::revocation::MAX_REVOKE_LIST_LEN;
use moorline_core::time::Now;
use moorline_core::token::AgentId;

use crate::accounts::Challenges;
use crate::audit::{Event, Kind};
use crate::clock;
use crate::config::{Config, Live};
use crate::door::Budget;
use crate::hub::HubHandle;
use crate::keyring::Keyring;
use crate::metrics::Doors;
use crate::offline::Offline;
use crate::outside::Outside;
use crate::standing::Standing;
use crate::store::{Accounts, Invitations, Registry, Revocations, Tickets};
use crate::tls::Certificates;
use crate::witness::Witness;

/// What every session of a daemon shares.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The hub's name, which no reload changes.
    pub(crate) name: String,
    pub(crate) config: Live<Config>,
    pub(crate) keyring: Keyring,
    pub(crate) standing: Standing,
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) challenges: Mutex<Challenges>,
    pub(crate) tickets: Mutex<Tickets>,
    pub(crate) invitations: Mutex<Invitations>,
    pub(crate) offline: Offline,
    pub(crate) hub: HubHandle,
    pub(crate) budget: Budget,
    pub(crate) witness: Witness,
    pub(crate) doors: Doors,
    /// When the daemon started.
    pub(crate) started: Now,
    pub(crate) certificates: Certificates,
    pub(crate) outside: Live<Outside>,
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

    /// Returns the registry, to be read for a moment.
    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.standing.registry()
    }

    /// Returns the registry, to be changed for a moment.
    pub(crate) fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.standing.registry_mut()
    }

    /// Returns the revocations, for a moment.
    pub(crate) fn revocations(&self) -> MutexGuard<'_, Revocations> {
        self.standing.revocations()
    }

    /// Returns the message that tells agents what is revoked, if anything ever was.
    pub(crate) fn revoked_message(&self) -> Option<Vec<u8>> {
        let now = clock::now().unix.secs();
        let list = self.revocations().list(&self.name, &self.keys(), now)?;
        let mut message = [0; MAX_REVOKE_LIST_LEN + 8];
        let message = FromHub::Revoked { list: &list }.encode(&mut message);
        message.ok().map(|message| message.to_vec())
    }

    /// Writes to the log, and has the witness take in, that the stranger `peer` is gone.
    pub(crate) fn note_stranger(&self, kind: Kind, peer: &dyn Display, why: &dyn Display) {
        self.budget.note(peer, why);
        let (peer, why) = (peer.to_string(), why.to_string());
        let why = why.strip_prefix("refused: ").unwrap_or(&why);
        self.witness
            .note(Event::new(kind).peer(&peer).text("why", why));
    }

    /// Returns the name of the agent `id`, or the id in words when nobody has it.
    pub(crate) fn name_of(&self, id: &AgentId) -> String {
        let registry = self.registry();
        let found = registry.agent(id);
        found.map_or_else(|| id.to_string(), |(name, _)| name.to_owned())
    }

    /// Returns when every token that commanders have now will have expired, in seconds since 1970.
    pub(crate) fn tokens_end(&self) -> u64 {
        let life = self.config().limits.commander_token_seconds;
        clock::now().unix.secs().saturating_add(life)
    }

    /// Returns what makes challenges, for a moment.
    pub(crate) fn challenges(&self) -> MutexGuard<'_, Challenges> {
        self.challenges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the tickets, for a moment.
    pub(crate) fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
