//! Why a token was refused.

use super::json::JsonReason;

/// Why a token was refused: one variant per cause, so that a shell can count and a test can tell.
///
/// A peer learns none of this; it is answered one code for every cause (PROTOCOL.md §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenReason {
    /// The unpacked form ends before the lengths that it states.
    Truncated,
    /// Bytes follow the signature of the unpacked form.
    TrailingBytes,
    /// The header is longer than [`MAX_HEADER_LEN`](super::MAX_HEADER_LEN).
    HeaderTooLong,
    /// The payload is longer than [`MAX_PAYLOAD_LEN`](super::MAX_PAYLOAD_LEN).
    PayloadTooLong,
    /// The compact form is longer than [`MAX_COMPACT_LEN`](super::MAX_COMPACT_LEN); nothing of it was looked at.
    CompactTooLong,
    /// The compact form has not three parts.
    PartCount,
    /// A part of the compact form is empty.
    PartEmpty,
    /// The signature has not 64 bytes.
    SignatureLength,
    /// A part of the compact form is not canonical base64url.
    Base64(Base64Reason),
    /// The buffer lent for the unpacked form is too short. The fault is the caller's.
    OutputTooSmall,

    /// The header is not the JSON that we read.
    HeaderJson(JsonReason),
    /// The payload is not the JSON that we read.
    PayloadJson(JsonReason),
    /// A required member is absent.
    Missing(Member),
    /// The member is of another JSON type, `null` included.
    WrongType(Member),
    /// The string is empty or too long.
    Length(Member),
    /// The string has a character that is not allowed in this member.
    Character(Member),
    /// The string is written with a backslash.
    Escaped(Member),
    /// The string is not canonical base64url.
    Encoding(Member, Base64Reason),
    /// The number has a sign, a fraction or an exponent.
    NotAnInteger(Member),
    /// The number is over the member's range.
    TooLarge(Member),
    /// The array is empty or has too many elements.
    Count(Member),
    /// The array names one thing twice.
    Repeated(Member),

    /// `alg` is not `ES256`.
    AlgorithmNotAllowed,
    /// `typ` is not one of the profile's.
    TypeNotAllowed,
    /// The header brings a key or the address of one: `jwk`, `jku`, `x5u`, `x5c`, `x5t`, `x5t#S256`.
    KeyInHeader,
    /// The header has `crit`: no extension is understood.
    CriticalHeader,
    /// The header has `b64`, `zip` or `cty`, which change what the payload is.
    PayloadTransform,
    /// The header has another member that the profile does not know.
    HeaderMemberNotAllowed,

    /// `cnf` has a member other than `jwk`.
    ConfirmationMemberNotAllowed,
    /// `cnf.jwk` has a member other than `kty`, `crv`, `x` and `y`, such as the private `d`.
    KeyMemberNotAllowed,
    /// `cnf.jwk.kty` is not `EC`.
    KeyTypeNotAllowed,
    /// `cnf.jwk.crv` is not `P-256`.
    CurveNotAllowed,
    /// The coordinates are not those of a point on the curve.
    KeyNotOnCurve,
    /// `role` is none that the profile knows.
    RoleUnknown,
    /// `role` is `daemon`, which is reserved.
    RoleReserved,
    /// `perm` names a permission that is not in the table.
    PermissionUnknown,
    /// `agt` is in the token of an agent.
    ScopeOfAgent,
    /// An offline token is not a commander's.
    OfflineRole,
    /// An offline token does not name exactly one agent.
    OfflineScope,
    /// `exp` is not after `iat`.
    ExpiresBeforeIssued,
    /// `nbf` is after `exp`.
    ExpiresBeforeValid,
    /// `exp - iat` is more than the role allows.
    LifetimeTooLong,

    /// No trust anchor has the token's `kid`.
    KidUnknown,
    /// The token has ended: `exp <= now`.
    Expired,
    /// `iat` is in the future by more than the leeway.
    IssuedInFuture,
    /// `nbf` is in the future by more than the leeway.
    NotYetValid,
    /// `aud` does not contain the audience asked for.
    AudienceMismatch,
    /// `iss` is not that of the trust anchor.
    IssuerMismatch,
    /// The role is not accepted here.
    RoleNotAccepted,
    /// An offline token stands where only an ordinary one is accepted.
    TypeNotAccepted,
    /// The signature is not the issuer's over this token.
    SignatureInvalid,
    /// The proof of an earlier verification is of another token or under another issuer key.
    ProofOfAnother,

    /// The new token has another issuer or another subject.
    RenewalIdentity,
    /// The new token has another role.
    RenewalRole,
    /// The new token's generation is lower.
    RenewalGeneration,
    /// The new token was not issued later.
    RenewalNotNewer,
}

/// How a text is not canonical base64url without padding (RFC 7515 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Base64Reason {
    /// It has `=`.
    Padding,
    /// It has a character outside the alphabet: `+`, `/`, white space, a line break or any other.
    Character,
    /// Its length is one more than a multiple of four.
    Length,
    /// Its last character has bits that stand for nothing and are not zero.
    TrailingBits,
}

/// A member of a token that the profile reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Member {
    /// `alg` of the header.
    Algorithm,
    /// `typ` of the header.
    Type,
    /// `kid` of the header.
    Kid,
    /// `iss`.
    Issuer,
    /// `aud`.
    Audience,
    /// `sub`.
    Subject,
    /// `iat`.
    IssuedAt,
    /// `exp`.
    ExpiresAt,
    /// `nbf`.
    NotBefore,
    /// `jti`.
    TokenId,
    /// `cnf`.
    Confirmation,
    /// `cnf.jwk`.
    Key,
    /// `cnf.jwk.kty`.
    KeyType,
    /// `cnf.jwk.crv`.
    Curve,
    /// `cnf.jwk.x`.
    X,
    /// `cnf.jwk.y`.
    Y,
    /// `role`.
    Role,
    /// `perm`.
    Permissions,
    /// `agt`.
    Agents,
    /// `gen`.
    Generation,
}

// Reasons are returned through every layer and kept in events.
const _: () = assert!(size_of::<TokenReason>() <= 4);
