//! The default: RustCrypto and dalek, in Rust, without a build tool, on every target.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use chacha20poly1305::ChaCha20Poly1305;
use ecdsa::hazmat::{sign_prehashed_rfc6979, verify_prehashed};
use hmac::{Hmac, Mac};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, NistP256, ProjectivePoint, SecretKey};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{Agreeing, Authenticating, Hashing, Provider, Sealing, Signing, Verifying};
use crate::crypto::{Hash, PUBLIC_KEY_LEN, SHARE_LEN, Secret, Signature, Suite, TAG_LEN};

/// `p256`, `x25519-dalek`, `aes-gcm`, `chacha20poly1305`, `sha2` and `hmac`.
#[derive(Debug, Clone, Copy)]
pub struct RustCrypto;

impl Provider for RustCrypto {
    const NAME: &'static str = "default";

    type PublicKey = P256Public;
    type SigningKey = P256Secret;
    type AgreementKey = X25519;
    type AeadKey = Cipher;
    type Hasher = Sha256Hasher;
    type Mac = HmacSha256;
}

/// The first byte of a point in SEC 1's uncompressed form.
const UNCOMPRESSED: u8 = 4;

/// A point that is not infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P256Public(p256::PublicKey);

impl Verifying for P256Public {
    fn from_point(point: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        // Without SEC 1's compressed form: no square root has to be in flash for it.
        let [UNCOMPRESSED, coordinates @ ..] = point else {
            return None;
        };
        let (x, y) = coordinates.split_at(32);
        let (x, y) = (x.try_into().ok()?, y.try_into().ok()?);
        let point = AffinePoint::from_coordinates(x, y).into_option()?;
        p256::PublicKey::from_affine(point).ok().map(Self)
    }

    fn to_point(&self) -> [u8; PUBLIC_KEY_LEN] {
        let mut point = [0; PUBLIC_KEY_LEN];
        for (to, from) in point.iter_mut().zip(self.0.to_sec1_point(false).as_bytes()) {
            *to = *from;
        }
        point
    }

    fn verifies(&self, digest: &Hash, signature: &Signature) -> bool {
        let point = ProjectivePoint::from(*self.0.as_affine());
        p256::ecdsa::Signature::from_slice(&signature.0).is_ok_and(|signature| {
            verify_prehashed::<NistP256>(&point, digest.as_bytes(), &signature).is_ok()
        })
    }
}

/// A scalar in range.
pub struct P256Secret(SecretKey);

impl Signing for P256Secret {
    type PublicKey = P256Public;

    fn from_scalar(scalar: &Secret<32>) -> Option<(Self, P256Public)> {
        let secret = SecretKey::from_slice(scalar.expose()).ok()?;
        let public = P256Public(secret.public_key());
        Some((Self(secret), public))
    }

    fn to_scalar(&self) -> Secret<32> {
        let bytes = Zeroizing::new(self.0.to_bytes());
        Secret::filled_by(|scalar| {
            for (to, from) in scalar.iter_mut().zip(bytes.iter()) {
                *to = *from;
            }
        })
    }

    fn sign(&self, digest: &Hash, hedge: &[u8]) -> Signature {
        let scalar = Zeroizing::new(self.0.to_nonzero_scalar());
        let (signature, _) =
            sign_prehashed_rfc6979::<NistP256, Sha256>(&scalar, digest.as_bytes(), hedge);
        Signature(signature.normalize_s().to_bytes().into())
    }
}

/// Returns `signature` with the lower s, or as it is when it is no signature at all.
#[cfg(feature = "accelerated")]
pub(super) fn with_lower_s(signature: Signature) -> Signature {
    p256::ecdsa::Signature::from_slice(&signature.0).map_or(signature, |signature| {
        Signature(signature.normalize_s().to_bytes().into())
    })
}

/// A scalar of X25519.
pub struct X25519(StaticSecret);

impl Agreeing for X25519 {
    fn from_scalar(scalar: &Secret<32>) -> (Self, [u8; SHARE_LEN]) {
        let secret = StaticSecret::from(*scalar.expose());
        let share = PublicKey::from(&secret).to_bytes();
        (Self(secret), share)
    }

    fn agree(&self, peer: &[u8; SHARE_LEN]) -> Option<Secret<32>> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*peer));
        shared
            .was_contributory()
            .then(|| Secret::new(shared.to_bytes()))
    }
}

/// The key schedule of each suite.
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap to put the larger one on, and it is the one that every peer has"
)]
pub enum Cipher {
    /// Suite 1.
    Aes256Gcm(Aes),
    /// Suite 2.
    ChaCha20Poly1305(ChaCha),
}

/// An expanded key of AES-256-GCM.
pub struct Aes(Aes256Gcm);

/// A key of ChaCha20-Poly1305.
pub struct ChaCha(ChaCha20Poly1305);

impl Sealing for Cipher {
    fn new(suite: Suite, key: &Secret<32>) -> Self {
        let key = key.expose().into();
        match suite {
            Suite::Aes256Gcm => Self::Aes256Gcm(Aes(Aes256Gcm::new(key))),
            Suite::ChaCha20Poly1305 => Self::ChaCha20Poly1305(ChaCha(ChaCha20Poly1305::new(key))),
        }
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let (nonce, buffer) = (Nonce::<U12>::from(nonce), buffer.into());
        let tag = match self {
            Self::Aes256Gcm(Aes(cipher)) => cipher.encrypt_inout_detached(&nonce, aad, buffer),
            Self::ChaCha20Poly1305(ChaCha(cipher)) => {
                cipher.encrypt_inout_detached(&nonce, aad, buffer)
            }
        };
        tag.ok().map(Into::into)
    }

    fn open(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        let (nonce, buffer, tag) = (Nonce::<U12>::from(nonce), buffer.into(), Tag::from(*tag));
        let opened = match self {
            Self::Aes256Gcm(Aes(cipher)) => {
                cipher.decrypt_inout_detached(&nonce, aad, buffer, &tag)
            }
            Self::ChaCha20Poly1305(ChaCha(cipher)) => {
                cipher.decrypt_inout_detached(&nonce, aad, buffer, &tag)
            }
        };
        opened.is_ok()
    }
}

/// SHA-256.
#[derive(Clone)]
pub struct Sha256Hasher(Sha256);

impl Hashing for Sha256Hasher {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// HMAC-SHA256.
#[derive(Clone)]
pub struct HmacSha256(Hmac<Sha256>);

impl Authenticating for HmacSha256 {
    fn new(key: &[u8]) -> Self {
        match Hmac::new_from_slice(key) {
            Ok(mac) => Self(mac),
            // HMAC takes keys of every length; the type of the error is shared with other constructions.
            Err(_) => Self(Hmac::new(&Default::default())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Secret<32> {
        let output = self.0.finalize();
        Secret::filled_by(|secret| {
            for (to, from) in secret.iter_mut().zip(output.as_bytes()) {
                *to = *from;
            }
        })
    }
}
