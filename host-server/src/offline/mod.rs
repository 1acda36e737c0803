//! Offline commands at the hub (PROTOCOL.md §10.4): each session has a [`Desk`], which works on the store that all of
//! them share. A write waits for the disk away from the threads that serve peers.

mod desk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use desk::{Desk, Said};
use moorline_core::token::AgentId;
use smol::lock::{Mutex, MutexGuard};

use crate::clock;
use crate::config::OfflineLimits;
use crate::store::{Kept, OfflineStore, StoreError};

/// How often it is looked whether something has lost its meaning.
const SWEEP: Duration = Duration::from_secs(30);

/// What is kept for who is away.
#[derive(Debug)]
pub(crate) struct Offline {
    store: Arc<Mutex<OfflineStore>>,
    /// Rises with every change: a session that waits for something looks again.
    changes: AtomicU64,
}

impl Offline {
    /// Reads what is kept in `data_dir`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn open(data_dir: &Path, limits: &OfflineLimits) -> Result<Self, StoreError> {
        let store = OfflineStore::open(data_dir, limits.clone())?;
        Ok(Self {
            store: Arc::new(Mutex::new(store)),
            changes: AtomicU64::new(1),
        })
    }

    /// Has `limits` hold from now on. What is kept already stays.
    pub(crate) async fn set_limits(&self, limits: OfflineLimits) {
        self.store.lock().await.set_limits(limits);
    }

    /// Returns how much is kept.
    pub(crate) async fn kept(&self) -> Kept {
        self.store.lock().await.kept()
    }

    /// Forgets what the peer `name`, who is shut out, gave and is to have; `agent` is the id of an agent of this name.
    pub(crate) async fn revoke(&self, name: String, agent: AgentId) {
        self.change(move |store| store.revoke(&name, agent)).await;
    }

    /// Forgets what has lost its meaning, for ever.
    pub(crate) async fn sweep(&self) {
        loop {
            smol::Timer::after(SWEEP).await;
            self.change(|store| store.expire(clock::now().unix)).await;
        }
    }

    /// Has `work` change the store, off the threads that serve peers.
    async fn change<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut OfflineStore) -> R + Send + 'static,
    ) -> R {
        let mut store = self.store.lock_arc().await;
        let result = smol::unblock(move || work(&mut store)).await;
        self.changes.fetch_add(1, Ordering::Release);
        result
    }

    /// Returns the store to look into.
    async fn look(&self) -> MutexGuard<'_, OfflineStore> {
        self.store.lock().await
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}
