//! The cipher suites by their numbers (PROTOCOL.md §1).

/// What the frames of a session are sealed with. Everything else is the same in both suites: X25519, ECDSA P-256,
/// HKDF-SHA256, a key of 32 bytes, a nonce of 12 and a tag of 16.
///
/// No suite is 0, so that what may hold one and is empty can be all zeros: a device's memory then takes no flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Suite {
    /// Suite 1, which every peer has.
    Aes256Gcm = 1,
    /// Suite 2, for devices whose AES is in software: it costs them a fifth.
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// Returns the suite that `number` stands for on the wire, or nothing for one that this crate does not have.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// Returns the number of this suite on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }
}
