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
    let serve_one = |guest: Guest| {
        let shared = Arc::clone(&shared);
        async move {
            let transport = BareStream::new(guest.metered());
            let peer = format!("tcp {}", guest.caller);
            serve(&shared, transport, &peer, &guest.place).await;
        }
    };
    let send_away = |stream: TcpStream, why| async move {
        if why == SentAway::GivesWay {
            turn_away(BareStream::new(stream)).await;
        }
    };
    accept(
        (listener, Addresses::OfSockets),
        Arc::clone(&shared),
        &executor,
        serve_one,
        send_away,
    )
    .await;
}
