//! Signed heads: what the log was at a moment.

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Hash, PublicKey, Signature, SigningKey};
use moorline_core::entropy::EntropyError;
use serde::{Deserialize, Serialize};

use super::record::{Link, decode, encode};
use crate::entropy::random;

/// What stands before the signature of a head, and behind it.
const BEFORE_SIGNATURE: &str = ",\"signature\":\"";
const AFTER_SIGNATURE: &str = "\"}";

/// Length of a signature in base64url.
const SIGNATURE_TEXT_LEN: usize = 86;

/// What a head says of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    /// It begins behind this record: what was before was removed, or there was nothing.
    Start,
    /// It reaches as far as this record.
    Head,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    what: What,
    count: u64,
    number: u64,
    hash: String,
    time: u64,
}

/// A head whose signature was checked, or that was just signed.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) what: What,
    /// How many records there have been in all.
    pub(super) count: u64,
    /// The last of them.
    pub(super) link: Link,
    /// When it was signed, in milliseconds since 1970.
    pub(super) time: u64,
    /// The line that it stands in, without its end.
    pub(super) line: String,
}

impl Head {
    /// Signs a head.
    pub(super) fn sign(
        what: What,
        count: u64,
        link: Link,
        time: u64,
        key: &SigningKey,
    ) -> Result<Self, EntropyError> {
        let body = Body {
            what,
            count,
            number: link.number,
            hash: encode(&link.hash),
            time,
        };
        let hedge = random::<32>()?;
        let mut line = serde_json::to_string(&body).map_err(|_| EntropyError)?;
        // The closing brace comes behind the signature.
        line.pop();
        let signature = key.sign(&digest(line.as_bytes()), &hedge);
        let signature = Base64UrlUnpadded::encode_string(&signature.0);
        for part in [BEFORE_SIGNATURE, &signature, AFTER_SIGNATURE] {
            line.push_str(part);
        }
        Ok(Self {
            what,
            count,
            link,
            time,
            line,
        })
    }

    /// Reads the head in `line`, which has no end any more. Nothing is returned unless `key` has signed it.
    pub(super) fn read(line: &[u8], key: &PublicKey) -> Option<Self> {
        let suffix_len = BEFORE_SIGNATURE.len() + SIGNATURE_TEXT_LEN + AFTER_SIGNATURE.len();
        let (body, suffix) = line.split_at_checked(line.len().checked_sub(suffix_len)?)?;
        let text = suffix
            .strip_prefix(BEFORE_SIGNATURE.as_bytes())?
            .strip_suffix(AFTER_SIGNATURE.as_bytes())?;
        let mut signature = [0; 64];
        let decoded = Base64UrlUnpadded::decode(text, &mut signature).ok()?;
        if decoded.len() != 64 {
            return None;
        }
        key.verify(&digest(body), &Signature(signature)).ok()?;
        let said: Body = serde_json::from_slice(&[body, b"}"].concat()).ok()?;
        Some(Self {
            what: said.what,
            count: said.count,
            link: Link {
                number: said.number,
                hash: decode(&said.hash)?,
            },
            time: said.time,
            line: String::from_utf8(line.to_vec()).ok()?,
        })
    }
}

/// What is signed, in the form of PROTOCOL.md §3.2 and under a label of its own: no signature over a head is one over
/// anything else.
fn digest(body: &[u8]) -> Hash {
    let hash = Hash::of(&[body]);
    Hash::of(&[&[0x20; 64], b"ML1 ", b"audit head", &[0], hash.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn every_bit_of_a_head_counts_and_so_does_its_key() {
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let other = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let link = Link {
            number: 7,
            hash: Hash::of(&[b"seven"]),
        };
        let head = Head::sign(What::Head, 7, link, 5, &key).expect("signed");
        let line = head.line.as_bytes();
        let read = Head::read(line, key.public_key()).expect("signed");
        assert_eq!((read.link, read.count, read.time), (link, 7, 5));
        assert!(Head::read(line, other.public_key()).is_none());
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.to_vec();
                changed[place] ^= 1 << bit;
                let read = Head::read(&changed, key.public_key());
                assert!(read.is_none(), "bit {bit} of byte {place}");
            }
        }
    }
}
