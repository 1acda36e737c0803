//! The proof that comes with each request by a token: that whoever asks has the token's key (RFC 9449).

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Hash, PublicKey, Signature, SigningKey};
use serde::Deserialize;
use serde_json::json;

/// Seconds by which a proof's time may be off, both ways.
pub(crate) const LEEWAY_SECONDS: u64 = 60;

/// Longest proof in bytes.
const MAX_PROOF_LEN: usize = 2 * 1024;

/// What a proof has to be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof<'a> {
    /// The method of the request.
    pub(crate) method: &'a str,
    /// The host, and port if there is one, that the request names.
    pub(crate) authority: &'a str,
    /// The path of the request.
    pub(crate) path: &'a str,
    /// The token in its compact form.
    pub(crate) token: &'a str,
    /// The key that the token names.
    pub(crate) key: &'a PublicKey,
    /// The body of the request. Unlike in RFC 9449, it is proved too, by the member `bh`.
    pub(crate) body: &'a [u8],
}

/// Why a proof is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProofError {
    /// It is no JWT of this kind.
    #[error("the proof is not a dpop+jwt with the members of RFC 9449, signed with ES256")]
    Shape,
    /// It was signed by another key than the token's.
    #[error("the proof is not signed by the key that the token names")]
    Key,
    /// It is about another request.
    #[error("the proof is about another request: htm, htu, ath and bh have to be of this one")]
    Request,
    /// It was made too long ago, or will be made.
    #[error("the proof was not made within the last minute")]
    Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: String,
    /// The SHA-256 of the body in base64url, where there is one.
    bh: Option<String>,
}

impl Proof<'_> {
    /// Checks `proof` at `now`, in seconds since 1970. Returns by what it is known again, and until when it could be shown.
    ///
    /// # Errors
    ///
    /// [`ProofError`]; the signature is looked at last.
    pub(crate) fn check(&self, proof: &str, now: u64) -> Result<(Hash, u64), ProofError> {
        if proof.len() > MAX_PROOF_LEN {
            return Err(ProofError::Shape);
        }
        let (signed, signature) = proof.rsplit_once('.').ok_or(ProofError::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(ProofError::Shape)?;
        let header: Header = read(header)?;
        let payload: Payload = read(payload)?;
        if header.typ != "dpop+jwt" || header.alg != "ES256" {
            return Err(ProofError::Shape);
        }
        if !(1..=128).contains(&payload.jti.len()) {
            return Err(ProofError::Shape);
        }
        if header.jwk.key().as_ref() != Some(self.key) {
            return Err(ProofError::Key);
        }
        let has_body = match payload.bh {
            None => self.body.is_empty(),
            Some(hash) => hash == hash_of(self.body),
        };
        let is_of_request = payload.htm == self.method
            && self.is_uri(&payload.htu)
            && payload.ath == hash_of(self.token.as_bytes())
            && has_body;
        if !is_of_request {
            return Err(ProofError::Request);
        }
        if payload.iat.abs_diff(now) > LEEWAY_SECONDS {
            return Err(ProofError::Time);
        }
        let mut bytes = [0; 64];
        let decoded = Base64UrlUnpadded::decode(signature, &mut bytes);
        if decoded.map(<[u8]>::len) != Ok(64) {
            return Err(ProofError::Shape);
        }
        let digest = Hash::of(&[signed.as_bytes()]);
        self.key
            .verify(&digest, &Signature(bytes))
            .map_err(|_| ProofError::Key)?;
        let name = Hash::of(&[payload.jti.as_bytes()]);
        Ok((name, payload.iat.saturating_add(LEEWAY_SECONDS + 1)))
    }

    /// Makes the proof, as the holder of `key` at `now`. `hedge` is as for [`SigningKey::sign`].
    pub(crate) fn make(&self, key: &SigningKey, jti: &str, now: u64, hedge: &[u8]) -> String {
        let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let [_, coordinates @ ..] = key.public_key().to_bytes();
        let (x, y) = coordinates.split_at(32);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let mut payload = json!({
            "jti": jti,
            "htm": self.method,
            "htu": format!("https://{}{}", self.authority, self.path),
            "iat": now,
            "ath": hash_of(self.token.as_bytes()),
        });
        if !self.body.is_empty() {
            payload["bh"] = hash_of(self.body).into();
        }
        let [header, payload] = [header, payload].map(|part| encode(part.to_string().as_bytes()));
        let signed = format!("{header}.{payload}");
        let signature = key.sign(&Hash::of(&[signed.as_bytes()]), hedge).0;
        format!("{signed}.{}", encode(&signature))
    }

    fn is_uri(&self, uri: &str) -> bool {
        let rest = uri
            .strip_prefix("https://")
            .or_else(|| uri.strip_prefix("http://"));
        let Some((authority, _)) = rest.and_then(|rest| rest.split_once('/')) else {
            return false;
        };
        let path = rest.and_then(|rest| rest.strip_prefix(authority));
        authority.eq_ignore_ascii_case(self.authority) && path == Some(self.path)
    }
}

impl Jwk {
    fn key(&self) -> Option<PublicKey> {
        let coordinate = |text: &str| -> Option<[u8; 32]> {
            Base64UrlUnpadded::decode_vec(text).ok()?.try_into().ok()
        };
        let is_p256 = self.kty == "EC" && self.crv == "P-256";
        PublicKey::from_coordinates(&coordinate(&self.x)?, &coordinate(&self.y)?)
            .filter(|_| is_p256)
    }
}

fn read<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, ProofError> {
    let bytes = Base64UrlUnpadded::decode_vec(part).map_err(|_| ProofError::Shape)?;
    serde_json::from_slice(&bytes).map_err(|_| ProofError::Shape)
}

fn hash_of(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(Hash::of(&[bytes]).as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::entropy::SystemEntropy;

    const NOW: u64 = 1_000_000;

    fn key() -> SigningKey {
        SigningKey::generate(&mut SystemEntropy).expect("a key")
    }

    fn jwk(key: &PublicKey) -> Value {
        let bytes = key.to_bytes();
        let [x, y] = [&bytes[1..33], &bytes[33..]].map(Base64UrlUnpadded::encode_string);
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    fn signed(header: &Value, payload: &Value, key: &SigningKey) -> String {
        let [header, payload] = [header, payload]
            .map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()));
        let signed = format!("{header}.{payload}");
        let signature = key.sign(&Hash::of(&[signed.as_bytes()]), &[1; 32]).0;
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
    }

    fn proof<'a>(key: &'a PublicKey, body: &'a [u8]) -> Proof<'a> {
        Proof {
            method: "POST",
            authority: "hub.example:7443",
            path: "/api/v1/refresh",
            token: "a.b.c",
            key,
            body,
        }
    }

    fn payload(body: &[u8]) -> Value {
        json!({
            "jti": "one",
            "htm": "POST",
            "htu": "https://HUB.example:7443/api/v1/refresh",
            "iat": NOW,
            "ath": hash_of(b"a.b.c"),
            "bh": hash_of(body),
        })
    }

    fn header(key: &SigningKey) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(key.public_key()) })
    }

    #[test]
    fn a_proof_is_of_its_request_and_its_key() {
        let key = key();
        let text = signed(&header(&key), &payload(b"body"), &key);
        let wanted = proof(key.public_key(), b"body");
        let (name, until) = wanted.check(&text, NOW).expect("it is good");
        assert_eq!(until, NOW + 61);
        assert!(name.same_as(&Hash::of(&[b"one"])));
        assert_eq!(wanted.check(&text, NOW + 60), Ok((name, until)));
        assert_eq!(wanted.check(&text, NOW + 61), Err(ProofError::Time));
        assert_eq!(wanted.check(&text, NOW - 61), Err(ProofError::Time));
        // Without a body, none has to be proved.
        let mut without = payload(b"");
        without.as_object_mut().expect("an object").remove("bh");
        let without = signed(&header(&key), &without, &key);
        assert!(proof(key.public_key(), b"").check(&without, NOW).is_ok());
        assert_eq!(
            proof(key.public_key(), b"body").check(&without, NOW),
            Err(ProofError::Request)
        );
    }

    #[test]
    fn what_is_made_is_good() {
        let key = key();
        for body in [&b""[..], b"body"] {
            let wanted = proof(key.public_key(), body);
            let text = wanted.make(&key, "one", NOW, &[1; 32]);
            assert!(wanted.check(&text, NOW).is_ok());
        }
    }

    #[test]
    fn a_proof_of_anything_else_is_none() {
        let (key, other) = (key(), key());
        let wanted = proof(key.public_key(), b"body");
        for (member, value) in [
            ("htm", json!("GET")),
            ("htu", json!("https://hub.example:7443/api/v1/refresh?x=1")),
            ("htu", json!("https://hub.example/api/v1/refresh")),
            ("htu", json!("https://hub.example:7443/api/v1/logout")),
            ("htu", json!("hub.example:7443/api/v1/refresh")),
            ("ath", json!(hash_of(b"a.b.d"))),
            ("bh", json!(hash_of(b"bod"))),
        ] {
            let mut changed = payload(b"body");
            changed[member] = value;
            let text = signed(&header(&key), &changed, &key);
            assert_eq!(
                wanted.check(&text, NOW),
                Err(ProofError::Request),
                "{member}"
            );
        }
        let of_other = signed(&header(&other), &payload(b"body"), &other);
        assert_eq!(wanted.check(&of_other, NOW), Err(ProofError::Key));
        let by_other = signed(&header(&key), &payload(b"body"), &other);
        assert_eq!(wanted.check(&by_other, NOW), Err(ProofError::Key));
        for (member, value) in [
            ("typ", json!("JWT")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("crit", json!([])),
        ] {
            let mut changed = header(&key);
            changed[member] = value;
            let text = signed(&changed, &payload(b"body"), &key);
            assert_eq!(wanted.check(&text, NOW), Err(ProofError::Shape), "{member}");
        }
        let good = signed(&header(&key), &payload(b"body"), &key);
        for text in [
            "",
            "a",
            "a.b",
            "a.b.c",
            &good[1..],
            &good[..good.len() - 2],
            &"x".repeat(3_000),
        ] {
            assert_eq!(wanted.check(text, NOW), Err(ProofError::Shape));
        }
    }
}
