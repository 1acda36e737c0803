//! The issuer keys that we accept.

use base64ct::{Base64UrlUnpadded, Encoding};
use heapless::{String, Vec};

use super::limits::{MAX_ISSUER_LEN, MAX_KID_LEN, MAX_TRUST_ANCHORS};
use super::reason::{Member, TokenReason};
use super::text;
use crate::crypto::PublicKey;

/// An issuer key that we accept, with the issuer it signs for and the id by which tokens name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    issuer: String<MAX_ISSUER_LEN>,
    kid: String<MAX_KID_LEN>,
    key: PublicKey,
}

impl TrustAnchor {
    /// Returns the anchor of `issuer`'s `key`, which tokens name `kid`.
    ///
    /// # Errors
    ///
    /// [`TokenReason::Length`] and [`TokenReason::Character`] for an issuer or a kid that no token can have.
    pub fn new(issuer: &str, kid: &str, key: PublicKey) -> Result<Self, TokenReason> {
        Ok(Self {
            issuer: text::printable(issuer, Member::Issuer)?,
            kid: text::key_id(kid)?,
            key,
        })
    }

    /// Returns the anchor of a key that followed another of `issuer` by a statement (PROTOCOL.md §7.5): its kid is the first 8
    /// bytes of its hash in base64url.
    ///
    /// # Errors
    ///
    /// As [`TrustAnchor::new`].
    pub fn following(issuer: &str, key: PublicKey) -> Result<Self, TokenReason> {
        let mut kid = [0; MAX_KID_LEN];
        let kid = Base64UrlUnpadded::encode(&key.hash().prefix::<8>(), &mut kid);
        Self::new(issuer, kid.unwrap_or_default(), key)
    }

    /// Returns the issuer for which the key signs.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the id by which tokens name the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Why an anchor was not taken into the set. The fault is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TrustAnchorError {
    /// The set holds [`MAX_TRUST_ANCHORS`] already.
    Full,
    /// The set has an anchor with this kid.
    KidRepeated,
    /// The set has an anchor with this key: a key signs for one issuer, under one kid.
    KeyRepeated,
}

/// The issuer keys that we accept, at most [`MAX_TRUST_ANCHORS`], each with a kid and a key of its own.
#[derive(Debug, Clone, Default)]
pub struct TrustAnchors(Vec<TrustAnchor, MAX_TRUST_ANCHORS>);

impl TrustAnchors {
    /// Returns the empty set, which accepts no token.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes `anchor` into the set.
    ///
    /// # Errors
    ///
    /// [`TrustAnchorError`]; the set is then as before.
    pub fn insert(&mut self, anchor: TrustAnchor) -> Result<(), TrustAnchorError> {
        if self.find(&anchor.kid).is_some() {
            return Err(TrustAnchorError::KidRepeated);
        }
        if self.0.iter().any(|held| held.key == anchor.key) {
            return Err(TrustAnchorError::KeyRepeated);
        }
        self.0.push(anchor).map_err(|_| TrustAnchorError::Full)
    }

    /// Takes the anchor with `kid` out of the set and returns it.
    pub fn remove(&mut self, kid: &str) -> Option<TrustAnchor> {
        let removed = self.find(kid)?.clone();
        self.0.retain(|anchor| anchor.kid != kid);
        Some(removed)
    }

    /// Returns the anchor with `kid`.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&TrustAnchor> {
        self.0.iter().find(|anchor| anchor.kid == kid)
    }

    /// Iterates over the anchors, in the order in which they were taken in.
    pub fn iter(&self) -> impl Iterator<Item = &TrustAnchor> + Clone {
        self.0.iter()
    }
}
