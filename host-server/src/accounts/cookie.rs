//! A browser's cookie, and the word that has to come with each of its requests that changes something.

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::Mac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The cookie's name: a browser takes one that begins so over TLS alone, for this host and all of its paths.
pub(crate) const NAME: &str = "__Host-moorline";

/// What a cookie says.
#[derive(Clone)]
pub(crate) struct Cookie {
    /// The login's name.
    pub(crate) id: String,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// Returns the value of the cookie of the login called `id`, and the word against forged requests.
pub(crate) fn of(id: &[u8; 16], secret: &[u8; 32]) -> (Zeroizing<String>, String) {
    let id = Base64UrlUnpadded::encode_string(id);
    let value = Zeroizing::new(Base64UrlUnpadded::encode_string(secret));
    let csrf = word(secret);
    (Zeroizing::new(format!("{id}.{}", *value)), csrf)
}

impl Cookie {
    /// Reads the value of a cookie.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (id, encoded) = value.split_once('.')?;
        let mut secret = Zeroizing::new([0; 32]);
        let is_whole = Base64UrlUnpadded::decode(encoded, &mut *secret).ok()?.len() == 32;
        is_whole.then(|| Self {
            id: id.into(),
            secret,
        })
    }

    /// Returns whether `shown` is the word of this cookie: a page that cannot read the answer to the login does not know it.
    pub(crate) fn has_word(&self, shown: &str) -> bool {
        let word = word(&self.secret);
        bool::from(word.as_bytes().ct_eq(shown.as_bytes()))
    }
}

fn word(secret: &[u8; 32]) -> String {
    let code = Mac::of(secret, &[b"Moorline csrf v1\0"]);
    Base64UrlUnpadded::encode_string(code.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_with_its_cookie_and_no_other() {
        let (value, csrf) = of(&[1; 16], &[2; 32]);
        let cookie = Cookie::parse(&value).expect("it is one");
        assert_eq!(*cookie.secret, [2; 32]);
        assert!(cookie.has_word(&csrf));
        let (other, other_csrf) = of(&[1; 16], &[3; 32]);
        assert!(!cookie.has_word(&other_csrf) && !cookie.has_word(""));
        assert!(!Cookie::parse(&other).expect("it is one").has_word(&csrf));
        assert!(!value.contains(&csrf));
        for text in ["", ".", "a.b", &value[..value.len() - 1]] {
            assert!(Cookie::parse(text).is_none(), "{text}");
        }
    }
}
