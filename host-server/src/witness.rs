//! What everything else tells of what happens.

use crate::audit::{Audit, Event, NotRecorded};
use crate::clock;
use crate::watch::Watch;

/// Takes in what happens.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    audit: Audit,
    watch: Watch,
}

impl Witness {
    /// Returns a witness that tells `audit` and `watch`.
    pub(crate) fn new(audit: Audit, watch: Watch) -> Self {
        Self { audit, watch }
    }

    /// Returns a witness that tells nobody.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        let (watch, _) = Watch::new(&crate::watch::WatchConfig::default());
        Self::new(Audit::nowhere(), watch)
    }

    /// Takes in what happens, and does not wait: under a flood it is counted, and not recorded.
    pub(crate) fn note(&self, event: Event) {
        self.watch.observe(&event, clock::now());
        self.audit.note(event);
    }

    /// Takes in what happens, and returns when its record is on the disk.
    ///
    /// # Errors
    ///
    /// [`NotRecorded`]: it is not to be acknowledged.
    pub(crate) async fn record_durably(&self, event: Event) -> Result<(), NotRecorded> {
        self.audit.record_durably(event).await
    }

    /// Says that no more alerts come.
    pub(crate) fn end_alerts(&self) {
        self.watch.close();
    }

    /// Takes in the last that happens, and returns when its record is on the disk under a signed head.
    pub(crate) async fn stop(&self, event: Event) {
        self.audit.stop(event).await;
    }
}
