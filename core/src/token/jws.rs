//! The ES256 JSON Web Signature (RFC 7515, RFC 7518 §3.4), whatever its payload.
//!
//! What this layer accepts is a signed text, not a credential: a peer is judged by
//! [`Candidate`](super::Candidate) only.

use super::base64url;
use super::header::ALGORITHM;
use super::members::Members;
use super::mint::MintError;
use super::reason::{Member, TokenReason};
use super::unpacked::{AssembleError, UnpackedToken};
use crate::crypto::{Hash, Hasher, PublicKey, SigningKey};

/// Returns the hash of the signing input (RFC 7515 §5.1): the parts' base64url texts with a dot between.
#[must_use]
pub fn signing_hash(header: &[u8], payload: &[u8]) -> Hash {
    let mut hasher = Hasher::new();
    base64url::hash_text(header, &mut hasher);
    hasher.update(b".");
    base64url::hash_text(payload, &mut hasher);
    hasher.finish()
}

/// Signs `payload` under `header`, which says `"alg":"ES256"`, and writes the token to the front of `out`.
///
/// `hedge` is as for [`SigningKey::sign`].
///
/// # Errors
///
/// [`MintError::Refused`] for a header that [`verify`] would refuse and for parts over their limits;
/// [`MintError::TooSmall`] for a short `out`.
pub fn sign<'a>(
    header: &[u8],
    payload: &[u8],
    signer: &SigningKey,
    hedge: &[u8],
    out: &'a mut [u8],
) -> Result<UnpackedToken<'a>, MintError> {
    check_header(header).map_err(MintError::Refused)?;
    let signature = signer.sign(&signing_hash(header, payload), hedge);
    UnpackedToken::assemble(header, payload, &signature, out).map_err(|error| match error {
        AssembleError::Refused(reason) => MintError::Refused(reason),
        AssembleError::TooSmall(too_small) => MintError::TooSmall(too_small),
    })
}

/// Checks that `token` is signed by `key` (RFC 7515 §5.2).
///
/// Header parameters other than `alg` and `crit` are ignored, as RFC 7515 §4 asks.
///
/// # Errors
///
/// [`TokenReason::AlgorithmNotAllowed`] for another algorithm, [`TokenReason::CriticalHeader`] for any extension
/// that must be understood, [`TokenReason::SignatureInvalid`], and what is wrong with the header's JSON.
pub fn verify(token: &UnpackedToken<'_>, key: &PublicKey) -> Result<(), TokenReason> {
    check_header(token.header())?;
    verify_signature(token, key)
}

/// Checks the signature of a token whose header was read already.
pub(super) fn verify_signature(
    token: &UnpackedToken<'_>,
    key: &PublicKey,
) -> Result<(), TokenReason> {
    key.verify(
        &signing_hash(token.header(), token.payload()),
        &token.signature(),
    )
    .map_err(|_| TokenReason::SignatureInvalid)
}

fn check_header(header: &[u8]) -> Result<(), TokenReason> {
    let mut members = Members::open(header, TokenReason::HeaderJson)?;
    let mut algorithm = None;
    while let Some(name) = members.next_name()? {
        match name {
            "alg" => algorithm = Some(members.string(Member::Algorithm)?),
            "crit" => return Err(TokenReason::CriticalHeader),
            _ => members.skip()?,
        }
    }
    members.finish()?;
    match algorithm {
        Some(ALGORITHM) => Ok(()),
        Some(_) => Err(TokenReason::AlgorithmNotAllowed),
        None => Err(TokenReason::Missing(Member::Algorithm)),
    }
}
