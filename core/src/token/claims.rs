//! What a token says about its holder.

use heapless::String;

use super::agent_id::AgentId;
use super::agents::AgentScope;
use super::header::Header;
use super::limits::{MAX_ISSUER_LEN, MAX_KID_LEN, MAX_SUBJECT_LEN, TOKEN_ID_LEN};
use super::payload::{self, Audiences};
use super::permissions::Permissions;
use super::reason::TokenReason;
use super::role::Role;
use super::unpacked::UnpackedToken;
use crate::crypto::PublicKey;

/// What a token is good for: its `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenKind {
    /// `at+jwt` (RFC 9068): links, channels and offline commands.
    Access,
    /// `ml-off+jwt`: offline commands to one agent (PROTOCOL.md §12.2).
    Offline,
}

impl TokenKind {
    /// Returns the value of `typ`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Offline => "ml-off+jwt",
        }
    }

    /// Returns the kind that `name` stands for; letters count as they are written.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "at+jwt" => Some(Self::Access),
            "ml-off+jwt" => Some(Self::Offline),
            _ => None,
        }
    }
}

/// What a token says about its holder. It is within the profile; who vouches for it is another question, which
/// [`VerifiedClaims`](super::VerifiedClaims) answers.
///
/// Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// `typ` of the header.
    pub kind: TokenKind,
    /// `kid` of the header: which of the issuer's keys signs.
    pub kid: String<MAX_KID_LEN>,
    /// `iss`: who signs.
    pub issuer: String<MAX_ISSUER_LEN>,
    /// `sub`: the holder's name with the issuer.
    pub subject: String<MAX_SUBJECT_LEN>,
    /// `cnf.jwk` (RFC 7800 §3.2): the holder's key.
    pub key: PublicKey,
    /// `role`.
    pub role: Role,
    /// `perm`; none when it is absent.
    pub permissions: Permissions,
    /// `agt`.
    pub agents: AgentScope,
    /// `gen`: the subject's generation, by which older tokens are revoked.
    pub generation: u32,
    /// `iat`.
    pub issued_at: u64,
    /// `nbf`, or `iat` when it is absent.
    pub not_before: u64,
    /// `exp`: the first second in which the token is no longer good.
    pub expires_at: u64,
    /// `jti`: the token's id.
    pub jti: [u8; TOKEN_ID_LEN],
}

impl Claims {
    /// Returns the holder's agent id, nothing for a commander.
    #[must_use]
    pub fn agent_id(&self) -> Option<AgentId> {
        (self.role == Role::Agent).then(|| AgentId::of(&self.issuer, &self.subject))
    }

    /// Reads the header and the payload of `token`; returns what it says and where it is good.
    pub(super) fn parse<'a>(
        token: &UnpackedToken<'a>,
    ) -> Result<(Self, Audiences<'a>), TokenReason> {
        payload::parse(token.payload(), Header::parse(token.header())?)
    }
}

/// What a token says, without anyone vouching for it: for a holder that reads its own token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedClaims(Claims);

impl UnverifiedClaims {
    /// Reads `token`, which must be within the profile.
    ///
    /// # Errors
    ///
    /// What the profile refuses. Times are checked against each other and not against a clock.
    pub fn decode(token: &UnpackedToken<'_>) -> Result<Self, TokenReason> {
        Claims::parse(token).map(|(claims, _)| Self(claims))
    }

    /// Returns the claims that nobody vouches for.
    #[must_use]
    pub fn claims_unverified(&self) -> &Claims {
        &self.0
    }
}
