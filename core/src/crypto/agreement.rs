//! X25519 (RFC 7748).

use core::fmt;

use super::provider::{Active, Agreeing, Provider};
use crate::crypto::Secret;
use crate::entropy::{Entropy, EntropyError, draw};

/// Length of a public share in bytes.
pub const SHARE_LEN: usize = 32;

/// The public half of an ephemeral key, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Share(pub [u8; SHARE_LEN]);

/// A key of one handshake.
///
/// The handshake that holds it agrees again when a message that did not hold is followed by one that does: on a
/// datagram link anyone can send the first.
pub struct EphemeralKey {
    secret: <Active as Provider>::AgreementKey,
    share: Share,
}

impl EphemeralKey {
    /// Makes a key; this can be done ahead of its use, in idle time.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the source does not answer.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let scalar = draw::<32>(entropy)?;
        Ok(Self::from_scalar(&Secret::new(*scalar)))
    }

    /// Returns the key of `scalar`, which is clamped (RFC 7748 §5).
    ///
    /// A scalar serves one handshake: this is for test vectors and for keys made ready by other means.
    #[must_use]
    pub fn from_scalar(scalar: &Secret<32>) -> Self {
        let (secret, share) = Agreeing::from_scalar(scalar);
        Self {
            secret,
            share: Share(share),
        }
    }

    /// Returns the public half.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// Returns the shared secret with `peer`, or nothing when it is all zero (RFC 7748 §6.1).
    #[must_use]
    pub fn agree(&self, peer: &Share) -> Option<Secret<32>> {
        self.secret.agree(&peer.0)
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EphemeralKey")
    }
}
