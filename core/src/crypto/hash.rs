//! SHA-256 (FIPS 180-4).

use subtle::ConstantTimeEq;

use super::provider::{Active, Hashing, Provider};

/// Length of a hash in bytes.
pub const HASH_LEN: usize = 32;

/// A SHA-256 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hash(pub [u8; HASH_LEN]);

impl Hash {
    /// Returns the hash of all `parts`, one after the other.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.0
    }

    /// Returns the first `N` bytes, at most [`HASH_LEN`]; the rest of a longer array is zero.
    #[must_use]
    pub fn prefix<const N: usize>(&self) -> [u8; N] {
        let mut prefix = [0; N];
        for (to, from) in prefix.iter_mut().zip(self.0) {
            *to = from;
        }
        prefix
    }

    /// Returns whether both are the same, in constant time: for hashes of secrets.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A hash under construction.
#[derive(Clone)]
pub struct Hasher(<Active as Provider>::Hasher);

impl Hasher {
    /// Returns the hasher of no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(Hashing::new())
    }

    /// Takes in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the hash of all bytes taken in.
    #[must_use]
    pub fn finish(self) -> Hash {
        Hash(self.0.finish())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}
