//! One connection: requests first, and a session if one of them asks for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, StatusCode};
use smol::net::TcpStream;

use super::super::http_io::HyperIo;
use super::super::{Guest, Metered};
use super::lines::Lines;
use super::{MAX_HEADERS_LEN, api, routes};
use crate::audit::Kind;
use crate::session;
use crate::shared::Shared;
use crate::tls::Skin;
use crate::transport::{WebSocket, max_message_len};

/// Most headers of a request.
const MAX_HEADERS: usize = 32;

/// Most requests of one connection.
const MAX_REQUESTS: usize = 16;

/// Bytes that a WebSocket reads at a time. The library's own 128 KiB would be paid by every idle peer.
const READ_BUFFER_LEN: usize = 4 * 1024;

/// Bytes that may wait to be written to one WebSocket.
const MAX_WRITE_BUFFER_LEN: usize = 64 * 1024;

/// What requests come in.
type Stream = Skin<Metered<TcpStream>>;

/// Serves the connection `stream` of `guest`.
pub(super) async fn serve(stream: Stream, guest: &Guest, shared: &Shared) {
    // What requests take in memory is free again when there is a session.
    let Some(upgrade) = Box::pin(serve_requests(stream, guest, shared)).await else {
        return;
    };
    match upgrade.await {
        Ok(upgraded) => Box::pin(serve_websocket(upgraded, guest, shared)).await,
        Err(error) => shared.note_stranger(Kind::StrangerGone, &guest.caller, &error),
    }
}

/// Answers requests; returns the way to what follows them, if one asked for that.
async fn serve_requests(stream: Stream, guest: &Guest, shared: &Shared) -> Option<OnUpgrade> {
    let is_secure = matches!(stream, Skin::Tls(_));
    let channel = stream.channel();
    let (hand_over, handed_over) = async_channel::bounded(1);
    let requests = AtomicUsize::new(0);
    let is_upgraded = Arc::new(AtomicBool::new(false));
    let stream = Lines::new(stream, Arc::clone(&is_upgraded));
    let service = service_fn(|mut request: Request<Incoming>| {
        let (hand_over, is_upgraded) = (hand_over.clone(), &is_upgraded);
        let is_last = requests.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_REQUESTS;
        async move {
            let mut answer = if api::is_for(request.uri().path()) {
                let channel = channel.as_ref();
                let way = api::Way { is_secure, channel };
                Box::pin(api::answer(&mut request, way, guest, shared)).await
            } else {
                routes::answer(&request, is_secure, guest, shared)
            };
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                is_upgraded.store(true, Ordering::Release);
                let upgrade = hyper::upgrade::on(&mut request);
                // There is one place, and a connection is upgraded once.
                let _ = hand_over.try_send(upgrade);
            } else if is_last {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // The time of a stranger is measured as a whole.
    let served = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADERS_LEN)
        .max_headers(MAX_HEADERS)
        .serve_connection(HyperIo(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        shared.note_stranger(Kind::StrangerGone, &guest.caller, &error);
    }
    handed_over.try_recv().ok()
}

async fn serve_websocket(upgraded: Upgraded, guest: &Guest, shared: &Shared) {
    let Ok(parts) = upgraded.downcast::<HyperIo<Lines<Stream>>>() else {
        tracing::error!("an upgraded connection is not of the type that was served");
        return;
    };
    let stream = parts.io.0.into_inner();
    let door = match stream {
        Skin::Plain(_) => "ws",
        Skin::Tls(_) => "wss",
    };
    let max_len = max_message_len(guest.place.limits().payload_len);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_LEN)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_LEN)
        .max_message_size(Some(max_len))
        .max_frame_size(Some(max_len));
    let stream = WebSocketStream::from_partially_read(
        stream,
        parts.read_buf.to_vec(),
        Role::Server,
        Some(config),
    )
    .await;
    let peer = format!("{door} {}", guest.caller);
    session::serve(shared, WebSocket::new(stream), &peer, &guest.place).await;
}
