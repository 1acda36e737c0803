//! From bytes to claims that an issuer vouches for.

use super::claims::Claims;
use super::jws;
use super::policy::Policy;
use super::reason::TokenReason;
use super::trust_anchor::TrustAnchors;
use super::unpacked::UnpackedToken;
use crate::crypto::{Hash, PublicKey};

/// A token that would be good here if its issuer signed it. Nobody has looked at the signature.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    token: UnpackedToken<'a>,
    claims: Claims,
    issuer_key: PublicKey,
}

impl<'a> Candidate<'a> {
    /// Checks all that costs little, in the order of PROTOCOL.md §2: the profile, the issuer's key by `kid`, `exp`,
    /// `iat`, `nbf`, `aud`, `iss` and the role.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn check(
        token: &UnpackedToken<'a>,
        anchors: &TrustAnchors,
        policy: &Policy<'_>,
    ) -> Result<Self, TokenReason> {
        let (claims, audiences) = Claims::parse(token)?;
        let anchor = anchors.find(&claims.kid).ok_or(TokenReason::KidUnknown)?;
        policy.check_times_and_audience(&claims, &audiences)?;
        if claims.issuer != anchor.issuer() {
            return Err(TokenReason::IssuerMismatch);
        }
        policy.check_role(&claims)?;
        Ok(Self {
            token: *token,
            claims,
            issuer_key: *anchor.key(),
        })
    }

    /// Returns the claims, for looking up revocation. Nobody vouches for them yet.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Checks the issuer's signature.
    ///
    /// # Errors
    ///
    /// [`TokenReason::SignatureInvalid`].
    pub fn verify_signature(self) -> Result<VerifiedClaims, TokenReason> {
        jws::verify_signature(&self.token, &self.issuer_key)?;
        let proof = VerifiedToken {
            token_hash: self.token.hash(),
            issuer_key_hash: self.issuer_key.hash(),
        };
        Ok(VerifiedClaims {
            claims: self.claims,
            proof,
        })
    }

    /// Takes the proof of an earlier verification in place of a signature check.
    ///
    /// # Errors
    ///
    /// [`TokenReason::ProofOfAnother`] when the proof is of other bytes or under another issuer key.
    pub fn accept_verified(self, proof: &VerifiedToken) -> Result<VerifiedClaims, TokenReason> {
        if proof.token_hash != self.token.hash() || proof.issuer_key_hash != self.issuer_key.hash()
        {
            return Err(TokenReason::ProofOfAnother);
        }
        Ok(VerifiedClaims {
            claims: self.claims,
            proof: *proof,
        })
    }
}

/// Claims that an issuer vouches for, good at the place and moment for which they were checked.
///
/// Only [`Candidate`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedClaims {
    claims: Claims,
    proof: VerifiedToken,
}

impl VerifiedClaims {
    /// Returns the claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns the token hash, by which the token is named (PROTOCOL.md §2).
    #[must_use]
    pub fn token_hash(&self) -> &Hash {
        &self.proof.token_hash
    }

    /// Returns the proof that the token's signature was checked, for a cache.
    #[must_use]
    pub fn proof(&self) -> VerifiedToken {
        self.proof
    }
}

/// The proof that the signature of one token was checked under one issuer key.
///
/// It saves the signature check and nothing else: expiry, revocation and policy are looked at every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedToken {
    token_hash: Hash,
    issuer_key_hash: Hash,
}

impl VerifiedToken {
    /// Returns the proof that was kept with a ticket.
    pub(crate) fn kept(token_hash: Hash, issuer_key_hash: Hash) -> Self {
        Self {
            token_hash,
            issuer_key_hash,
        }
    }

    /// Returns the hash of the issuer's key.
    pub(crate) fn issuer_key_hash(&self) -> Hash {
        self.issuer_key_hash
    }

    /// Returns the token hash, for finding the proof.
    #[must_use]
    pub fn token_hash(&self) -> &Hash {
        &self.token_hash
    }
}
