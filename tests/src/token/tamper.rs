//! Every truncation and every flipped bit of a valid token.

use moorline_core::crypto::Hash;
use moorline_core::token::{Candidate, TokenReason, UnpackedToken, jws};

use super::forge::{AGENT, Forgery, HEADER, anchors, case, check};
use crate::{Case, Failure, ensure};

/// One in so many changed tokens that reach the signature is verified: a check is 8 million instructions on a
/// device. For each of them the signing input's hash is another, which is what the signature is over.
const VERIFIED_ONE_IN: usize = 16;

/// Every so many bits of the signature one is flipped, for the same reason; it is prime, so that every position
/// within a byte is met.
const SIGNATURE_STRIDE: usize = 37;

const CLAUSE: &str = "RFC 7515 §5.2";

pub(crate) static CASES: &[Case] = &[
    case(
        "no truncation of a token is read",
        "PROTOCOL.md §2",
        || {
            let bytes = Forgery::agent().bytes();
            for len in 0..bytes.len() {
                let token = UnpackedToken::parse(&bytes[..len]);
                ensure!(token.err() == Some(TokenReason::Truncated), len);
            }
            Ok(())
        },
    ),
    case(
        "every flipped bit before the signature is refused or signed over, one in 16 verified",
        CLAUSE,
        flips_before_signature,
    ),
    case(
        "one flipped bit in 37 of the signature is refused, and it is the signature",
        CLAUSE,
        || {
            let bytes = Forgery::agent().bytes();
            for bit in (0..512).step_by(SIGNATURE_STRIDE) {
                let mut bytes = bytes.clone();
                let at = bytes.len() - 64 + bit / 8;
                bytes[at] ^= 1 << (bit % 8);
                ensure!(
                    check(&bytes, &Forgery::link()) == Err(TokenReason::SignatureInvalid),
                    bit
                );
            }
            Ok(())
        },
    ),
];

fn flips_before_signature() -> Result<(), Failure> {
    let valid = jws::signing_hash(HEADER.as_bytes(), AGENT.as_bytes());
    let (anchors, policy) = (anchors(), Forgery::link());
    let mut bytes = Forgery::agent().bytes();
    let mut reached_signature = 0;
    for bit in 0..(bytes.len() - 64) * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(token) = UnpackedToken::parse_exact(&bytes)
            && let Ok(candidate) = Candidate::check(&token, &anchors, &policy)
        {
            ensure!(signing_hash(&token) != valid, bit);
            if reached_signature % VERIFIED_ONE_IN == 0 {
                let reason = candidate.verify_signature().err();
                ensure!(reason == Some(TokenReason::SignatureInvalid), bit);
            }
            reached_signature += 1;
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // The digits of the times, the subject and the id are free to change but for the signature.
    ensure!(reached_signature > 100, reached_signature);
    ensure!(bytes == Forgery::agent().bytes());
    Ok(())
}

fn signing_hash(token: &UnpackedToken<'_>) -> Hash {
    jws::signing_hash(token.header(), token.payload())
}
