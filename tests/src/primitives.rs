//! The primitives against the vectors of their standards, through core's own types.

pub(crate) mod aead;

use moorline_core::crypto::{
    EphemeralKey, Hash, Hasher, Mac, PublicKey, Secret, Share, Signature, SigningKey, expand,
    extract, self_test,
};

use crate::hex::hex;
use crate::{Case, Failure, ensure};

/// The private key of RFC 6979 §A.2.5.
pub(crate) const RFC_6979_SCALAR: [u8; 32] =
    hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");

/// The public key of RFC 6979 §A.2.5.
pub(crate) const RFC_6979_KEY: [u8; 65] = hex("04\
     60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
     7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the self-test finds every primitive right",
        clause: "PROTOCOL.md §1",
        run: || {
            ensure!(self_test().is_ok());
            Ok(())
        },
    },
    Case {
        name: "SHA-256 gives the hashes of the empty, the one-block and the two-block message",
        clause: "FIPS 180-4 §6.2",
        run: hashes,
    },
    Case {
        name: "SHA-256 gives the same hash however the message is cut",
        clause: "FIPS 180-4 §6.2",
        run: hash_in_pieces,
    },
    Case {
        name: "HMAC-SHA256 gives the codes of RFC 4231, cases 1 to 7",
        clause: "RFC 4231 §4",
        run: macs,
    },
    Case {
        name: "HKDF-SHA256 gives the keys of RFC 5869, case 1",
        clause: "RFC 5869 §A.1",
        run: || {
            derives(
                &hex::<13>("000102030405060708090a0b0c"),
                &[0x0b; 22],
                &hex::<10>("f0f1f2f3f4f5f6f7f8f9"),
                &hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
                &hex::<42>(
                    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                     34007208d5b887185865",
                ),
            )
        },
    },
    Case {
        name: "HKDF-SHA256 gives the keys of RFC 5869, case 2, with longer inputs",
        clause: "RFC 5869 §A.2",
        run: || {
            derives(
                &counting::<80>(0x60),
                &counting::<80>(0x00),
                &counting::<80>(0xb0),
                &hex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"),
                &hex::<82>(
                    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
                     59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
                     cc30c58179ec3e87c14c01d5c1f3434f1d87",
                ),
            )
        },
    },
    Case {
        name: "HKDF-SHA256 gives the keys of RFC 5869, case 3, without salt and info",
        clause: "RFC 5869 §A.3",
        run: || {
            derives(
                &[],
                &[0x0b; 22],
                &[],
                &hex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"),
                &hex::<42>(
                    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d\
                     9d201395faa4b61a96c8",
                ),
            )
        },
    },
    Case {
        name: "X25519 gives the first product of RFC 7748 §5.2",
        clause: "RFC 7748 §5.2",
        run: || {
            agrees(
                hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
                hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
            )
        },
    },
    Case {
        name: "X25519 gives the second product of RFC 7748 §5.2, whose coordinate has its top bit set",
        clause: "RFC 7748 §5.2",
        run: || {
            agrees(
                hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
                hex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"),
            )
        },
    },
    Case {
        name: "X25519 gives both ends of RFC 7748 §6.1 the same secret",
        clause: "RFC 7748 §6.1",
        run: agreement_of_two,
    },
    Case {
        name: "X25519 refuses every peer share of small order",
        clause: "RFC 7748 §6.1",
        run: small_orders,
    },
    Case {
        name: "ECDSA gives the signature of RFC 6979 over sample, with the lower s",
        clause: "RFC 6979 §A.2.5",
        run: || {
            signs(
                b"sample",
                // The text prints n - s: f7cb1c94…43acda8.
                hex(
                    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                     0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9",
                ),
            )
        },
    },
    Case {
        name: "ECDSA gives the signature of RFC 6979 over test",
        clause: "RFC 6979 §A.2.5",
        run: || {
            signs(
                b"test",
                hex(
                    "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
                     019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
                ),
            )
        },
    },
    Case {
        name: "ECDSA takes the signature of RFC 6979 over sample as printed, with the upper s",
        clause: "RFC 6979 §A.2.5",
        run: upper_s,
    },
    Case {
        name: "ECDSA with a hedge gives another signature that verifies",
        clause: "RFC 6979 §3.6",
        run: hedged,
    },
    Case {
        name: "the public key of RFC 6979 is that of its private key",
        clause: "RFC 6979 §A.2.5",
        run: || {
            let key = SigningKey::from_scalar(&Secret::new(RFC_6979_SCALAR));
            ensure!(key.is_some_and(|key| key.public_key().to_bytes() == RFC_6979_KEY));
            Ok(())
        },
    },
    Case {
        name: "a private key of zero, of the order or over it is refused",
        clause: "FIPS 186-5 §A.2",
        run: scalars_out_of_range,
    },
    Case {
        name: "a public key is read uncompressed and on the curve or not at all",
        clause: "SEC 1 §2.3.4",
        run: points,
    },
];

fn hashes() -> Result<(), Failure> {
    let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let vectors: [(&[u8], [u8; 32]); 3] = [
        (
            b"",
            hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ),
        (
            b"abc",
            hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        (
            two_blocks,
            hex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        ),
    ];
    for (step, (message, hash)) in vectors.iter().enumerate() {
        ensure!(Hash::of(&[message]).0 == *hash, step);
    }
    Ok(())
}

fn hash_in_pieces() -> Result<(), Failure> {
    let message = counting::<160>(0);
    let whole = Hash::of(&[&message]);
    for (step, size) in [1, 3, 16, 63, 64, 65, 128].into_iter().enumerate() {
        let mut hasher = Hasher::new();
        for piece in message.chunks(size) {
            hasher.update(piece);
        }
        ensure!(hasher.finish() == whole, step);
    }
    Ok(())
}

fn macs() -> Result<(), Failure> {
    let long_key = [0xaa; 131];
    let vectors: [(&[u8], &[u8], [u8; 32]); 6] = [
        (
            &[0x0b; 20],
            b"Hi There",
            hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            hex("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        ),
        (
            &counting::<25>(1),
            &[0xcd; 50],
            hex("82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        ),
        (
            &long_key,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        ),
        (
            &long_key,
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm.",
            hex("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ),
    ];
    for (step, (key, message, code)) in vectors.iter().enumerate() {
        let mac = Mac::of(key, &[message]);
        ensure!(mac.as_bytes() == code, step);
        ensure!(mac.verifies(code), step);
        ensure!(!mac.verifies(&code[..31]), step);
    }
    // Case 5 prints the first 16 bytes of its code.
    let truncated = Mac::of(&[0x0c; 20], &[b"Test With Truncation"]);
    ensure!(truncated.as_bytes()[..16] == hex::<16>("a3b6167473100ee06e0c796c2955552b"));
    Ok(())
}

fn derives(
    salt: &[u8],
    input: &[u8],
    info: &[u8],
    extracted: &[u8; 32],
    expanded: &[u8],
) -> Result<(), Failure> {
    let key = extract(salt, input);
    ensure!(key.expose() == extracted);
    let mut output = [0; 82];
    let output = &mut output[..expanded.len()];
    ensure!(expand(&key, &[info], output));
    ensure!(output == expanded);
    Ok(())
}

fn agrees(scalar: [u8; 32], peer: [u8; 32], shared: [u8; 32]) -> Result<(), Failure> {
    let key = EphemeralKey::from_scalar(&Secret::new(scalar));
    ensure!(
        key.agree(&Share(peer))
            .is_some_and(|secret| *secret.expose() == shared)
    );
    Ok(())
}

fn agreement_of_two() -> Result<(), Failure> {
    let alice = EphemeralKey::from_scalar(&Secret::new(hex(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    )));
    let bob = EphemeralKey::from_scalar(&Secret::new(hex(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    )));
    let (of_alice, of_bob) = (alice.share(), bob.share());
    ensure!(of_alice.0 == hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    ensure!(of_bob.0 == hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    ensure!(
        alice
            .agree(&of_bob)
            .is_some_and(|secret| *secret.expose() == shared)
    );
    ensure!(
        bob.agree(&of_alice)
            .is_some_and(|secret| *secret.expose() == shared)
    );
    Ok(())
}

/// The coordinates of the points of small order, and of the same points unreduced (RFC 7748 §7).
pub(crate) const SMALL_ORDERS: [[u8; 32]; 7] = [
    [0; 32],
    hex("0100000000000000000000000000000000000000000000000000000000000000"),
    hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

fn small_orders() -> Result<(), Failure> {
    for (step, share) in SMALL_ORDERS.into_iter().enumerate() {
        let key = EphemeralKey::from_scalar(&Secret::new([0x42; 32]));
        ensure!(key.agree(&Share(share)).is_none(), step);
    }
    Ok(())
}

fn signs(message: &[u8], signature: [u8; 64]) -> Result<(), Failure> {
    let key = SigningKey::from_scalar(&Secret::new(RFC_6979_SCALAR));
    let digest = Hash::of(&[message]);
    ensure!(key.is_some_and(|key| key.sign(&digest, &[]).0 == signature));
    ensure!(rfc_6979_key_takes(message, signature));
    Ok(())
}

fn rfc_6979_key_takes(message: &[u8], signature: [u8; 64]) -> bool {
    PublicKey::from_bytes(&RFC_6979_KEY).is_some_and(|key| {
        key.verify(&Hash::of(&[message]), &Signature(signature))
            .is_ok()
    })
}

fn upper_s() -> Result<(), Failure> {
    let signature = hex(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    );
    ensure!(rfc_6979_key_takes(b"sample", signature));
    ensure!(!rfc_6979_key_takes(b"test", signature));
    Ok(())
}

fn hedged() -> Result<(), Failure> {
    let Some(key) = SigningKey::from_scalar(&Secret::new(RFC_6979_SCALAR)) else {
        ensure!(false);
        return Ok(());
    };
    let digest = Hash::of(&[b"sample"]);
    let (plain, hedged) = (key.sign(&digest, &[]), key.sign(&digest, &[7; 32]));
    ensure!(plain != hedged);
    ensure!(key.public_key().verify(&digest, &hedged).is_ok());
    Ok(())
}

fn scalars_out_of_range() -> Result<(), Failure> {
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let scalars: [[u8; 32]; 3] = [[0; 32], order, [0xff; 32]];
    for (step, scalar) in scalars.into_iter().enumerate() {
        ensure!(
            SigningKey::from_scalar(&Secret::new(scalar)).is_none(),
            step
        );
    }
    Ok(())
}

fn points() -> Result<(), Failure> {
    ensure!(PublicKey::from_bytes(&RFC_6979_KEY).is_some());
    // 2 and 3 compress, 5 is compact, 6 and 7 are hybrid, 0 is infinity: other names of one key, or no key.
    for (step, form) in [0, 1, 2, 3, 5, 6, 7, 0xff].into_iter().enumerate() {
        let mut bytes = RFC_6979_KEY;
        bytes[0] = form;
        ensure!(PublicKey::from_bytes(&bytes).is_none(), step);
    }
    for (step, at) in [1, 32, 33, 64].into_iter().enumerate() {
        let mut bytes = RFC_6979_KEY;
        bytes[at] ^= 1;
        ensure!(PublicKey::from_bytes(&bytes).is_none(), step);
    }
    ensure!(PublicKey::from_coordinates(&[0; 32], &[0; 32]).is_none());
    Ok(())
}

/// Returns `N` bytes counting up from `first`.
fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut next = first;
    core::array::from_fn(|_| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    })
}
