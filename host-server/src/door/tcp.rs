//! Bare TCP: delimited messages and nothing else (PROTOCOL.md §9.1).

use std::sync::Arc;

use smol::net::{TcpListener, TcpStream};

use super::{Addresses, Guest, SentAway, accept};
use crate::session::{serve, turn_away};
use crate::shared::Shared;
use crate::transport::BareStream;

/// Serves peers on `listener` for ever.
pub(crate) async fn serve_tcp(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let door = (listener, Addresses::OfSockets);
    accept(door, shared, &executor, serve_one, send_away).await;
}

async fn serve_one(guest: Guest, shared: Arc<Shared>) {
    let transport = BareStream::new(guest.metered());
    let peer = format!("tcp {}", guest.caller);
    serve(&shared, transport, &peer, &guest.place).await;
}

async fn send_away(stream: TcpStream, why: SentAway) {
    if why == SentAway::GivesWay {
        turn_away(BareStream::new(stream)).await;
    }
}
