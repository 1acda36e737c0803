//! Secrets of programs. The hub keeps their hashes: 256 random bits are not guessed, so one hash does.

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{HASH_LEN, Hash};
use moorline_core::entropy::EntropyError;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::random;

/// What an API key begins with, by which leaks are found.
const PREFIX: &str = "mlk_";

/// Length of an API key's name in bytes.
const ID_LEN: usize = 9;
const SECRET_LEN: usize = 32;

/// An API key: `mlk_`, its name, a dot and its secret, in base64url.
#[derive(Clone)]
pub(crate) struct ApiKeySecret {
    id: String,
    secret: Zeroizing<[u8; SECRET_LEN]>,
}

impl std::fmt::Debug for ApiKeySecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ApiKeySecret({})", self.id)
    }
}

impl ApiKeySecret {
    /// Makes one.
    pub(crate) fn make() -> Result<Self, EntropyError> {
        Ok(Self {
            id: Base64UrlUnpadded::encode_string(&random::<ID_LEN>()?),
            secret: Zeroizing::new(random()?),
        })
    }

    /// Reads what a program shows.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, encoded) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let mut name = [0; ID_LEN];
        let is_name = Base64UrlUnpadded::decode(id, &mut name).ok()?.len() == ID_LEN;
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        let is_secret = Base64UrlUnpadded::decode(encoded, &mut *secret).ok()?.len() == SECRET_LEN;
        (is_name && is_secret).then(|| Self {
            id: id.into(),
            secret,
        })
    }

    /// Returns its name, which is no secret.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns it as it is shown once, and never again.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(&*self.secret));
        Zeroizing::new(format!("{PREFIX}{}.{}", self.id, *secret))
    }

    /// Returns the hash by which it is known again, in base64url.
    pub(crate) fn hash(&self) -> String {
        Base64UrlUnpadded::encode_string(self.digest().as_bytes())
    }

    /// Returns whether `hash` is its hash; how long that takes does not depend on the secret.
    pub(crate) fn is_known_by(&self, hash: &str) -> bool {
        let mut known = [0; HASH_LEN];
        let decoded = Base64UrlUnpadded::decode(hash, &mut known);
        decoded.is_ok() && bool::from(known.ct_eq(self.digest().as_bytes()))
    }

    fn digest(&self) -> Hash {
        Hash::of(&[b"Moorline API key v1\0", self.id.as_bytes(), &*self.secret])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_and_shows_its_secret_once() {
        let key = ApiKeySecret::make().expect("random bytes");
        let shown = key.reveal();
        let read = ApiKeySecret::parse(&shown).expect("it is one");
        assert_eq!(read.id(), key.id());
        assert!(read.is_known_by(&key.hash()));
        let other = ApiKeySecret::make().expect("random bytes");
        assert!(!other.is_known_by(&key.hash()));
        assert!(!read.is_known_by("") && !read.is_known_by("ü"));
        let printed = format!("{key:?}");
        assert!(printed.contains(key.id()) && !shown.contains(&printed));
        // The secret of the one does not go with the name of the other.
        let mixed = format!(
            "mlk_{}.{}",
            other.id(),
            shown.split_once('.').expect("a dot").1
        );
        let mixed = ApiKeySecret::parse(&mixed).expect("it reads");
        assert!(!mixed.is_known_by(&key.hash()) && !mixed.is_known_by(&other.hash()));
        for text in [
            "",
            "mlk_",
            "mlk_a.b",
            &shown[1..],
            &shown[..shown.len() - 1],
        ] {
            assert!(ApiKeySecret::parse(text).is_none(), "{text}");
        }
    }
}
