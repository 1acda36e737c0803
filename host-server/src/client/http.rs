//! A hub's HTTP API, for logging in.

use std::time::Duration;

use futures_lite::future::{self, Boxed};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use serde_json::Value;
use smol::net::TcpStream;
use zeroize::Zeroizing;

use super::ClientError;
use crate::door::HyperIo;
use crate::tls::{self, Skin};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest answer that is read, in bytes.
const MAX_ANSWER_LEN: usize = 64 * 1024;

/// A connection to a hub's HTTP API.
pub(super) struct Api {
    sender: SendRequest<Full<Bytes>>,
    connection: Boxed<()>,
    authority: String,
    channel: Option<[u8; 32]>,
}

impl Api {
    /// Connects to the hub at `url`: `http://HOST:PORT` or `https://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`] or [`ClientError::Unreachable`].
    pub(super) async fn connect(url: &str) -> Result<Self, ClientError> {
        let (host, port, authority, is_secure) =
            parts(url).ok_or_else(|| ClientError::Address(url.into()))?;
        let unreachable = |error| ClientError::Unreachable {
            place: url.into(),
            error,
        };
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(unreachable)?;
        let stream = if is_secure {
            tls::connect(host, stream).await.map_err(unreachable)?
        } else {
            Skin::Plain(stream)
        };
        let channel = stream.channel();
        let not_a_hub = |error: hyper::Error| ClientError::NotAHub {
            place: url.into(),
            error: error.to_string(),
        };
        let (sender, connection) = http1::handshake(HyperIo(stream)).await.map_err(not_a_hub)?;
        Ok(Self {
            sender,
            connection: Box::pin(async {
                let _ = connection.await;
            }),
            authority: authority.into(),
            channel,
        })
    }

    /// Returns what names the TLS connection, where there is one of TLS 1.3.
    pub(super) fn channel(&self) -> Option<&[u8; 32]> {
        self.channel.as_ref()
    }

    /// Returns the host, and port if there is one, that requests name.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Posts `body`, if there is one, to `path` and returns the answer, or why there is none. `shown` are headers with secrets.
    pub(super) async fn post<const N: usize>(
        &mut self,
        path: &str,
        body: Option<&Value>,
        shown: [(HeaderName, String); N],
    ) -> Result<Value, ClientError> {
        let late = async {
            smol::Timer::after(PATIENCE).await;
            Err(ClientError::Late(PATIENCE))
        };
        let shown = shown.map(|(name, value)| (name, Zeroizing::new(value)));
        future::or(self.exchange(path, body, &shown), late).await
    }

    async fn exchange(
        &mut self,
        path: &str,
        body: Option<&Value>,
        shown: &[(HeaderName, Zeroizing<String>)],
    ) -> Result<Value, ClientError> {
        let failed = |error: &dyn std::fmt::Display| ClientError::NotAHub {
            place: path.into(),
            error: error.to_string(),
        };
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        let mut request = Request::post(path)
            .header(HOST, &self.authority)
            .body(Full::new(bytes.unwrap_or_default()))
            .map_err(|error| failed(&error))?;
        let headers = request.headers_mut();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in shown {
            let mut value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let (sender, connection) = (&mut self.sender, &mut self.connection);
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_LEN)
                .collect()
                .await;
            Ok::<_, hyper::Error>((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
        };
        // The connection is worked on for as long as the answer takes.
        let carried = async {
            connection.await;
            future::pending().await
        };
        let (status, body) = future::or(answer, carried)
            .await
            .map_err(|error| failed(&error))?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let detail = value["detail"].as_str().unwrap_or("no reason is given");
        Err(match status {
            StatusCode::UNAUTHORIZED => ClientError::CredentialRefused,
            _ => ClientError::NotLoggedIn(detail.into()),
        })
    }
}

/// Returns host, port and authority of `url`, and whether it is in TLS.
fn parts(url: &str) -> Option<(&str, u16, &str, bool)> {
    let (rest, port, is_secure) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443, true),
        None => (url.strip_prefix("http://")?, 80, false),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, port),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let is_host = !host.is_empty() && !host.contains(['/', '?', '[', ']', '@', ' ']);
    is_host.then_some((host, port, authority, is_secure))
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_url_names_a_hub_and_nothing_else() {
        for (url, expected) in [
            ("http://hub:7443", ("hub", 7443, "hub:7443", false)),
            ("https://hub/", ("hub", 443, "hub", true)),
            ("https://[::1]:9", ("::1", 9, "[::1]:9", true)),
            ("http://[::1]", ("::1", 80, "[::1]", false)),
        ] {
            assert_eq!(parts(url), Some(expected), "{url}");
        }
        for url in [
            "",
            "hub",
            "ws://hub",
            "http://",
            "http://a@b",
            "http://hub/api",
            "http://hub:99999",
        ] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}
