//! HTTP, with the WebSocket at `/ws` (RFC 6455 §4.2).

use std::convert::Infallible;
use std::sync::Arc;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use base64ct::{Base64, Encoding};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, Version};
use smol::net::{TcpListener, TcpStream};

use super::http_io::HyperIo;
use super::{Guest, Metered, accept};
use crate::audit::Kind;
use crate::session::serve;
use crate::shared::Shared;
use crate::transport::{WebSocket, max_message_len};

/// Most bytes of the headers of a request.
pub(crate) const MAX_HEADERS_LEN: usize = 8 * 1024;

/// Most headers of a request.
const MAX_HEADERS: usize = 32;

/// Bytes that a WebSocket reads at a time. The library's own 128 KiB would be paid by every idle peer.
const READ_BUFFER_LEN: usize = 4 * 1024;

/// Bytes that may wait to be written to one WebSocket.
const MAX_WRITE_BUFFER_LEN: usize = 64 * 1024;

/// The version of the WebSocket protocol (RFC 6455 §4.1).
const WEBSOCKET_VERSION: &str = "13";

/// The subprotocol (PROTOCOL.md §9.2).
const SUBPROTOCOL: &str = "moorline.v1";

/// Serves HTTP on `listener` for ever.
pub(crate) async fn serve_http(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let serve_one = |guest| {
        let shared = Arc::clone(&shared);
        async move { serve_connection(&guest, &shared).await }
    };
    // There may be no WebSocket yet in which to say a word.
    let send_away = |_, _| std::future::ready(());
    accept(
        listener,
        Arc::clone(&shared),
        &executor,
        serve_one,
        send_away,
    )
    .await;
}

/// Serves one socket: requests first, and a session if one of them asks for it.
async fn serve_connection(guest: &Guest, shared: &Shared) {
    let (hand_over, handed_over) = async_channel::bounded(1);
    let service = service_fn(|mut request: Request<Incoming>| {
        let hand_over = hand_over.clone();
        async move {
            let answer = answer(&request);
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                let upgrade = hyper::upgrade::on(&mut request);
                // There is one place, and a connection is upgraded once.
                let _ = hand_over.try_send(upgrade);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // The time of a stranger is measured as a whole.
    let served = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADERS_LEN)
        .max_headers(MAX_HEADERS)
        .serve_connection(HyperIo(guest.metered()), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        shared.note_stranger(Kind::StrangerGone, &guest.address, &error);
    }
    let Ok(upgrade) = handed_over.try_recv() else {
        return;
    };
    match upgrade.await {
        Ok(upgraded) => serve_websocket(upgraded, guest, shared).await,
        Err(error) => shared.note_stranger(Kind::StrangerGone, &guest.address, &error),
    }
}

async fn serve_websocket(upgraded: Upgraded, guest: &Guest, shared: &Shared) {
    let Ok(parts) = upgraded.downcast::<HyperIo<Metered<TcpStream>>>() else {
        tracing::error!("an upgraded connection is not of the type that was served");
        return;
    };
    let max_len = max_message_len(guest.place.limits().payload_len);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_LEN)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_LEN)
        .max_message_size(Some(max_len))
        .max_frame_size(Some(max_len));
    let stream = WebSocketStream::from_partially_read(
        parts.io.0,
        parts.read_buf.to_vec(),
        Role::Server,
        Some(config),
    )
    .await;
    let peer = format!("ws {}", guest.address);
    serve(shared, WebSocket::new(stream), &peer, &guest.place).await;
}

/// Why a request opens no WebSocket, in words for whoever made it.
type Refusal = (StatusCode, &'static str);

/// Returns the answer to `request`. What is wrong with it is said; what the hub is, is not.
fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    match accept_key(request) {
        Ok(accept) => switch(accept),
        Err(refusal) => refuse(refusal),
    }
}

/// Checks an upgrade, and returns the value of the answer's `Sec-WebSocket-Accept`.
fn accept_key(request: &Request<Incoming>) -> Result<HeaderValue, Refusal> {
    let bad = |why| (StatusCode::BAD_REQUEST, why);
    let headers = request.headers();
    if request.uri().path() != "/ws" {
        return Err((StatusCode::NOT_FOUND, "not found\n"));
    }
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket is asked for by GET over HTTP/1.1\n"));
    }
    if !lists(headers, &UPGRADE, "websocket") || !lists(headers, &CONNECTION, "upgrade") {
        return Err(bad("a WebSocket upgrade is expected\n"));
    }
    if single(headers, &SEC_WEBSOCKET_VERSION) != Some(WEBSOCKET_VERSION) {
        return Err((StatusCode::UPGRADE_REQUIRED, "version 13 is spoken\n"));
    }
    if !lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(bad("the subprotocol moorline.v1 is expected\n"));
    }
    // A browser says from which page it comes; pages of others are not let in.
    let origin = headers
        .get(ORIGIN)
        .map(|_| single(headers, &ORIGIN).unwrap_or_default());
    if origin.is_some_and(|origin| !is_same_origin(origin, single(headers, &HOST))) {
        return Err((StatusCode::FORBIDDEN, "this origin is not allowed\n"));
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY).unwrap_or_default();
    let mut nonce = [0; 16];
    let decoded = Base64::decode(key, &mut nonce);
    if !decoded.is_ok_and(|nonce| nonce.len() == 16) {
        return Err(bad("the WebSocket key is not 16 bytes\n"));
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| bad("bad key\n"))
}

fn switch(accept: HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn refuse((status, text): Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, text_plain);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(
            SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static(WEBSOCKET_VERSION),
        );
    }
    response
}

/// Returns whether the comma-separated header `name` has the element `wanted`; letter case does not count.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let mut lines = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines.any(|line| {
        line.split(',')
            .any(|element| element.trim().eq_ignore_ascii_case(wanted))
    })
}

/// Returns the value of a header that stands there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let authority = origin
        .strip_prefix("https://")
        .or(origin.strip_prefix("http://"));
    authority.is_some() && authority == host
}
