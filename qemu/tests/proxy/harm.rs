//! What a line does to the bytes on it.

use std::time::Duration;

/// What a line does to the bytes on it, one time in `one_in` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Nothing.
    None,
    /// Loses up to `run` bytes in a row.
    Lose { one_in: u64, run: u64 },
    /// Flips a bit.
    Flip { one_in: u64 },
    /// Puts up to `run` random bytes in.
    Insert { one_in: u64, run: u64 },
    /// Says a piece twice, one in `one_in` of them.
    Repeat { one_in: u64 },
    /// Keeps each piece for up to so many milliseconds.
    Delay { millis: u64 },
    /// Keeps everything, until it does something else, and gives it then.
    Stall,
}

impl Harm {
    /// Returns how long a piece is kept.
    pub(crate) fn delay(self, random: &mut Random) -> Option<Duration> {
        match self {
            Self::Delay { millis } => Some(Duration::from_millis(1 + random.next() % millis)),
            _ => None,
        }
    }

    /// Returns what is left of `piece`, and how many times harm was done to it.
    pub(crate) fn apply(self, piece: &[u8], random: &mut Random) -> (Vec<u8>, u64) {
        let mut left = Vec::new();
        let mut count = 0;
        let mut lost = 0;
        for &byte in piece {
            if lost > 0 {
                lost -= 1;
                continue;
            }
            match self {
                Self::Lose { one_in, run } if random.hits(one_in) => {
                    lost = random.next() % run;
                    count += 1;
                }
                Self::Flip { one_in } if random.hits(one_in) => {
                    left.push(byte ^ (1 << (random.next() % 8)));
                    count += 1;
                }
                Self::Insert { one_in, run } if random.hits(one_in) => {
                    let run = 1 + random.next() % run;
                    left.extend((0..run).map(|_| random.byte()));
                    left.push(byte);
                    count += 1;
                }
                _ => left.push(byte),
            }
        }
        match self {
            Self::Repeat { one_in } if random.hits(one_in) => {
                left.extend_from_within(..);
                count += 1;
            }
            _ => {}
        }
        (left, count)
    }
}

/// Numbers that follow from a seed: xorshift64* (Vigna 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn hits(&mut self, one_in: u64) -> bool {
        self.next().is_multiple_of(one_in)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }
}
