//! How a daemon ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, between};
use crate::entropy::random;

/// How a daemon ends: peers are told to come back, each at a moment of its own, so that they do not come all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// Milliseconds after which the first peers are asked to come back.
    pub retry_millis: u32,
    /// Milliseconds over which peers are spread from then on, at random.
    pub spread_millis: u32,
    /// Milliseconds that sessions may take to end.
    pub patience_millis: u32,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            retry_millis: 2_000,
            spread_millis: 3_000,
            patience_millis: 3_000,
        }
    }
}

impl Drain {
    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let checks = [
            between("drain.retry_millis", self.retry_millis, 100, 600_000),
            between("drain.spread_millis", self.spread_millis, 0, 600_000),
            between("drain.patience_millis", self.patience_millis, 100, 60_000),
        ];
        checks.into_iter().filter_map(Result::err)
    }

    /// Returns after how many milliseconds the next peer is asked to come back.
    pub(crate) fn hint(&self) -> u32 {
        // Without random bytes all come at once, and are none the worse for it.
        self.hint_of(random().map_or(0, u32::from_be_bytes))
    }

    /// Returns how long sessions may take to end.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_millis.into())
    }

    fn hint_of(&self, chance: u32) -> u32 {
        let moments = self.spread_millis.saturating_add(1);
        self.retry_millis.saturating_add(chance % moments)
    }
}

#[cfg(test)]
mod tests {
    use super::Drain;

    #[test]
    fn hints_lie_in_the_window_both_ends_included() {
        let drain = Drain {
            retry_millis: 1_000,
            spread_millis: 9,
            patience_millis: 100,
        };
        let hints: Vec<u32> = (0..20).map(|chance| drain.hint_of(chance)).collect();
        assert_eq!(hints.iter().min(), Some(&1_000));
        assert_eq!(hints.iter().max(), Some(&1_009));
        let together = Drain {
            spread_millis: 0,
            ..drain
        };
        assert_eq!(together.hint_of(7), 1_000);
    }
}
