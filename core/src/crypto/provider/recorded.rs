//! Public-key operations that were done before: what Miri, which takes minutes for one, looks up instead.
//!
//! No feature leads here. Miri alone compiles this, and the build that makes the recording for it, which computes with
//! [`RustCrypto`] and keeps the results: `RUSTFLAGS="--cfg moorline_record" cargo run --package moorline-miri`. Hashes,
//! codes and ciphers are computed as everywhere.

use super::{Agreeing, Provider, RustCrypto, Signing, Verifying};
use crate::crypto::{Hash, PUBLIC_KEY_LEN, SHARE_LEN, SIGNATURE_LEN, Secret, Signature};

/// P-256 and X25519 from the recording, the rest as in [`RustCrypto`].
#[derive(Debug, Clone, Copy)]
pub struct Recorded;

impl Provider for Recorded {
    const NAME: &'static str = "recorded";

    type PublicKey = RecordedPublic;
    type SigningKey = RecordedSecret;
    type AgreementKey = RecordedAgreement;
    type AeadKey = <RustCrypto as Provider>::AeadKey;
    type Hasher = <RustCrypto as Provider>::Hasher;
    type Mac = <RustCrypto as Provider>::Mac;
}

type RealPublic = <RustCrypto as Provider>::PublicKey;
type RealSecret = <RustCrypto as Provider>::SigningKey;
type RealAgreement = <RustCrypto as Provider>::AgreementKey;

/// A point that the recording has as one on the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedPublic([u8; PUBLIC_KEY_LEN]);

impl Verifying for RecordedPublic {
    fn from_point(point: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        result(b"point", &[point], || {
            RealPublic::from_point(point).map(|key| key.to_point())
        })
        .map(Self)
    }

    fn to_point(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0
    }

    fn verifies(&self, digest: &Hash, signature: &Signature) -> bool {
        result(b"verify", &[&self.0, &digest.0, &signature.0], || {
            let key = RealPublic::from_point(&self.0)?;
            key.verifies(digest, signature).then_some([])
        })
        .is_some()
    }
}

/// A scalar that the recording has as one in range.
pub struct RecordedSecret(Secret<32>);

impl Signing for RecordedSecret {
    type PublicKey = RecordedPublic;

    fn from_scalar(scalar: &Secret<32>) -> Option<(Self, RecordedPublic)> {
        let public = result(b"public", &[scalar.expose()], || {
            RealSecret::from_scalar(scalar).map(|(_, public)| public.to_point())
        })?;
        Some((Self(Secret::new(*scalar.expose())), RecordedPublic(public)))
    }

    fn to_scalar(&self) -> Secret<32> {
        Secret::new(*self.0.expose())
    }

    fn sign(&self, digest: &Hash, hedge: &[u8]) -> Signature {
        let signature = result(b"sign", &[self.0.expose(), &digest.0, hedge], || {
            let (key, _) = RealSecret::from_scalar(&self.0)?;
            Some(key.sign(digest, hedge).0)
        });
        Signature(signature.unwrap_or([0; SIGNATURE_LEN]))
    }
}

/// A scalar of X25519.
pub struct RecordedAgreement(Secret<32>);

impl Agreeing for RecordedAgreement {
    fn from_scalar(scalar: &Secret<32>) -> (Self, [u8; SHARE_LEN]) {
        let share = result(b"share", &[scalar.expose()], || {
            Some(RealAgreement::from_scalar(scalar).1)
        });
        let key = Self(Secret::new(*scalar.expose()));
        (key, share.unwrap_or([0; SHARE_LEN]))
    }

    fn agree(&self, peer: &[u8; SHARE_LEN]) -> Option<Secret<32>> {
        result(b"agree", &[self.0.expose(), peer], || {
            let (key, _) = RealAgreement::from_scalar(&self.0);
            key.agree(peer).map(|shared| *shared.expose())
        })
        .map(Secret::new)
    }
}

/// Length of the name of an operation with its operands in bytes.
const KEY_LEN: usize = 16;

/// Length of an entry in bytes: the key, whether there is a result, and the result with zeros after it.
const ENTRY_LEN: usize = KEY_LEN + 1 + PUBLIC_KEY_LEN;

/// Returns the name of an operation with its operands; operands of one operation but the last have one length.
fn key_of(operation: &[u8], operands: &[&[u8]]) -> [u8; KEY_LEN] {
    let mut hasher = crate::crypto::Hasher::new();
    hasher.update(operation);
    for operand in operands {
        hasher.update(operand);
    }
    hasher.finish().prefix()
}

#[cfg(miri)]
fn result<const N: usize>(
    operation: &[u8],
    operands: &[&[u8]],
    _compute: impl FnOnce() -> Option<[u8; N]>,
) -> Option<[u8; N]> {
    static RECORDING: &[u8] = include_bytes!("../../../../tests/miri/recording.bin");
    let key = key_of(operation, operands);
    let (entries, _) = RECORDING.as_chunks::<ENTRY_LEN>();
    let Ok(at) = entries.binary_search_by(|entry| entry[..KEY_LEN].cmp(&key)) else {
        panic!("an operation that was not recorded; make the recording again");
    };
    let (_, value) = entries[at].split_at(KEY_LEN);
    let (is_given, bytes) = value.split_first()?;
    (*is_given == 1).then(|| bytes.first_chunk().copied())?
}

#[cfg(not(miri))]
fn result<const N: usize>(
    operation: &[u8],
    operands: &[&[u8]],
    compute: impl FnOnce() -> Option<[u8; N]>,
) -> Option<[u8; N]> {
    let result = compute();
    let mut entry = [0; ENTRY_LEN];
    let key = key_of(operation, operands);
    let given = result.iter().flatten();
    let flag = [u8::from(result.is_some())];
    for (to, from) in entry.iter_mut().zip(key.iter().chain(&flag).chain(given)) {
        *to = *from;
    }
    if let Ok(mut recording) = RECORDING.lock() {
        recording.insert(entry);
    }
    result
}

/// Every operation so far, in the order of the file.
#[cfg(not(miri))]
pub static RECORDING: std::sync::Mutex<std::collections::BTreeSet<[u8; ENTRY_LEN]>> =
    std::sync::Mutex::new(std::collections::BTreeSet::new());
