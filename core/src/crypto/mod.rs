//! Primitives behind types of our own, and the types of secrets.
//!
//! Nothing outside [`provider`] names a cryptographic library. The primitives are those of
//! PROTOCOL.md §1: SHA-256, HMAC, HKDF, X25519, ECDSA over P-256, AES-256-GCM and ChaCha20-Poly1305.

mod aead;
mod agreement;
mod hash;
mod kdf;
mod mac;
pub mod provider;
mod secret;
mod self_test;
mod signature;
mod suite;

pub use aead::{AeadKey, Sealed, TAG_LEN};
pub use agreement::{EphemeralKey, SHARE_LEN, Share};
pub use hash::{HASH_LEN, Hash, Hasher};
pub(crate) use kdf::expand_hash;
pub use kdf::{expand, expand_label, extract};
pub use mac::{MAC_LEN, Mac};
pub use secret::Secret;
pub use self_test::{SelfTestError, self_test};
pub use signature::{
    PUBLIC_KEY_LEN, PublicKey, SIGNATURE_LEN, Signature, SignatureError, SigningKey,
};
pub use suite::Suite;
