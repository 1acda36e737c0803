//! Public-key operations without curves, for a fuzzer that plays whole connections a hundred times faster.
//!
//! Who knows a public key of these can sign for it: they protect nothing. No feature leads here, only the build
//! `RUSTFLAGS="--cfg moorline_modelled"` of the package in `tests/fuzz`. What holds of the real operations for whoever
//! uses them rightly holds here too: a signature verifies under its own key and digest alone, a point must be one, both
//! ends agree on one secret, and zero is refused. Hashes, codes and ciphers are computed as everywhere.

use super::{Agreeing, Hashing, Provider, RustCrypto, Signing, Verifying};
use crate::crypto::{Hash, PUBLIC_KEY_LEN, SHARE_LEN, SIGNATURE_LEN, Secret, Signature};

/// P-256 and X25519 by the model, the rest as in [`RustCrypto`].
#[derive(Debug, Clone, Copy)]
pub struct Modelled;

impl Provider for Modelled {
    const NAME: &'static str = "modelled";

    type PublicKey = ModelledPublic;
    type SigningKey = ModelledSecret;
    type AgreementKey = ModelledAgreement;
    type AeadKey = <RustCrypto as Provider>::AeadKey;
    type Hasher = <RustCrypto as Provider>::Hasher;
    type Mac = <RustCrypto as Provider>::Mac;
}

/// A point: its second coordinate is the hash of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelledPublic([u8; PUBLIC_KEY_LEN]);

impl Verifying for ModelledPublic {
    fn from_point(point: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        let own = Self::with_x(point.get(1..33)?.first_chunk()?);
        (own.0 == *point).then_some(own)
    }

    fn to_point(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0
    }

    fn verifies(&self, digest: &Hash, signature: &Signature) -> bool {
        self.signature(digest).0 == signature.0
    }
}

impl ModelledPublic {
    fn with_x(x: &[u8; 32]) -> Self {
        let mut point = [0; PUBLIC_KEY_LEN];
        fill(&mut point, &[&[4], x, &hash(b"y", &[x])]);
        Self(point)
    }

    fn signature(&self, digest: &Hash) -> Signature {
        let mut signature = [0; SIGNATURE_LEN];
        let [r, s] = [b"r", b"s"].map(|half| hash(half, &[&self.0, &digest.0]));
        // A half that begins with 1 is in range, and s is the lower one.
        fill(
            &mut signature,
            &[
                &[1],
                r.get(1..).unwrap_or(&[]),
                &[1],
                s.get(1..).unwrap_or(&[]),
            ],
        );
        Signature(signature)
    }
}

/// A scalar, of which the point's first coordinate is the hash.
pub struct ModelledSecret(Secret<32>, ModelledPublic);

impl Signing for ModelledSecret {
    type PublicKey = ModelledPublic;

    fn from_scalar(scalar: &Secret<32>) -> Option<(Self, ModelledPublic)> {
        if *scalar.expose() == [0; 32] {
            return None;
        }
        let public = ModelledPublic::with_x(&hash(b"x", &[scalar.expose()]));
        Some((Self(Secret::new(*scalar.expose()), public), public))
    }

    fn to_scalar(&self) -> Secret<32> {
        Secret::new(*self.0.expose())
    }

    fn sign(&self, digest: &Hash, _hedge: &[u8]) -> Signature {
        self.1.signature(digest)
    }
}

/// An odd number; shares are products with it, modulo 2^128.
pub struct ModelledAgreement(u128);

impl Agreeing for ModelledAgreement {
    fn from_scalar(scalar: &Secret<32>) -> (Self, [u8; SHARE_LEN]) {
        let [number, _] = halves(scalar.expose());
        let number = number | 1;
        let mut share = [0; SHARE_LEN];
        fill(&mut share, &[&number.wrapping_mul(BASE).to_be_bytes()]);
        (Self(number), share)
    }

    fn agree(&self, peer: &[u8; SHARE_LEN]) -> Option<Secret<32>> {
        let [number, rest] = halves(peer);
        if number == 0 && rest == 0 {
            return None;
        }
        let product = self.0.wrapping_mul(number).to_be_bytes();
        Some(Secret::new(hash(b"agree", &[&product])))
    }
}

/// The share of the number 1.
const BASE: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

fn halves(bytes: &[u8; 32]) -> [u128; 2] {
    let (halves, _) = bytes.as_chunks();
    match halves {
        [first, second] => [u128::from_be_bytes(*first), u128::from_be_bytes(*second)],
        _ => [0; 2],
    }
}

fn hash(what: &[u8], operands: &[&[u8]]) -> [u8; 32] {
    let mut hasher = <RustCrypto as Provider>::Hasher::new();
    hasher.update(what);
    for operand in operands {
        hasher.update(operand);
    }
    hasher.finish()
}

fn fill(place: &mut [u8], parts: &[&[u8]]) {
    for (to, from) in place.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
}
