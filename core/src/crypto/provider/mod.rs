//! The seam between the protocol and the libraries that do its arithmetic.
//!
//! A [`Provider`] is a set of types, one for each primitive, chosen when the crate is compiled: [`Active`] is the one
//! that the types of [`crate::crypto`] are made of, and nothing else in the crate names a library. To bring an
//! accelerator or another library, write a file beside these, implement the traits for what it does better, take the
//! rest from [`RustCrypto`], and name it in [`Active`] under a feature of its own.
//!
//! | feature | provider | where |
//! |---|---|---|
//! | none | [`RustCrypto`] | everywhere |
//! | `host` | `AwsLc` | where there is an operating system |
//! | `accelerated` | `CortexM4` | Cortex-M4 and Cortex-M7 |
//!
//! Under Miri alone, which takes minutes for one operation on a curve, a provider looks such operations up in a recording;
//! no feature leads to it. Nor does one lead to the provider without curves that a fuzzer plays whole connections with.
//!
//! Every provider that is compiled is public, so that one test runs over all of them and lets them work together.
//! What the traits promise is what the tests hold each of them to; none may be weaker than another.

#[cfg(feature = "host")]
mod aws_lc;
#[cfg(feature = "accelerated")]
mod cortex_m4;
#[cfg(moorline_modelled)]
mod modelled;
#[cfg(any(miri, moorline_record))]
mod recorded;
mod rust_crypto;

#[cfg(feature = "host")]
pub use aws_lc::AwsLc;
#[cfg(feature = "accelerated")]
pub use cortex_m4::CortexM4;
#[cfg(moorline_modelled)]
pub use modelled::Modelled;
#[cfg(all(moorline_record, not(miri)))]
pub use recorded::RECORDING;
#[cfg(any(miri, moorline_record))]
pub use recorded::Recorded;
pub use rust_crypto::RustCrypto;

use super::{Hash, PUBLIC_KEY_LEN, SHARE_LEN, Secret, Signature, Suite, TAG_LEN};

#[cfg(all(
    feature = "accelerated",
    not(all(target_arch = "arm", target_os = "none"))
))]
compile_error!("the feature `accelerated` is for thumbv7em");

#[cfg(all(moorline_modelled, any(feature = "accelerated", feature = "host")))]
compile_error!("the modelled provider is for the fuzzer alone");

#[cfg(all(feature = "accelerated", feature = "host"))]
compile_error!("one provider is active: either `accelerated` or `host`");

/// The provider that this build of the crate runs on.
#[cfg(feature = "host")]
pub type Active = AwsLc;
/// The provider that this build of the crate runs on.
#[cfg(feature = "accelerated")]
pub type Active = CortexM4;
/// The provider that this build of the crate runs on.
#[cfg(not(any(
    feature = "host",
    feature = "accelerated",
    miri,
    moorline_record,
    moorline_modelled
)))]
pub type Active = RustCrypto;
/// The provider that a fuzzer of whole connections runs on.
#[cfg(moorline_modelled)]
pub type Active = Modelled;
/// The provider that Miri runs on.
#[cfg(any(miri, moorline_record))]
pub type Active = Recorded;

/// The arithmetic of the protocol.
pub trait Provider: 'static {
    /// What it is called in figures and reports; it is the name of its feature.
    const NAME: &'static str;

    /// A public key of ECDSA P-256.
    type PublicKey: Verifying;
    /// A private key of ECDSA P-256.
    type SigningKey: Signing<PublicKey = Self::PublicKey>;
    /// A private key of X25519.
    type AgreementKey: Agreeing;
    /// An expanded key of either suite.
    type AeadKey: Sealing;
    /// SHA-256 under construction.
    type Hasher: Hashing;
    /// HMAC-SHA256 under construction.
    type Mac: Authenticating;
}

/// A public key of ECDSA P-256 (FIPS 186-5).
pub trait Verifying: Copy + Eq + Send + Sync {
    /// Returns the key of `point`, which begins with 4, or nothing unless it is a point on the curve.
    ///
    /// Coordinates that are not under the prime are refused, and so is whatever stands for infinity.
    fn from_point(point: &[u8; PUBLIC_KEY_LEN]) -> Option<Self>;

    /// Returns the uncompressed point.
    fn to_point(&self) -> [u8; PUBLIC_KEY_LEN];

    /// Returns whether `signature` is this key's over `digest`. r and s are in range, s may be the upper one.
    #[must_use]
    fn verifies(&self, digest: &Hash, signature: &Signature) -> bool;
}

/// A private key of ECDSA P-256 (FIPS 186-5). It wipes itself when dropped.
pub trait Signing: Sized + Send + Sync {
    /// Its public half.
    type PublicKey: Verifying;

    /// Returns the key of `scalar` with its public half, or nothing when it is zero or not under the order of the
    /// curve.
    fn from_scalar(scalar: &Secret<32>) -> Option<(Self, Self::PublicKey)>;

    /// Returns the private scalar.
    fn to_scalar(&self) -> Secret<32>;

    /// Returns a signature over `digest` with the lower s.
    ///
    /// The nonce is that of RFC 6979 §3.2 with `hedge` as the additional data of its §3.6, whatever the library would
    /// draw by itself: then every provider gives the same bytes, one set of vectors holds for all, and neither a weak
    /// generator nor a machine restored from a snapshot signs twice with one nonce.
    ///
    /// A library that fails, which none has a reason to, leads to a signature that no key verifies.
    fn sign(&self, digest: &Hash, hedge: &[u8]) -> Signature;
}

/// A private key of X25519 (RFC 7748). It wipes itself when dropped.
pub trait Agreeing: Sized + Send + Sync {
    /// Returns the key of `scalar`, which is clamped, and its public share.
    fn from_scalar(scalar: &Secret<32>) -> (Self, [u8; SHARE_LEN]);

    /// Returns the shared secret with `peer`, or nothing when it is all zero.
    fn agree(&self, peer: &[u8; SHARE_LEN]) -> Option<Secret<32>>;
}

/// An expanded key of an AEAD. It wipes itself when dropped.
pub trait Sealing: Sized + Send + Sync {
    /// Expands `key` for the AEAD of `suite`.
    fn new(suite: Suite, key: &Secret<32>) -> Self;

    /// Encrypts `buffer` where it stands and returns the tag, or nothing when `buffer` is too long.
    fn seal(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_LEN]>;

    /// Decrypts `buffer` where it stands if `tag` is right; otherwise `buffer` holds no plaintext.
    #[must_use]
    fn open(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool;
}

/// SHA-256 under construction (FIPS 180-4).
pub trait Hashing: Clone {
    /// Returns the hash of nothing yet.
    fn new() -> Self;

    /// Takes in `bytes`.
    fn update(&mut self, bytes: &[u8]);

    /// Returns the hash of all bytes taken in.
    fn finish(self) -> [u8; 32];
}

/// HMAC-SHA256 under construction (RFC 2104). It wipes itself when dropped.
pub trait Authenticating: Clone {
    /// Returns the code of nothing yet under `key`, whose length is free.
    fn new(key: &[u8]) -> Self;

    /// Takes in `bytes`.
    fn update(&mut self, bytes: &[u8]);

    /// Returns the code of all bytes taken in.
    fn finish(self) -> Secret<32>;
}
