//! How often strangers may make an agent work.

use crate::limits::{
    CHANNEL_RESUMPTION_MILLIS, CHANNEL_RESUMPTIONS, CHANNEL_START_MILLIS, CHANNEL_STARTS,
};
use crate::time::Instant;

/// So many at once, and one more after each so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u64,
    /// Milliseconds after which one more is allowed.
    pub every: u64,
}

impl Rate {
    /// Full handshakes of a microcontroller: 4 at once, 6 a minute (PROTOCOL.md §10.2).
    pub const STARTS: Self = Self {
        burst: CHANNEL_STARTS,
        every: CHANNEL_START_MILLIS,
    };

    /// Resumptions: 16 at once, 60 a minute (PROTOCOL.md §10.2).
    pub(super) const RESUMPTIONS: Self = Self {
        burst: CHANNEL_RESUMPTIONS,
        every: CHANNEL_RESUMPTION_MILLIS,
    };
}

/// A token bucket over whole milliseconds.
#[derive(Debug)]
pub(super) struct Starts {
    /// When the bucket is full again.
    full_at: Instant,
}

impl Starts {
    /// Returns a full bucket.
    pub(super) const fn new() -> Self {
        Self {
            full_at: Instant(0),
        }
    }

    /// Takes one out of a bucket of `rate`; returns whether there was one.
    pub(super) fn take(&mut self, now: Instant, rate: &Rate) -> bool {
        let full_at = self.full_at.max(now).plus(rate.every);
        if full_at.since(now) > rate.burst.saturating_mul(rate.every) {
            return false;
        }
        self.full_at = full_at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_at_a_time() {
        let rate = Rate {
            burst: 4,
            every: 10_000,
        };
        let mut starts = Starts::new();
        let mut take = |now| starts.take(Instant(now), &rate);
        for _ in 0..4 {
            assert!(take(5_000));
        }
        assert!(!take(5_000));
        assert!(!take(14_999));
        assert!(take(15_000));
        assert!(!take(15_000));
        assert_eq!((0..9).filter(|_| take(1_000_000)).count(), 4);
    }
}
