//! ECDSA over P-256 with SHA-256 (FIPS 186-5), in the fixed-length form of RFC 7518 §3.4.

use core::fmt;

use super::provider::{Active, Provider, Signing, Verifying};
use crate::crypto::{Hash, Secret};
use crate::entropy::{Entropy, EntropyError, draw};

/// Length of a public key in bytes: uncompressed, `04 | x | y` (SEC 1 §2.3.3).
pub const PUBLIC_KEY_LEN: usize = 65;

/// Length of a signature in bytes: `r | s`.
pub const SIGNATURE_LEN: usize = 64;

/// A signature as it travels; it may be nonsense until it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Signature(pub [u8; SIGNATURE_LEN]);

/// A signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SignatureError;

/// A point on the curve that is not infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(<Active as Provider>::PublicKey);

impl PublicKey {
    /// Returns the key of `bytes`, or nothing unless they are an uncompressed point on the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        // Libraries read compressed and compact forms too; those are one key under two names.
        if bytes.first() != Some(&4) {
            return None;
        }
        Verifying::from_point(bytes).map(Self)
    }

    /// Returns the key of the affine coordinates `x` and `y`, or nothing unless they are on the curve.
    #[must_use]
    pub fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let mut bytes = [4; PUBLIC_KEY_LEN];
        for (to, from) in bytes.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *to = *from;
        }
        Self::from_bytes(&bytes)
    }

    /// Returns the uncompressed point.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0.to_point()
    }

    /// Returns the hash of the uncompressed point, by which keys are named.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&[&self.to_bytes()])
    }

    /// Checks that `signature` is this key's over a message whose hash is `digest`.
    ///
    /// Both halves of s are accepted; nothing is identified by the bytes of a signature (PROTOCOL.md §3.2).
    ///
    /// # Errors
    ///
    /// [`SignatureError`] for r or s out of range and for a signature by another key or over another message.
    pub fn verify(&self, digest: &Hash, signature: &Signature) -> Result<(), SignatureError> {
        if self.0.verifies(digest, signature) {
            Ok(())
        } else {
            Err(SignatureError)
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PublicKey(")?;
        for byte in self.hash().prefix::<8>() {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str(")")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for PublicKey {
    fn format(&self, formatter: defmt::Formatter<'_>) {
        defmt::write!(
            formatter,
            "PublicKey({=[u8; 8]:02x})",
            self.hash().prefix::<8>()
        );
    }
}

/// A private key with its public half. Parsing computes the public half: it is done once, at start.
pub struct SigningKey {
    secret: <Active as Provider>::SigningKey,
    public: PublicKey,
}

impl SigningKey {
    /// Returns the key of `scalar`, or nothing when it is zero or not under the order of the curve.
    #[must_use]
    pub fn from_scalar(scalar: &Secret<32>) -> Option<Self> {
        let (secret, public) = <Active as Provider>::SigningKey::from_scalar(scalar)?;
        Some(Self {
            secret,
            public: PublicKey(public),
        })
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the source does not answer.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        // A uniform scalar is out of range once in 2^32 draws; three in a row are a broken source.
        for _ in 0..3 {
            let scalar = draw::<32>(entropy)?;
            if let Some(key) = Self::from_scalar(&Secret::new(*scalar)) {
                return Ok(key);
            }
        }
        Err(EntropyError)
    }

    /// Returns the private scalar, for writing it to storage that only its owner reads.
    #[must_use]
    pub fn to_scalar(&self) -> Secret<32> {
        self.secret.to_scalar()
    }

    /// Returns the public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns a signature over a message whose hash is `digest`.
    ///
    /// The nonce is that of RFC 6979 §3.2 with `hedge` as the additional data of its §3.6: fresh random bytes, so
    /// that neither a weak generator nor a fault in the computation alone gives the key away. An empty `hedge`
    /// gives the deterministic signature.
    #[must_use]
    pub fn sign(&self, digest: &Hash, hedge: &[u8]) -> Signature {
        self.secret.sign(digest, hedge)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}
