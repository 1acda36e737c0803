//! Every operation of core on secrets that a peer can time.

use moorline_core::crypto::{
    AeadKey, EphemeralKey, Hash, Mac, Secret, SigningKey, Suite, TAG_LEN, expand, expand_label,
    extract,
};
use moorline_core::message_mac::{Stamp, message_mac};
use moorline_core::time::UnixMillis;

use crate::Case;
use crate::memory::{hidden, told};

/// Every case, in the order in which they run.
pub const CASES: &[Case] = &[
    Case {
        name: "secrets are compared: equal, different in the first byte, in the last",
        answers: &[],
        run: secrets,
    },
    Case {
        name: "hashes of secrets are compared",
        answers: &[],
        run: hashes,
    },
    Case {
        name: "the code of a Finished or a resumption's binder is made and compared",
        answers: &[],
        run: codes,
    },
    Case {
        name: "the code of a message outside a session is made and compared",
        answers: &[],
        run: message_codes,
    },
    Case {
        name: "keys are extracted and expanded",
        answers: &[],
        run: derivations,
    },
    Case {
        name: "AES-256-GCM seals",
        answers: &[],
        run: || seals(Suite::Aes256Gcm),
    },
    Case {
        name: "ChaCha20-Poly1305 seals",
        answers: &[],
        run: || seals(Suite::ChaCha20Poly1305),
    },
    Case {
        name: "AES-256-GCM opens: a right tag, one wrong in the first byte, one in the last",
        answers: &TAGS,
        run: || opens(Suite::Aes256Gcm),
    },
    Case {
        name: "ChaCha20-Poly1305 opens: a right tag, one wrong in the first byte, one in the last",
        answers: &TAGS,
        run: || opens(Suite::ChaCha20Poly1305),
    },
    Case {
        name: "ECDSA signs",
        answers: &SIGNATURE,
        run: signs,
    },
    Case {
        name: "X25519 makes a share and agrees",
        answers: &["whether the shared secret is all zero, which ends the handshake"],
        run: agrees,
    },
];

const TAGS: [&str; 3] = [
    "the right tag is right",
    "the tag that is wrong in its first byte is wrong",
    "the tag that is wrong in its last byte is wrong",
];

/// What `rfc6979`, `elliptic-curve` and `ecdsa` ask about the nonce and the signature. The answer is the same for every
/// signature that anyone will see: another one comes once in 2^32 nonces, and leads to the next nonce.
const SIGNATURE: [&str; 9] = [
    "the candidate for the nonce is not zero and under the order",
    "the nonce is a scalar that is not zero",
    "the nonce has an inverse",
    "r is under the order",
    "s is under the order",
    "r is not zero",
    "s is not zero",
    "s, as it is read again to make it the lower one, is not zero",
    "the lower s is not zero",
];

/// Returns `bytes`, then with its first byte changed, then with its last one.
fn received<const N: usize>(bytes: [u8; N]) -> [[u8; N]; 3] {
    let (mut first, mut last) = (bytes, bytes);
    first[0] ^= 1;
    last[N - 1] ^= 0x80;
    [bytes, first, last]
}

/// What each of [`received`] is to be taken for.
const RIGHT: [bool; 3] = [true, false, false];

fn secrets() -> bool {
    let own = Secret::new(hidden([7; 32]));
    received([7; 32]).map(|other| told(own.same_as(&Secret::new(hidden(other))))) == RIGHT
}

fn hashes() -> bool {
    let own = Hash::of(&[&hidden([7; 32])]);
    let same = Hash::of(&[&[7; 32]]);
    received(same.0).map(|other| told(own.same_as(&Hash(hidden(other))))) == RIGHT
}

fn codes() -> bool {
    let key = hidden([7; 32]);
    let code = Mac::of(&key, &[b"transcript"]);
    let right = *Mac::of(&[7; 32], &[b"transcript"]).as_bytes();
    received(right).map(|other| told(code.verifies(&other))) == RIGHT
}

fn message_codes() -> bool {
    let stamp = Stamp {
        time: UnixMillis(1_767_225_600_000),
        nonce: [9; 16],
    };
    let code = |key| message_mac(&key, &stamp, b"context", b"message");
    let (Ok(code), Ok(right)) = (
        code(Secret::new(hidden([7; 32]))),
        code(Secret::new([7; 32])),
    ) else {
        return false;
    };
    received(*right.as_bytes()).map(|other| told(code.verifies(&other))) == RIGHT
}

fn derivations() -> bool {
    let derived = |secret: [u8; 32]| {
        let extracted = extract(b"salt", &secret);
        let mut output = [0; 80];
        let is_expanded = expand(&extracted, &[b"info"], &mut output);
        let key = expand_label::<44>(&extracted, "key", &secret);
        is_expanded.then_some((output, *key.expose()))
    };
    told(derived(hidden([7; 32]))) == derived([7; 32])
}

fn sealer(suite: Suite, key: [u8; 32]) -> AeadKey {
    AeadKey::new(suite, &Secret::new(key), Secret::new([3; 12]))
}

const PLAINTEXT: [u8; 100] = [0x5A; 100];

/// Returns ciphertext and tag.
fn sealed(key: &AeadKey, mut buffer: [u8; 100]) -> Option<([u8; 100], [u8; TAG_LEN])> {
    let tag = key.seal_in_place(5, b"head", &mut buffer)?;
    Some((buffer, tag.0))
}

fn seals(suite: Suite) -> bool {
    let own = sealed(&sealer(suite, hidden([7; 32])), hidden(PLAINTEXT));
    let same = sealed(&sealer(suite, [7; 32]), PLAINTEXT);
    own.is_some() && told(own) == same
}

fn opens(suite: Suite) -> bool {
    let Some((ciphertext, tag)) = sealed(&sealer(suite, [7; 32]), PLAINTEXT) else {
        return false;
    };
    let key = sealer(suite, hidden([7; 32]));
    received(tag).map(|tag| {
        let mut buffer = ciphertext;
        told(key.open_in_place(5, b"head", &mut buffer, &tag))
    }) == RIGHT
}

fn signs() -> bool {
    let Some(key) = SigningKey::from_scalar(&Secret::new([7; 32])) else {
        return false;
    };
    let public = *key.public_key();
    let digest = Hash::of(&[b"message"]);
    // The key is read from storage before anybody can ask; what is timed is what it signs.
    let signature = told(hidden(key).sign(&digest, &hidden([9; 32])));
    public.verify(&digest, &signature).is_ok()
}

fn agrees() -> bool {
    let peer = EphemeralKey::from_scalar(&Secret::new([9; 32]));
    let own = EphemeralKey::from_scalar(&Secret::new(hidden([7; 32])));
    let share = told(own.share());
    let (Some(shared), Some(same)) = (own.agree(&peer.share()), peer.agree(&share)) else {
        return false;
    };
    told(shared.same_as(&same))
}
