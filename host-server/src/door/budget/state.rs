//! Who is here: peers by their address, and strangers in the order in which they came.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{SentAway, Shut};
use crate::clock;
use crate::config::Limits;
use crate::connections::Entry;
use crate::guard::{Guard, Over};

/// All places that are taken.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) peers: usize,
    /// By what counts as their address.
    pub(super) peers_of: HashMap<IpAddr, usize>,
    pub(super) guard: Guard,
    /// By their numbers.
    pub(super) entries: BTreeMap<u64, Arc<Entry>>,
    /// The oldest is in front.
    pub(super) strangers: VecDeque<Stranger>,
    pub(super) next_number: u64,
}

/// A connection whose peer is not authenticated.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) number: u64,
    /// Nothing of a proxy's connection until it is known for whom it speaks.
    pub(super) network: Option<IpAddr>,
    pub(super) give_way: async_channel::Sender<SentAway>,
}

impl State {
    /// Counts a connection of `network`, and says whether it is let in.
    pub(super) fn check(&mut self, network: IpAddr, limits: &Limits) -> Result<(), Shut> {
        let has_peers = self.peers_of.contains_key(&network);
        let now = clock::instant();
        let counted = self.guard.connect(network, has_peers, limits, now);
        counted.map_err(|over| match over {
            Over::Rate => Shut::TooFast,
            Over::Blocked => Shut::Blocked,
        })
    }

    /// Counts a peer of `network` that is there, or that is gone.
    pub(super) fn count_peer(&mut self, network: IpAddr, is_there: bool) {
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
    pub(super) fn make_room(&mut self, network: IpAddr, limits: &Limits) -> bool {
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

    pub(super) fn send_away_oldest(&mut self, among: impl Fn(&Stranger) -> bool, why: SentAway) {
        if let Some(place) = self.strangers.iter().position(among)
            && let Some(stranger) = self.strangers.remove(place)
        {
            let _ = stranger.give_way.try_send(why);
        }
    }

    /// Takes the stranger `number` off the list; returns whether it was on it.
    pub(super) fn take_off(&mut self, number: u64) -> bool {
        // Numbers rise along the list.
        let place = self
            .strangers
            .binary_search_by_key(&number, |stranger| stranger.number);
        place.is_ok_and(|place| self.strangers.remove(place).is_some())
    }
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what is counted as one address: of IPv6 the 64 bits in front, since a host has all the others to itself.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [first, second, third, fourth, ..] = address.segments();
            Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0).into()
        }
    }
}
