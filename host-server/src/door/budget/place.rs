//! The place of one connection, from when it is accepted until it is over.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_lite::future;
use moorline_core::time::Instant;

use super::Shut;
use super::state::{State, Stranger, lock, network};
use crate::clock;
use crate::config::Limits;
use crate::connections::Entry;
use crate::door::meter::Meter;
use crate::metrics::Metrics;

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) number: u64,
    pub(super) network: Mutex<IpAddr>,
    pub(super) deadline: Instant,
    pub(super) limits: Arc<Limits>,
    pub(super) gives_way: async_channel::Receiver<SentAway>,
    pub(super) meter: Arc<Meter>,
    pub(super) entry: Arc<Entry>,
    pub(super) metrics: Arc<Metrics>,
}

/// Why a stranger is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SentAway {
    #[error("it gives way to a newer stranger")]
    GivesWay,
    #[error("it is not authenticated in time")]
    Late,
    #[error("an operator closes it")]
    Closed,
}

impl SentAway {
    /// Returns what metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::GivesWay => "gives_way",
            Self::Late => "late",
            Self::Closed => "closed",
        }
    }
}

impl Place {
    /// Makes the stranger a peer, which no longer gives way. Returns whether it still had its place.
    pub(crate) fn settle(&self) -> bool {
        let mut state = lock(&self.state);
        let had_place = state.take_off(self.number);
        if had_place {
            state.count_peer(self.network(), true);
            state.guard.succeed(self.network(), &self.limits);
            self.meter.settle();
        }
        had_place
    }

    /// Returns whether the peer is authenticated.
    pub(crate) fn is_settled(&self) -> bool {
        self.meter.is_settled()
    }

    /// Returns the limits that this connection began with and keeps.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts the stranger as one of `address`, for which its proxy speaks. Another of that address gives way for it if
    /// need be.
    ///
    /// # Errors
    ///
    /// [`Shut`], as to one that comes from that address itself.
    pub(crate) fn count_as(&self, address: IpAddr) -> Result<(), Shut> {
        let network = network(address);
        let mut state = lock(&self.state);
        let number = self.number;
        let is_own = |stranger: &Stranger| stranger.number == number;
        let counted = state.strangers.iter().find(|stranger| is_own(stranger));
        if counted.is_some_and(|stranger| stranger.network != Some(network)) {
            state.check(network, &self.limits)?;
            state.make_room(network, &self.limits);
            if let Some(stranger) = state.strangers.iter_mut().find(|stranger| is_own(stranger)) {
                stranger.network = Some(network);
            }
        }
        *self.network.lock().unwrap_or_else(PoisonError::into_inner) = network;
        Ok(())
    }

    /// Returns what counts as the peer's address.
    pub(crate) fn network(&self) -> IpAddr {
        *self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is counted of this connection, for operators.
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Returns what counts the bytes of this connection.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Has `serve` work until it is done, or until a stranger has to go; returns why it had to.
    pub(crate) async fn hold(&self, serve: impl Future<Output = ()> + Unpin) -> Option<SentAway> {
        let served = async {
            serve.await;
            None
        };
        let gives_way = async {
            // The list lets go of the other end when the stranger becomes a peer.
            match self.gives_way.recv().await {
                Ok(why) => Some(why),
                Err(_) => future::pending().await,
            }
        };
        let late = async {
            clock::sleep_until(self.deadline).await;
            if !lock(&self.state).take_off(self.number) {
                future::pending::<()>().await;
            }
            Some(SentAway::Late)
        };
        future::or(future::or(gives_way, late), served).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.closed(self.entry.role());
        let mut state = lock(&self.state);
        state.entries.remove(&self.number);
        if !state.take_off(self.number) && self.is_settled() {
            state.count_peer(self.network(), false);
        }
    }
}
