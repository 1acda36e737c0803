//! Words that are told to nobody.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What is printed in place of a secret.
const MASK: &str = "***";

/// A value of the configuration that is a secret, such as a token. It is read and used, and never printed: neither in
/// the whole configuration nor in an error.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Returns the secret, for whoever needs it now.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({MASK})")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is there instead of text may be a secret too.
        let text = String::deserialize(deserializer);
        text.map(Self::from)
            .map_err(|_| D::Error::custom("text is expected"))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::Secret;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Section {
        token: Secret,
    }

    #[test]
    fn a_secret_is_read_and_compared_and_never_printed() {
        let section: Section = toml::from_str("token = \"hunter2\"").expect("a section");
        assert_eq!(section.token.expose(), "hunter2");
        assert_eq!(section.token, Secret::from("hunter2".to_owned()));
        assert_ne!(section.token, Secret::from("hunter3".to_owned()));
        assert_ne!(section.token, Secret::from("hunter".to_owned()));
        let printed = toml::to_string(&section).expect("it is TOML");
        assert_eq!(printed, "token = \"***\"\n");
        assert_eq!(format!("{section:?}"), "Section { token: Secret(***) }");
    }

    #[test]
    fn what_is_no_text_is_not_repeated() {
        let error = toml::from_str::<Section>("token = 271828").expect_err("a number");
        assert_eq!(error.message(), "text is expected");
    }
}
