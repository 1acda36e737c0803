//! Where there is TLS, for who came without.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::header::{HOST, HeaderValue, LOCATION, UPGRADE};
use hyper::{Method, Request, StatusCode};

use super::answers::{Answer, Refusal, empty};
use super::fields::single;

/// Longest name of a host in bytes (RFC 1035 §2.3.4).
const MAX_HOST_LEN: usize = 253;

/// Sends who only reads to the same path in TLS at `listen` (RFC 9110 §15.4.9).
///
/// # Errors
///
/// [`Refusal`] of everything else: what was said on the way here is no secret any more.
pub(super) fn to_tls<B>(request: &Request<B>, listen: SocketAddr) -> Result<Answer, Refusal> {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if !reads || request.headers().contains_key(UPGRADE) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "TLS is required\n"));
    }
    let host = single(request.headers(), &HOST).and_then(host);
    let host = host.ok_or_else(|| Refusal::bad("a host is expected\n"))?;
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    let place = match listen.port() {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    };
    let place = HeaderValue::from_str(&place).map_err(|_| Refusal::bad("no such place\n"))?;
    let mut answer = empty(StatusCode::PERMANENT_REDIRECT);
    answer.headers_mut().insert(LOCATION, place);
    Ok(answer)
}

/// Returns the host of `field` without its port, if it is a name or an address and nothing else.
fn host(field: &str) -> Option<String> {
    let (host, port) = match field.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (
                format!("[{address}]"),
                port.strip_prefix(':').or(port.is_empty().then_some("0"))?,
            )
        }
        None => match field.split_once(':') {
            Some((host, port)) => (host.to_ascii_lowercase(), port),
            None => (field.to_ascii_lowercase(), "0"),
        },
    };
    let is_port = port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_label = |label: &str| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_name)
    };
    let is_host = host.starts_with('[')
        || host.parse::<IpAddr>().is_ok()
        || (host.len() <= MAX_HOST_LEN && host.split('.').all(is_label));
    (is_port && is_host).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (field, expected) in [
            ("Hub.Example", "hub.example"),
            ("hub.example:7443", "hub.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::0:1]", "[::1]"),
        ] {
            assert_eq!(host(field).as_deref(), Some(expected));
        }
        for field in [
            "",
            ":80",
            "hub.example/",
            "hub.example:80/evil",
            "hub.example:",
            "hub.example:+1",
            "user@hub.example",
            "user:1@evil.example",
            "hub.example evil.example",
            "hub..example",
            "hub.example?x",
            "hub.example#x",
            "hub.example\\evil",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[evil.example]",
            "h\u{e9}.example",
        ] {
            assert_eq!(host(field), None, "{field}");
        }
    }
}
