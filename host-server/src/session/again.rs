//! What a hub says again by itself on a datagram link, where a frame may be lost (PROTOCOL.md §6.3).

use moorline_core::time::Instant;

use crate::renewals::FirstToken;

/// Milliseconds after which a newcomer that has not shown its token hears it again; twice as long each time.
const TOKEN_MILLIS: u64 = 1_000;

/// Milliseconds after which an agent hears again what is revoked.
const REVOKED_MILLIS: u64 = 30_000;

/// What is said again, and when next.
#[derive(Debug, Default)]
pub(super) struct Again {
    next: Option<(What, Instant)>,
    pause: u64,
}

/// What is said again.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A newcomer's first token, until it has shown it.
    FirstToken(FirstToken),
    /// What is revoked, for as long as the agent is here.
    Revoked,
}

impl Again {
    /// Says `what` from now on, in place of what was said before.
    pub(super) fn begin(&mut self, what: What, now: Instant) {
        self.pause = match what {
            What::FirstToken(_) => TOKEN_MILLIS,
            What::Revoked => REVOKED_MILLIS,
        };
        self.next = Some((what, now.plus(self.pause)));
    }

    /// Says nothing any more.
    pub(super) fn end(&mut self) {
        self.next = None;
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.as_ref().map(|(_, due)| *due)
    }

    /// Returns what is due at `now`, and waits for the next time.
    pub(super) fn due(&mut self, now: Instant) -> Option<What> {
        let (what, due) = self.next.as_mut()?;
        if now < *due {
            return None;
        }
        if matches!(what, What::FirstToken(_)) {
            self.pause = self.pause.saturating_mul(2);
        }
        *due = now.plus(self.pause);
        Some(what.clone())
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;

    use super::{Again, What};
    use crate::renewals::FirstToken;

    #[test]
    fn a_first_token_is_said_again_at_growing_distances_and_what_is_revoked_at_equal_ones() {
        let mut again = Again::default();
        assert_eq!(again.deadline(), None);
        let token = FirstToken {
            token: vec![1],
            group: None,
        };
        again.begin(What::FirstToken(token), Instant(0));
        assert!(again.due(Instant(999)).is_none());
        for due in [1_000, 3_000, 7_000] {
            assert_eq!(again.deadline(), Some(Instant(due)));
            assert!(matches!(again.due(Instant(due)), Some(What::FirstToken(_))));
        }
        again.begin(What::Revoked, Instant(8_000));
        for due in [38_000, 68_000] {
            assert_eq!(again.deadline(), Some(Instant(due)));
            assert!(matches!(again.due(Instant(due)), Some(What::Revoked)));
        }
        again.end();
        assert_eq!(again.deadline(), None);
    }
}
