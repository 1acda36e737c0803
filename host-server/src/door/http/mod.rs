//! HTTP, with the WebSocket at `/ws` (RFC 6455 §4.2).

mod answers;
mod connection;
mod fields;
mod jwks;
mod origins;
mod routes;
mod upgrade;

use std::sync::Arc;

use smol::net::TcpListener;

use super::accept;
use crate::shared::Shared;

/// Most bytes of the headers of a request.
pub(super) const MAX_HEADERS_LEN: usize = 8 * 1024;

/// Serves HTTP on `listener` for ever.
pub(crate) async fn serve_http(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let serve_one = |guest| {
        let shared = Arc::clone(&shared);
        async move { connection::serve(&guest, &shared).await }
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
