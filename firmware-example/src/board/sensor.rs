//! Something to measure.
//!
//! The emulated board has no sensor. The stand-in turns the free-running clock into a temperature that rises and
//! falls between 18 and 26 degrees once a minute, so that a reader sees a value that really changes.

use super::clock::Clock;

/// A slowly changing temperature.
pub struct Sensor {
    clock: Clock,
}

impl Sensor {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// Returns the temperature in thousandths of a degree Celsius.
    pub fn millidegrees(&mut self) -> i32 {
        let phase = self.clock.milliseconds() % PERIOD_MS;
        let height = phase.min(PERIOD_MS - phase) * SWING / (PERIOD_MS / 2);
        LOWEST.saturating_add(i32::try_from(height).unwrap_or(0))
    }
}

const PERIOD_MS: u64 = 60_000;
const LOWEST: i32 = 18_000;
const SWING: u64 = 8_000;
