//! Canonical base64url without padding (RFC 4648 §5, RFC 7515 §2).
//!
//! Every text has at most one encoding here: what another reader would forgive is an error with a name.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::reason::Base64Reason;
use crate::crypto::Hasher;

/// Bytes encoded at a time: a multiple of three, so that the chunks' texts join to the text of the whole.
const CHUNK_LEN: usize = 48;

/// Returns the length of the text of `len` bytes.
#[must_use]
pub(super) const fn encoded_len(len: usize) -> usize {
    len.saturating_mul(4).div_ceil(3)
}

/// Why a text was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The text is not canonical.
    Text(Base64Reason),
    /// `output` does not take the decoded bytes.
    OutputTooSmall,
}

/// Decodes `text` to the front of `output` and returns the decoded bytes.
pub(super) fn decode<'a>(text: &[u8], output: &'a mut [u8]) -> Result<&'a [u8], DecodeError> {
    for character in text {
        match character {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'=' => return Err(DecodeError::Text(Base64Reason::Padding)),
            _ => return Err(DecodeError::Text(Base64Reason::Character)),
        }
    }
    if text.len() % 4 == 1 {
        return Err(DecodeError::Text(Base64Reason::Length));
    }
    let len = text.len() / 4 * 3 + (text.len() % 4).saturating_sub(1);
    let output = output.get_mut(..len).ok_or(DecodeError::OutputTooSmall)?;
    // What is left for the library to refuse is a last character with bits that stand for nothing.
    Base64UrlUnpadded::decode(text, output)
        .map_err(|_| DecodeError::Text(Base64Reason::TrailingBits))
}

/// Decodes `text` to exactly `N` bytes; nothing when its length is that of another number of bytes.
pub(super) fn decode_exact<const N: usize>(text: &str) -> Option<Result<[u8; N], Base64Reason>> {
    if text.len() != encoded_len(N) {
        return None;
    }
    let mut bytes = [0; N];
    match decode(text.as_bytes(), &mut bytes) {
        Ok(_) => Some(Ok(bytes)),
        Err(DecodeError::Text(reason)) => Some(Err(reason)),
        Err(DecodeError::OutputTooSmall) => None,
    }
}

/// Hands the text of `bytes` piece by piece to `take`, without a buffer for the whole.
pub(super) fn encode_in_chunks(bytes: &[u8], mut take: impl FnMut(&[u8])) {
    let mut text = [0; encoded_len(CHUNK_LEN)];
    for chunk in bytes.chunks(CHUNK_LEN) {
        // The buffer has room for the text of a whole chunk.
        if let Ok(text) = Base64UrlUnpadded::encode(chunk, &mut text) {
            take(text.as_bytes());
        }
    }
}

/// Takes the text of `bytes` into `hasher`.
pub(super) fn hash_text(bytes: &[u8], hasher: &mut Hasher) {
    encode_in_chunks(bytes, |text| hasher.update(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8]) -> Result<usize, DecodeError> {
        decode(text, &mut [0; 64]).map(<[u8]>::len)
    }

    #[test]
    fn decodes_the_vectors_of_rfc_4648_section_10() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg", b"f"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg", b"foob"),
            ("Zm9vYmE", b"fooba"),
            ("Zm9vYmFy", b"foobar"),
        ] {
            assert_eq!(decode(text.as_bytes(), &mut [0; 8]), Ok(bytes));
            assert_eq!(text.len(), encoded_len(bytes.len()));
        }
    }

    #[test]
    fn every_text_of_two_characters_is_refused_unless_it_is_what_encode_writes() {
        for first in 0..=255 {
            for second in 0..=255 {
                let text = [first, second];
                let mut byte = [0; 1];
                if decode(&text, &mut byte).is_ok() {
                    let mut again = [0; 2];
                    let again = Base64UrlUnpadded::encode(&byte, &mut again).unwrap();
                    assert_eq!(again.as_bytes(), text);
                }
            }
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        assert_eq!(
            decoded(b"Zg=="),
            Err(DecodeError::Text(Base64Reason::Padding))
        );
        assert_eq!(
            decoded(b"Zm+v"),
            Err(DecodeError::Text(Base64Reason::Character))
        );
        assert_eq!(
            decoded(b"Zm\nv"),
            Err(DecodeError::Text(Base64Reason::Character))
        );
        assert_eq!(
            decoded(b"Zm9vY"),
            Err(DecodeError::Text(Base64Reason::Length))
        );
        assert_eq!(
            decoded(b"Zh"),
            Err(DecodeError::Text(Base64Reason::TrailingBits))
        );
        assert_eq!(
            decode(b"Zm9v", &mut [0; 2]),
            Err(DecodeError::OutputTooSmall)
        );
    }

    #[test]
    fn the_chunks_join_to_the_text_of_the_whole() {
        let bytes: [u8; 200] = core::array::from_fn(|at| u8::try_from(at).unwrap());
        for len in 0..bytes.len() {
            let mut whole = [0; 300];
            let whole = Base64UrlUnpadded::encode(&bytes[..len], &mut whole).unwrap();
            let mut at = 0;
            encode_in_chunks(&bytes[..len], |text| {
                assert_eq!(&whole.as_bytes()[at..at + text.len()], text);
                at += text.len();
            });
            assert_eq!(at, whole.len());
        }
    }
}
