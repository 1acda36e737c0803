//! Whom a proxy speaks for.
//!
//! `X-Forwarded-For` grows to the right: each proxy adds whom it heard. What stands left of the last hop that is no proxy of
//! ours was written by whoever that is, so it is not looked at.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName};

use super::answers::Refusal;
use crate::config::HttpSettings;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a proxy says of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// The address of who asks.
    pub(super) address: IpAddr,
    /// Whether it came to the proxy in TLS; nothing when the proxy does not say.
    pub(super) is_secure: Option<bool>,
}

/// Returns what the proxy at `socket` says in `headers` of who asks; nothing from who is no proxy. A proxy that says
/// nothing asks for itself.
///
/// # Errors
///
/// [`Refusal`] when the proxy says what is no address and no scheme.
pub(super) fn read(
    headers: &HeaderMap,
    socket: IpAddr,
    settings: &HttpSettings,
) -> Result<Option<Forwarded>, Refusal> {
    if !settings.is_proxy(socket) {
        return Ok(None);
    }
    let malformed = || Refusal::bad("a malformed header of a proxy\n");
    let mut address = socket;
    let lines = headers.get_all(FORWARDED_FOR);
    let mut lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    lines.reverse();
    let hops = lines
        .into_iter()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops {
        let hop = str::from_utf8(hop).ok().and_then(|hop| parse(hop.trim()));
        address = hop.ok_or_else(malformed)?;
        if !settings.is_proxy(address) {
            break;
        }
    }
    let mut schemes = headers.get_all(FORWARDED_PROTO).iter();
    let is_secure = match (
        schemes.next().map(|scheme| scheme.as_bytes()),
        schemes.next(),
    ) {
        (None, _) => None,
        (Some(b"https"), None) => Some(true),
        (Some(b"http"), None) => Some(false),
        _ => return Err(malformed()),
    };
    Ok(Some(Forwarded { address, is_secure }))
}

/// Returns the address of one hop, which may have a port; of IPv6 in brackets then.
fn parse(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse().ok().map(|socket: SocketAddr| socket.ip());
    let address = hop.parse().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Forwarded, read};
    use crate::config::HttpSettings;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn said_by(
        socket: &str,
        lines: &[(&'static str, &'static str)],
    ) -> Result<Option<Forwarded>, ()> {
        let proxies = ["127.0.0.1", "10.0.0.0/8"].map(|text| text.parse().expect(text));
        let settings = HttpSettings {
            proxies: proxies.to_vec(),
            ..HttpSettings::default()
        };
        let socket = socket.parse::<IpAddr>().expect("an address");
        read(&headers(lines), socket, &settings).map_err(|_| ())
    }

    fn address(lines: &[&'static str]) -> Option<String> {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        let said = said_by("127.0.0.1", &lines).ok()?;
        Some(said.expect("a proxy").address.to_string())
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_is_who_asks() {
        for (lines, expected) in [
            (&[][..], Some("127.0.0.1")),
            (&["203.0.113.7"], Some("203.0.113.7")),
            (&["198.51.100.1, 203.0.113.7"], Some("203.0.113.7")),
            (
                &["198.51.100.1, 203.0.113.7,10.1.2.3 , 10.0.0.1"],
                Some("203.0.113.7"),
            ),
            (
                &["198.51.100.1", "203.0.113.7", "10.0.0.1"],
                Some("203.0.113.7"),
            ),
            (&["10.0.0.2, 10.0.0.1"], Some("10.0.0.2")),
            (&["203.0.113.7:4711"], Some("203.0.113.7")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["::ffff:203.0.113.7"], Some("203.0.113.7")),
            (&["<script>, 203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7, <script>"], None),
            (&["203.0.113.7, unknown, 10.0.0.1"], None),
            (&["203.0.113.7,"], None),
            (&[""], None),
        ] {
            assert_eq!(address(lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn who_is_no_proxy_says_nothing_and_a_scheme_is_one_of_two() {
        let lines = [
            ("x-forwarded-for", "<script>"),
            ("x-forwarded-proto", "ftp"),
        ];
        assert_eq!(said_by("203.0.113.7", &lines), Ok(None));
        assert!(said_by("127.0.0.1", &lines).is_err());
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&[("x-forwarded-proto", "https")], Ok(Some(true))),
            (&[("x-forwarded-proto", "http")], Ok(Some(false))),
            (&[("x-forwarded-proto", "https, http")], Err(())),
            (
                &[
                    ("x-forwarded-proto", "http"),
                    ("x-forwarded-proto", "https"),
                ],
                Err(()),
            ),
        ] {
            let said = said_by("10.9.9.9", lines);
            let is_secure = said.map(|said| said.expect("a proxy").is_secure);
            assert_eq!(is_secure, expected, "{lines:?}");
        }
    }
}
