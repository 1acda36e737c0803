//! What everything else tells of what happens.

use crate::audit::{Audit, Event, NotRecorded};

/// Takes in what happens.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    audit: Audit,
}

impl Witness {
    /// Returns a witness that tells `audit`.
    pub(crate) fn new(audit: Audit) -> Self {
        Self { audit }
    }

    /// Returns a witness that tells nobody.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self::new(Audit::nowhere())
    }

    /// Takes in what happens, and does not wait: under a flood it is counted, and not recorded.
    pub(crate) fn note(&self, event: Event) {
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

    /// Takes in the last that happens, and returns when its record is on the disk under a signed head.
    pub(crate) async fn stop(&self, event: Event) {
        self.audit.stop(event).await;
    }
}
