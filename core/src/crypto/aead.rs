//! AES-256-GCM (SP 800-38D) and ChaCha20-Poly1305 (RFC 8439) under a sequence number.

use core::fmt;

use super::provider::{Active, Provider, Sealing};
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
    cipher: <Active as Provider>::AeadKey,
    iv: Secret<IV_LEN>,
}

impl AeadKey {
    /// Expands `key` for the AEAD of `suite`.
    #[must_use]
    pub fn new(suite: Suite, key: &Secret<32>, iv: Secret<IV_LEN>) -> Self {
        let cipher = Sealing::new(suite, key);
        Self { cipher, iv }
    }

    /// Encrypts `buffer` where it stands and returns the tag over it and `aad`.
    ///
    /// Returns nothing when `buffer` is longer than the construction allows: 64 GiB with AES-256-GCM, 256 GiB with
    /// ChaCha20-Poly1305.
    #[must_use]
    pub fn seal_in_place(&self, seq: u64, aad: &[u8], buffer: &mut [u8]) -> Option<Sealed> {
        self.cipher.seal(self.nonce(seq), aad, buffer).map(Sealed)
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
        self.cipher.open(self.nonce(seq), aad, buffer, tag)
    }

    fn nonce(&self, seq: u64) -> [u8; IV_LEN] {
        let mut nonce = *self.iv.expose();
        for (to, from) in nonce.iter_mut().skip(IV_LEN - 8).zip(seq.to_be_bytes()) {
            *to ^= from;
        }
        nonce
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AeadKey")
    }
}
