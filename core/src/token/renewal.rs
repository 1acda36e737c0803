//! Whether a token may follow another within a session.

use super::claims::Claims;
use super::limits::TOKEN_ID_LEN;
use super::reason::TokenReason;
use super::role::Role;
use super::verify::VerifiedClaims;
use crate::crypto::{HASH_LEN, Hash};

/// What a renewal asks for beyond the new token (PROTOCOL.md §5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Renewal {
    /// The key is the one that the session proved: nothing more is due.
    SameKey,
    /// The key is new: the holder has yet to prove it.
    NewKey,
}

/// What a session keeps of the token that it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    identity: [u8; 16],
    role: Role,
    generation: u32,
    issued_at: u64,
    key: Hash,
    jti: [u8; TOKEN_ID_LEN],
    token: Hash,
}

impl Holder {
    /// Returns what is kept of the token with these claims.
    #[must_use]
    pub fn of(claims: &VerifiedClaims) -> Self {
        Self {
            token: *claims.token_hash(),
            ..Self::of_claims(claims.claims())
        }
    }

    /// Returns what is kept of `claims`, without the token: for looking up revocation.
    pub(crate) fn of_claims(claims: &Claims) -> Self {
        Self {
            identity: identity(claims),
            role: claims.role,
            generation: claims.generation,
            issued_at: claims.issued_at,
            key: claims.key.hash(),
            jti: claims.jti,
            token: Hash([0; HASH_LEN]),
        }
    }

    /// Returns `H(iss | 0x00 | sub)[..16]`.
    pub(crate) fn identity(&self) -> &[u8; 16] {
        &self.identity
    }

    /// Returns the subject's generation.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the hash of the holder's key.
    pub(crate) fn key(&self) -> &Hash {
        &self.key
    }

    /// Returns the token's id.
    pub(crate) fn jti(&self) -> &[u8; TOKEN_ID_LEN] {
        &self.jti
    }

    /// Returns the hash of the token (PROTOCOL.md §2.4).
    #[must_use]
    pub fn token_hash(&self) -> &Hash {
        &self.token
    }

    /// Checks that a token with `claims` may follow.
    ///
    /// # Errors
    ///
    /// The first that fails: same issuer and subject, same role, generation not lower, issued later.
    pub fn check(&self, claims: &Claims) -> Result<Renewal, TokenReason> {
        if identity(claims) != self.identity {
            return Err(TokenReason::RenewalIdentity);
        }
        if claims.role != self.role {
            return Err(TokenReason::RenewalRole);
        }
        if claims.generation < self.generation {
            return Err(TokenReason::RenewalGeneration);
        }
        if claims.issued_at <= self.issued_at {
            return Err(TokenReason::RenewalNotNewer);
        }
        Ok(if claims.key.hash() == self.key {
            Renewal::SameKey
        } else {
            Renewal::NewKey
        })
    }
}

/// Returns the name of an identity, which is issuer and subject. Neither has a zero byte (PROTOCOL.md §4).
fn identity(claims: &Claims) -> [u8; 16] {
    Hash::of(&[claims.issuer.as_bytes(), b"\0", claims.subject.as_bytes()]).prefix()
}
