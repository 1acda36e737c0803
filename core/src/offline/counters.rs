//! How far each commander has counted (PROTOCOL.md §12.6): what keeps a command from running twice.

use super::layout::{FRAME_NAME_LEN, KEY_NAME_LEN};
use crate::crypto::{HASH_LEN, Hash};
use crate::limits::MAX_COUNTER_STEP;
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::wire::{Reader, Writer};

/// Commanders whose counters an agent keeps, unless it is built for another number.
pub const MAX_COUNTERS: usize = 8;

/// Length of a [`CounterEntry`] in storage in bytes.
pub const COUNTER_ENTRY_LEN: usize = HASH_LEN + 8 + 8 + FRAME_NAME_LEN;

/// The storage did not take an entry, or may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StoreError;

/// What an agent keeps about one key of a commander.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterEntry {
    /// The hash of the key.
    pub(super) key: Hash,
    /// The counter of the last command that was taken.
    pub(super) counter: u64,
    /// The latest end of the tokens under which commands were taken.
    pub(super) expires: UnixMillis,
    /// The name of the last command's frame.
    pub(super) frame: [u8; FRAME_NAME_LEN],
}

impl CounterEntry {
    /// Returns the counter of the last command that was taken.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Returns the hash of the commander's key.
    #[must_use]
    pub fn key(&self) -> &Hash {
        &self.key
    }

    /// Writes the entry for storage. It is no secret; who can put back an older one can have a command run again.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; COUNTER_ENTRY_LEN] {
        let mut bytes = [0; COUNTER_ENTRY_LEN];
        let mut writer = Writer::new(&mut bytes);
        writer
            .bytes(self.key.as_bytes())
            .u64(self.counter)
            .u64(self.expires.0)
            .bytes(&self.frame);
        debug_assert!(writer.finish().is_ok());
        bytes
    }

    /// Reads an entry from storage.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`]; every content of this length is an entry.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(bytes);
        let entry = Self {
            key: Hash(*reader.array()?),
            counter: reader.u64()?,
            expires: UnixMillis(reader.u64()?),
            frame: *reader.array()?,
        };
        reader.finish()?;
        Ok(entry)
    }
}

/// The counters of all commanders. What is here is in storage too.
#[derive(Debug)]
pub struct Counters<const N: usize = MAX_COUNTERS>([Option<CounterEntry>; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of the counter of a command, before the command is believed.
pub(super) enum Counted {
    /// It is above the last one of its key, or the key has none.
    Above,
    /// This very frame was the last one of its key that was taken.
    Last,
    /// It is not above the last one, which is this.
    Stale(u64),
}

/// Why a command gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The counter is too far above the last one.
    TooFar,
    /// All places are taken, or one is by a key of the same name.
    Full,
}

impl<const N: usize> Counters<N> {
    /// Returns the counters of an agent that has taken no command yet.
    #[must_use]
    pub const fn new() -> Self {
        Self([None; N])
    }

    /// Puts back the entry that was stored last at `place`, as after a restart.
    ///
    /// # Errors
    ///
    /// [`Reason::NoRoom`] for a place that does not exist; [`Reason::Malformed`] for one that is taken, and for a key
    /// whose name begins like that of another.
    pub fn restore(&mut self, place: usize, entry: CounterEntry) -> Result<(), Reason> {
        if self.find(&entry.key.prefix()).is_some() {
            return Err(Reason::Malformed);
        }
        match self.0.get_mut(place) {
            Some(free @ None) => {
                *free = Some(entry);
                Ok(())
            }
            Some(Some(_)) => Err(Reason::Malformed),
            None => Err(Reason::NoRoom),
        }
    }

    /// Iterates over the entries with their places.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &CounterEntry)> {
        let places = self.0.iter().enumerate();
        places.filter_map(|(place, held)| held.as_ref().map(|entry| (place, entry)))
    }

    /// Returns what became of `counter` in `frame`, of the key called `name`.
    pub(super) fn judge(&self, name: &[u8; KEY_NAME_LEN], counter: u64, frame: &Hash) -> Counted {
        match self.find(name) {
            Some(entry) if entry.counter < counter => Counted::Above,
            Some(entry) if entry.frame == frame.prefix() => Counted::Last,
            Some(entry) => Counted::Stale(entry.counter),
            None => Counted::Above,
        }
    }

    /// Returns whether `frame` was the last one of the key called `name` that was taken.
    pub(super) fn is_last(&self, name: &[u8; KEY_NAME_LEN], frame: &Hash) -> bool {
        self.find(name)
            .is_some_and(|entry| entry.frame == frame.prefix())
    }

    /// Returns the place for `entry`, and what is to be stored there. A place is free when `floor` has passed the end of
    /// its tokens: no command under one of them is taken any more. Nobody is evicted.
    pub(super) fn place(
        &self,
        mut entry: CounterEntry,
        floor: UnixMillis,
    ) -> Result<(usize, CounterEntry), NoPlace> {
        let name = entry.key.prefix::<KEY_NAME_LEN>();
        let held = self.iter().find(|(_, held)| held.key.prefix() == name);
        let last = held.map_or(0, |(_, last)| last.counter);
        if entry.counter.saturating_sub(last) > MAX_COUNTER_STEP {
            return Err(NoPlace::TooFar);
        }
        if let Some((place, last)) = held {
            if last.key != entry.key {
                // Another key of the same name: its counter would be taken for this one's.
                return Err(NoPlace::Full);
            }
            entry.expires = entry.expires.max(last.expires);
            return Ok((place, entry));
        }
        let is_free = |held: &Option<CounterEntry>| held.is_none_or(|held| held.expires <= floor);
        let place = self.0.iter().position(Option::is_none);
        let place = place.or_else(|| self.0.iter().position(is_free));
        place.map(|place| (place, entry)).ok_or(NoPlace::Full)
    }

    /// Takes over what was stored at `place`, or may have been.
    pub(super) fn commit(&mut self, place: usize, entry: CounterEntry) {
        if let Some(held) = self.0.get_mut(place) {
            *held = Some(entry);
        }
    }

    fn find(&self, name: &[u8; KEY_NAME_LEN]) -> Option<&CounterEntry> {
        let mut entries = self.0.iter().flatten();
        entries.find(|entry| entry.key.prefix() == *name)
    }
}
