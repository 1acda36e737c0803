//! Whether a request opens a WebSocket (RFC 6455 §4.2.1).

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use base64ct::{Base64, Encoding};
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::{Method, Request, StatusCode, Version};

use super::answers::Refusal;
use super::fields::{lists, single};
use super::origins;
use crate::config::OriginPattern;

/// The version of the WebSocket protocol (RFC 6455 §4.1).
pub(super) const WEBSOCKET_VERSION: &str = "13";

/// The subprotocol (PROTOCOL.md §9.2).
pub(super) const SUBPROTOCOL: &str = "moorline.v1";

/// Checks an upgrade, and returns the value of the answer's `Sec-WebSocket-Accept`.
///
/// # Errors
///
/// [`Refusal`], for the first thing that is wrong.
pub(super) fn accept_key<B>(
    request: &Request<B>,
    allowed: &[OriginPattern],
) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refusal::method("GET"));
    }
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::bad("a WebSocket is asked for over HTTP/1.1\n"));
    }
    if !lists(headers, &UPGRADE, "websocket") || !lists(headers, &CONNECTION, "upgrade") {
        return Err(Refusal::bad("a WebSocket upgrade is expected\n"));
    }
    if single(headers, &SEC_WEBSOCKET_VERSION) != Some(WEBSOCKET_VERSION) {
        let text = "version 13 is spoken\n";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, text));
    }
    if !lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Refusal::bad("the subprotocol moorline.v1 is expected\n"));
    }
    // A browser says from which page it comes; pages of others are not let in.
    if !origins::may_come_in(headers, allowed) {
        let text = "this origin is not allowed\n";
        return Err(Refusal::new(StatusCode::FORBIDDEN, text));
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY).unwrap_or_default();
    let mut nonce = [0; 16];
    let decoded = Base64::decode(key, &mut nonce);
    if !decoded.is_ok_and(|nonce| nonce.len() == 16) {
        return Err(Refusal::bad("the WebSocket key is not 16 bytes\n"));
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| Refusal::bad("bad key\n"))
}
