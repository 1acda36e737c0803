//! What is remembered of many, in so many entries.

use std::collections::HashMap;
use std::hash::Hash;

use moorline_core::time::Instant;

/// What an entry is worth.
pub(super) trait Worth {
    /// Which of two entries matters more.
    type Order: Ord;

    /// Returns what it is worth at `now`; nothing when it says no more than no entry would.
    fn worth(&self, now: Instant) -> Option<Self::Order>;
}

/// A number of entries. When there is no more room, the one that matters least goes, and none for one that matters as little.
#[derive(Debug)]
pub(super) struct Ledger<K, T> {
    entries: HashMap<K, T>,
    most: usize,
}

impl<K: Eq + Hash + Clone, T: Worth> Ledger<K, T> {
    /// Returns a ledger with room for `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            most,
        }
    }

    /// Returns the entry of `key`.
    pub(super) fn find(&mut self, key: &K) -> Option<&mut T> {
        self.entries.get_mut(key)
    }

    /// Enters `entry`, of which there is none yet. It is not kept where all that is kept matters more.
    pub(super) fn enter(&mut self, key: K, entry: T, now: Instant) {
        if self.entries.len() >= self.most {
            self.entries.retain(|_, entry| entry.worth(now).is_some());
        }
        if self.entries.len() >= self.most {
            let least = self.entries.iter().min_by_key(|(_, kept)| kept.worth(now));
            let Some((least, kept)) = least else {
                return;
            };
            if kept.worth(now) >= entry.worth(now) {
                return;
            }
            let least = least.clone();
            self.entries.remove(&least);
        }
        self.entries.insert(key, entry);
    }

    /// Returns all entries.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;

    use super::{Ledger, Worth};

    /// It is worth its number until then.
    struct Entry(u8, u64);

    impl Worth for Entry {
        type Order = u8;

        fn worth(&self, now: Instant) -> Option<u8> {
            (now.0 < self.1).then_some(self.0)
        }
    }

    fn keys(ledger: &Ledger<u8, Entry>) -> Vec<u8> {
        let mut keys: Vec<u8> = ledger.entries.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_matters_least_goes_and_only_for_what_matters_more() {
        let mut ledger = Ledger::new(2);
        ledger.enter(1, Entry(5, 100), Instant(0));
        ledger.enter(2, Entry(3, 100), Instant(0));
        ledger.enter(3, Entry(3, 100), Instant(0));
        assert_eq!(keys(&ledger), [1, 2], "as little as the least");
        ledger.enter(4, Entry(4, 50), Instant(0));
        assert_eq!(keys(&ledger), [1, 4]);
        ledger.enter(5, Entry(1, 100), Instant(50));
        assert_eq!(keys(&ledger), [1, 5], "what is worth nothing makes room");
        assert!(ledger.find(&1).is_some() && ledger.find(&4).is_none());
        assert_eq!(ledger.all().count(), 2);
    }
}
