//! A provider that checks nothing: the cases must find it out.

use moorline_core::crypto::provider::{
    Agreeing, Authenticating, Hashing, Provider, RustCrypto, Sealing, Signing, Verifying,
};
use moorline_core::crypto::{Hash, Secret, Signature, Suite};
use moorline_wycheproof::GROUPS;

#[test]
fn a_provider_that_checks_nothing_fails_every_group_that_is_asked_of_it() {
    for group in GROUPS {
        let outcome = group.run::<Careless>();
        assert_eq!(outcome.passed + outcome.failed, group.count());
        // Derivations are core's own, over the provider that it runs on.
        let is_asked = group.name != "HKDF-SHA256";
        assert_eq!(outcome.failed > 0, is_asked, "{}", group.name);
        assert_eq!(outcome.first_failed.is_some(), is_asked, "{}", group.name);
    }
}

struct Careless;

impl Provider for Careless {
    const NAME: &'static str = "careless";

    type PublicKey = AnyPoint;
    type SigningKey = NoKey;
    type AgreementKey = AnyShare;
    type AeadKey = AnyTag;
    type Hasher = <RustCrypto as Provider>::Hasher;
    type Mac = UnkeyedHash;
}

/// Takes every point and every signature.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AnyPoint([u8; 65]);

impl Verifying for AnyPoint {
    fn from_point(point: &[u8; 65]) -> Option<Self> {
        Some(Self(*point))
    }

    fn to_point(&self) -> [u8; 65] {
        self.0
    }

    fn verifies(&self, _digest: &Hash, _signature: &Signature) -> bool {
        true
    }
}

/// Never made: no case signs.
struct NoKey;

impl Signing for NoKey {
    type PublicKey = AnyPoint;

    fn from_scalar(_scalar: &Secret<32>) -> Option<(Self, AnyPoint)> {
        None
    }

    fn to_scalar(&self) -> Secret<32> {
        Secret::new([0; 32])
    }

    fn sign(&self, _digest: &Hash, _hedge: &[u8]) -> Signature {
        Signature([0; 64])
    }
}

/// Gives the zero secret where the share is of small order.
struct AnyShare(<RustCrypto as Provider>::AgreementKey);

impl Agreeing for AnyShare {
    fn from_scalar(scalar: &Secret<32>) -> (Self, [u8; 32]) {
        let (key, share) = Agreeing::from_scalar(scalar);
        (Self(key), share)
    }

    fn agree(&self, peer: &[u8; 32]) -> Option<Secret<32>> {
        Some(self.0.agree(peer).unwrap_or(Secret::new([0; 32])))
    }
}

/// Opens with the tag that fits, whatever it is given.
struct AnyTag(<RustCrypto as Provider>::AeadKey);

impl Sealing for AnyTag {
    fn new(suite: Suite, key: &Secret<32>) -> Self {
        Self(Sealing::new(suite, key))
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; 16]> {
        self.0.seal(nonce, aad, buffer)
    }

    fn open(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut [u8], _tag: &[u8; 16]) -> bool {
        // Both are stream ciphers: sealing again gives the plaintext.
        self.0.seal(nonce, aad, buffer).is_some()
    }
}

/// Forgets the key.
#[derive(Clone)]
struct UnkeyedHash(<RustCrypto as Provider>::Hasher);

impl Authenticating for UnkeyedHash {
    fn new(_key: &[u8]) -> Self {
        Self(Hashing::new())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Secret<32> {
        Secret::new(self.0.finish())
    }
}
