//! Fragments of a handshake message, put together (PROTOCOL.md §2.11).
//!
//! Anyone who sees the connection id can send fragments: what is kept is bounded, and nothing is computed before a
//! message is whole.

use crate::limits::{FRAGMENT_MILLIS, MAX_HANDSHAKE_LEN};
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::{CELL_LEN, Fragment};

/// Cells that a word of the map stands for.
const WORD_CELLS: usize = 32;

/// Words of the map of the longest message.
const WORDS: usize = MAX_HANDSHAKE_LEN / CELL_LEN / WORD_CELLS;

/// One message under assembly, of up to `N` bytes.
#[derive(Debug)]
pub(crate) struct Assembly<const N: usize> {
    bytes: [u8; N],
    /// Which cells have come, a bit for each.
    cells: [u32; WORDS],
    /// Number and length of the message; nothing while none is begun.
    begun: Option<(u8, u16)>,
    since: Instant,
}

impl<const N: usize> Assembly<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            cells: [0; WORDS],
            begun: None,
            since: Instant(0),
        }
    }

    /// Takes in `fragment`. Returns the message when that is whole, and is empty then.
    ///
    /// # Errors
    ///
    /// [`Reason::NoRoom`] for a message that is longer than `N`; [`Reason::Replayed`] for what has come before;
    /// [`Reason::Fragment`] for what does not fit what has come, unless that has waited for so long that it gives way.
    pub(crate) fn take(
        &mut self,
        fragment: &Fragment<'_>,
        now: Instant,
    ) -> Result<Option<&mut [u8]>, Reason> {
        let total = usize::from(fragment.total);
        if total > N {
            return Err(Reason::NoRoom);
        }
        let start = usize::from(fragment.offset);
        let cells = start / CELL_LEN..(start + fragment.bytes.len()).div_ceil(CELL_LEN);
        let belongs = (fragment.message, fragment.total);
        let fits = match self.begun {
            None => false,
            Some(begun) if begun != belongs => false,
            Some(_) => {
                let come = cells.clone().filter(|cell| self.has(*cell)).count();
                if come == cells.len() {
                    return Err(Reason::Replayed);
                }
                come == 0
            }
        };
        if !fits {
            if self.begun.is_some() && now < self.since.plus(FRAGMENT_MILLIS) {
                return Err(Reason::Fragment);
            }
            self.cells = [0; WORDS];
            self.begun = Some(belongs);
            self.since = now;
        }
        let end = start + fragment.bytes.len();
        let place = self.bytes.get_mut(start..end).ok_or(Reason::Fragment)?;
        place.copy_from_slice(fragment.bytes);
        for cell in cells {
            self.set(cell);
        }
        let is_whole = (0..total.div_ceil(CELL_LEN)).all(|cell| self.has(cell));
        if !is_whole {
            return Ok(None);
        }
        self.begun = None;
        Ok(self.bytes.get_mut(..total))
    }

    fn has(&self, cell: usize) -> bool {
        let word = self.cells.get(cell / WORD_CELLS).copied().unwrap_or(0);
        word >> (cell % WORD_CELLS) & 1 == 1
    }

    fn set(&mut self, cell: usize) {
        if let Some(word) = self.cells.get_mut(cell / WORD_CELLS) {
            *word |= 1 << (cell % WORD_CELLS);
        }
    }
}
