//! A host's: AWS-LC, in C and assembly, by `aws-lc-rs`.
//!
//! SHA-256 and HMAC stay with [`RustCrypto`]: they use the same instructions of the processor, without a call across
//! languages for a few bytes.
//!
//! AWS-LC wipes what it frees, and so its copies of scalars and of key schedules. What its arithmetic leaves on the
//! stack is not wiped, as with every library here.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, X25519};
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use p256::elliptic_curve::ops::Reduce;
use p256::elliptic_curve::{Curve, PrimeField};
use p256::{FieldBytes, NistP256, Scalar};
use rfc6979::KGenerator;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Agreeing, Provider, RustCrypto, Sealing, Signing, Verifying};
use crate::crypto::{
    Hash, PUBLIC_KEY_LEN, SHARE_LEN, SIGNATURE_LEN, Secret, Signature, Suite, TAG_LEN,
};

/// `aws-lc-rs`, with hashes by [`RustCrypto`].
#[derive(Debug, Clone, Copy)]
pub struct AwsLc;

impl Provider for AwsLc {
    const NAME: &'static str = "host";

    type PublicKey = P256Public;
    type SigningKey = P256Secret;
    type AgreementKey = X25519Secret;
    type AeadKey = Cipher;
    type Hasher = <RustCrypto as Provider>::Hasher;
    type Mac = <RustCrypto as Provider>::Mac;
}

/// A point that was found on the curve. The library's own form is on its heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P256Public([u8; PUBLIC_KEY_LEN]);

impl Verifying for P256Public {
    fn from_point(point: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.parse().is_ok().then_some(Self(*point))
    }

    fn to_point(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0
    }

    fn verifies(&self, digest: &Hash, signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0);
        imported(digest).is_some_and(|digest| key.verify_digest(&digest, &signature.0).is_ok())
    }
}

/// A scalar in range.
pub struct P256Secret(Secret<32>);

impl Signing for P256Secret {
    type PublicKey = P256Public;

    fn from_scalar(scalar: &Secret<32>) -> Option<(Self, P256Public)> {
        let public = P256Public(times_base_point(scalar.expose())?);
        Some((Self(copy(scalar)), public))
    }

    fn to_scalar(&self) -> Secret<32> {
        copy(&self.0)
    }

    /// The library signs with nonces of its own alone. So it computes the point of the nonce, which is nearly all of
    /// the work, and the rest of FIPS 186-5 §6.4 is done in the constant-time scalars of `p256`.
    fn sign(&self, digest: &Hash, hedge: &[u8]) -> Signature {
        let order = &NistP256::ORDER;
        let mut nonces = KGenerator::<Sha256, <NistP256 as Curve>::Uint>::new(
            self.0.expose(),
            digest.as_bytes(),
            hedge,
            order,
        );
        let mut nonce = Zeroizing::new([0; 32]);
        // A nonce that does not do is as likely as a guess of the key.
        for _ in 0..3 {
            nonces.fill_next_k(&mut *nonce);
            if let Some(signature) = self.sign_with(digest, &nonce) {
                return signature;
            }
        }
        Signature([0; SIGNATURE_LEN])
    }
}

impl P256Secret {
    /// Returns the signature that `nonce` gives, or nothing if it gives none.
    fn sign_with(&self, digest: &Hash, nonce: &[u8; 32]) -> Option<Signature> {
        let point = times_base_point(nonce)?;
        let x: [u8; 32] = *point.get(1..)?.first_chunk()?;
        let secret = Zeroizing::new(scalar(self.0.expose())?);
        let inverse = Zeroizing::new(scalar(nonce)?.invert().into_option()?);
        let r = <Scalar as Reduce<FieldBytes>>::reduce(&x.into());
        let z = <Scalar as Reduce<FieldBytes>>::reduce(&digest.0.into());
        let s = *inverse * (z + r * *secret);
        // It is refused when r or s is zero.
        let signature = ecdsa::Signature::<NistP256>::from_scalars(r, s).ok()?;
        Some(Signature(signature.normalize_s().to_bytes().into()))
    }
}

fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_repr((*bytes).into()).into_option()
}

/// Returns the point of `scalar`, or nothing when it is zero or not under the order.
fn times_base_point(scalar: &[u8; 32]) -> Option<[u8; PUBLIC_KEY_LEN]> {
    let key = PrivateKey::from_private_key(&ECDH_P256, scalar).ok()?;
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

fn imported(digest: &Hash) -> Option<Digest> {
    Digest::import_less_safe(digest.as_bytes(), &SHA256).ok()
}

fn copy(secret: &Secret<32>) -> Secret<32> {
    Secret::filled_by(|bytes| *bytes = *secret.expose())
}

/// A key of X25519; the library takes every scalar, and were it to refuse one, that key would agree with nobody.
pub struct X25519Secret(Option<PrivateKey>);

impl Agreeing for X25519Secret {
    fn from_scalar(scalar: &Secret<32>) -> (Self, [u8; SHARE_LEN]) {
        let secret = PrivateKey::from_private_key(&X25519, scalar.expose()).ok();
        let share = secret.as_ref().and_then(|secret| {
            let share = secret.compute_public_key().ok()?;
            share.as_ref().try_into().ok()
        });
        match share {
            Some(share) => (Self(secret), share),
            None => (Self(None), [0; SHARE_LEN]),
        }
    }

    fn agree(&self, peer: &[u8; SHARE_LEN]) -> Option<Secret<32>> {
        let peer = agreement::UnparsedPublicKey::new(&X25519, peer);
        // The library refuses a shared secret that is all zero (RFC 7748 §6.1).
        agreement::agree(self.0.as_ref()?, peer, (), |shared| {
            let shared: &[u8; 32] = shared.try_into().map_err(|_| ())?;
            Ok(Secret::filled_by(|bytes| *bytes = *shared))
        })
        .ok()
    }
}

/// An expanded key of either suite; none for a key that the library refuses, which it has no reason to.
pub struct Cipher(Option<LessSafeKey>);

impl Sealing for Cipher {
    fn new(suite: Suite, key: &Secret<32>) -> Self {
        let algorithm = match suite {
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key.expose());
        Self(key.ok().map(LessSafeKey::new))
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let (key, nonce) = (self.0.as_ref()?, Nonce::assume_unique_for_key(nonce));
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), buffer);
        tag.ok()?.as_ref().try_into().ok()
    }

    fn open(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let is_open = self.0.as_ref().is_some_and(|key| {
            key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, buffer)
                .is_ok()
        });
        if !is_open {
            // The library leaves open what is in there then.
            buffer.fill(0);
        }
        is_open
    }
}
