//! How peers come in.

mod budget;
mod caller;
mod http;
mod http_io;
mod journal;
mod meter;
mod screened;
mod tcp;
mod udp;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use budget::{Budget, Place, SentAway};
use caller::Caller;
use futures_lite::future;
pub(crate) use http::{MAX_HEADERS_LEN, serve_http, serve_https};
pub(crate) use http_io::HyperIo;
pub(crate) use meter::Metered;
use smol::net::{TcpListener, TcpStream};
pub(crate) use tcp::serve_tcp;
pub(crate) use udp::serve_udp;

use crate::audit::Kind;
use crate::shared::Shared;

/// How long the door stays shut after the system refused to give a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket, with whose it is and the place that it has.
#[derive(Debug, Clone)]
struct Guest {
    stream: TcpStream,
    caller: Caller,
    place: Arc<Place>,
}

impl Guest {
    /// Returns the socket, read no further than the place allows.
    fn metered(&self) -> Metered<TcpStream> {
        Metered::new(self.stream.clone(), Arc::clone(self.place.meter()))
    }
}

/// What a door takes for the address of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    /// That of its socket.
    OfSockets,
    /// That for which a proxy speaks, where there is one.
    OfProxies,
}

/// Accepts connections for ever, and has `serve` take each for as long as it has its place. The executor runs
/// `send_away` for a stranger that had to go.
async fn accept<S, F, A, G>(
    (listener, addresses): (TcpListener, Addresses),
    shared: Arc<Shared>,
    executor: &smol::Executor<'_>,
    serve: S,
    send_away: A,
) where
    S: Fn(Guest, Arc<Shared>) -> F,
    F: Future<Output = ()> + Send + 'static,
    A: Fn(TcpStream, SentAway) -> G + Copy + Send + 'static,
    G: Future<Output = ()> + Send,
{
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let by_proxy = addresses == Addresses::OfProxies
                    && shared.config().http.is_proxy(address.ip());
                let entered = if by_proxy {
                    shared.budget.enter_by_proxy(address)
                } else {
                    shared.budget.enter(address)
                };
                let place = match entered {
                    Ok(place) => place,
                    Err(why) => {
                        shared.budget.note(&address, &why);
                        // Others on this thread have their turn, however many come.
                        future::yield_now().await;
                        continue;
                    }
                };
                // Small frames go out at once; a socket that does not know the option works as well.
                let _ = stream.set_nodelay(true);
                let caller = Caller::new(address);
                let guest = Guest {
                    stream: stream.clone(),
                    caller: caller.clone(),
                    place: Arc::new(place),
                };
                let place = Arc::clone(&guest.place);
                let send_away = move |why| send_away(stream, why);
                let served = serve(guest, Arc::clone(&shared));
                host(executor, &shared, caller, place, served, send_away);
                // Those who had to give way let go of their sockets before the next one is taken.
                future::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                smol::Timer::after(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Has the executor work on `served` for as long as it has its `place`, and `send_away` whom it is taken from. `peer`
/// says in logs who that is.
fn host<P, F, A, G>(
    executor: &smol::Executor<'_>,
    shared: &Arc<Shared>,
    peer: P,
    place: Arc<Place>,
    served: F,
    send_away: A,
) where
    P: Display + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
    A: FnOnce(SentAway) -> G + Send + 'static,
    G: Future<Output = ()> + Send,
{
    let shared = Arc::clone(shared);
    let served = Box::pin(served);
    let task = async move {
        if let Some(why) = place.hold(served).await {
            let kind = match why {
                SentAway::GivesWay => Kind::LimitHit,
                SentAway::Late | SentAway::Closed => Kind::StrangerGone,
            };
            shared.note_stranger(kind, &peer, &why);
            shared.budget.metrics().sent_away(why.label());
            // Most who are held are not sent away.
            Box::pin(send_away(why)).await;
        }
    };
    executor.spawn(task).detach();
}
