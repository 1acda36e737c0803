//! The replay window of datagrams and of stored messages (RFC 6479, PROTOCOL.md §5.2).

use crate::reason::Reason;

/// Bits of one word of the bitmap.
const WORD_BITS: u64 = 64;

/// Remembers which of the newest sequence numbers were used.
///
/// ```text
///        left edge                          right edge
///            v                                  v
/// ...  too old | seen or free ... seen or free | seen | ahead, free ...
///              |<------------ width ---------->|
/// ```
///
/// The bitmap is a ring of `WORDS` words of 64 bits; the word that the right edge is in is counted out of the width,
/// so that moving the edge clears whole words: the width is `64 * (WORDS - 1)`, from 64 to 2,048.
///
/// The caller looks with [`SlidingWindow::check`], opens the frame, and only then records it with
/// [`SlidingWindow::commit`]: a forged frame never moves the window.
#[derive(Debug, Clone)]
pub struct SlidingWindow<const WORDS: usize> {
    ring: [u64; WORDS],
    /// One more than the highest number seen; 0 when none was.
    end: u64,
}

impl<const WORDS: usize> SlidingWindow<WORDS> {
    const WIDTH_IN_RANGE: () = assert!(WORDS >= 2 && WORDS <= 33, "a window is 64 to 2,048 wide");

    /// Returns the window before any number.
    #[must_use]
    pub fn new() -> Self {
        let () = Self::WIDTH_IN_RANGE;
        Self {
            ring: [0; WORDS],
            end: 0,
        }
    }

    /// Returns how many numbers the window judges.
    #[must_use]
    pub fn width(&self) -> u64 {
        WORD_BITS * (self.ring_len() - 1)
    }

    /// Checks that `seq` was not used and is not left of the window.
    ///
    /// # Errors
    ///
    /// [`Reason::Replayed`], [`Reason::TooOld`]; [`Reason::Sequence`] for the last number, which has no successor.
    pub fn check(&self, seq: u64) -> Result<(), Reason> {
        if seq == u64::MAX {
            return Err(Reason::Sequence);
        }
        if seq >= self.end {
            return Ok(());
        }
        if self.end - seq > self.width() {
            return Err(Reason::TooOld);
        }
        let (word, bit) = self.place(seq);
        match self.ring.get(word) {
            Some(word) if word & bit == 0 => Ok(()),
            _ => Err(Reason::Replayed),
        }
    }

    /// Records `seq` as used, and moves the right edge to it when it is ahead.
    ///
    /// # Errors
    ///
    /// As [`SlidingWindow::check`]; nothing changes then.
    pub fn commit(&mut self, seq: u64) -> Result<(), Reason> {
        self.check(seq)?;
        if seq >= self.end {
            let newest = self.end.saturating_sub(1) / WORD_BITS;
            let words_ahead = (seq / WORD_BITS - newest).min(self.ring_len());
            for step in 1..=words_ahead {
                let (word, _) = self.place((newest + step) * WORD_BITS);
                if let Some(word) = self.ring.get_mut(word) {
                    *word = 0;
                }
            }
            self.end = seq + 1;
        }
        let (word, bit) = self.place(seq);
        if let Some(word) = self.ring.get_mut(word) {
            *word |= bit;
        }
        Ok(())
    }

    fn place(&self, seq: u64) -> (usize, u64) {
        let word = (seq / WORD_BITS) % self.ring_len();
        (usize::try_from(word).unwrap_or(0), 1 << (seq % WORD_BITS))
    }

    fn ring_len(&self) -> u64 {
        u64::try_from(WORDS).unwrap_or(u64::MAX)
    }
}

impl<const WORDS: usize> Default for SlidingWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}
