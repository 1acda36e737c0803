//! A Cortex-M4's: P-256 by `p256-cortex-m4`, in C and assembly.
//!
//! Everything else is [`RustCrypto`]'s, with dalek's tables of multiples of the base point, which make a share three
//! times as fast. `salty`, the one crate with X25519 in assembly for this core, gives wrong secrets for some of
//! Wycheproof's shares (ycrypto/salty#18).
//!
//! What the C and the assembly leave on the stack is not wiped.

use p256::NistP256;
use p256::elliptic_curve::Curve;
use p256_cortex_m4::{PublicKey, SecretKey};
use rand_core_06::{CryptoRng, Error, RngCore};
use rfc6979::KGenerator;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::rust_crypto::with_lower_s;
use super::{Provider, RustCrypto, Signing, Verifying};
use crate::crypto::{Hash, PUBLIC_KEY_LEN, SIGNATURE_LEN, Secret, Signature};

/// `p256-cortex-m4`, with the rest by [`RustCrypto`].
#[derive(Debug, Clone, Copy)]
pub struct CortexM4;

impl Provider for CortexM4 {
    const NAME: &'static str = "accelerated";

    type PublicKey = P256Public;
    type SigningKey = P256Secret;
    type AgreementKey = <RustCrypto as Provider>::AgreementKey;
    type AeadKey = <RustCrypto as Provider>::AeadKey;
    type Hasher = <RustCrypto as Provider>::Hasher;
    type Mac = <RustCrypto as Provider>::Mac;
}

/// A point that was found on the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P256Public([u8; PUBLIC_KEY_LEN]);

impl Verifying for P256Public {
    fn from_point(point: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        PublicKey::from_sec1_bytes(point)
            .is_ok()
            .then_some(Self(*point))
    }

    fn to_point(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0
    }

    fn verifies(&self, digest: &Hash, signature: &Signature) -> bool {
        // Reading checks the range of r alone; verifying checks both.
        let signature = p256_cortex_m4::Signature::from_untagged_bytes(&signature.0);
        PublicKey::from_sec1_bytes(&self.0).is_ok_and(|key| {
            signature.is_ok_and(|signature| key.verify_prehashed(digest.as_bytes(), &signature))
        })
    }
}

/// A scalar in range.
pub struct P256Secret(Secret<32>);

impl Signing for P256Secret {
    type PublicKey = P256Public;

    fn from_scalar(scalar: &Secret<32>) -> Option<(Self, P256Public)> {
        let secret = Zeroizing::new(SecretKey::from_bytes(scalar.expose()).ok()?);
        let public = P256Public(secret.public_key().to_uncompressed_sec1_bytes());
        let scalar = Secret::filled_by(|bytes| *bytes = *scalar.expose());
        Some((Self(scalar), public))
    }

    fn to_scalar(&self) -> Secret<32> {
        Secret::filled_by(|bytes| *bytes = *self.0.expose())
    }

    fn sign(&self, digest: &Hash, hedge: &[u8]) -> Signature {
        let scalar = self.0.expose();
        let Ok(secret) = SecretKey::from_bytes(scalar).map(Zeroizing::new) else {
            return Signature([0; SIGNATURE_LEN]);
        };
        let order = NistP256::ORDER;
        let nonces = Nonces(KGenerator::<Sha256, _>::new(
            scalar,
            digest.as_bytes(),
            hedge,
            &order,
        ));
        let signature = secret.sign_prehashed(digest.as_bytes(), nonces);
        with_lower_s(Signature(signature.to_untagged_bytes()))
    }
}

/// The nonces of RFC 6979 §3.2 in the place of a generator: the library draws one, and another if that does not do.
struct Nonces<'q>(KGenerator<'q, Sha256, <NistP256 as Curve>::Uint>);

impl CryptoRng for Nonces<'_> {}

impl RngCore for Nonces<'_> {
    /// Fills `nonce` with the next one, the lowest byte first, as the library's words are in memory.
    fn fill_bytes(&mut self, nonce: &mut [u8]) {
        self.0.fill_next_k(nonce);
        nonce.reverse();
    }

    fn try_fill_bytes(&mut self, nonce: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(nonce);
        Ok(())
    }

    /// The library draws whole nonces alone; were it to draw words, none would be known to anybody.
    fn next_u32(&mut self) -> u32 {
        self.word().map_or(0, u32::from_le_bytes)
    }

    /// As [`Self::next_u32`].
    fn next_u64(&mut self) -> u64 {
        self.word().map_or(0, u64::from_le_bytes)
    }
}

impl Nonces<'_> {
    /// Returns the first bytes of a nonce of its own.
    fn word<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut nonce = Zeroizing::new([0; 32]);
        self.0.fill_next_k(&mut *nonce);
        nonce.first_chunk().copied()
    }
}
