//! How fast a peer is read.
//!
//! A peer that sends more than it may is read more slowly, and no message of it is lost: on a stream its socket fills up, and
//! it waits. On datagrams what comes faster than it is read is dropped, as a line may drop it. Who is only busy goes on
//! so; ending its session would cost both ends a handshake, and the peer what was under way.

use moorline_core::time::Instant;

use crate::config::Limits;
use crate::guard::{Bucket, Rate};

/// The pace of one peer.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    bucket: Bucket,
    held_until: Option<Instant>,
}

impl Pace {
    /// Returns the pace that a connection with `limits` keeps.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            rate: Rate::new(limits.messages_per_second, 1_000, limits.messages_burst),
            bucket: Bucket::default(),
            held_until: None,
        }
    }

    /// Counts a message. Returns whether the peer is held from now on, and was not before.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        let was_held = self.held_until.is_some();
        let wait = self.bucket.charge(self.rate, now);
        self.held_until = (wait > 0).then_some(now.plus(wait));
        self.held_until.is_some() && !was_held
    }

    /// Returns until when nothing is read of the peer.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;

    use super::Pace;
    use crate::config::Limits;

    #[test]
    fn a_peer_is_held_after_its_burst_and_told_of_once() {
        let mut pace = Pace::new(&Limits {
            messages_per_second: 10,
            messages_burst: 3,
            ..Limits::default()
        });
        assert_eq!([0, 0].map(|now| pace.count(Instant(now))), [false; 2]);
        assert_eq!(pace.held_until(), None);
        assert!(pace.count(Instant(0)));
        assert_eq!(pace.held_until(), Some(Instant(100)));
        assert!(!pace.count(Instant(100)), "it is held still");
        assert_eq!(pace.held_until(), Some(Instant(200)));
        assert!(!pace.count(Instant(500)));
        assert_eq!(pace.held_until(), None);
    }
}
