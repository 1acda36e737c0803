//! Tokens whose issuer's signature was checked, found by their hash (PROTOCOL.md §12.2).

use heapless::Vec;

use crate::crypto::Hash;
use crate::token::{MAX_UNPACKED_LEN, UnpackedToken, VerifiedToken};

/// How many tokens are kept, unless an agent is built for another number. The oldest gives way: a command that names it
/// is then asked for the token in full.
pub const TOKEN_COUNT: usize = 2;

/// Tokens of commanders whose commands were believed. All but the issuer's signature is looked at again each time.
#[derive(Debug)]
pub(super) struct Tokens<const N: usize>(Vec<KeptToken, N>);

#[derive(Debug)]
struct KeptToken {
    token: Vec<u8, MAX_UNPACKED_LEN>,
    proof: VerifiedToken,
}

impl<const N: usize> Tokens<N> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps `token`, of which `proof` is.
    pub(super) fn keep(&mut self, token: &UnpackedToken<'_>, proof: &VerifiedToken) {
        self.0
            .retain(|kept| kept.proof.token_hash() != proof.token_hash());
        let Ok(token) = Vec::from_slice(token.as_bytes()) else {
            return;
        };
        if N == 0 {
            return;
        }
        if self.0.is_full() {
            self.0.remove(0);
        }
        let kept = KeptToken {
            token,
            proof: *proof,
        };
        let full = self.0.push(kept).is_err();
        debug_assert!(!full, "the oldest gave way");
    }

    /// Returns the token whose hash is `hash`, and the proof that its signature was checked.
    pub(super) fn find(&self, hash: &Hash) -> Option<(UnpackedToken<'_>, VerifiedToken)> {
        let kept = self.0.iter().find(|kept| kept.proof.token_hash() == hash)?;
        let token = UnpackedToken::parse_exact(&kept.token).ok()?;
        Some((token, kept.proof))
    }
}
