//! What is answered to requests. What is wrong with one is said; what the hub is, is not.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use super::upgrade::{SUBPROTOCOL, WEBSOCKET_VERSION};

/// An answer, whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request gets nothing, in words for whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    text: &'static str,
    /// The header that belongs to the status.
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    /// Refuses with `status` and the line `text`.
    pub(super) fn new(status: StatusCode, text: &'static str) -> Self {
        let header = match status {
            StatusCode::UPGRADE_REQUIRED => Some((SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION)),
            _ => None,
        };
        Self {
            status,
            text,
            header,
        }
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what is said, a line.
    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    /// Refuses a request that is not as it has to be.
    pub(super) fn bad(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Refuses who has shown no token, or none that is good; `challenge` says which (RFC 9110 §11.6.1).
    pub(super) fn unauthorized(text: &'static str, challenge: &'static str) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, text);
        refusal.header = Some((WWW_AUTHENTICATE, challenge));
        refusal
    }

    /// Refuses one of an address that has sent too many.
    pub(super) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many, come back later\n")
    }

    /// Refuses a path that leads nowhere.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found\n")
    }

    /// Refuses a method; `allowed` are those that the path takes.
    pub(super) fn method(allowed: &'static str) -> Self {
        let mut refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        refusal.header = Some((ALLOW, allowed));
        refusal
    }
}

/// Returns an answer of `status` with nothing in it.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Returns the answer that opens a WebSocket (RFC 6455 §4.2.2).
pub(super) fn switch(accept: HeaderValue) -> Answer {
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    answer
}

/// Returns the answer to a request that gets nothing. The connection ends with it.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from_static(refusal.text.as_bytes())));
    *answer.status_mut() = refusal.status;
    let headers = answer.headers_mut();
    let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text_plain);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some((name, value)) = refusal.header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
