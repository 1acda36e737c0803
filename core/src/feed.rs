//! What is kept for several readers, each of whom follows at its own pace: observations and lines of a log.
//!
//! A [`Feed`] is a ring of items over a fixed buffer. Its items are numbered from 0. The oldest give way to the newest,
//! and a reader that comes too late for some is told how many it missed. What is kept when nobody reads is kept for who
//! comes next.

/// A ring of numbered items in `N` bytes, each of which takes two bytes beside its own.
///
/// Empty it is all zeros: in a static it takes no flash.
#[derive(Debug)]
pub struct Feed<const N: usize> {
    bytes: [u8; N],
    /// Where the oldest item begins.
    start: usize,
    len: usize,
    /// The number of the oldest item.
    oldest: u64,
    /// The number that the next item gets.
    next: u64,
}

/// Where a reader stands in a feed: the number of the item that it reads next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u64);

/// An item as a reader gets it; its bytes stand in the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its number.
    pub number: u64,
    /// How many items right before it the reader missed.
    pub lost: u64,
    /// Its length in bytes.
    pub len: usize,
}

/// An item has no place in a feed, however many give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Cursor {
    /// Returns the number of the item that is read next.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl<const N: usize> Feed<N> {
    /// Returns the feed without an item.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            start: 0,
            len: 0,
            oldest: 0,
            next: 0,
        }
    }

    /// Takes in the item that the bytes of `parts` make up, in their order; the oldest items give way to it.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; nothing gives way then.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<(), TooLong> {
        let item_len: usize = parts.iter().map(|part| part.len()).sum();
        let head = u16::try_from(item_len).map_err(|_| TooLong)?;
        let needed = item_len.saturating_add(HEAD_LEN);
        if needed > N {
            return Err(TooLong);
        }
        while N - self.len < needed {
            self.drop_oldest();
        }
        let head = head.to_be_bytes();
        let item = head.iter().chain(parts.iter().copied().flatten());
        for (at, byte) in (self.start + self.len..).zip(item) {
            if let Some(place) = self.bytes.get_mut(at % N) {
                *place = *byte;
            }
        }
        self.len += needed;
        self.next += 1;
        Ok(())
    }

    /// Returns where a reader stands that wants everything that is kept.
    #[must_use]
    pub fn begin(&self) -> Cursor {
        Cursor(self.oldest)
    }

    /// Returns where a reader stands that wants the item `number` and what follows. A number that was not given yet is
    /// one of before the feed's start, and such a reader wants everything.
    #[must_use]
    pub fn at(&self, number: u64) -> Cursor {
        if number > self.next {
            return self.begin();
        }
        Cursor(number)
    }

    /// Returns where a reader stands that wants what comes, and nothing of what is kept.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor(self.next)
    }

    /// Returns whether a reader at `cursor` has missed something.
    #[must_use]
    pub fn is_behind(&self, cursor: Cursor) -> bool {
        cursor.0 < self.oldest
    }

    /// Returns whether a reader at `cursor` has something to read.
    #[must_use]
    pub fn has_more(&self, cursor: Cursor) -> bool {
        cursor.0 < self.next
    }

    /// Copies the item at `cursor`, or else the oldest after it, to the front of `out`, and moves `cursor` behind it.
    ///
    /// Nothing is returned, and `cursor` stays, when there is none or `out` does not take it.
    pub fn read(&self, cursor: &mut Cursor, out: &mut [u8]) -> Option<Item> {
        if !self.has_more(*cursor) {
            return None;
        }
        let number = cursor.0.max(self.oldest);
        let mut at = self.start;
        for _ in self.oldest..number {
            at += HEAD_LEN + self.item_len(at);
        }
        let len = self.item_len(at);
        let place = out.get_mut(..len)?;
        for (offset, to) in place.iter_mut().enumerate() {
            *to = self.byte(at + HEAD_LEN + offset);
        }
        let lost = number - cursor.0;
        *cursor = Cursor(number + 1);
        Some(Item { number, lost, len })
    }

    fn drop_oldest(&mut self) {
        let gone = HEAD_LEN + self.item_len(self.start);
        self.start = (self.start + gone) % N;
        self.len = self.len.saturating_sub(gone);
        self.oldest += 1;
    }

    fn item_len(&self, at: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(at), self.byte(at + 1)]))
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at % N).copied().unwrap_or_default()
    }
}

impl<const N: usize> Default for Feed<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("the item is longer than the feed")
    }
}

impl core::error::Error for TooLong {}

/// Length of what stands before an item in bytes.
const HEAD_LEN: usize = 2;
