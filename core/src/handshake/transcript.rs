//! The chain of transcript hashes (PROTOCOL.md §3.3).
//!
//! Each stage is a type that only the stage before can make, so that a message cannot be hashed twice or left out.

use crate::crypto::{Hash, Mac, PublicKey, Signature};
use crate::wire::{Line, Starred};

/// What every transcript of a link begins with.
const LINK_CONTEXT: &[u8] = b"ML1 link v1\0";

/// What every transcript of a channel begins with; the agent's id follows.
const CHANNEL_CONTEXT: &[u8] = b"ML1 channel v1\0";

/// After M1.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM1(pub(super) Hash);

/// After the clear part of M2.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM2Clear(pub(super) Hash);

/// After what the responder signs, or confirms.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtResponderProof(pub(super) Hash);

/// After M2.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM2(pub(super) Hash);

/// After what the initiator signs, or confirms.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtInitiatorProof(pub(super) Hash);

/// After M3: all that both ends have said.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterM3(pub(super) Hash);

/// Calls `hash` with what every transcript on `line` begins with.
fn with_context(line: Line, hash: impl Fn(&[&[u8]]) -> Hash) -> Hash {
    match line {
        Line::Stream | Line::Datagram => hash(&[LINK_CONTEXT]),
        Line::Channel(agent) => hash(&[CHANNEL_CONTEXT, &agent.0]),
    }
}

/// Returns what the binder of `m1` is made over.
pub(super) fn before_binder(line: Line, m1: &[u8]) -> Hash {
    with_context(line, |context| Starred::of(m1).hash_without_binder(context))
}

impl AfterM1 {
    /// Returns th0.
    pub(super) fn new(line: Line, m1: &[u8]) -> Self {
        Self(with_context(line, |context| Starred::of(m1).hash(context)))
    }

    /// Returns th1.
    pub(super) fn m2_clear(&self, clear: &[u8]) -> AfterM2Clear {
        AfterM2Clear(Hash::of(&[self.0.as_bytes(), clear]))
    }
}

impl AfterM2Clear {
    /// Returns th2 of mode 0.
    pub(super) fn m2_signed(&self, plaintext: &[u8], key: &PublicKey) -> AtResponderProof {
        AtResponderProof(Hash::of(&[self.0.as_bytes(), plaintext, &key.to_bytes()]))
    }

    /// Returns th2 of mode 1.
    pub(super) fn m2_confirmed(&self, plaintext: &[u8]) -> AtResponderProof {
        AtResponderProof(Hash::of(&[self.0.as_bytes(), plaintext]))
    }
}

impl AtResponderProof {
    /// Returns th3 of mode 0.
    pub(super) fn signature(&self, signature: &Signature) -> AfterM2 {
        AfterM2(Hash::of(&[self.0.as_bytes(), &signature.0]))
    }

    /// Returns th3 of mode 1.
    pub(super) fn confirmation(&self, fin: &Mac) -> AfterM2 {
        AfterM2(Hash::of(&[self.0.as_bytes(), fin.as_bytes()]))
    }
}

impl AfterM2 {
    /// Returns th4 of mode 0.
    pub(super) fn m3_signed(
        &self,
        prefix: &[u8],
        plaintext: &[u8],
        token: &Hash,
        key: &PublicKey,
    ) -> AtInitiatorProof {
        AtInitiatorProof(Hash::of(&[
            self.0.as_bytes(),
            prefix,
            plaintext,
            token.as_bytes(),
            &key.to_bytes(),
        ]))
    }

    /// Returns th4 of mode 1.
    pub(super) fn m3_confirmed(&self, prefix: &[u8]) -> AtInitiatorProof {
        AtInitiatorProof(Hash::of(&[self.0.as_bytes(), prefix]))
    }
}

impl AtInitiatorProof {
    /// Returns th5 of mode 0.
    pub(super) fn signature(&self, signature: &Signature) -> AfterM3 {
        AfterM3(Hash::of(&[self.0.as_bytes(), &signature.0]))
    }

    /// Returns th5 of mode 1.
    pub(super) fn confirmation(&self, fin: &Mac) -> AfterM3 {
        AfterM3(Hash::of(&[self.0.as_bytes(), fin.as_bytes()]))
    }
}
