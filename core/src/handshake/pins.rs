//! The responder keys that an initiator takes (PROTOCOL.md §7.1). Pins are provisioned; there is no trust on first use.

use heapless::Vec;

use crate::crypto::{Hash, PublicKey};

/// Most keys in a set of pins.
pub const MAX_PINS: usize = 4;

/// The keys of one hub that an initiator takes, the preferred one first.
#[derive(Debug, Clone)]
pub struct Pins {
    first: Pin,
    others: Vec<Pin, { MAX_PINS - 1 }>,
}

/// One key, with its hash computed once.
#[derive(Debug, Clone, Copy)]
struct Pin {
    key: PublicKey,
    hash: Hash,
}

impl Pin {
    fn new(key: PublicKey) -> Self {
        Self {
            key,
            hash: key.hash(),
        }
    }
}

impl Pins {
    /// Returns the set of one key.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self {
            first: Pin::new(key),
            others: Vec::new(),
        }
    }

    /// Adds a key; returns whether there was room.
    #[must_use]
    pub fn add(&mut self, key: PublicKey) -> bool {
        self.others.push(Pin::new(key)).is_ok()
    }

    /// Iterates over the keys, the preferred one first.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.all().map(|pin| &pin.key)
    }

    /// Returns the hint that names the preferred key in M1.
    pub(super) fn hint(&self) -> [u8; 4] {
        self.first.hash.prefix()
    }

    /// Returns the hash of the preferred key.
    pub(super) fn preferred(&self) -> Hash {
        self.first.hash
    }

    /// Returns the pinned key whose hash begins with `key_id`.
    pub(super) fn find(&self, key_id: &[u8; 16]) -> Option<&PublicKey> {
        self.all()
            .find(|pin| pin.hash.prefix::<16>() == *key_id)
            .map(|pin| &pin.key)
    }

    fn all(&self) -> impl Iterator<Item = &Pin> {
        core::iter::once(&self.first).chain(&self.others)
    }
}
