//! Tokens: verification, decoding and minting of ES256 tokens over fixed buffers (PROTOCOL.md §4).
//!
//! Two layers. [`jws`] is the generic ES256 JSON Web Signature (RFC 7515); above it stands the closed credential
//! profile, which knows a handful of members and refuses the rest.
//!
//! ```text
//! bytes ── UnpackedToken ── Candidate::check ── Candidate::verify_signature ── VerifiedClaims
//!          lengths only      profile, issuer      the issuer's signature         the only type that
//!                            key, times, aud,     (or accept_verified, for a     speaks for a peer
//!                            iss, role            token verified before)
//! ```
//!
//! A caller looks up revocation between the two steps, on [`Candidate::claims`]: it costs nothing, a signature
//! check does.

mod agent_id;
mod agents;
mod base64url;
mod claims;
mod header;
mod json;
pub mod jws;
mod limits;
mod members;
mod mint;
mod payload;
mod permissions;
mod policy;
mod reason;
mod renewal;
mod role;
mod text;
mod trust_anchor;
mod unpacked;
mod verify;

#[cfg(test)]
mod tests;

pub use agent_id::{AGENT_ID_LEN, AgentId, AgentIdError};
pub use agents::AgentScope;
pub use claims::{Claims, TokenKind, UnverifiedClaims};
pub use json::JsonReason;
pub use limits::{
    LEEWAY, MAX_AGENT_COUNT, MAX_AGENT_LIFETIME, MAX_AUDIENCE_COUNT, MAX_AUDIENCE_LEN,
    MAX_COMMANDER_LIFETIME, MAX_COMPACT_LEN, MAX_HEADER_LEN, MAX_ISSUER_LEN, MAX_KID_LEN,
    MAX_OFFLINE_LIFETIME, MAX_PAYLOAD_LEN, MAX_SUBJECT_LEN, MAX_TIME, MAX_TRUST_ANCHORS,
    MAX_UNPACKED_LEN, PREKEY_GRACE, TOKEN_ID_LEN, UNPACKED_PREFIX_LEN,
};
pub use mint::{MintError, NewClaims, mint};
pub use permissions::Permissions;
pub use policy::Policy;
pub use reason::{Base64Reason, Member, TokenReason};
pub use renewal::{Holder, Renewal};
pub use role::{Role, RoleSet};
pub use trust_anchor::{TrustAnchor, TrustAnchorError, TrustAnchors};
pub use unpacked::UnpackedToken;
pub use verify::{Candidate, VerifiedClaims, VerifiedToken};
