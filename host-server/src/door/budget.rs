//! How many connections there may be, and how many of them strangers.
//!
//! A connection is a stranger's from the moment it is accepted until its peer is authenticated. A new stranger never
//! waits behind older ones: when their share is taken, the oldest gives way. So whoever holds places without using
//! them loses them first, and an honest peer has as long as it takes to open a whole share of connections.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future;
use moorline_core::time::Instant;

use super::journal::Journal;
use super::meter::Meter;
use crate::clock;
use crate::config::{Limits, Live};

/// Gives out places.
#[derive(Debug)]
pub(crate) struct Budget {
    state: Arc<Mutex<State>>,
    limits: Live<Limits>,
    journal: Journal,
}

#[derive(Debug, Default)]
struct State {
    peers: usize,
    /// The oldest is in front.
    strangers: VecDeque<Stranger>,
    next_number: u64,
}

#[derive(Debug)]
struct Stranger {
    number: u64,
    /// Nothing of a proxy's connection until it is known for whom it speaks.
    network: Option<IpAddr>,
    give_way: async_channel::Sender<()>,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    state: Arc<Mutex<State>>,
    number: u64,
    network: Mutex<IpAddr>,
    deadline: Instant,
    limits: Arc<Limits>,
    gives_way: async_channel::Receiver<()>,
    meter: Arc<Meter>,
}

/// Why a stranger is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SentAway {
    #[error("it gives way to a newer stranger")]
    GivesWay,
    #[error("it is not authenticated in time")]
    Late,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            state: Arc::default(),
            limits: Live::new(limits),
            journal: Journal::default(),
        }
    }

    /// Has `limits` hold from now on. Who has a place keeps it, and its time.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.limits.replace(limits);
    }

    /// Returns a place for a stranger from `address`. Another stranger gives way for it if need be; there is nothing
    /// when peers have all the places.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        self.enter_as(address, false)
    }

    /// Returns a place for a stranger that comes by the proxy at `address`. It does not count as one of that address, nor
    /// of any, until it is known for whom the proxy speaks.
    pub(crate) fn enter_by_proxy(&self, address: IpAddr) -> Option<Place> {
        self.enter_as(address, true)
    }

    fn enter_as(&self, address: IpAddr, is_proxy: bool) -> Option<Place> {
        let limits = self.limits.now();
        let network = network(address);
        let mut state = lock(&self.state);
        if state.peers >= limits.connections {
            return None;
        }
        if !is_proxy {
            state.make_room(network, &limits);
        }
        let count = state.strangers.len();
        if count >= limits.handshakes || state.peers + count >= limits.connections {
            state.send_away_oldest(|_| true);
        }
        let number = state.next_number;
        state.next_number += 1;
        let (give_way, gives_way) = async_channel::bounded(1);
        state.strangers.push_back(Stranger {
            number,
            network: (!is_proxy).then_some(network),
            give_way,
        });
        Some(Place {
            state: Arc::clone(&self.state),
            number,
            network: Mutex::new(network),
            deadline: clock::instant().plus(limits.handshake_millis),
            gives_way,
            meter: Arc::new(Meter::of_a_stranger(limits.payload_len)),
            limits,
        })
    }

    /// Returns whether strangers, or those of `address` alone, have half of their places or more. On datagrams nothing
    /// is kept of one more then until it has proved its address.
    pub(crate) fn is_under_load(&self, address: IpAddr) -> bool {
        let limits = self.limits.now();
        let network = network(address);
        let state = lock(&self.state);
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
    /// Has the oldest stranger of `network` give way when there may not be one more.
    fn make_room(&mut self, network: IpAddr, limits: &Limits) {
        let of_it = |stranger: &Stranger| stranger.network == Some(network);
        let strangers = self.strangers.iter();
        if strangers.filter(|stranger| of_it(stranger)).count() >= limits.handshakes_per_address {
            self.send_away_oldest(of_it);
        }
    }

    fn send_away_oldest(&mut self, among: impl Fn(&Stranger) -> bool) {
        if let Some(place) = self.strangers.iter().position(among)
            && let Some(stranger) = self.strangers.remove(place)
        {
            let _ = stranger.give_way.try_send(());
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
            state.peers += 1;
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
    pub(crate) fn count_as(&self, address: IpAddr) {
        let network = network(address);
        let mut state = lock(&self.state);
        let number = self.number;
        let is_own = |stranger: &Stranger| stranger.number == number;
        let counted = state.strangers.iter().find(|stranger| is_own(stranger));
        if counted.is_some_and(|stranger| stranger.network != Some(network)) {
            state.make_room(network, &self.limits);
            if let Some(stranger) = state.strangers.iter_mut().find(|stranger| is_own(stranger)) {
                stranger.network = Some(network);
            }
        }
        *self.network.lock().unwrap_or_else(PoisonError::into_inner) = network;
    }

    /// Returns what counts as the peer's address.
    pub(crate) fn network(&self) -> IpAddr {
        *self.network.lock().unwrap_or_else(PoisonError::into_inner)
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
            if self.gives_way.recv().await.is_err() {
                future::pending::<()>().await;
            }
            Some(SentAway::GivesWay)
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
        let mut state = lock(&self.state);
        if !state.take_off(self.number) && self.is_settled() {
            state.peers = state.peers.saturating_sub(1);
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
    use std::net::IpAddr;

    use futures_lite::future;

    use super::{Budget, Place, SentAway};
    use crate::config::Limits;

    fn budget(connections: usize, handshakes: usize, handshakes_per_address: usize) -> Budget {
        Budget::new(Limits {
            connections,
            handshakes,
            handshakes_per_address,
            ..Limits::default()
        })
    }

    fn enter(budget: &Budget, address: &str) -> Option<Place> {
        budget.enter(address.parse::<IpAddr>().expect("an address"))
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
                .enter_by_proxy(address("127.0.0.1"))
                .expect("a place")
        };
        let unknown = [(); 3].map(|()| by_proxy());
        assert!(unknown.iter().all(|place| sent_away(place).is_none()));
        assert!(!budget.is_under_load(address("127.0.0.1")));
        drop(unknown);
        let places = [(); 3].map(|()| {
            let place = by_proxy();
            place.count_as(address("203.0.113.7"));
            // Another request of the same is no other stranger.
            place.count_as(address("203.0.113.7"));
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
        other.count_as(address("203.0.113.8"));
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
