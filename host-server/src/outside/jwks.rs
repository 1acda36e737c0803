//! The public keys of an issuer in a file: a JSON Web Key set (RFC 7517 §5), read strictly.
//!
//! Every key has to be one that verifies ES256 (RFC 7518 §3.4) and nothing else. One that is not is a mistake of whoever wrote
//! the file, and is not passed over: a key that is taken for another's use is worse than none.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::PublicKey;
use moorline_core::token::{MAX_TRUST_ANCHORS, TrustAnchor, TrustAnchors};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Longest file in bytes.
const MAX_FILE_LEN: u64 = 64 * 1024;

/// Members that a private or secret key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The public keys of one issuer: 1 to [`MAX_TRUST_ANCHORS`], each with a kid of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<(String, PublicKey)>);

/// Why a file has no keys that are taken.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no set of keys, or a key in it is not as it has to be. What stands there is not repeated.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and with which key, from 1 on.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Key>,
}

/// One key. A member that stands there twice is an error (RFC 7517 §4); one that is not known is passed over.
#[derive(Deserialize)]
struct Key {
    kty: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
}

/// What is looked for in a key that should not be there.
#[derive(Deserialize)]
struct Names {
    keys: Vec<std::collections::BTreeMap<String, IgnoredAny>>,
}

impl KeySet {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`KeySetError`].
    pub(crate) fn read(path: &Path) -> Result<Self, KeySetError> {
        let unreadable = |error| KeySetError::Unreadable {
            path: path.into(),
            error,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        let mut bounded = file.take(MAX_FILE_LEN + 1);
        let len = bounded.read_to_end(&mut bytes).map_err(unreadable)?;
        let is_long = u64::try_from(len).is_ok_and(|len| len > MAX_FILE_LEN);
        let parsed = if is_long {
            Err("is longer than 64 KiB".into())
        } else {
            Self::parse(&bytes)
        };
        parsed.map_err(|reason| KeySetError::Malformed {
            path: path.into(),
            reason,
        })
    }

    /// Reads a JSON Web Key set; returns what is wrong with it, in words.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let no_set = "is no JSON Web Key set (RFC 7517 §5)";
        let names: Names = serde_json::from_slice(bytes).map_err(|_| no_set)?;
        let private = |names: &std::collections::BTreeMap<String, IgnoredAny>| {
            PRIVATE.into_iter().find(|name| names.contains_key(*name))
        };
        for (at, names) in names.keys.iter().enumerate() {
            if let Some(name) = private(names) {
                let number = at + 1;
                return Err(format!(
                    "key {number} has `{name}`: it is private, and may not lie here"
                ));
            }
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|_| no_set)?;
        if set.keys.is_empty() {
            return Err("has no key".into());
        }
        if set.keys.len() > MAX_TRUST_ANCHORS {
            return Err(format!("has more than {MAX_TRUST_ANCHORS} keys"));
        }
        let mut keys: Vec<(String, PublicKey)> = Vec::new();
        for (at, key) in set.keys.iter().enumerate() {
            let number = at + 1;
            let (kid, point) = key.read().map_err(|why| format!("key {number}: {why}"))?;
            for (other, known) in &keys {
                if *other == kid {
                    return Err(format!("key {number}: another has its `kid`"));
                }
                if *known == point {
                    return Err(format!("key {number} stands there under two names"));
                }
            }
            keys.push((kid, point));
        }
        Ok(Self(keys))
    }

    /// Returns whether a key of this set is one of `other` too.
    pub(crate) fn shares_a_key_with(&self, other: &Self) -> bool {
        let mut own = self.0.iter();
        own.any(|(_, key)| other.0.iter().any(|(_, known)| known == key))
    }

    /// Returns the keys as anchors that vouch for `issuer`, and for nobody else; for a name that no token can have there are
    /// none.
    pub(super) fn anchors(&self, issuer: &str) -> TrustAnchors {
        let mut anchors = TrustAnchors::new();
        for (kid, key) in &self.0 {
            // Neither fails: they are few, and none stands here twice.
            if let Ok(anchor) = TrustAnchor::new(issuer, kid, *key) {
                let _ = anchors.insert(anchor);
            }
        }
        anchors
    }
}

impl Key {
    /// Returns kid and key; what is wrong with them in words.
    fn read(&self) -> Result<(String, PublicKey), &'static str> {
        let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
        if !is(&self.kty, "EC") {
            return Err("its `kty` is not `EC`");
        }
        if !is(&self.crv, "P-256") {
            return Err("its `crv` is not `P-256`");
        }
        if self.alg.is_some() && !is(&self.alg, "ES256") {
            return Err("its `alg` is not `ES256`");
        }
        if self.purpose.is_some() && !is(&self.purpose, "sig") {
            return Err("its `use` is not `sig`");
        }
        if self
            .key_ops
            .as_ref()
            .is_some_and(|uses| uses != &["verify"])
        {
            return Err("its `key_ops` are not `verify` alone");
        }
        let kid = self.kid.as_deref().ok_or("it has no `kid`")?;
        let (x, y) = (coordinate(&self.x), coordinate(&self.y));
        let (x, y) = x
            .zip(y)
            .ok_or("`x` and `y` are not 32 bytes in base64url")?;
        let key = PublicKey::from_coordinates(&x, &y).ok_or("it is no point on the curve")?;
        // By its own rules; for whom it signs is said where it is used.
        TrustAnchor::new("issuer", kid, key)
            .map_err(|_| "its `kid` is not 1 to 16 letters, digits, `-` and `_`")?;
        Ok((kid.into(), key))
    }
}

fn coordinate(text: &Option<String>) -> Option<[u8; 32]> {
    let bytes = Base64UrlUnpadded::decode_vec(text.as_deref()?).ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use moorline_core::crypto::SigningKey;

    use super::{KeySet, KeySetError};
    use crate::entropy::SystemEntropy;
    use crate::outside::tests::{jwk, set};

    fn key() -> SigningKey {
        SigningKey::generate(&mut SystemEntropy).expect("random bytes")
    }

    #[test]
    fn a_set_is_taken_whole_and_members_that_are_not_known_are_passed_over() {
        let (first, second) = (key(), key());
        let more =
            jwk("b", &second).replace('{', "{\"x5t\":\"x\",\"alg\":\"ES256\",\"use\":\"sig\",");
        let text = set(&[jwk("a", &first), more]).replace("{\"keys\"", "{\"more\":1,\"keys\"");
        let read = KeySet::parse(text.as_bytes()).expect("a set");
        let expected = [("a", first.public_key()), ("b", second.public_key())];
        let expected = expected.map(|(kid, key)| (kid.to_owned(), *key));
        assert_eq!(read.0, expected);
        let only = jwk("a", &first).replace('{', "{\"key_ops\":[\"verify\"],");
        assert!(KeySet::parse(set(&[only]).as_bytes()).is_ok());
    }

    #[test]
    fn what_is_no_set_of_keys_for_es256_is_refused_for_its_own_reason() {
        let (own, other) = (key(), key());
        let good = jwk("a", &own);
        let with = |member: &str| good.replace('{', &format!("{{{member},"));
        let without = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replace(from, to)
        };
        let many = (0..9).map(|at| jwk(&format!("k{at}"), &key()));
        let many: Vec<String> = many.collect();
        for (text, why) in [
            ("".to_owned(), "no JSON Web Key set"),
            ("[]".into(), "no JSON Web Key set"),
            ("{}".into(), "no JSON Web Key set"),
            (good.clone(), "no JSON Web Key set"),
            (
                format!("{} ,", set(std::slice::from_ref(&good))),
                "no JSON Web Key set",
            ),
            (set(&[]), "has no key"),
            (set(&many), "more than 8"),
            (set(&[without("\"EC\"", "\"RSA\"")]), "`kty`"),
            (set(&[without("\"kty\":\"EC\",", "")]), "`kty`"),
            (set(&[without("P-256", "P-384")]), "`crv`"),
            (set(&[with("\"alg\":\"ES384\"")]), "`alg`"),
            (set(&[with("\"alg\":\"none\"")]), "`alg`"),
            (set(&[with("\"use\":\"enc\"")]), "`use`"),
            (set(&[with("\"key_ops\":[\"sign\"]")]), "`key_ops`"),
            (
                set(&[with("\"key_ops\":[\"verify\",\"sign\"]")]),
                "`key_ops`",
            ),
            (set(&[with("\"key_ops\":[]")]), "`key_ops`"),
            (set(&[with("\"d\":\"AA\"")]), "private"),
            (set(&[with("\"k\":\"AA\"")]), "private"),
            (
                set(&[good.clone(), jwk("b", &other).replace('{', "{\"d\":null,")]),
                "key 2",
            ),
            (set(&[with("\"kid\":\"b\"")]), "no JSON Web Key set"),
            (set(&[without("\"kid\":\"a\",", "")]), "no `kid`"),
            (set(&[jwk("", &own)]), "`kid` is not"),
            (set(&[jwk("seventeen-letters", &own)]), "`kid` is not"),
            (
                set(&[good.clone(), jwk("a", &other)]),
                "another has its `kid`",
            ),
            (set(&[good.clone(), jwk("b", &own)]), "two names"),
            (set(&[without("\"x\":\"", "\"x\":\"A")]), "32 bytes"),
            (
                set(&[good.replace("\"y\":\"", "\"y\":\"AAAA\",\"z\":\"")]),
                "32 bytes",
            ),
            (
                set(&[format!(
                    "{{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"{0}\",\"y\":\"{0}\"}}",
                    "A".repeat(43)
                )]),
                "no point",
            ),
        ] {
            let error = KeySet::parse(text.as_bytes()).expect_err(&text);
            assert!(error.contains(why), "{why}: {error}: {text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_too_long_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let error = KeySet::read(&path).expect_err("there is none");
        assert!(matches!(error, KeySetError::Unreadable { .. }));
        assert!(error.to_string().contains("keys.json"), "{error}");
        let text = set(&[jwk("a", &key())]);
        std::fs::write(&path, &text).expect("a file");
        assert!(KeySet::read(&path).is_ok());
        std::fs::write(&path, format!("{text}{}", " ".repeat(65_536))).expect("a file");
        let error = KeySet::read(&path).expect_err("it is long");
        assert!(error.to_string().contains("64 KiB"), "{error}");
    }
}
