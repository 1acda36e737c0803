//! The user LEDs.

use super::hardware::led;
use super::hardware::led::LED_COUNT;

/// The user LEDs of the board: two, or one on the smaller.
pub struct Leds {
    lit: u32,
}

impl Leds {
    pub(super) fn new() -> Self {
        led::start();
        led::show(0);
        Self { lit: 0 }
    }

    /// Switches LED `index` on or off, counted from 0; one that the board has not is ignored.
    pub fn set(&mut self, index: u32, on: bool) {
        if index >= LED_COUNT {
            return;
        }
        let bit = 1 << index;
        self.lit = if on { self.lit | bit } else { self.lit & !bit };
        led::show(self.lit);
    }

    /// Says whether LED `index` is on.
    pub fn is_lit(&self, index: u32) -> bool {
        index < LED_COUNT && self.lit & (1 << index) != 0
    }
}
