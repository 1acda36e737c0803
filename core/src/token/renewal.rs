//! Whether a token may follow another within a session.

use super::claims::Claims;
use super::reason::TokenReason;

/// What a renewal asks for beyond the new token (PROTOCOL.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Renewal {
    /// The key is the one that the session proved: nothing more is due.
    SameKey,
    /// The key is new: the holder has yet to prove it.
    NewKey,
}

impl Renewal {
    /// Checks that a token with `claims` may follow the one with `earlier` claims.
    ///
    /// # Errors
    ///
    /// The first that fails: same issuer, same subject, same role, generation not lower, issued later.
    pub fn check(earlier: &Claims, claims: &Claims) -> Result<Self, TokenReason> {
        if claims.issuer != earlier.issuer {
            return Err(TokenReason::RenewalIssuer);
        }
        if claims.subject != earlier.subject {
            return Err(TokenReason::RenewalSubject);
        }
        if claims.role != earlier.role {
            return Err(TokenReason::RenewalRole);
        }
        if claims.generation < earlier.generation {
            return Err(TokenReason::RenewalGeneration);
        }
        if claims.issued_at <= earlier.issued_at {
            return Err(TokenReason::RenewalNotNewer);
        }
        Ok(if claims.key == earlier.key {
            Self::SameKey
        } else {
            Self::NewKey
        })
    }
}
