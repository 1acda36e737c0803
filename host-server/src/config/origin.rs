//! Patterns of the pages from which browsers may come (RFC 6454).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What stands for one label of a host's name.
const ANY_LABEL: &str = "*";

/// Longest name of a host in bytes (RFC 1035 §2.3.4).
const MAX_HOST_LEN: usize = 253;

/// Longest label of a name in bytes (RFC 1035 §2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// The origins of which pages may come in: `https://panel.example:8443`, or `https://*.example.org`, in which `*` stands for
/// exactly one label. Scheme and port are compared too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OriginPattern(Origin);

/// Why a text is no pattern of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedOrigin {
    /// It begins with neither scheme.
    #[error("http.origins: an origin begins with https:// or http://")]
    Scheme,
    /// Its host is no name and no address.
    #[error(
        "http.origins: a host is a name of letters, digits and `-`, or an address, and no path follows it"
    )]
    Host,
    /// Its port is none.
    #[error("http.origins: a port is a number from 1 to 65535")]
    Port,
    /// The wildcard is where it stands for too much.
    #[error("http.origins: `*` stands for a whole label, and two labels without it come last")]
    Wildcard,
}

/// An origin, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    is_secure: bool,
    host: String,
    /// That of the scheme where none is said.
    port: u16,
}

impl Origin {
    fn parse(text: &str) -> Result<Self, MalformedOrigin> {
        let text = text.to_ascii_lowercase();
        let (is_secure, authority) = match text.split_once("://") {
            Some(("https", authority)) => (true, authority),
            Some(("http", authority)) => (false, authority),
            _ => return Err(MalformedOrigin::Scheme),
        };
        // The colons of an IPv6 address stand in brackets.
        let end_of_host = authority.rfind(']').unwrap_or(0);
        let colon = authority.rfind(':').filter(|colon| *colon > end_of_host);
        let (host, port) = match colon {
            Some(colon) => (authority.get(..colon), authority.get(colon + 1..)),
            None => (Some(authority), None),
        };
        let port = match port {
            Some(port) => parse_port(port).ok_or(MalformedOrigin::Port)?,
            None if is_secure => 443,
            None => 80,
        };
        let host = host.filter(|host| is_host(host));
        Ok(Self {
            is_secure,
            host: host.ok_or(MalformedOrigin::Host)?.into(),
            port,
        })
    }
}

impl OriginPattern {
    /// Returns whether the origin that a browser names is one of these. What is not an origin is none.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        let Ok(origin) = Origin::parse(origin) else {
            return false;
        };
        let same_way = origin.is_secure == self.0.is_secure && origin.port == self.0.port;
        let (mut wanted, mut labels) = (self.0.host.split('.'), origin.host.split('.'));
        same_way
            && loop {
                match (wanted.next(), labels.next()) {
                    (None, None) => break true,
                    (Some(ANY_LABEL), Some(label)) if label != ANY_LABEL => {}
                    (Some(wanted), Some(label)) if wanted == label && label != ANY_LABEL => {}
                    _ => break false,
                }
            }
    }
}

impl FromStr for OriginPattern {
    type Err = MalformedOrigin;

    fn from_str(text: &str) -> Result<Self, MalformedOrigin> {
        let origin = Origin::parse(text)?;
        let from_the_end = origin.host.rsplit('.').position(|label| label == ANY_LABEL);
        if from_the_end.is_some_and(|place| place < 2) {
            return Err(MalformedOrigin::Wildcard);
        }
        Ok(Self(origin))
    }
}

impl TryFrom<String> for OriginPattern {
    type Error = MalformedOrigin;

    fn try_from(text: String) -> Result<Self, MalformedOrigin> {
        text.parse()
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            is_secure,
            host,
            port,
        } = &self.0;
        let scheme = if *is_secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{host}:{port}")
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> Self {
        pattern.to_string()
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// Returns whether `text` is the name of a host, in which a label may be `*`, or an address as it stands in URLs.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let fits = (1..=MAX_LABEL_LEN).contains(&label.len());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        label == ANY_LABEL || (fits && label.bytes().all(is_name))
    };
    text.len() <= MAX_HOST_LEN && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::{MalformedOrigin, OriginPattern};

    fn pattern(text: &str) -> OriginPattern {
        text.parse().expect(text)
    }

    #[test]
    fn a_wildcard_stands_for_one_label_and_crosses_no_dot() {
        let pattern = pattern("https://*.example.org");
        for (origin, matches) in [
            ("https://a.example.org", true),
            ("https://A.Example.ORG", true),
            ("https://a.example.org:443", true),
            ("https://example.org", false),
            ("https://a.b.example.org", false),
            ("https://.example.org", false),
            ("https://*.example.org", false),
            ("https://a.example.org.", false),
            ("https://a.example.org.evil.example", false),
            ("https://evilexample.org", false),
            ("https://a.example.org:8443", false),
            ("http://a.example.org", false),
            ("http://a.example.org:443", false),
            ("https://a.example.org/", false),
            ("https://evil.example/a.example.org", false),
            ("https://user@a.example.org", false),
            ("https://a.example.org https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(pattern.matches(origin), matches, "{origin}");
        }
    }

    #[test]
    fn a_port_and_an_address_are_compared_as_they_stand() {
        let panel = pattern("https://panel.example:8443");
        assert!(panel.matches("https://panel.example:8443"));
        assert!(!panel.matches("https://panel.example"));
        let local = pattern("http://[::1]:8080");
        assert!(local.matches("http://[::1]:8080") && !local.matches("http://[::1]"));
        assert!(pattern("http://127.0.0.1").matches("http://127.0.0.1:80"));
        let inner = pattern("https://a.*.example.org");
        assert!(inner.matches("https://a.b.example.org"));
        assert!(!inner.matches("https://b.b.example.org"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        for (text, reason) in [
            ("panel.example", MalformedOrigin::Scheme),
            ("*", MalformedOrigin::Scheme),
            ("null", MalformedOrigin::Scheme),
            ("wss://panel.example", MalformedOrigin::Scheme),
            ("https://", MalformedOrigin::Host),
            ("https://a..b", MalformedOrigin::Host),
            ("https://panel.example/", MalformedOrigin::Host),
            ("https://a*.example.org", MalformedOrigin::Host),
            ("https://[::1", MalformedOrigin::Host),
            ("https://panel.example:0", MalformedOrigin::Port),
            ("https://panel.example:+1", MalformedOrigin::Port),
            ("https://panel.example:65536", MalformedOrigin::Port),
            ("https://*", MalformedOrigin::Wildcard),
            ("https://*.org", MalformedOrigin::Wildcard),
            ("https://example.*", MalformedOrigin::Wildcard),
        ] {
            assert_eq!(text.parse::<OriginPattern>(), Err(reason), "{text}");
        }
    }
}
