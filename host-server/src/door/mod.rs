//! How peers come in.

mod budget;
mod http;
mod http_io;
mod tcp;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use budget::{Budget, HalfOpen};
pub(crate) use http::serve_http;
use smol::net::{TcpListener, TcpStream};
pub(crate) use tcp::serve_tcp;

/// How long the door stays shut after the system refused to give a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever, and has `serve` take each within the budget.
async fn accept<S, F>(
    listener: TcpListener,
    budget: &Budget,
    executor: &smol::Executor<'_>,
    serve: S,
) where
    S: Fn(TcpStream, SocketAddr, budget::Connected) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let Some(connected) = budget.connected() else {
                    tracing::warn!(%address, "too many connections; this one is dropped");
                    continue;
                };
                // Small frames go out at once; a socket that does not know the option works as well.
                let _ = stream.set_nodelay(true);
                executor.spawn(serve(stream, address, connected)).detach();
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                smol::Timer::after(ACCEPT_PAUSE).await;
            }
        }
    }
}
