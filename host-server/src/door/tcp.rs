//! Bare TCP: delimited messages and nothing else (PROTOCOL.md §9.1).

use std::sync::Arc;

use smol::net::TcpListener;

use super::accept;
use crate::session::{Shared, serve};
use crate::transport::{BareStream, max_message_len};

/// Serves peers on `listener` for ever.
pub(crate) async fn serve_tcp(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let len = max_message_len(shared.config.limits.payload_len);
    let budget = &shared.budget;
    let serve_one = |stream, address: std::net::SocketAddr, connected| {
        let shared = Arc::clone(&shared);
        async move {
            serve(
                &shared,
                BareStream::new(stream, len),
                &format!("tcp {address}"),
            )
            .await;
            drop(connected);
        }
    };
    accept(listener, budget, &executor, serve_one).await;
}
