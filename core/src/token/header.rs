//! The header of the profile.

use heapless::String;

use super::claims::TokenKind;
use super::limits::MAX_KID_LEN;
use super::members::Members;
use super::reason::{Member, TokenReason};
use super::text;

/// The one algorithm (RFC 8725 §3.1): ECDSA over P-256 with SHA-256.
pub(super) const ALGORITHM: &str = "ES256";

/// A header of the profile: `alg`, `typ` and `kid`, nothing else.
pub(super) struct Header {
    pub(super) kind: TokenKind,
    pub(super) kid: String<MAX_KID_LEN>,
}

impl Header {
    /// Reads `text`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, TokenReason> {
        let mut members = Members::open(text, TokenReason::HeaderJson)?;
        let mut has_algorithm = false;
        let mut kind = None;
        let mut kid = None;
        while let Some(name) = members.next_name()? {
            match name {
                "alg" => {
                    if members.string(Member::Algorithm)? != ALGORITHM {
                        return Err(TokenReason::AlgorithmNotAllowed);
                    }
                    has_algorithm = true;
                }
                "typ" => {
                    let name = members.string(Member::Type)?;
                    kind = Some(TokenKind::from_name(name).ok_or(TokenReason::TypeNotAllowed)?);
                }
                "kid" => kid = Some(text::key_id(members.string(Member::Kid)?)?),
                "jwk" | "jku" | "x5u" | "x5c" | "x5t" | "x5t#S256" => {
                    return Err(TokenReason::KeyInHeader);
                }
                "crit" => return Err(TokenReason::CriticalHeader),
                "b64" | "zip" | "cty" => return Err(TokenReason::PayloadTransform),
                _ => return Err(TokenReason::HeaderMemberNotAllowed),
            }
        }
        members.finish()?;
        if !has_algorithm {
            return Err(TokenReason::Missing(Member::Algorithm));
        }
        Ok(Self {
            kind: kind.ok_or(TokenReason::Missing(Member::Type))?,
            kid: kid.ok_or(TokenReason::Missing(Member::Kid))?,
        })
    }
}
