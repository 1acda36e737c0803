//! The user LEDs.

use super::hardware::led;
use super::hardware::led::LED_COUNT;

/// The user LEDs of the board: two, or one on the smaller.
///
/// To switch one is to read their register and to write it: tasks of one executor may share them out, an interrupt may not
/// have one.
pub struct Leds {
    count: u32,
}

impl Leds {
    pub(super) fn new() -> Self {
        led::start();
        led::show(0);
        Self { count: LED_COUNT }
    }

    /// Switches LED `index` on or off, counted from 0; one that is not there is ignored.
    pub fn set(&mut self, index: u32, on: bool) {
        if index < self.count {
            set(index, on);
        }
    }

    /// Says whether LED `index` is on.
    pub fn is_lit(&self, index: u32) -> bool {
        index < self.count && is_lit(index)
    }

    /// Gives the last of the LEDs away, if there is one.
    pub fn take_last(&mut self) -> Option<Led> {
        self.count = self.count.checked_sub(1)?;
        Some(Led { index: self.count })
    }
}

/// One LED.
pub struct Led {
    index: u32,
}

impl Led {
    /// Switches it on when it is off, and off when it is on.
    pub fn toggle(&mut self) {
        set(self.index, !is_lit(self.index));
    }
}

fn set(index: u32, on: bool) {
    let (lit, bit) = (led::lit(), 1 << index);
    led::show(if on { lit | bit } else { lit & !bit });
}

fn is_lit(index: u32) -> bool {
    led::lit() & (1 << index) != 0
}
