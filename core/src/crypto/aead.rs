//! AES-256-GCM (SP 800-38D) under a sequence number.

use core::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};

use crate::crypto::Secret;

/// Length of a tag in bytes.
pub const TAG_LEN: usize = 16;

/// Length of the fixed part of a nonce in bytes.
const IV_LEN: usize = 12;

/// The tag that [`AeadKey::seal_in_place`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed(pub [u8; TAG_LEN]);

/// A key with its iv, expanded once and kept for an epoch.
///
/// The nonce is the iv with the sequence number added by XOR to its last 8 bytes (RFC 8446 §5.3). That no number is
/// used twice is the caller's part.
pub struct AeadKey {
    cipher: Aes256Gcm,
    iv: Secret<IV_LEN>,
}

impl AeadKey {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &Secret<32>, iv: Secret<IV_LEN>) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.expose().into()),
            iv,
        }
    }

    /// Encrypts `buffer` where it stands and returns the tag over it and `aad`.
    ///
    /// Returns nothing when `buffer` is longer than the construction allows (64 GiB).
    #[must_use]
    pub fn seal_in_place(&self, seq: u64, aad: &[u8], buffer: &mut [u8]) -> Option<Sealed> {
        self.cipher
            .encrypt_inout_detached(&self.nonce(seq), aad, buffer.into())
            .ok()
            .map(|tag| Sealed(tag.into()))
    }

    /// Decrypts `buffer` where it stands, if `tag` is right; otherwise `buffer` holds no plaintext.
    #[must_use]
    pub fn open_in_place(
        &self,
        seq: u64,
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> bool {
        self.cipher
            .decrypt_inout_detached(&self.nonce(seq), aad, buffer.into(), &Tag::from(*tag))
            .is_ok()
    }

    fn nonce(&self, seq: u64) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = *self.iv.expose();
        for (to, from) in nonce.iter_mut().skip(IV_LEN - 8).zip(seq.to_be_bytes()) {
            *to ^= from;
        }
        nonce.into()
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AeadKey")
    }
}
