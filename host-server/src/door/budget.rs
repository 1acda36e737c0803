//! How many connections there may be, and how many of them strangers.
//!
//! A connection is a stranger's from the moment it is accepted until its peer is authenticated. A new stranger never
//! waits behind older ones: when their share is taken, the oldest gives way. So whoever holds places without using
//! them loses them first, and an honest peer has as long as it takes to open a whole share of connections.

mod place;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline_core::message::AlertCode;
use moorline_core::reason::Reason;
use moorline_core::wire::Form;
pub(crate) use place::{Place, SentAway};
use state::{State, Stranger, lock, network};

use super::journal::Journal;
use super::meter::Meter;
use crate::audit::{Event, Kind};
use crate::clock;
use crate::config::{Limits, Live};
use crate::connections::{ConnectionReport, ConnectionState, Entry};
use crate::guard::{Blocked, is_failure};
use crate::metrics::Metrics;
use crate::witness::Witness;

/// Gives out places.
#[derive(Debug)]
pub(crate) struct Budget {
    state: Arc<Mutex<State>>,
    limits: Live<Limits>,
    journal: Journal,
    metrics: Arc<Metrics>,
    witness: Witness,
}

/// Why a connection is not taken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Shut {
    #[error("peers have all places")]
    Full,
    #[error("its address opens connections too fast")]
    TooFast,
    #[error("its address is blocked")]
    Blocked,
}

impl Shut {
    /// Returns the limit that was hit.
    fn label(self) -> &'static str {
        match self {
            Self::Full => "connections",
            Self::TooFast => "connections_per_address",
            Self::Blocked => "blocked_address",
        }
    }
}

impl Budget {
    pub(crate) fn new(limits: Limits, witness: Witness) -> Self {
        Self {
            state: Arc::default(),
            limits: Live::new(limits),
            journal: Journal::default(),
            metrics: Arc::new(Metrics::new()),
            witness,
        }
    }

    /// Returns what counts for the whole daemon.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns what up to `most` connections do, those whose number is over `after`.
    pub(crate) fn report(&self, after: Option<u64>, most: usize) -> Vec<ConnectionReport> {
        let now = clock::instant();
        let first = after.map_or(0, |after| after.saturating_add(1));
        let state = lock(&self.state);
        let entries = state.entries.range(first..).take(most);
        entries.map(|(_, entry)| entry.report(now)).collect()
    }

    /// Returns how many connections there are, by state and transport.
    pub(crate) fn counts(&self) -> BTreeMap<(ConnectionState, &'static str), usize> {
        let mut counts = BTreeMap::new();
        for entry in lock(&self.state).entries.values() {
            *counts
                .entry((entry.state(), entry.transport()))
                .or_default() += 1;
        }
        counts
    }

    /// Returns how many peers there are of the role `role`.
    pub(crate) fn count_of(&self, role: &str) -> usize {
        let state = lock(&self.state);
        let roles = state.entries.values().map(|entry| entry.role());
        roles.filter(|found| *found == Some(role)).count()
    }

    /// Returns how many addresses are blocked.
    pub(crate) fn blocked(&self) -> usize {
        lock(&self.state).guard.blocked(clock::instant())
    }

    /// Ends the connections that are called `whom`: by their number, or by the name of their peer. A peer hears a sealed
    /// goodbye and may come back. Returns how many there are.
    pub(crate) fn close(&self, whom: &str) -> usize {
        let mut state = lock(&self.state);
        let called = state.entries.values().filter(|entry| entry.is_called(whom));
        let called: Vec<Arc<Entry>> = called.map(Arc::clone).collect();
        for entry in &called {
            if !entry.close(AlertCode::Close) {
                state.send_away_oldest(|stranger| stranger.number == entry.id, SentAway::Closed);
            }
        }
        called.len()
    }

    /// Has `limits` hold from now on. Who has a place keeps it, and its time.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.limits.replace(limits);
    }

    /// Returns a place for a stranger from `address`. Another stranger gives way for it if need be.
    ///
    /// # Errors
    ///
    /// [`Shut`]; the connection is to be dropped then, and has cost nothing else.
    pub(crate) fn enter(&self, address: SocketAddr) -> Result<Place, Shut> {
        self.enter_as(address, false)
    }

    /// Returns a place for a stranger that comes by the proxy at `address`. It does not count as one of that address, nor
    /// of any, until it is known for whom the proxy speaks.
    ///
    /// # Errors
    ///
    /// As [`Budget::enter`].
    pub(crate) fn enter_by_proxy(&self, address: SocketAddr) -> Result<Place, Shut> {
        self.enter_as(address, true)
    }

    fn enter_as(&self, address: SocketAddr, is_proxy: bool) -> Result<Place, Shut> {
        let entered = self.try_enter(address, is_proxy);
        if let Err(why) = &entered {
            self.note_shut(*why, &address.to_string());
        }
        entered
    }

    /// Notes that the door is shut to `peer`.
    pub(crate) fn note_shut(&self, why: Shut, peer: &str) {
        self.note_limit(why.label(), peer);
        self.metrics.sent_away(why.label());
    }

    fn try_enter(&self, address: SocketAddr, is_proxy: bool) -> Result<Place, Shut> {
        let limits = self.limits.now();
        let network = network(address.ip());
        let mut state = lock(&self.state);
        if state.peers >= limits.connections {
            return Err(Shut::Full);
        }
        if !is_proxy {
            state.check(network, &limits)?;
            if state.make_room(network, &limits) {
                self.metrics.limit_hit("handshakes_per_address");
            }
        }
        let count = state.strangers.len();
        if count >= limits.handshakes || state.peers + count >= limits.connections {
            self.metrics.limit_hit("handshakes");
            state.send_away_oldest(|_| true, SentAway::GivesWay);
        }
        let number = state.next_number;
        state.next_number += 1;
        let (give_way, gives_way) = async_channel::bounded(1);
        let entry = Arc::new(Entry::new(number, address, clock::instant()));
        state.entries.insert(number, Arc::clone(&entry));
        state.strangers.push_back(Stranger {
            number,
            network: (!is_proxy).then_some(network),
            give_way,
        });
        Ok(Place {
            state: Arc::clone(&self.state),
            number,
            network: Mutex::new(network),
            deadline: clock::instant().plus(limits.handshake_millis),
            gives_way,
            meter: Arc::new(Meter::of_a_stranger(limits.payload_len)),
            limits,
            entry,
            metrics: Arc::clone(&self.metrics),
        })
    }

    /// Counts a handshake of `place` that ended for `reason`. `subject` is whose token was shown, if its issuer signed it.
    /// `peer` says in logs where it came from.
    pub(crate) fn fail(
        &self,
        place: &Place,
        reason: Reason,
        form: Form,
        subject: Option<&str>,
        peer: &str,
    ) {
        if is_failure(reason, form) {
            self.count_failure(place, subject, peer);
        }
    }

    /// Counts a failure of the address of `place` to prove who it is. `subject` and `peer` are those of [`Budget::fail`].
    pub(crate) fn count_failure(&self, place: &Place, subject: Option<&str>, peer: &str) {
        let mut state = lock(&self.state);
        let now = clock::instant();
        let guard = &mut state.guard;
        let blocked = guard.fail(place.network(), subject, &self.limits.now(), now);
        let count = guard.blocked(now);
        drop(state);
        if let Some(blocked) = blocked {
            self.note_blocked(peer, place.network(), &blocked, count);
        }
    }

    /// Notes that an address is blocked: the one place where that is known.
    fn note_blocked(&self, peer: &str, network: IpAddr, blocked: &Blocked, count: usize) {
        let limit = if blocked.for_subject {
            "failures_per_subject"
        } else {
            "failures_per_address"
        };
        self.note_limit(limit, peer);
        self.witness.note(
            Event::new(Kind::AddressBlocked)
                .peer(peer)
                .number("seconds", blocked.millis / 1_000)
                .text("limit", limit),
        );
        let (seconds, for_subject) = (blocked.millis / 1_000, blocked.for_subject);
        tracing::warn!(peer, %network, seconds, for_subject, count, "an address is blocked");
    }

    /// Notes that `limit` was hit by `peer`: the one place where that is known.
    pub(crate) fn note_limit(&self, limit: &'static str, peer: &str) {
        tracing::debug!(peer, limit, "a limit was hit");
        self.metrics.limit_hit(limit);
        self.witness
            .note(Event::new(Kind::LimitHit).peer(peer).text("limit", limit));
    }

    /// Returns whether strangers, or those of `address` alone, have half of their places or more, or whether that address has
    /// used up half of the connections that it may open at once. On datagrams nothing
    /// is kept of one more then until it has proved its address.
    pub(crate) fn is_under_load(&self, address: IpAddr) -> bool {
        let limits = self.limits.now();
        let network = network(address);
        let mut state = lock(&self.state);
        if state.guard.is_busy(network, &limits, clock::instant()) {
            return true;
        }
        let own = state
            .strangers
            .iter()
            .filter(|stranger| stranger.network == Some(network));
        2 * state.strangers.len() >= limits.handshakes
            || 2 * own.count() >= limits.handshakes_per_address
    }

    /// Writes to the log why the stranger `peer` is gone, unless there are too many such lines already.
    pub(crate) fn note(&self, peer: &dyn Display, why: &dyn Display) {
        if let Some(held_back) = self.journal.admit(clock::instant()) {
            tracing::info!(%peer, %why, held_back, "stranger gone");
        }
    }

    /// Waits until every peer has gone, or `patience` is over. Strangers are owed no goodbye.
    pub(crate) async fn wait_until_empty(&self, patience: Duration) {
        let give_up = clock::instant().plus(u64::try_from(patience.as_millis()).unwrap_or(0));
        while lock(&self.state).peers > 0 && clock::instant() < give_up {
            smol::Timer::after(Duration::from_millis(10)).await;
        }
    }
}
