//! AES-256-GCM (SP 800-38D) and ChaCha20-Poly1305 (RFC 8439) under a sequence number.

use core::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use chacha20poly1305::ChaCha20Poly1305;

use crate::crypto::{Secret, Suite};

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
    cipher: Cipher,
    iv: Secret<IV_LEN>,
}

/// The key schedule of each suite; both wipe themselves.
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap to put the larger one on, and it is the one that every peer has"
)]
enum Cipher {
    Aes256Gcm(Aes256Gcm),
    ChaCha20Poly1305(ChaCha20Poly1305),
}

impl AeadKey {
    /// Expands `key` for the AEAD of `suite`.
    #[must_use]
    pub fn new(suite: Suite, key: &Secret<32>, iv: Secret<IV_LEN>) -> Self {
        let key = key.expose().into();
        let cipher = match suite {
            Suite::Aes256Gcm => Cipher::Aes256Gcm(Aes256Gcm::new(key)),
            Suite::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305(ChaCha20Poly1305::new(key)),
        };
        Self { cipher, iv }
    }

    /// Encrypts `buffer` where it stands and returns the tag over it and `aad`.
    ///
    /// Returns nothing when `buffer` is longer than the construction allows: 64 GiB with AES-256-GCM, 256 GiB with
    /// ChaCha20-Poly1305.
    #[must_use]
    pub fn seal_in_place(&self, seq: u64, aad: &[u8], buffer: &mut [u8]) -> Option<Sealed> {
        let (nonce, buffer) = (self.nonce(seq), buffer.into());
        let tag = match &self.cipher {
            Cipher::Aes256Gcm(cipher) => cipher.encrypt_inout_detached(&nonce, aad, buffer),
            Cipher::ChaCha20Poly1305(cipher) => cipher.encrypt_inout_detached(&nonce, aad, buffer),
        };
        tag.ok().map(|tag| Sealed(tag.into()))
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
        let (nonce, buffer, tag) = (self.nonce(seq), buffer.into(), Tag::from(*tag));
        let opened = match &self.cipher {
            Cipher::Aes256Gcm(cipher) => cipher.decrypt_inout_detached(&nonce, aad, buffer, &tag),
            Cipher::ChaCha20Poly1305(cipher) => {
                cipher.decrypt_inout_detached(&nonce, aad, buffer, &tag)
            }
        };
        opened.is_ok()
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
