//! Signatures of long-term keys, each under a label of its own (PROTOCOL.md §3.2).

use crate::crypto::{Hash, PublicKey, Signature, SignatureError, SigningKey};

/// What a signature says. One key serves several purposes; a signature serves one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Label {
    /// This responder took part in this handshake.
    Responder,
    /// This initiator took part in this handshake.
    Initiator,
    /// This key is to follow in this session, with this token.
    TokenUpdate,
    /// The issuer has revoked this.
    Revocation,
    /// This prekey is this agent's.
    Prekey,
    /// This commander gives this command.
    Command,
    /// This agent gives this reply.
    Reply,
    /// This key of a hub follows.
    Rotation,
    /// This key of an issuer follows.
    Issuer,
}

impl Label {
    fn text(self) -> &'static [u8] {
        match self {
            Self::Responder => b"responder",
            Self::Initiator => b"initiator",
            Self::TokenUpdate => b"token update",
            Self::Revocation => b"revocation",
            Self::Prekey => b"prekey",
            Self::Command => b"command",
            Self::Reply => b"reply",
            Self::Rotation => b"rotation",
            Self::Issuer => b"issuer",
        }
    }
}

/// Returns the signature of `key` under `label` over `hash`, its nonce hedged with `hedge`.
#[must_use]
pub fn sign(key: &SigningKey, label: Label, hash: &Hash, hedge: &[u8]) -> Signature {
    key.sign(&digest(label, hash), hedge)
}

/// Checks that `signature` is that of `key` under `label` over `hash`.
///
/// # Errors
///
/// [`SignatureError`] when it is not.
pub fn verify(
    key: &PublicKey,
    label: Label,
    hash: &Hash,
    signature: &Signature,
) -> Result<(), SignatureError> {
    key.verify(&digest(label, hash), signature)
}

/// The signing input begins with 64 blanks, so that it is never the start of a token (RFC 8446 §4.4.3).
fn digest(label: Label, hash: &Hash) -> Hash {
    Hash::of(&[&[0x20; 64], b"ML1 ", label.text(), &[0], hash.as_bytes()])
}
