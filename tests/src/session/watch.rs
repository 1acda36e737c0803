//! What a receiver of datagrams must make of each authentic frame, from the words of PROTOCOL.md §5 alone.

use moorline_core::limits::{MIN_WINDOW, OLD_EPOCH_FRAMES, OLD_EPOCH_MILLIS};
use moorline_core::reason::Reason;

/// How many numbers of one epoch are kept account of; a schedule sends far fewer.
pub(super) const MAX_SEQ: u32 = 1024;

/// One receiver, seen from outside.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    epoch: u32,
    entered_at: u64,
    /// The numbers taken in this epoch and in the one before.
    taken: [Taken; 2],
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    bits: [u64; 16],
    count: u32,
    newest: u32,
}

impl Taken {
    const NONE: Self = Self {
        bits: [0; 16],
        count: 0,
        newest: 0,
    };

    fn check(&self, seq: u32) -> Result<(), Reason> {
        if seq + u32::from(MIN_WINDOW) <= self.newest {
            return Err(Reason::TooOld);
        }
        let (word, bit) = place(seq);
        if self.bits[word] & bit != 0 {
            return Err(Reason::Replayed);
        }
        Ok(())
    }

    fn note(&mut self, seq: u32) {
        let (word, bit) = place(seq);
        self.bits[word] |= bit;
        self.count += 1;
        self.newest = self.newest.max(seq);
    }
}

impl Watch {
    /// Returns the receiver at the beginning of a session.
    pub(super) fn new() -> Self {
        Self {
            epoch: 0,
            entered_at: 0,
            taken: [Taken::NONE; 2],
        }
    }

    /// Says whether the frame `seq` of `epoch` is taken at `now`, and notes it.
    pub(super) fn judge(&mut self, epoch: u32, seq: u32, now: u64) -> Result<(), Reason> {
        if epoch == self.epoch + 1 {
            self.epoch = epoch;
            self.entered_at = now;
            self.taken = [Taken::NONE, self.taken[0]];
        }
        let old_is_held = self.epoch > 0
            && now < self.entered_at + OLD_EPOCH_MILLIS
            && self.taken[0].count < u32::from(OLD_EPOCH_FRAMES);
        let taken = if epoch == self.epoch {
            &mut self.taken[0]
        } else if epoch + 1 == self.epoch && old_is_held {
            &mut self.taken[1]
        } else {
            return Err(Reason::Epoch);
        };
        taken.check(seq)?;
        taken.note(seq);
        Ok(())
    }

    /// Returns the epoch of the newest frame taken.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }
}

fn place(seq: u32) -> (usize, u64) {
    let word = usize::try_from(seq / 64).unwrap_or(usize::MAX);
    (word, 1 << (seq % 64))
}
