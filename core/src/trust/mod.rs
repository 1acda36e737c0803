//! Which keys an initiator takes for its hub's, and how they change (PROTOCOL.md §7.1).
//!
//! A hub rotates its identity key. Whoever trusted the key before follows by a [`Statement`]: the word of that key, or of
//! a root key that is kept offline. There is no trust on first use, and nothing here depends on time. The keys of the issuer
//! that bears the hub's name follow one another in the same way (§7.5).

mod following;
mod issuer;
mod statement;
mod store;

pub use following::{STATEMENT_LEN, Signer};
use heapless::Vec;
pub use issuer::{
    ISSUER_KEYS_LEN, IssuerKeys, IssuerStatement, MAX_ISSUER_KEYS, MAX_ISSUER_STATEMENTS,
};
pub use statement::{Rotation, Statement};
pub(crate) use store::Vouched;
pub use store::{MAX_KEYS, MAX_RETIRED, TRUST_STORE_LEN, TrustStore};

/// Length of the name of a key in a statement: the first bytes of its hash.
pub const KEY_NAME_LEN: usize = 16;

/// The first bytes of the hash of a key.
pub type KeyName = [u8; KEY_NAME_LEN];

/// Where an initiator keeps whom it trusts.
pub trait TrustKeeper {
    /// Stores `changed` in the place of what was stored before, and returns whether it is there to stay. It is asked
    /// after the hub has proved itself and before the hub hears from this end again: without it the handshake ends, and
    /// what was stored before goes on to hold.
    fn keep(&mut self, changed: &TrustStore) -> bool;
}

/// Keeps it in memory, for a machine that has no other place: after a restart it trusts whom it was provisioned with,
/// and follows the hub from there again.
///
/// Empty it is all zeros, so that a static one takes no flash.
#[derive(Debug, Default)]
pub struct TrustMemory(Vec<TrustStore, 1>);

impl TrustMemory {
    /// Returns it empty.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns what was kept last, if anything was.
    #[must_use]
    pub fn get(&self) -> Option<&TrustStore> {
        self.0.first()
    }

    /// Moves what `other` has kept, if anything, here.
    pub fn take_from(&mut self, other: &mut Self) {
        if other.get().is_some() {
            core::mem::swap(self, other);
            other.0.clear();
        }
    }
}

impl TrustKeeper for TrustMemory {
    fn keep(&mut self, changed: &TrustStore) -> bool {
        self.0.clear();
        self.0.push(changed.clone()).is_ok()
    }
}

/// Keeps nothing: an end that is no initiator of a link, or one that does not follow its hub to another key.
#[derive(Debug, Clone, Copy)]
pub struct NoKeeper;

impl TrustKeeper for NoKeeper {
    fn keep(&mut self, _: &TrustStore) -> bool {
        false
    }
}
