//! The two user LEDs.

use super::register::Register;

/// The two user LEDs of the board.
pub struct Leds {
    lit: u32,
}

impl Leds {
    pub(super) fn new() -> Self {
        LED0.write(0);
        Self { lit: 0 }
    }

    /// Switches LED `index` on or off; the board has 0 and 1, others are ignored.
    pub fn set(&mut self, index: u32, on: bool) {
        if index >= LED_COUNT {
            return;
        }
        let bit = 1 << index;
        self.lit = if on { self.lit | bit } else { self.lit & !bit };
        LED0.write(self.lit);
    }

    /// Says whether LED `index` is on.
    pub fn is_lit(&self, index: u32) -> bool {
        index < LED_COUNT && self.lit & (1 << index) != 0
    }
}

const LED_COUNT: u32 = 2;
// SAFETY: LED0 of the FPGA I/O block (Arm DAI 0386, table 3-8).
const LED0: Register = unsafe { Register::at(0x4002_8000) };
