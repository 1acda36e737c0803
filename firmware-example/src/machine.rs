//! The board as core sees it: a source of entropy and a clock.

use moorline_core::driver;
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::time::{Instant, Now};

use crate::board;

impl Entropy for board::Entropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        board::Entropy::fill(self, bytes).map_err(|error| {
            defmt::error!("no entropy: {}", error);
            EntropyError
        })
    }
}

impl driver::Clock for board::Clock {
    /// Returns the milliseconds since boot. The board does not know the civil time; the hub tells it.
    fn now(&mut self) -> Now {
        Now::without_clock(Instant(self.milliseconds()))
    }
}
