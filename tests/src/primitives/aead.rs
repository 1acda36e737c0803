//! The AEADs of both suites against the vectors of their standards, through core's own types.

use moorline_core::crypto::{AeadKey, Sealed, Secret, Suite};

use super::counting;
use crate::hex::hex;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "AES-256-GCM seals and opens case 13, nothing under a zero key",
        clause: "SP 800-38D §7, GCM test case 13",
        run: || {
            seals(
                Suite::Aes256Gcm,
                [0; 32],
                [0; 12],
                &[],
                [],
                [],
                hex("530f8afbc74536b9a963b4f1c4cb738b"),
            )
        },
    },
    Case {
        name: "AES-256-GCM seals and opens case 14, one block under a zero key",
        clause: "SP 800-38D §7, GCM test case 14",
        run: || {
            seals(
                Suite::Aes256Gcm,
                [0; 32],
                [0; 12],
                &[],
                [0; 16],
                hex("cea7403d4d606b6e074ec5d3baf39d18"),
                hex("d0d1c8a799996bf0265b98b5d48ab919"),
            )
        },
    },
    Case {
        name: "AES-256-GCM seals and opens case 15, four blocks",
        clause: "SP 800-38D §7, GCM test case 15",
        run: || {
            seals(
                Suite::Aes256Gcm,
                GCM_KEY,
                GCM_IV,
                &[],
                hex::<64>(
                    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
                ),
                hex(
                    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                     8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
                ),
                hex("b094dac5d93471bdec1a502270e3cc6c"),
            )
        },
    },
    Case {
        name: "AES-256-GCM seals and opens case 16, with additional data and a last block that is not full",
        clause: "SP 800-38D §7, GCM test case 16",
        run: || {
            seals(
                Suite::Aes256Gcm,
                GCM_KEY,
                GCM_IV,
                &hex::<20>("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
                hex::<60>(
                    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                ),
                hex(
                    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                     8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
                ),
                hex("76fc6ece0f4e1768cddf8853bb2d551b"),
            )
        },
    },
    Case {
        name: "AES-256-GCM opens nothing after any single flipped bit of ciphertext, additional data or tag",
        clause: "SP 800-38D §7.2",
        run: || aead_tamper(Suite::Aes256Gcm),
    },
    Case {
        name: "ChaCha20-Poly1305 seals and opens the example of RFC 8439",
        clause: "RFC 8439 §2.8.2",
        run: || {
            seals(
                Suite::ChaCha20Poly1305,
                counting(0x80),
                hex("070000004041424344454647"),
                &hex::<12>("50515253c0c1c2c3c4c5c6c7"),
                *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                   the future, sunscreen would be it.",
                hex(
                    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
                     3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
                     92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
                     3ff4def08e4b7a9de576d26586cec64b6116",
                ),
                hex("1ae10b594f09e26a7e902ecbd0600691"),
            )
        },
    },
    Case {
        name: "ChaCha20-Poly1305 opens the message of RFC 8439, appendix A",
        clause: "RFC 8439 §A.5",
        run: || {
            seals(
                Suite::ChaCha20Poly1305,
                hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"),
                hex("000000000102030405060708"),
                &hex::<12>("f33388860000000000004e91"),
                *b"Internet-Drafts are draft documents valid for a maximum of six months and may be \
                   updated, replaced, or obsoleted by other documents at any time. It is \
                   inappropriate to use Internet-Drafts as reference material or to cite them \
                   other than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d",
                hex(
                    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2\
                     4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf\
                     332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855\
                     9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4\
                     b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e\
                     af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a\
                     0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10\
                     49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29\
                     a6ad5cb4022b02709b",
                ),
                hex("eead9d67890cbb22392336fea1851f38"),
            )
        },
    },
    Case {
        name: "ChaCha20-Poly1305 opens nothing after any single flipped bit of ciphertext, additional data or tag",
        clause: "RFC 8439 §2.8",
        run: || aead_tamper(Suite::ChaCha20Poly1305),
    },
    Case {
        name: "a key of one suite opens nothing of the other",
        clause: "PROTOCOL.md §2.2",
        run: suites_apart,
    },
    Case {
        name: "the suites are numbers 1 and 2, and no other number is one",
        clause: "PROTOCOL.md §2.2",
        run: suite_numbers,
    },
    Case {
        name: "the sequence number is added to the last eight bytes of the iv",
        clause: "RFC 8446 §5.3",
        run: || {
            nonces(Suite::Aes256Gcm)?;
            nonces(Suite::ChaCha20Poly1305)
        },
    },
];

const GCM_KEY: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
const GCM_IV: [u8; 12] = hex("cafebabefacedbaddecaf888");

fn seals<const N: usize>(
    suite: Suite,
    key: [u8; 32],
    iv: [u8; 12],
    aad: &[u8],
    plaintext: [u8; N],
    ciphertext: [u8; N],
    tag: [u8; 16],
) -> Result<(), Failure> {
    let key = AeadKey::new(suite, &Secret::new(key), Secret::new(iv));
    let mut buffer = plaintext;
    // Number 0 leaves the iv as it is.
    ensure!(key.seal_in_place(0, aad, &mut buffer) == Some(Sealed(tag)));
    ensure!(buffer == ciphertext);
    ensure!(key.open_in_place(0, aad, &mut buffer, &tag));
    ensure!(buffer == plaintext);
    Ok(())
}

fn aead_tamper(suite: Suite) -> Result<(), Failure> {
    let key = AeadKey::new(suite, &Secret::new(GCM_KEY), Secret::new(GCM_IV));
    let plaintext = counting::<20>(0);
    let aad = counting::<9>(0x80);
    let mut sealed = plaintext;
    let Some(Sealed(tag)) = key.seal_in_place(1, &aad, &mut sealed) else {
        ensure!(false);
        return Ok(());
    };
    for bit in 0..(20 + 9 + 16) * 8 {
        let (mut buffer, mut aad, mut tag) = (sealed, aad, tag);
        let byte = buffer
            .iter_mut()
            .chain(&mut aad)
            .chain(&mut tag)
            .nth(bit / 8);
        if let Some(byte) = byte {
            *byte ^= 1 << (bit % 8);
        }
        ensure!(!key.open_in_place(1, &aad, &mut buffer, &tag), bit);
        ensure!(buffer != plaintext, bit);
    }
    ensure!(!key.open_in_place(2, &aad, &mut { sealed }, &tag));
    ensure!(key.open_in_place(1, &aad, &mut sealed, &tag));
    Ok(())
}

fn suites_apart() -> Result<(), Failure> {
    let suites = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
    let [one, other] =
        suites.map(|suite| AeadKey::new(suite, &Secret::new([7; 32]), Secret::new([9; 12])));
    for (step, (sealer, opener)) in [(&one, &other), (&other, &one)].into_iter().enumerate() {
        let mut buffer = [0x5A; 20];
        let Some(Sealed(tag)) = sealer.seal_in_place(0, &[], &mut buffer) else {
            ensure!(false, step);
            return Ok(());
        };
        ensure!(!opener.open_in_place(0, &[], &mut { buffer }, &tag), step);
        ensure!(sealer.open_in_place(0, &[], &mut buffer, &tag), step);
    }
    Ok(())
}

fn suite_numbers() -> Result<(), Failure> {
    for number in 0..=u8::MAX {
        let suite = Suite::from_number(number);
        ensure!(
            suite.is_some() == (number == 1 || number == 2),
            number.into()
        );
        ensure!(
            suite.is_none_or(|suite| suite.number() == number),
            number.into()
        );
    }
    ensure!(Suite::from_number(1) == Some(Suite::Aes256Gcm));
    ensure!(Suite::from_number(2) == Some(Suite::ChaCha20Poly1305));
    Ok(())
}

fn nonces(suite: Suite) -> Result<(), Failure> {
    let seq = 0x0102_0304_0506_0708;
    let mut iv = GCM_IV;
    for (to, from) in iv.iter_mut().skip(4).zip(1..=8) {
        *to ^= from;
    }
    let numbered = AeadKey::new(suite, &Secret::new(GCM_KEY), Secret::new(GCM_IV));
    let plain = AeadKey::new(suite, &Secret::new(GCM_KEY), Secret::new(iv));
    let (mut one, mut other) = ([0; 16], [0; 16]);
    ensure!(numbered.seal_in_place(seq, &[], &mut one) == plain.seal_in_place(0, &[], &mut other));
    ensure!(one == other);
    Ok(())
}
