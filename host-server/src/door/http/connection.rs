//! One connection: requests first, and a session if one of them asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, StatusCode};
use smol::net::TcpStream;

use super::super::{Guest, Metered};
use super::lines::{LineEnds, Lines};
use super::turns::{self, Upgraded};
use super::{api, routes};
use crate::audit::Kind;
use crate::session;
use crate::shared::Shared;
use crate::tls::Skin;
use crate::transport::{WebSocket, max_message_len};

/// Most requests of one connection.
const MAX_REQUESTS: usize = 16;

/// Bytes that a WebSocket reads at a time. The library's own 128 KiB would be paid by every idle peer.
const READ_BUFFER_LEN: usize = 2 * 1024;

/// Bytes that may wait to be written to one WebSocket.
const MAX_WRITE_BUFFER_LEN: usize = 64 * 1024;

/// What requests come in.
type Stream = Skin<Metered<TcpStream>>;

/// Serves the connection `stream` of `guest`.
pub(super) async fn serve(stream: Stream, guest: &Guest, shared: &Shared) {
    // What requests take in memory is free again when there is a session.
    if let Some(upgraded) = Box::pin(serve_requests(stream, guest, shared)).await {
        guest.place.meter().begin_handshake();
        Box::pin(serve_websocket(upgraded, guest, shared)).await;
    }
}

/// Answers requests; returns what follows them, if one asked for that.
async fn serve_requests(
    stream: Stream,
    guest: &Guest,
    shared: &Shared,
) -> Option<Upgraded<Stream>> {
    let is_secure = matches!(stream, Skin::Tls(_));
    let channel = stream.channel();
    let requests = AtomicUsize::new(0);
    let is_upgraded = Arc::new(AtomicBool::new(false));
    let stream = Lines::new(stream, LineEnds::new(Arc::clone(&is_upgraded)));
    let answer = |mut request: Request<Incoming>| {
        let is_upgraded = &is_upgraded;
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
            } else if is_last {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
    };
    let served = turns::serve(stream, answer).await;
    let upgraded = served.inspect_err(|error| {
        shared.note_stranger(Kind::StrangerGone, &guest.caller, error);
    });
    let Upgraded { stream, read } = upgraded.ok()??;
    Some(Upgraded {
        stream: stream.into_inner(),
        read,
    })
}

async fn serve_websocket(upgraded: Upgraded<Stream>, guest: &Guest, shared: &Shared) {
    let Upgraded { stream, read } = upgraded;
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
    let stream =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let peer = format!("{door} {}", guest.caller);
    session::serve(shared, WebSocket::new(stream), &peer, &guest.place).await;
}
