//! Token buckets, as the generic cell rate algorithm keeps them (ITU-T I.371 Annex A): one number each.

use moorline_core::time::Instant;

/// So many at once, and one more after each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Microseconds after which there is one more.
    interval: u64,
    burst: u64,
}

/// What is left of a rate. A new one is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket {
    /// When it is full again, in microseconds.
    full_at: u64,
}

impl Rate {
    /// Returns the rate of `count` in each `millis` milliseconds, and `burst` at once. What is 0 counts as 1.
    pub(crate) fn new(count: u64, millis: u64, burst: u64) -> Self {
        Self {
            interval: (millis.saturating_mul(1_000) / count.max(1)).max(1),
            burst: burst.max(1),
        }
    }

    /// Microseconds that a bucket may be away from full, so that one can still be taken of it.
    fn tolerance(self) -> u64 {
        self.interval.saturating_mul(self.burst - 1)
    }
}

impl Bucket {
    /// Takes one; returns whether there was one. Nothing is taken where there is none.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let is_there = self.lacks(now) <= rate.tolerance();
        if is_there {
            self.charge(rate, now);
        }
        is_there
    }

    /// Takes one, whether there is one or not. Returns the milliseconds until there is the next one.
    pub(crate) fn charge(&mut self, rate: Rate, now: Instant) -> u64 {
        let lacks = self.lacks(now).saturating_add(rate.interval);
        self.full_at = micros(now).saturating_add(lacks);
        lacks.saturating_sub(rate.tolerance()).div_ceil(1_000)
    }

    /// Puts one back.
    pub(crate) fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.saturating_sub(rate.interval);
    }

    /// Returns whether half of it or more is gone.
    pub(crate) fn is_half_empty(&self, rate: Rate, now: Instant) -> bool {
        self.lacks(now).saturating_mul(2) >= rate.interval.saturating_mul(rate.burst)
    }

    /// Returns whether nothing is known by it: it is full.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.lacks(now) == 0
    }

    /// Microseconds until it is full.
    fn lacks(&self, now: Instant) -> u64 {
        self.full_at.saturating_sub(micros(now))
    }
}

fn micros(now: Instant) -> u64 {
    now.0.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;

    use super::{Bucket, Rate};

    /// Numbers that look random and are the same in each run (Knuth's MMIX constants).
    pub(crate) struct Chance(pub(crate) u64);

    impl Chance {
        pub(crate) fn below(&mut self, end: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % end
        }
    }

    #[test]
    fn a_burst_and_then_one_for_each_interval() {
        let rate = Rate::new(10, 1_000, 3);
        let mut bucket = Bucket::default();
        let mut takes = |now| bucket.take(rate, Instant(now));
        assert_eq!([0, 0, 0, 0].map(&mut takes), [true, true, true, false]);
        assert_eq!(
            [99, 100, 100, 250].map(&mut takes),
            [false, true, false, true]
        );
        assert_eq!([10_000; 4].map(&mut takes), [true, true, true, false]);
    }

    #[test]
    fn over_any_time_no_more_is_taken_than_the_rate_gives_and_no_less_by_who_is_patient() {
        let mut chance = Chance(7);
        for _ in 0..300 {
            let (count, millis) = (1 + chance.below(2_000), 1 + chance.below(100_000));
            let burst = 1 + chance.below(50);
            let rate = Rate::new(count, millis, burst);
            let (mut bucket, mut now, mut taken) = (Bucket::default(), 1_000, Vec::new());
            for _ in 0..400 {
                now += chance.below(2 * millis / count + 2);
                if bucket.take(rate, Instant(now)) {
                    taken.push(now);
                }
            }
            // In each window: the burst, and what its length gives. An interval is cut to microseconds.
            let interval = (millis * 1_000 / count).max(1);
            for (first, from) in taken.iter().enumerate() {
                for (last, until) in taken.iter().enumerate().skip(first) {
                    let number = u64::try_from(last - first + 1).expect("few");
                    let most = burst + (until - from) * 1_000 / interval;
                    assert!(number <= most, "{number} in {from}..={until}, of {rate:?}");
                }
            }
            let mut waits = Bucket::default();
            let mut at = 0;
            for number in 1..200 {
                assert!(
                    waits.take(rate, Instant(at)),
                    "{number} at {at} of {rate:?}"
                );
                at += interval.div_ceil(1_000);
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_keeps_the_rate() {
        let rate = Rate::new(5_000, 1_000, 100);
        let (mut bucket, mut now) = (Bucket::default(), 0);
        for _ in 0..10_100 {
            now += bucket.charge(rate, Instant(now));
        }
        assert!((2_000..=2_010).contains(&now), "{now}");
    }

    #[test]
    fn one_that_is_given_back_can_be_taken_again_and_no_bucket_runs_over() {
        let rate = Rate::new(1, 1_000, 2);
        let mut bucket = Bucket::default();
        assert!(!bucket.is_half_empty(rate, Instant(0)));
        assert!(bucket.take(rate, Instant(0)) && bucket.is_half_empty(rate, Instant(0)));
        assert!(bucket.take(rate, Instant(0)) && !bucket.take(rate, Instant(0)));
        bucket.give_back(rate);
        assert!(bucket.take(rate, Instant(0)));
        for _ in 0..10 {
            bucket.give_back(rate);
        }
        assert!(bucket.is_full(Instant(0)));
        assert_eq!(
            [(); 3].map(|()| bucket.take(rate, Instant(0))),
            [true, true, false]
        );
    }
}
