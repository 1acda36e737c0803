//! How many connections there may be, and how many of them strangers.
//!
//! A connection is a stranger's from the moment it is accepted until its peer is authenticated. A new stranger never
//! waits behind older ones: when their share is taken, the oldest gives way. So whoever holds places without using
//! them loses them first, and an honest peer has as long as it takes to open a whole share of connections.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future;
use moorline_core::message::AlertCode;
use moorline_core::reason::Reason;
use moorline_core::time::Instant;
use moorline_core::wire::Form;

use super::journal::Journal;
use super::meter::Meter;
use crate::audit::{Event, Kind};
use crate::clock;
use crate::config::{Limits, Live};
use crate::connections::{ConnectionReport, ConnectionState, Entry};
use crate::guard::{Blocked, Guard, Over, is_failure};
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

#[derive(Debug, Default)]
struct State {
    peers: usize,
    /// By what counts as their address.
    peers_of: HashMap<IpAddr, usize>,
    guard: Guard,
    /// By their numbers.
    entries: BTreeMap<u64, Arc<Entry>>,
    /// The oldest is in front.
    strangers: VecDeque<Stranger>,
    next_number: u64,
}

#[derive(Debug)]
struct Stranger {
    number: u64,
    /// Nothing of a proxy's connection until it is known for whom it speaks.
    network: Option<IpAddr>,
    give_way: async_channel::Sender<SentAway>,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    state: Arc<Mutex<State>>,
    number: u64,
    network: Mutex<IpAddr>,
    deadline: Instant,
    limits: Arc<Limits>,
    gives_way: async_channel::Receiver<SentAway>,
    meter: Arc<Meter>,
    entry: Arc<Entry>,
    metrics: Arc<Metrics>,
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

impl State {
    /// Counts a connection of `network`, and says whether it is let in.
    fn check(&mut self, network: IpAddr, limits: &Limits) -> Result<(), Shut> {
        let has_peers = self.peers_of.contains_key(&network);
        let now = clock::instant();
        let counted = self.guard.connect(network, has_peers, limits, now);
        counted.map_err(|over| match over {
            Over::Rate => Shut::TooFast,
            Over::Blocked => Shut::Blocked,
        })
    }

    /// Counts a peer of `network` that is there, or that is gone.
    fn count_peer(&mut self, network: IpAddr, is_there: bool) {
        if is_there {
            self.peers += 1;
            *self.peers_of.entry(network).or_default() += 1;
            return;
        }
        self.peers = self.peers.saturating_sub(1);
        if let Some(count) = self.peers_of.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.peers_of.remove(&network);
            }
        }
    }

    /// Has the oldest stranger of `network` give way when there may not be one more; returns whether it had to.
    fn make_room(&mut self, network: IpAddr, limits: &Limits) -> bool {
        let of_it = |stranger: &Stranger| stranger.network == Some(network);
        let count = self
            .strangers
            .iter()
            .filter(|stranger| of_it(stranger))
            .count();
        let is_full = count >= limits.handshakes_per_address;
        if is_full {
            self.send_away_oldest(of_it, SentAway::GivesWay);
        }
        is_full
    }

    fn send_away_oldest(&mut self, among: impl Fn(&Stranger) -> bool, why: SentAway) {
        if let Some(place) = self.strangers.iter().position(among)
            && let Some(stranger) = self.strangers.remove(place)
        {
            let _ = stranger.give_way.try_send(why);
        }
    }

    /// Takes the stranger `number` off the list; returns whether it was on it.
    fn take_off(&mut self, number: u64) -> bool {
        // Numbers rise along the list.
        let place = self
            .strangers
            .binary_search_by_key(&number, |stranger| stranger.number);
        place.is_ok_and(|place| self.strangers.remove(place).is_some())
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

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what is counted as one address: of IPv6 the 64 bits in front, since a host has all the others to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [first, second, third, fourth, ..] = address.segments();
            Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use futures_lite::future;

    use super::{Budget, Place, SentAway};
    use crate::config::Limits;
    use crate::witness::Witness;

    fn budget(connections: usize, handshakes: usize, handshakes_per_address: usize) -> Budget {
        let limits = Limits {
            connections,
            handshakes,
            handshakes_per_address,
            ..Limits::default()
        };
        Budget::new(limits, Witness::silent())
    }

    fn enter(budget: &Budget, address: &str) -> Option<Place> {
        budget
            .enter((address.parse::<IpAddr>().expect("an address"), 1).into())
            .ok()
    }

    fn sent_away(place: &Place) -> Option<SentAway> {
        future::block_on(future::poll_once(
            place.hold(Box::pin(future::pending::<()>())),
        ))
        .flatten()
    }

    #[test]
    fn the_oldest_stranger_gives_way_and_peers_do_not() {
        let budget = budget(10, 2, 2);
        let places = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| {
            let place = enter(&budget, address).expect("a place");
            if address == "10.0.0.1" {
                assert!(place.settle());
            }
            place
        });
        assert!(places.iter().all(|place| sent_away(place).is_none()));
        let _newest = enter(&budget, "10.0.0.4");
        assert_eq!(sent_away(&places[0]), None, "a peer");
        assert_eq!(sent_away(&places[1]), Some(SentAway::GivesWay));
        assert!(!places[1].settle(), "it is too late to become a peer");
        assert_eq!(sent_away(&places[2]), None);
    }

    #[test]
    fn an_address_pushes_out_only_its_own() {
        let budget = budget(10, 4, 2);
        let other = enter(&budget, "2001:db8::1").expect("a place");
        let first = enter(&budget, "2001:db8:0:1::1").expect("a place");
        let second = enter(&budget, "2001:db8:0:1::2").expect("a place");
        let third = enter(&budget, "2001:db8:0:1:ffff::3").expect("a place");
        assert_eq!(sent_away(&first), Some(SentAway::GivesWay));
        for place in [other, second, third] {
            assert_eq!(sent_away(&place), None);
        }
    }

    #[test]
    fn who_comes_by_a_proxy_counts_as_whom_the_proxy_speaks_for() {
        let budget = budget(10, 8, 2);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let by_proxy = || {
            budget
                .enter_by_proxy(SocketAddr::from(([127, 0, 0, 1], 9)))
                .expect("a place")
        };
        let unknown = [(); 3].map(|()| by_proxy());
        assert!(unknown.iter().all(|place| sent_away(place).is_none()));
        assert!(!budget.is_under_load(address("127.0.0.1")));
        drop(unknown);
        let places = [(); 3].map(|()| {
            let place = by_proxy();
            assert_eq!(place.count_as(address("203.0.113.7")), Ok(()));
            // Another request of the same is no other stranger.
            assert_eq!(place.count_as(address("203.0.113.7")), Ok(()));
            assert_eq!(place.network(), address("203.0.113.7"));
            place
        });
        let gone = places.iter().map(sent_away).collect::<Vec<_>>();
        assert_eq!(gone, [Some(SentAway::GivesWay), None, None]);
        let direct = enter(&budget, "203.0.113.7").expect("a place");
        assert_eq!(
            sent_away(&places[1]),
            Some(SentAway::GivesWay),
            "one address, one share"
        );
        let other = by_proxy();
        assert_eq!(other.count_as(address("203.0.113.8")), Ok(()));
        for place in [&places[2], &direct, &other] {
            assert_eq!(sent_away(place), None);
        }
    }

    #[test]
    fn half_of_the_places_are_a_load_for_all_or_for_one_address() {
        let budget = budget(10, 8, 4);
        let load = |address: &str| budget.is_under_load(address.parse().expect("an address"));
        let first = enter(&budget, "10.0.0.1").expect("a place");
        assert!(!load("10.0.0.1"));
        let _second = enter(&budget, "10.0.0.1").expect("a place");
        assert!(load("10.0.0.1") && !load("10.0.0.2"));
        assert!(first.settle(), "a peer is no load");
        assert!(!load("10.0.0.1"));
        let others = ["10.0.0.2", "10.0.0.3", "10.0.0.4"];
        let _others = others.map(|address| enter(&budget, address).expect("a place"));
        assert!(load("10.0.0.1") && load("10.0.0.9"));
    }

    #[test]
    fn new_limits_hold_for_who_comes_and_not_for_who_is_here() {
        let budget = budget(10, 8, 8);
        let first = enter(&budget, "10.0.0.1").expect("a place");
        let second = enter(&budget, "10.0.0.2").expect("a place");
        budget.set_limits(Limits {
            handshakes: 2,
            payload_len: 512,
            ..Limits::default()
        });
        let third = enter(&budget, "10.0.0.3").expect("a place");
        assert_eq!(sent_away(&first), Some(SentAway::GivesWay));
        assert_eq!(sent_away(&second), None);
        assert_eq!(second.limits().payload_len, 4_096);
        assert_eq!(third.limits().payload_len, 512);
    }

    #[test]
    fn places_are_given_up_to_the_limit_and_again_when_they_are_free() {
        let budget = budget(2, 2, 2);
        let first = enter(&budget, "10.0.0.1").expect("a place");
        assert!(first.settle());
        let stranger = enter(&budget, "10.0.0.2").expect("a place");
        let second = enter(&budget, "10.0.0.3").expect("a place");
        assert_eq!(sent_away(&stranger), Some(SentAway::GivesWay));
        assert!(second.settle());
        drop(stranger);
        assert!(enter(&budget, "10.0.0.4").is_none(), "peers have all");
        drop(first);
        assert!(enter(&budget, "10.0.0.4").is_some());
    }
}
