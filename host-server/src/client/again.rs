//! When what has no answer is sent again, on a link that may lose it (PROTOCOL.md §6.3).

use moorline_core::limits::RESEND_MILLIS;
use moorline_core::time::Instant;

use crate::clock;

/// Most milliseconds between two sendings.
const MAX_PAUSE: u64 = 4 * RESEND_MILLIS;

/// When the next sending is due.
#[derive(Debug)]
pub(super) struct Again {
    due: Option<Instant>,
    pause: u64,
}

impl Again {
    /// Returns when to send again what is sent now: never, unless the link is lossy.
    pub(super) fn new(is_lossy: bool) -> Self {
        Self {
            due: is_lossy.then(|| clock::instant().plus(RESEND_MILLIS)),
            pause: RESEND_MILLIS,
        }
    }

    /// Returns when the next sending is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether it is time to send again, and waits twice as long for the next time.
    pub(super) fn is_due(&mut self) -> bool {
        let now = clock::instant();
        let is_due = self.due.is_some_and(|due| now >= due);
        if is_due {
            self.pause = MAX_PAUSE.min(2 * self.pause);
            self.due = Some(now.plus(self.pause));
        }
        is_due
    }
}
