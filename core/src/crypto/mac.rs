//! HMAC-SHA256 (RFC 2104).

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Secret;

/// Length of a message authentication code in bytes.
pub const MAC_LEN: usize = 32;

/// An HMAC-SHA256 value. It is compared in constant time only.
#[derive(Clone, Copy)]
pub struct Mac([u8; MAC_LEN]);

impl Mac {
    /// Returns the code of all `parts`, one after the other, under `key`.
    #[must_use]
    pub fn of(key: &[u8], parts: &[&[u8]]) -> Self {
        Self(*secret_mac(key, parts).expose())
    }

    /// Returns the bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; MAC_LEN] {
        &self.0
    }

    /// Returns whether `received` is this code, in constant time.
    #[must_use]
    pub fn verifies(&self, received: &[u8]) -> bool {
        self.0.ct_eq(received).into()
    }
}

/// Returns the code of all `parts` under `key`, as a secret: a step of a key derivation.
pub(super) fn secret_mac(key: &[u8], parts: &[&[u8]]) -> Secret<MAC_LEN> {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    let output = mac.finalize();
    Secret::filled_by(|secret| {
        for (to, from) in secret.iter_mut().zip(output.as_bytes()) {
            *to = *from;
        }
    })
}

/// Returns HMAC under `key`, whose length is free (RFC 2104 §3).
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        // HMAC takes keys of every length; the type of the error is shared with other constructions.
        Err(_) => Hmac::<Sha256>::new(&Default::default()),
    }
}
