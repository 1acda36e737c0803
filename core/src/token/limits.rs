//! The numbers of the credential profile (PROTOCOL.md §4), each with its reason.

/// Longest header in bytes. The longest one that [`mint`](fn@super::mint) writes has 60; the rest is room for the
/// white space of other issuers.
pub const MAX_HEADER_LEN: usize = 96;

/// Longest payload in bytes.
pub const MAX_PAYLOAD_LEN: usize = 512;

/// Length in bytes of the two length fields before an unpacked token.
pub const UNPACKED_PREFIX_LEN: usize = 3;

/// Longest unpacked token in bytes.
pub const MAX_UNPACKED_LEN: usize =
    UNPACKED_PREFIX_LEN + MAX_HEADER_LEN + MAX_PAYLOAD_LEN + crate::crypto::SIGNATURE_LEN;

/// Longest token in compact form in bytes: three parts in base64url and two dots.
pub const MAX_COMPACT_LEN: usize = super::base64url::encoded_len(MAX_HEADER_LEN)
    + super::base64url::encoded_len(MAX_PAYLOAD_LEN)
    + super::base64url::encoded_len(crate::crypto::SIGNATURE_LEN)
    + 2;

/// Longest `iss` in bytes.
pub const MAX_ISSUER_LEN: usize = 64;

/// Longest entry of `aud` in bytes.
pub const MAX_AUDIENCE_LEN: usize = 64;

/// Most entries of `aud`: a hub and the groups that a commander serves.
pub const MAX_AUDIENCE_COUNT: usize = 4;

/// Longest `sub` in bytes; also the longest group id.
pub const MAX_SUBJECT_LEN: usize = 32;

/// Longest `kid` in bytes.
pub const MAX_KID_LEN: usize = 16;

/// Length of the id of a token, `jti`, in bytes.
pub const TOKEN_ID_LEN: usize = 16;

/// Most agents that `agt` names one by one.
pub const MAX_AGENT_COUNT: usize = 8;

/// Most trust anchors that are held together.
pub const MAX_TRUST_ANCHORS: usize = 8;

/// Largest time in seconds, 2^53 - 1: up to here every implementation of JSON reads the same integer
/// (RFC 7493 §2.2).
pub const MAX_TIME: u64 = (1 << 53) - 1;

/// Allowed difference between the issuer's clock and ours, in seconds. It widens `iat` and `nbf`, never `exp`.
pub const LEEWAY: u64 = 60;

/// Longest life of an agent's token in seconds: 24 hours.
pub const MAX_AGENT_LIFETIME: u64 = 24 * 60 * 60;

/// Longest life of a commander's token in seconds: one hour.
pub const MAX_COMMANDER_LIFETIME: u64 = 60 * 60;

/// Longest life of an offline token in seconds: seven days.
pub const MAX_OFFLINE_LIFETIME: u64 = 7 * 24 * 60 * 60;

/// How long after its end an agent's token still vouches for the agent's prekeys, in seconds: seven days
/// (PROTOCOL.md §12.5).
pub const PREKEY_GRACE: u64 = 7 * 24 * 60 * 60;
