//! A small POST of JSON over plain HTTP.

use std::time::Duration;

use futures_lite::future;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use smol::net::TcpStream;

use crate::door::HyperIo;

/// Longest URL in bytes.
const MAX_URL_LEN: usize = 512;

/// The port of HTTP.
const HTTP_PORT: u16 = 80;

/// Where alerts are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
    /// Host and port as the URL has them.
    authority: String,
    path: String,
}

/// Why an alert did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    #[error("it takes too long")]
    Late,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
    #[error("the answer is {0}")]
    Answer(StatusCode),
}

impl Target {
    /// Reads `http://HOST:PORT/PATH`; returns what is wrong with it, in words.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be a URL such as http://127.0.0.1:8080/alerts, or \"off\"";
        if url.starts_with("https://") {
            return Err(
                "cannot be https: alerts are sent in the clear, to this machine or a trusted network; \
                 give an http:// URL, such as that of a relay on this machine",
            );
        }
        let rest = url.strip_prefix("http://").ok_or(EXPECTED)?;
        let is_plain = url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte));
        if !is_plain || url.len() > MAX_URL_LEN {
            return Err(EXPECTED);
        }
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("must not have a name or password in it");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| EXPECTED)?)
            }
            _ => (authority, HTTP_PORT),
        };
        let host = host
            .strip_prefix('[')
            .map_or(Some(host), |host| host.strip_suffix(']'))
            .filter(|host| !host.is_empty() && !host.contains(['[', ']']))
            .ok_or(EXPECTED)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: host.into(),
            port,
            authority: authority.into(),
            path: format!("{slash}{path}"),
        })
    }

    /// Sends `body`, and waits for the head of the answer, for `patience` at most.
    pub(super) async fn post(&self, body: String, patience: Duration) -> Result<(), NotSent> {
        let late = async {
            smol::Timer::after(patience).await;
            Err(NotSent::Late)
        };
        future::or(self.exchange(body), late).await
    }

    async fn exchange(&self, body: String) -> Result<(), NotSent> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = http1::handshake(HyperIo(stream)).await?;
        let request = Request::post(&self.path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))?;
        let answer = async { Ok(sender.send_request(request).await?) };
        // When it is over, so is the wait for an answer.
        let carried = async {
            let _ = connection.await;
            future::pending().await
        };
        let answer: Result<_, NotSent> = future::or(answer, carried).await;
        let status = answer?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(NotSent::Answer(status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_url_names_host_port_and_path() {
        for (url, host, port, path) in [
            ("http://127.0.0.1:8080/alerts", "127.0.0.1", 8080, "/alerts"),
            ("http://relay", "relay", 80, "/"),
            ("http://relay?to=me", "relay", 80, "/?to=me"),
            ("http://[::1]:81/a?b", "::1", 81, "/a?b"),
            ("http://[::1]/", "::1", 80, "/"),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!(
                (target.host.as_str(), target.port, target.path.as_str()),
                (host, port, path)
            );
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused_and_https_in_its_own_words() {
        assert!(
            Target::parse("https://relay/")
                .expect_err("https")
                .contains("https")
        );
        for url in [
            "",
            "relay",
            "ftp://relay",
            "http://",
            "http://:80/",
            "http://relay:99999/",
            "http://a b/",
            "http://me:x@relay/",
            "http://relay/\r\nX: y",
            "http://[::1/",
            "http://relay/é",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
