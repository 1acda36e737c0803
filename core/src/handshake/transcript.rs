//! The chain of transcript hashes (PROTOCOL.md §3.3).
//!
//! Each stage is a type that only the stage before can make, so that a message cannot be hashed twice or left out.

use crate::crypto::{Hash, PublicKey, Signature};

/// What every transcript of a link begins with.
const LINK_CONTEXT: &[u8] = b"ML1 link v1\0";

/// After M1.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM1(pub(super) Hash);

/// After the clear part of M2.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM2Clear(pub(super) Hash);

/// After what the responder signs.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtResponderSignature(pub(super) Hash);

/// After M2.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM2(pub(super) Hash);

/// After what the initiator signs.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtInitiatorSignature(pub(super) Hash);

/// After M3: all that both ends have said.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM3(pub(super) Hash);

impl AfterM1 {
    /// Returns th0.
    pub(super) fn new(m1: &[u8]) -> Self {
        Self(Hash::of(&[LINK_CONTEXT, m1]))
    }

    /// Returns th1.
    pub(super) fn m2_clear(&self, clear: &[u8]) -> AfterM2Clear {
        AfterM2Clear(Hash::of(&[self.0.as_bytes(), clear]))
    }
}

impl AfterM2Clear {
    /// Returns th2.
    pub(super) fn m2_signed(&self, plaintext: &[u8], key: &PublicKey) -> AtResponderSignature {
        AtResponderSignature(Hash::of(&[self.0.as_bytes(), plaintext, &key.to_bytes()]))
    }
}

impl AtResponderSignature {
    /// Returns th3.
    pub(super) fn signature(&self, signature: &Signature) -> AfterM2 {
        AfterM2(Hash::of(&[self.0.as_bytes(), &signature.0]))
    }
}

impl AfterM2 {
    /// Returns th4.
    pub(super) fn m3_signed(
        &self,
        prefix: &[u8],
        plaintext: &[u8],
        token: &Hash,
        key: &PublicKey,
    ) -> AtInitiatorSignature {
        AtInitiatorSignature(Hash::of(&[
            self.0.as_bytes(),
            prefix,
            plaintext,
            token.as_bytes(),
            &key.to_bytes(),
        ]))
    }
}

impl AtInitiatorSignature {
    /// Returns th5.
    pub(super) fn signature(&self, signature: &Signature) -> AfterM3 {
        AfterM3(Hash::of(&[self.0.as_bytes(), &signature.0]))
    }
}
