//! Attacks on the signature.

use heapless::Vec;
use moorline_core::crypto::{Hash, PublicKey, Secret, SigningKey};
use moorline_core::time::UnixMillis;
use moorline_core::token::{
    Candidate, Policy, TokenReason, TrustAnchor, TrustAnchors, UnpackedToken, VerifiedToken, jws,
};

use super::encoding::compact;
use super::forge::{
    AGENT, AGENT_SIGNATURE, Forgery, HEADER, HUB, ISSUER, KID, NOW, case, check, read,
};
use crate::hex::hex;
use crate::jws::{SCALAR as HOLDER_SCALAR, X, Y};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "RFC 7518 §3.4";
const INVALID: TokenReason = TokenReason::SignatureInvalid;

/// The order of the curve (SEC 2 §2.4.2).
const ORDER: [u8; 32] = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

pub(crate) static CASES: &[Case] = &[
    case("a signature of zeros is refused", "CVE-2022-21449", || {
        signature([0; 64])
    }),
    case("r of zero is refused", CLAUSE, || {
        with_halves(Some([0; 32]), None)
    }),
    case("s of zero is refused", CLAUSE, || {
        with_halves(None, Some([0; 32]))
    }),
    case("r at the order is refused", CLAUSE, || {
        with_halves(Some(ORDER), None)
    }),
    case("s at the order is refused", CLAUSE, || {
        with_halves(None, Some(ORDER))
    }),
    case("r and s at the order are refused", "CVE-2022-21449", || {
        with_halves(Some(ORDER), Some(ORDER))
    }),
    case("r of the order less one is refused", CLAUSE, || {
        with_halves(Some(order_less_one()), None)
    }),
    case("s of the order less one is refused", CLAUSE, || {
        with_halves(None, Some(order_less_one()))
    }),
    case("r and s of one are refused", CLAUSE, || {
        let mut one = [0; 32];
        one[31] = 1;
        with_halves(Some(one), Some(one))
    }),
    case("a signature of all ones is refused", CLAUSE, || {
        signature([0xff; 64])
    }),
    case("r and s exchanged are refused", CLAUSE, || {
        let (r, s) = halves();
        with_halves(Some(s), Some(r))
    }),
    case(
        "the other s of a signature is accepted",
        "PROTOCOL.md §3.2",
        || {
            let (_, s) = halves();
            Forgery::agent()
                .signature(joined(halves().0, negated(s)))
                .good()
        },
    ),
    case(
        "the other s makes another token hash and the same jti",
        "PROTOCOL.md §4",
        || {
            let (r, s) = halves();
            let (one, other) = (
                Forgery::agent(),
                Forgery::agent().signature(joined(r, negated(s))),
            );
            let hashes = (hash(&one.bytes()), hash(&other.bytes()));
            ensure!(hashes.0.is_some() && hashes.0 != hashes.1);
            ensure!(one.accepted()?.jti == other.accepted()?.jti);
            Ok(())
        },
    ),
    case(
        "a signature in DER is refused by its length",
        CLAUSE,
        || {
            let (r, s) = halves();
            let mut der = Vec::<u8, 72>::new();
            for part in [&[0x30, 0x45, 0x02, 0x21, 0x00][..], &r, &[0x02, 0x20], &s] {
                ensure!(der.extend_from_slice(part).is_ok());
            }
            of_length(&der)
        },
    ),
    case("a signature of 63 bytes is refused", CLAUSE, || {
        of_length(&AGENT_SIGNATURE[..63])
    }),
    case(
        "a signature with a zero after it is refused",
        CLAUSE,
        zeros_after::<65>,
    ),
    case(
        "a signature with 32 zeros after it is refused",
        CLAUSE,
        zeros_after::<96>,
    ),
    case("a signature of one byte is refused", CLAUSE, || {
        of_length(&[1])
    }),
    case(
        "an unpacked signature of 63 bytes is refused",
        "PROTOCOL.md §2",
        || {
            let bytes = Forgery::agent().bytes();
            let token = UnpackedToken::parse_exact(&bytes[..bytes.len() - 1]);
            ensure!(token == Err(TokenReason::Truncated));
            Ok(())
        },
    ),
    case(
        "an unpacked signature with a zero after it is refused",
        "PROTOCOL.md §2",
        || {
            let mut bytes = Forgery::agent().bytes();
            ensure!(bytes.push(0).is_ok());
            ensure!(UnpackedToken::parse_exact(&bytes) == Err(TokenReason::TrailingBytes));
            Ok(())
        },
    ),
    case(
        "a token signed by another key under the issuer's kid is refused",
        "RFC 7515 §5.2",
        || signed_with([9; 32]),
    ),
    case(
        "a token that its holder signed is refused",
        "RFC 7800 §4",
        || signed_with(HOLDER_SCALAR),
    ),
    case(
        "a later exp under an earlier signature is refused",
        "RFC 7515 §5.2",
        || {
            Forgery::agent()
                .payload("1800003600", "1800003601")
                .refused(INVALID)
        },
    ),
    case(
        "another subject under an earlier signature is refused",
        "RFC 7515 §5.2",
        || {
            Forgery::agent()
                .payload("crane-7", "crane-8")
                .refused(INVALID)
        },
    ),
    case(
        "an agent made a commander under its signature is refused",
        "RFC 7515 §5.2",
        || Forgery::commander().refused(INVALID),
    ),
    case(
        "a blank added to the payload under the signature is refused",
        "RFC 7515 §5.2",
        || {
            Forgery::agent()
                .payload("\"gen\":3", " \"gen\":3")
                .refused(INVALID)
        },
    ),
    case(
        "a byte moved from payload to header breaks the token",
        "PROTOCOL.md §2",
        || {
            // The same bytes follow the lengths; only the border is another.
            let mut bytes = Forgery::agent().bytes();
            bytes[0] += 1;
            let payload_len = u16::from_be_bytes([bytes[1], bytes[2]]) - 1;
            bytes[1..3].copy_from_slice(&payload_len.to_be_bytes());
            ensure!(check(&bytes, &Forgery::link()).is_err());
            Ok(())
        },
    ),
    case(
        "a proof of an earlier verification saves the signature check",
        "PROTOCOL.md §2",
        || {
            with_proof(|bytes, proof| {
                let claims = read(bytes, &Forgery::link()).and_then(|it| it.accept_verified(proof));
                ensure!(claims.is_ok_and(|claims| claims.token_hash() == proof.token_hash()));
                Ok(())
            })
        },
    ),
    case(
        "a proof of another token is refused",
        "PROTOCOL.md §2",
        || {
            with_proof(|_, proof| {
                let other = Forgery::agent().payload("\"gen\":3", "\"gen\":4").bytes();
                let claims =
                    read(&other, &Forgery::link()).and_then(|it| it.accept_verified(proof));
                ensure!(claims.is_err_and(|reason| reason == TokenReason::ProofOfAnother));
                Ok(())
            })
        },
    ),
    case(
        "a proof under an issuer key that was replaced is refused",
        "PROTOCOL.md §2",
        || {
            with_proof(|bytes, proof| {
                let reason = Some(TokenReason::ProofOfAnother);
                ensure!(reason_with_replaced_key(bytes, proof) == reason);
                Ok(())
            })
        },
    ),
    case(
        "a proof does not save the look at the clock",
        "PROTOCOL.md §2",
        || {
            with_proof(|bytes, _| {
                let later = Policy::link(HUB, UnixMillis::from_secs(NOW + 3600));
                ensure!(read(bytes, &later).is_err_and(|reason| reason == TokenReason::Expired));
                Ok(())
            })
        },
    ),
];

fn signature(signature: [u8; 64]) -> Result<(), Failure> {
    Forgery::agent().signature(signature).refused(INVALID)
}

fn halves() -> ([u8; 32], [u8; 32]) {
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.copy_from_slice(&AGENT_SIGNATURE[..32]);
    s.copy_from_slice(&AGENT_SIGNATURE[32..]);
    (r, s)
}

fn joined(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    core::array::from_fn(|at| if at < 32 { r[at] } else { s[at - 32] })
}

/// Replaces r, s or both in the valid signature.
fn with_halves(r: Option<[u8; 32]>, s: Option<[u8; 32]>) -> Result<(), Failure> {
    let (valid_r, valid_s) = halves();
    signature(joined(r.unwrap_or(valid_r), s.unwrap_or(valid_s)))
}

fn order_less_one() -> [u8; 32] {
    let mut less = ORDER;
    less[31] -= 1;
    less
}

/// Returns the order less `s`: with it the signature is as right as before.
fn negated(s: [u8; 32]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = false;
    for at in (0..32).rev() {
        let (once, first) = ORDER[at].overflowing_sub(s[at]);
        let (twice, second) = once.overflowing_sub(u8::from(borrow));
        difference[at] = twice;
        borrow = first || second;
    }
    difference
}

/// Puts `signature` into the compact form, which alone can hold one of another length.
fn of_length(signature: &[u8]) -> Result<(), Failure> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = Vec::<u8, 160>::new();
    ensure!(text.extend_from_slice(b"e30.e30.").is_ok());
    for chunk in signature.chunks(3) {
        let mut bits = 0;
        for at in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..=chunk.len() {
            let index = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
            ensure!(text.push(ALPHABET[index]).is_ok());
        }
    }
    compact(&text, TokenReason::SignatureLength)
}

fn zeros_after<const N: usize>() -> Result<(), Failure> {
    let mut longer = [0; N];
    longer[..64].copy_from_slice(&AGENT_SIGNATURE);
    of_length(&longer)
}

/// Has the key of `scalar` sign in the issuer's place.
fn signed_with(scalar: [u8; 32]) -> Result<(), Failure> {
    let key = SigningKey::from_scalar(&Secret::new(scalar));
    let digest = jws::signing_hash(HEADER.as_bytes(), AGENT.as_bytes());
    ensure!(key.is_some());
    key.map_or(Ok(()), |key| signature(key.sign(&digest, &[]).0))
}

/// Verifies the valid token and runs `run` with its bytes and the proof of it.
fn with_proof(run: fn(&[u8], &VerifiedToken) -> Result<(), Failure>) -> Result<(), Failure> {
    let bytes = Forgery::agent().bytes();
    let proof = read(&bytes, &Forgery::link())
        .and_then(Candidate::verify_signature)
        .map(|claims| claims.proof());
    ensure!(proof.is_ok());
    proof.map_or(Ok(()), |proof| run(&bytes, &proof))
}

/// Shows a token and its proof where the issuer's kid stands for another key.
fn reason_with_replaced_key(bytes: &[u8], proof: &VerifiedToken) -> Option<TokenReason> {
    let key = PublicKey::from_coordinates(&X, &Y)?;
    let mut anchors = TrustAnchors::new();
    anchors
        .insert(TrustAnchor::new(ISSUER, KID, key).ok()?)
        .ok()?;
    let token = UnpackedToken::parse_exact(bytes).ok()?;
    let candidate = Candidate::check(&token, &anchors, &Forgery::link()).ok()?;
    candidate.accept_verified(proof).err()
}

fn hash(bytes: &[u8]) -> Option<Hash> {
    UnpackedToken::parse_exact(bytes)
        .ok()
        .map(|token| token.hash())
}
