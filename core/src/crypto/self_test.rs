//! Known answers of every primitive, computed at start.

use super::{
    AeadKey, EphemeralKey, Hash, Mac, PublicKey, Sealed, Secret, Share, Signature, SigningKey,
    Suite, TAG_LEN, expand, extract,
};

/// The primitive that gave a wrong answer. Nothing may be done with the crate then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SelfTestError {
    /// SHA-256.
    Hash,
    /// HMAC-SHA256.
    Mac,
    /// HKDF-SHA256.
    Kdf,
    /// X25519.
    Agreement,
    /// ECDSA P-256 signing.
    Sign,
    /// ECDSA P-256 verification, of a right or of a wrong signature.
    Verify,
    /// AES-256-GCM or ChaCha20-Poly1305 sealing.
    Seal,
    /// AES-256-GCM or ChaCha20-Poly1305 opening, of a right or of a wrong tag.
    Open,
}

/// Computes a known answer of every primitive.
///
/// It costs one signature, two verifications and one agreement beside what is cheap.
///
/// # Errors
///
/// The first primitive that is wrong: a miscompiled image, a broken accelerator or a damaged flash.
pub fn self_test() -> Result<(), SelfTestError> {
    ANSWERS.check()
}

/// What the primitives answer to the questions of this file.
#[derive(Debug, Clone)]
struct Answers {
    hash: [u8; 32],
    mac: [u8; 32],
    extracted: [u8; 32],
    expanded: [u8; 42],
    agreed: [u8; 32],
    signed: [u8; 64],
    /// A signature that verifies; it is not one that the code under test made.
    verified: [u8; 64],
    aes_gcm: AeadAnswer<60>,
    chacha_poly: AeadAnswer<114>,
}

/// What an AEAD makes of a plaintext of `N` bytes, and back.
#[derive(Debug, Clone)]
struct AeadAnswer<const N: usize> {
    sealed: [u8; N],
    tag: [u8; TAG_LEN],
    opened: [u8; N],
}

const ANSWERS: Answers = Answers {
    // FIPS 180-4, the one-block message of its examples.
    hash: hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    // RFC 4231 §4.3.
    mac: hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    // RFC 5869 §A.1.
    extracted: hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
    expanded: hex(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
         34007208d5b887185865",
    ),
    // RFC 7748 §6.1.
    agreed: hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
    // RFC 6979 §A.2.5 with SHA-256, message "sample"; s is n - s of the text, since ours is always the lower one.
    signed: hex(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9",
    ),
    // RFC 6979 §A.2.5 with SHA-256, message "test".
    verified: hex(
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
         019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    ),
    // McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, test case 16.
    aes_gcm: AeadAnswer {
        sealed: hex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        ),
        tag: hex("76fc6ece0f4e1768cddf8853bb2d551b"),
        opened: AES_GCM_QUESTION.plaintext,
    },
    // RFC 8439 §2.8.2.
    chacha_poly: AeadAnswer {
        sealed: hex(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
             3ff4def08e4b7a9de576d26586cec64b6116",
        ),
        tag: hex("1ae10b594f09e26a7e902ecbd0600691"),
        opened: CHACHA_POLY_QUESTION.plaintext,
    },
};

/// RFC 7748 §6.1, Alice's private key.
const AGREEMENT_SCALAR: [u8; 32] =
    hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");

/// RFC 7748 §6.1, Bob's public key.
const AGREEMENT_PEER: [u8; 32] =
    hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");

/// RFC 6979 §A.2.5, the private key.
const SIGNING_SCALAR: [u8; 32] =
    hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");

/// RFC 6979 §A.2.5, the public key.
const PUBLIC_KEY: [u8; 65] = hex("04\
     60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
     7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");

/// What an AEAD is asked to seal.
struct AeadQuestion<const A: usize, const N: usize> {
    suite: Suite,
    key: [u8; 32],
    iv: [u8; 12],
    aad: [u8; A],
    plaintext: [u8; N],
}

const AES_GCM_QUESTION: AeadQuestion<20, 60> = AeadQuestion {
    suite: Suite::Aes256Gcm,
    key: hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
    iv: hex("cafebabefacedbaddecaf888"),
    aad: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    plaintext: hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    ),
};

const CHACHA_POLY_QUESTION: AeadQuestion<12, 114> = AeadQuestion {
    suite: Suite::ChaCha20Poly1305,
    key: hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
    iv: hex("070000004041424344454647"),
    aad: hex("50515253c0c1c2c3c4c5c6c7"),
    plaintext: *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                  the future, sunscreen would be it.",
};

impl Answers {
    /// Asks every primitive and compares; the first that answers otherwise is the error.
    fn check(&self) -> Result<(), SelfTestError> {
        self.check_symmetric()?;
        let key = EphemeralKey::from_scalar(&Secret::new(AGREEMENT_SCALAR));
        let agreed = key
            .agree(&Share(AGREEMENT_PEER))
            .ok_or(SelfTestError::Agreement)?;
        require(*agreed.expose() == self.agreed, SelfTestError::Agreement)?;
        self.check_signature()?;
        AES_GCM_QUESTION.check(&self.aes_gcm)?;
        CHACHA_POLY_QUESTION.check(&self.chacha_poly)
    }

    fn check_symmetric(&self) -> Result<(), SelfTestError> {
        require(Hash::of(&[b"a", b"bc"]).0 == self.hash, SelfTestError::Hash)?;
        let mac = Mac::of(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        require(
            *mac.as_bytes() == self.mac && mac.verifies(&self.mac),
            SelfTestError::Mac,
        )?;
        let salt: [u8; 13] = hex("000102030405060708090a0b0c");
        let info: [u8; 10] = hex("f0f1f2f3f4f5f6f7f8f9");
        let extracted = extract(&salt, &[0x0b; 22]);
        require(*extracted.expose() == self.extracted, SelfTestError::Kdf)?;
        let mut expanded = [0; 42];
        let is_expanded = expand(&extracted, &[&info], &mut expanded);
        require(is_expanded && expanded == self.expanded, SelfTestError::Kdf)
    }

    fn check_signature(&self) -> Result<(), SelfTestError> {
        let signer =
            SigningKey::from_scalar(&Secret::new(SIGNING_SCALAR)).ok_or(SelfTestError::Sign)?;
        let key = PublicKey::from_bytes(&PUBLIC_KEY).ok_or(SelfTestError::Verify)?;
        require(*signer.public_key() == key, SelfTestError::Sign)?;
        let signed = signer.sign(&Hash::of(&[b"sample"]), &[]);
        require(signed.0 == self.signed, SelfTestError::Sign)?;
        let (right, wrong) = (Hash::of(&[b"test"]), Hash::of(&[b"sample"]));
        let verified = Signature(self.verified);
        require(key.verify(&right, &verified).is_ok(), SelfTestError::Verify)?;
        require(
            key.verify(&wrong, &verified).is_err(),
            SelfTestError::Verify,
        )
    }
}

impl<const A: usize, const N: usize> AeadQuestion<A, N> {
    fn check(&self, answer: &AeadAnswer<N>) -> Result<(), SelfTestError> {
        let key = AeadKey::new(self.suite, &Secret::new(self.key), Secret::new(self.iv));
        let mut buffer = self.plaintext;
        let Sealed(tag) = key
            .seal_in_place(0, &self.aad, &mut buffer)
            .ok_or(SelfTestError::Seal)?;
        require(
            buffer == answer.sealed && tag == answer.tag,
            SelfTestError::Seal,
        )?;
        let mut wrong_tag = tag;
        if let Some(last) = wrong_tag.last_mut() {
            *last ^= 1;
        }
        let mut copy = buffer;
        let is_opened = key.open_in_place(0, &self.aad, &mut copy, &wrong_tag);
        require(!is_opened, SelfTestError::Open)?;
        let is_opened = key.open_in_place(0, &self.aad, &mut buffer, &tag);
        require(is_opened && buffer == answer.opened, SelfTestError::Open)
    }
}

fn require(is_right: bool, error: SelfTestError) -> Result<(), SelfTestError> {
    if is_right { Ok(()) } else { Err(error) }
}

/// Returns the bytes that `text` has in hexadecimal; a text of another length does not compile.
#[expect(
    clippy::indexing_slicing,
    reason = "it runs in the compiler alone, where a fault is an error"
)]
const fn hex<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    assert!(text.len() == 2 * N);
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = nibble(text[2 * at]) << 4 | nibble(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

#[expect(
    clippy::panic,
    reason = "it runs in the compiler alone, where a panic is an error"
)]
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("a hexadecimal digit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primitives_give_the_known_answers() {
        assert_eq!(self_test(), Ok(()));
    }

    /// Flips a bit in each byte of the answer that `answer` picks; each must stop the test with `error`.
    fn each_wrong_byte_stops(answer: fn(&mut Answers) -> &mut [u8], error: SelfTestError) {
        let len = answer(&mut ANSWERS.clone()).len();
        for at in 0..len {
            let mut answers = ANSWERS.clone();
            answer(&mut answers)[at] ^= 1;
            assert_eq!(answers.check(), Err(error), "byte {at}");
        }
    }

    #[test]
    fn a_wrong_answer_of_each_primitive_stops_the_start() {
        each_wrong_byte_stops(|answers| &mut answers.hash, SelfTestError::Hash);
        each_wrong_byte_stops(|answers| &mut answers.mac, SelfTestError::Mac);
        each_wrong_byte_stops(|answers| &mut answers.extracted, SelfTestError::Kdf);
        each_wrong_byte_stops(|answers| &mut answers.expanded, SelfTestError::Kdf);
        each_wrong_byte_stops(|answers| &mut answers.agreed, SelfTestError::Agreement);
        each_wrong_byte_stops(|answers| &mut answers.signed, SelfTestError::Sign);
        each_wrong_byte_stops(|answers| &mut answers.verified, SelfTestError::Verify);
        each_wrong_byte_stops(|answers| &mut answers.aes_gcm.sealed, SelfTestError::Seal);
        each_wrong_byte_stops(|answers| &mut answers.aes_gcm.tag, SelfTestError::Seal);
        each_wrong_byte_stops(|answers| &mut answers.aes_gcm.opened, SelfTestError::Open);
        each_wrong_byte_stops(
            |answers| &mut answers.chacha_poly.sealed,
            SelfTestError::Seal,
        );
        each_wrong_byte_stops(|answers| &mut answers.chacha_poly.tag, SelfTestError::Seal);
        each_wrong_byte_stops(
            |answers| &mut answers.chacha_poly.opened,
            SelfTestError::Open,
        );
    }
}
