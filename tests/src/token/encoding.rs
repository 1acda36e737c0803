//! Attacks on the compact form, on base64url and on sizes.

use heapless::Vec;
use moorline_core::token::{
    Base64Reason, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, TokenReason, UnpackedToken,
};

use super::forge::{AGENT, Forgery, HEADER, case};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "RFC 7515 §2";
const PARTS: &str = "RFC 7515 §7.1";
const SIZES: &str = "PROTOCOL.md §4";
const TRAILING_BITS: TokenReason = TokenReason::Base64(Base64Reason::TrailingBits);

/// A compact token, and room for some bytes too many.
type Compact = Vec<u8, { MAX_COMPACT_LEN + 64 }>;

pub(crate) static CASES: &[Case] = &[
    case("padding after the header is refused", CLAUSE, || {
        inserted(0, b"=", Base64Reason::Padding)
    }),
    case("padding after the payload is refused", CLAUSE, || {
        inserted(1, b"=", Base64Reason::Padding)
    }),
    case("padding after the signature is refused", CLAUSE, || {
        inserted(2, b"==", Base64Reason::Padding)
    }),
    case("a plus sign is refused", CLAUSE, || {
        inserted(1, b"+", Base64Reason::Character)
    }),
    case("a slash is refused", CLAUSE, || {
        inserted(1, b"/", Base64Reason::Character)
    }),
    case("a line feed is refused", CLAUSE, || {
        inserted(1, b"\n", Base64Reason::Character)
    }),
    case("a carriage return is refused", CLAUSE, || {
        inserted(0, b"\r\n", Base64Reason::Character)
    }),
    case("a blank is refused", CLAUSE, || {
        inserted(2, b" ", Base64Reason::Character)
    }),
    case("a tab is refused", CLAUSE, || {
        inserted(2, b"\t", Base64Reason::Character)
    }),
    case("a zero byte after the signature is refused", CLAUSE, || {
        inserted(2, b"\0", Base64Reason::Character)
    }),
    case("a letter outside ASCII is refused", CLAUSE, || {
        inserted(1, b"\xc3\xa9", Base64Reason::Character)
    }),
    case(
        "unused bits of the signature that are not zero are refused",
        CLAUSE,
        || compact(b"e30.e30.e31", TRAILING_BITS),
    ),
    case(
        "unused bits of the header that are not zero are refused",
        CLAUSE,
        || compact(b"e31.e30.e30", TRAILING_BITS),
    ),
    case(
        "unused bits of the payload that are not zero are refused",
        CLAUSE,
        || compact(b"e30.e31.e30", TRAILING_BITS),
    ),
    case(
        "a part one longer than a multiple of four is refused",
        CLAUSE,
        || {
            // The signature's text has 86 characters: three more make 89.
            inserted(2, b"AAA", Base64Reason::Length)
        },
    ),
    case("no dot is refused", PARTS, || {
        compact(b"AAAA", TokenReason::PartCount)
    }),
    case("one dot is refused", PARTS, || {
        compact(b"AAAA.AAAA", TokenReason::PartCount)
    }),
    case("three dots are refused", PARTS, || {
        compact(b"AAAA.AAAA.AAAA.AAAA", TokenReason::PartCount)
    }),
    case(
        "four dots, the form of an encrypted token, are refused",
        "RFC 7516 §7.1",
        || compact(b"AAAA.AAAA.AAAA.AAAA.AAAA", TokenReason::PartCount),
    ),
    case("a dot before the header is refused", PARTS, || {
        compact(b".AAAA.AAAA.AAAA", TokenReason::PartCount)
    }),
    case("a dot after the signature is refused", PARTS, || {
        compact(b"AAAA.AAAA.AAAA.", TokenReason::PartCount)
    }),
    case("an empty header is refused", PARTS, || {
        compact(b".AAAA.AAAA", TokenReason::PartEmpty)
    }),
    case("an empty payload is refused", PARTS, || {
        compact(b"AAAA..AAAA", TokenReason::PartEmpty)
    }),
    case("an empty signature is refused", PARTS, || {
        compact(b"AAAA.AAAA.", TokenReason::PartEmpty)
    }),
    case("nothing is refused", PARTS, || {
        compact(b"", TokenReason::PartCount)
    }),
    case("two dots alone are refused", PARTS, || {
        compact(b"..", TokenReason::PartEmpty)
    }),
    case(
        "the JSON form of a signature is refused",
        "RFC 7515 §7.2",
        || {
            compact(
                b"{\"payload\":\"AAAA\",\"signatures\":[]}",
                TokenReason::PartCount,
            )
        },
    ),
    case(
        "a compact token one byte too long is refused before it is looked at",
        SIZES,
        || compact(&[b'.'; MAX_COMPACT_LEN + 1], TokenReason::CompactTooLong),
    ),
    case(
        "a compact token of the greatest length is looked at",
        SIZES,
        || compact(&[b'.'; MAX_COMPACT_LEN], TokenReason::PartCount),
    ),
    case(
        "a compact header one byte too long is refused",
        SIZES,
        || {
            let mut text = Compact::new();
            ensure!(text.extend_from_slice(&[b'A'; 130]).is_ok());
            ensure!(text.extend_from_slice(b".AAAA.AAAA").is_ok());
            compact(&text, TokenReason::HeaderTooLong)
        },
    ),
    case(
        "a compact payload one byte too long is refused",
        SIZES,
        || {
            let mut text = Compact::new();
            ensure!(text.extend_from_slice(b"AAAA.").is_ok());
            ensure!(text.extend_from_slice(&[b'A'; 684]).is_ok());
            ensure!(text.extend_from_slice(b".AAAA").is_ok());
            compact(&text, TokenReason::PayloadTooLong)
        },
    ),
    case("a payload of 512 bytes is read", SIZES, || {
        padded(512).good_but_for_signature()
    }),
    case("a payload of 513 bytes is refused", SIZES, || {
        padded(513).refused(TokenReason::PayloadTooLong)
    }),
    case("a header of 96 bytes is read", SIZES, || {
        Forgery::agent()
            .header("{", blanks::<56>(b'{'))
            .good_but_for_signature()
    }),
    case("a header of 97 bytes is refused", SIZES, || {
        Forgery::agent()
            .header("{", blanks::<57>(b'{'))
            .refused(TokenReason::HeaderTooLong)
    }),
    case(
        "an unpacked token with an empty header is refused",
        SIZES,
        || {
            Forgery::agent()
                .header(HEADER, "")
                .refused(TokenReason::PartEmpty)
        },
    ),
    case(
        "an unpacked token with an empty payload is refused",
        SIZES,
        || {
            Forgery::agent()
                .payload(AGENT, "")
                .refused(TokenReason::PartEmpty)
        },
    ),
    case(
        "an unpacked token with a byte after it is refused",
        SIZES,
        || {
            let mut bytes = Forgery::agent().bytes();
            ensure!(bytes.push(0).is_ok());
            ensure!(UnpackedToken::parse_exact(&bytes) == Err(TokenReason::TrailingBytes));
            let front = UnpackedToken::parse(&bytes).map(|(_, consumed)| consumed);
            ensure!(front == Ok(bytes.len() - 1));
            Ok(())
        },
    ),
    case(
        "every truncation of the compact form is refused",
        PARTS,
        || {
            let text = valid_compact();
            ensure!(!text.is_empty());
            for len in 0..text.len() {
                let mut out = [0; MAX_UNPACKED_LEN];
                ensure!(
                    UnpackedToken::from_compact(&text[..len], &mut out).is_err(),
                    len
                );
            }
            Ok(())
        },
    ),
    case("compact and unpacked are one token", PARTS, || {
        let text = valid_compact();
        let mut out = [0; MAX_UNPACKED_LEN];
        let token = UnpackedToken::from_compact(&text, &mut out);
        ensure!(token.is_ok_and(|token| token.as_bytes() == Forgery::agent().bytes()));
        Ok(())
    }),
    case(
        "a buffer that is too short is the caller's fault and named so",
        PARTS,
        || {
            let text = valid_compact();
            let len = Forgery::agent().bytes().len();
            for short in 0..len {
                let mut out = [0; MAX_UNPACKED_LEN];
                let token = UnpackedToken::from_compact(&text, &mut out[..short]);
                ensure!(token == Err(TokenReason::OutputTooSmall), short);
            }
            Ok(())
        },
    ),
];

/// Returns the valid agent's token in compact form.
pub(super) fn valid_compact() -> Compact {
    let bytes = Forgery::agent().bytes();
    let mut text = [0; MAX_COMPACT_LEN];
    let mut compact = Compact::new();
    if let Ok(token) = UnpackedToken::parse_exact(&bytes)
        && let Ok(text) = token.to_compact(&mut text)
    {
        // The token is shorter than the limit, so that there is room.
        let _ = compact.extend_from_slice(text.as_bytes());
    }
    compact
}

/// Fails unless `text` is refused for `reason`.
pub(super) fn compact(text: &[u8], reason: TokenReason) -> Result<(), Failure> {
    let mut out = [0; MAX_UNPACKED_LEN];
    ensure!(UnpackedToken::from_compact(text, &mut out) == Err(reason));
    Ok(())
}

/// Puts `bytes` at the end of one part of the valid token.
fn inserted(part: usize, bytes: &[u8], reason: Base64Reason) -> Result<(), Failure> {
    let mut text = Compact::new();
    for (at, piece) in valid_compact().split(|byte| *byte == b'.').enumerate() {
        if at > 0 {
            ensure!(text.push(b'.').is_ok());
        }
        ensure!(text.extend_from_slice(piece).is_ok());
        if at == part {
            ensure!(text.extend_from_slice(bytes).is_ok());
        }
    }
    compact(&text, TokenReason::Base64(reason))
}

/// Returns the valid token with blanks before the end of its payload, up to `len` bytes.
fn padded(len: usize) -> Forgery {
    let blanks = [b' '; 512];
    let missing = len - AGENT.len();
    let mut end = Vec::<u8, 520>::new();
    let is_whole = end.extend_from_slice(b"\"gen\":3").is_ok()
        && end.extend_from_slice(&blanks[..missing]).is_ok()
        && end.push(b'}').is_ok();
    let from = if is_whole { "\"gen\":3}" } else { "no room" };
    Forgery::agent().payload(from, end)
}

/// Returns `first` and blanks after it, `N` bytes in all.
fn blanks<const N: usize>(first: u8) -> [u8; N] {
    core::array::from_fn(|at| if at == 0 { first } else { b' ' })
}
