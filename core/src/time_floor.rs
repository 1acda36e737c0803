//! What the time is at least (PROTOCOL.md §7.3).
//!
//! A device without a clock takes the time from its hub. The hub is proved and may still be wrong, or lie: the floor is
//! what no hub can take back. Tokens that the issuer signed raise it, and it is kept through resets.

use crate::limits::{MAX_FLOOR_STEP_SECONDS, TIME_LEEWAY_SECONDS};
use crate::time::{Now, TimeQuality, UnixMillis};

/// What the time is at least. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeFloor(UnixMillis);

impl TimeFloor {
    /// Nothing is known.
    pub const NONE: Self = Self(UnixMillis(0));

    /// Returns the floor of a device that was built or provisioned at `built`, and that has `kept` a floor before.
    #[must_use]
    pub fn new(built: UnixMillis, kept: Option<UnixMillis>) -> Self {
        Self(kept.map_or(built, |kept| kept.max(built)))
    }

    /// Returns the floor, for keeping it.
    #[must_use]
    pub fn time(&self) -> UnixMillis {
        self.0
    }

    /// Returns `now` as far as it is to be trusted: a time before the floor, by more than the leeway, is none.
    #[must_use]
    pub fn judge(&self, now: Now) -> Now {
        let is_before = now.unix.plus(TIME_LEEWAY_SECONDS * 1000) < self.0;
        let quality = if is_before {
            TimeQuality::Unknown
        } else {
            now.quality
        };
        Now { quality, ..now }
    }

    /// Notes that a token whose signature holds was issued at `issued_at`, in seconds since 1970. Returns whether the
    /// floor has risen, and is to be kept.
    ///
    /// A token from the future does not raise it: a hub that is also the issuer, and whose clock is wrong, would lift
    /// it for good. One token raises it by 31 days at most.
    pub fn raise(&mut self, issued_at: u64, now: &Now) -> bool {
        let is_known = now.quality != TimeQuality::Unknown;
        if !is_known || issued_at > now.unix.secs().saturating_add(TIME_LEEWAY_SECONDS) {
            return false;
        }
        let highest = self.0.plus(MAX_FLOOR_STEP_SECONDS * 1000);
        let raised = UnixMillis::from_secs(issued_at).min(highest);
        let rises = raised > self.0;
        if rises {
            self.0 = raised;
        }
        rises
    }
}
