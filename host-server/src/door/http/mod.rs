//! HTTP, with the WebSocket at `/ws` (RFC 6455 §4.2).

mod answers;
mod api;
mod bearer;
mod connection;
mod fields;
mod forwarded;
mod jwks;
mod lines;
mod origins;
mod redirect;
mod routes;
mod turns;
mod upgrade;

use std::sync::Arc;

use futures_rustls::{TlsAcceptor, TlsStream};
use smol::net::{TcpListener, TcpStream};

use super::{Addresses, Guest, SentAway, accept};
use crate::audit::Kind;
use crate::shared::Shared;
use crate::tls::Skin;

/// Most bytes of the headers of a request.
pub(crate) const MAX_HEADERS_LEN: usize = 8 * 1024;

/// Most bytes that are read of a stranger's TLS handshake, beside what a stranger may send without it: a ClientHello of up to
/// 3 KiB, with a key share of a post-quantum exchange and a ticket; the same again when the hub asks for another group; and
/// as much as that for the rest, alerts, and the marks of the records that follow.
const TLS_HANDSHAKE_LEN: usize = 3 * 3 * 1024;

/// Serves HTTP on `listener` for ever.
pub(crate) async fn serve_http(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let door = (listener, Addresses::OfProxies);
    accept(door, shared, &executor, serve_plain, send_away).await;
}

/// Serves HTTP in TLS on `listener` for ever.
pub(crate) async fn serve_https(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let door = (listener, Addresses::OfProxies);
    accept(door, shared, &executor, serve_in_tls, send_away).await;
}

async fn serve_plain(guest: Guest, shared: Arc<Shared>) {
    let stream = Skin::Plain(guest.metered());
    connection::serve(stream, &guest, &shared).await;
}

async fn serve_in_tls(guest: Guest, shared: Arc<Shared>) {
    // There is a certificate where there is this door.
    let Some(tls) = shared.certificates.now(&shared.config().tls) else {
        return;
    };
    guest.place.meter().allow(TLS_HANDSHAKE_LEN);
    match TlsAcceptor::from(tls).accept(guest.metered()).await {
        Ok(stream) => {
            let stream = Skin::Tls(Box::new(TlsStream::Server(stream)));
            connection::serve(stream, &guest, &shared).await;
        }
        Err(error) => shared.note_stranger(Kind::StrangerGone, &guest.caller, &error),
    }
}

/// Says nothing: there may be no WebSocket yet in which to say a word.
async fn send_away(_: TcpStream, _: SentAway) {}
