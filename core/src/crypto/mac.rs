//! HMAC-SHA256 (RFC 2104).

use subtle::ConstantTimeEq;

use super::Secret;
use super::provider::{Active, Authenticating, Provider};

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
    let mut mac = <Active as Provider>::Mac::new(key);
    for part in parts {
        mac.update(part);
    }
    mac.finish()
}
