//! What becomes of an address that keeps failing.

use moorline_core::time::Instant;

use super::ledger::Worth;
use super::rate::{Bucket, Rate};
use crate::config::Limits;

/// Connections a second, and at once, of an address that would be blocked if there were no peers at it.
const SLOW: (u64, u64) = (1, 4);

/// Doublings after which a block is as long as any can be set to: a minute has become more than a year.
const MAX_LEVEL: u32 = 20;

/// The failures of one address, and what follows from them.
#[derive(Debug, Clone, Default)]
pub(super) struct Penalty {
    failures: Bucket,
    /// How often it was blocked, less what is forgiven since.
    level: u32,
    /// When it was blocked last, or when a block of it was forgiven last.
    since: Instant,
    until: Instant,
    slow: Bucket,
}

impl Penalty {
    /// Notes a failure. Returns the milliseconds for which the address is blocked from `now` on, if it is. `at_once` spares
    /// it no further failure.
    pub(super) fn fail(&mut self, limits: &Limits, at_once: bool, now: Instant) -> Option<u64> {
        self.forgive(limits, now);
        let is_spared = self.failures.take(rate(limits), now) && !at_once;
        // What was under way when the block began adds nothing to it.
        if is_spared || self.is_blocked(now) {
            return None;
        }
        let most = limits.block_max_seconds.saturating_mul(1_000);
        let least = limits.block_seconds.saturating_mul(1_000);
        let millis = least
            .saturating_mul(1 << self.level.min(MAX_LEVEL))
            .min(most);
        self.level = (self.level + 1).min(MAX_LEVEL);
        self.since = now;
        self.until = now.plus(millis);
        Some(millis)
    }

    /// Notes that a peer of this address has proved itself: that takes back one failure.
    pub(super) fn succeed(&mut self, limits: &Limits) {
        self.failures.give_back(rate(limits));
    }

    pub(super) fn is_blocked(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Returns whether one connection is let in, slowly, while the address is blocked.
    pub(super) fn takes_slowly(&mut self, now: Instant) -> bool {
        let (count, burst) = SLOW;
        self.slow.take(Rate::new(count, 1_000, burst), now)
    }

    /// Lowers the level by one for each longest block that has passed since the last one.
    fn forgive(&mut self, limits: &Limits, now: Instant) {
        let span = limits.block_max_seconds.saturating_mul(1_000).max(1);
        let forgiven = now.since(self.until.max(self.since)) / span;
        let level = self.level;
        self.level = level.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        if self.level != level {
            self.since = self
                .until
                .max(self.since)
                .plus(forgiven.saturating_mul(span));
        }
    }
}

impl Worth for Penalty {
    /// Whether it blocks, then how far it has come, then when all is forgotten.
    type Order = (Instant, u32, Bucket);

    fn worth(&self, now: Instant) -> Option<Self::Order> {
        let until = if self.is_blocked(now) {
            self.until
        } else {
            Instant(0)
        };
        let is_clean = until == Instant(0) && self.level == 0 && self.failures.is_full(now);
        (!is_clean).then_some((until, self.level, self.failures))
    }
}

fn rate(limits: &Limits) -> Rate {
    let millis = limits.failure_seconds.saturating_mul(1_000);
    Rate::new(1, millis, limits.failures_per_address)
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;

    use super::Penalty;
    use crate::config::Limits;

    fn limits() -> Limits {
        Limits {
            failures_per_address: 3,
            failure_seconds: 60,
            block_seconds: 10,
            block_max_seconds: 35,
            ..Limits::default()
        }
    }

    #[test]
    fn failures_are_forgotten_one_by_one_and_too_many_of_them_block() {
        let (limits, mut penalty) = (limits(), Penalty::default());
        for now in [0, 1, 2] {
            assert_eq!(penalty.fail(&limits, false, Instant(now)), None);
        }
        assert_eq!(
            penalty.fail(&limits, false, Instant(60_000)),
            None,
            "one is forgotten"
        );
        assert_eq!(penalty.fail(&limits, false, Instant(60_001)), Some(10_000));
        assert!(penalty.is_blocked(Instant(70_000)) && !penalty.is_blocked(Instant(70_001)));
        assert_eq!(
            penalty.fail(&limits, false, Instant(60_002)),
            None,
            "it is blocked"
        );
    }

    #[test]
    fn blocks_double_up_to_the_longest_and_are_forgiven_one_by_one() {
        let (limits, mut penalty) = (limits(), Penalty::default());
        let mut now = 0;
        let blocks = [(); 4].map(|()| {
            let blocked = penalty.fail(&limits, true, Instant(now)).expect("blocked");
            now += blocked;
            blocked
        });
        assert_eq!(blocks, [10_000, 20_000, 35_000, 35_000]);
        // Two spans after the end of the last one: of four levels two are left.
        assert_eq!(
            penalty.fail(&limits, true, Instant(now + 70_000)),
            Some(35_000)
        );
        let later = now + 70_000 + 35_000 + 10 * 35_000;
        assert_eq!(penalty.fail(&limits, true, Instant(later)), Some(10_000));
    }

    #[test]
    fn a_success_takes_back_one_failure_and_no_block() {
        let (limits, mut penalty) = (limits(), Penalty::default());
        for _ in 0..10 {
            assert_eq!(penalty.fail(&limits, false, Instant(0)), None);
            penalty.succeed(&limits);
        }
        let failed = [(); 4].map(|()| penalty.fail(&limits, false, Instant(0)).is_some());
        assert_eq!(failed, [false, false, false, true]);
        penalty.succeed(&limits);
        assert!(penalty.is_blocked(Instant(1)));
    }
}
