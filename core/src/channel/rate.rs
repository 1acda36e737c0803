//! How often strangers may make an agent sign.

use crate::time::Instant;

/// A token bucket over whole milliseconds.
#[derive(Debug)]
pub(super) struct Starts {
    burst: u64,
    /// Milliseconds after which one more is allowed.
    every: u64,
    /// When the bucket is full again.
    full_at: Instant,
}

impl Starts {
    /// Returns a full bucket of `burst`, into which one comes back after every `every` milliseconds.
    pub(super) const fn new(burst: u64, every: u64) -> Self {
        Self {
            burst,
            every,
            full_at: Instant(0),
        }
    }

    /// Takes one out; returns whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now).plus(self.every);
        if full_at.since(now) > self.burst * self.every {
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
        let mut starts = Starts::new(4, 10_000);
        for _ in 0..4 {
            assert!(starts.take(Instant(5_000)));
        }
        assert!(!starts.take(Instant(5_000)));
        assert!(!starts.take(Instant(14_999)));
        assert!(starts.take(Instant(15_000)));
        assert!(!starts.take(Instant(15_000)));
        let mut later = (0..9).filter(|_| starts.take(Instant(1_000_000)));
        assert_eq!(later.by_ref().count(), 4);
    }
}
