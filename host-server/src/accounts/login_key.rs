//! The keys by which somebody logs in, and what they sign.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::VerifyingKey;
use moorline_core::crypto::{Hash, PUBLIC_KEY_LEN, PublicKey, SIGNATURE_LEN, Signature};
use serde::{Deserialize, Serialize};

/// A public key by which somebody logs in: `p256:` and the uncompressed point, or `ed25519:` and the key (RFC 8032), in
/// base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LoginKey {
    /// ECDSA over P-256 with SHA-256; a signature is r and s, 64 bytes.
    P256(PublicKey),
    /// Ed25519; weak keys are refused, and signatures are checked strictly.
    Ed25519(VerifyingKey),
}

/// What is no login key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a login key is `p256:` or `ed25519:` and a public key in base64url")]
pub struct LoginKeyError;

impl LoginKey {
    /// Returns whether `signature` is this key's over `message`.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        match self {
            Self::P256(key) => {
                let signature = Signature(*signature);
                key.verify(&Hash::of(&[message]), &signature).is_ok()
            }
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_bytes(signature);
                key.verify_strict(message, &signature).is_ok()
            }
        }
    }
}

impl FromStr for LoginKey {
    type Err = LoginKeyError;

    fn from_str(text: &str) -> Result<Self, LoginKeyError> {
        let (kind, key) = text.split_once(':').ok_or(LoginKeyError)?;
        let key = Base64UrlUnpadded::decode_vec(key).map_err(|_| LoginKeyError)?;
        match kind {
            "p256" => {
                let key: [u8; PUBLIC_KEY_LEN] = key.try_into().map_err(|_| LoginKeyError)?;
                PublicKey::from_bytes(&key)
                    .map(Self::P256)
                    .ok_or(LoginKeyError)
            }
            "ed25519" => {
                let key: [u8; 32] = key.try_into().map_err(|_| LoginKeyError)?;
                let key = VerifyingKey::from_bytes(&key).map_err(|_| LoginKeyError)?;
                if key.is_weak() {
                    return Err(LoginKeyError);
                }
                Ok(Self::Ed25519(key))
            }
            _ => Err(LoginKeyError),
        }
    }
}

impl TryFrom<String> for LoginKey {
    type Error = LoginKeyError;

    fn try_from(text: String) -> Result<Self, LoginKeyError> {
        text.parse()
    }
}

impl From<LoginKey> for String {
    fn from(key: LoginKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, key) = match self {
            Self::P256(key) => ("p256", Base64UrlUnpadded::encode_string(&key.to_bytes())),
            Self::Ed25519(key) => ("ed25519", Base64UrlUnpadded::encode_string(key.as_bytes())),
        };
        write!(formatter, "{kind}:{key}")
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a signature is for. One that is for the one is never good for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To log in.
    LogIn,
    /// To make an account of this key.
    Register,
}

/// What a login key signs: all that the login is about, so that a signature is good for one account at one hub, over one
/// connection, for one key, once.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// What for.
    pub purpose: Purpose,
    /// The hub's name.
    pub hub: &'a str,
    /// The hub's identity key, as the signer knows it.
    pub hub_key: &'a PublicKey,
    /// The channel: 32 bytes of the TLS connection (RFC 9266), or nothing where HTTP is not in TLS at the hub.
    pub channel: Option<&'a [u8; 32]>,
    /// The account.
    pub account: &'a str,
    /// The hub's challenge.
    pub challenge: &'a [u8],
    /// The key that the token is to name, or nothing.
    pub holder: Option<&'a PublicKey>,
}

impl Signed<'_> {
    /// Returns the bytes that are signed:
    ///
    /// ```text
    /// "Moorline login v1\0" or "Moorline register v1\0"
    /// hub name, hub key, channel, account, challenge, holder key: each u16 length (big-endian) | bytes
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self.purpose {
            Purpose::LogIn => b"Moorline login v1\0".to_vec(),
            Purpose::Register => b"Moorline register v1\0".to_vec(),
        };
        let holder = self.holder.map(PublicKey::to_bytes);
        let parts: [&[u8]; 6] = [
            self.hub.as_bytes(),
            &self.hub_key.to_bytes(),
            self.channel.map(<[u8; 32]>::as_slice).unwrap_or_default(),
            self.account.as_bytes(),
            self.challenge,
            holder
                .as_ref()
                .map(<[u8; 65]>::as_slice)
                .unwrap_or_default(),
        ];
        for part in parts {
            // Names have 32 bytes at most, challenges 40.
            let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
            bytes.extend(len.to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signer;
    use moorline_core::crypto::SigningKey;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn signed<'a>(hub_key: &'a PublicKey, holder: Option<&'a PublicKey>) -> Signed<'a> {
        Signed {
            purpose: Purpose::LogIn,
            hub: "moorline",
            hub_key,
            channel: Some(&[9; 32]),
            account: "alice",
            challenge: &[7; 40],
            holder,
        }
    }

    #[test]
    fn every_part_of_what_is_signed_counts() {
        let [hub, other] =
            [(); 2].map(|()| SigningKey::generate(&mut SystemEntropy).expect("a key"));
        let (hub, other) = (hub.public_key(), other.public_key());
        let base = signed(hub, Some(other));
        let all = [
            base,
            Signed {
                purpose: Purpose::Register,
                ..base
            },
            Signed {
                hub: "moorlin",
                ..base
            },
            Signed {
                hub_key: other,
                ..base
            },
            Signed {
                channel: None,
                ..base
            },
            Signed {
                channel: Some(&[8; 32]),
                ..base
            },
            Signed {
                account: "alic",
                ..base
            },
            Signed {
                challenge: &[7; 39],
                ..base
            },
            Signed {
                holder: None,
                ..base
            },
            Signed {
                holder: Some(hub),
                ..base
            },
        ];
        let bytes: Vec<Vec<u8>> = all.iter().map(Signed::to_bytes).collect();
        for (at, one) in bytes.iter().enumerate() {
            let same = bytes.iter().filter(|other| *other == one);
            assert_eq!(same.count(), 1, "{at}");
        }
    }

    #[test]
    fn a_key_of_either_kind_is_known_by_its_signatures() {
        let p256 = SigningKey::generate(&mut SystemEntropy).expect("a key");
        let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        let message = signed(p256.public_key(), None).to_bytes();
        let by_p256 = p256.sign(&Hash::of(&[&message]), &[1; 32]).0;
        let by_ed25519 = ed25519.sign(&message).to_bytes();
        let keys = [
            LoginKey::P256(*p256.public_key()),
            LoginKey::Ed25519(ed25519.verifying_key()),
        ];
        for (at, key) in keys.iter().enumerate() {
            let text = key.to_string();
            assert_eq!(text.parse(), Ok(key.clone()));
            for (by, signature) in [by_p256, by_ed25519].iter().enumerate() {
                assert_eq!(key.has_signed(&message, signature), at == by);
                assert!(!key.has_signed(&message[1..], signature));
            }
        }
    }

    #[test]
    fn what_is_no_login_key_is_refused() {
        // The neutral element, which signs everything.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let neutral = format!("ed25519:{}", Base64UrlUnpadded::encode_string(&neutral));
        for text in [
            "",
            "p256",
            "p256:",
            "p256:AAAA",
            "ed25519:AAAA",
            "rsa:AAAA",
            &neutral,
        ] {
            assert_eq!(text.parse::<LoginKey>(), Err(LoginKeyError), "{text}");
        }
    }
}
