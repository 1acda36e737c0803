//! Whose datagrams are whose.
//!
//! A datagram belongs to the connection that the hub gave its id, and is from the address that M1 came from: another
//! address is another peer's, whatever the id.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mailbox::{Inbox, Mailbox, mailbox};
use crate::door::meter::Meter;

/// Who sent an M1: an address, and the connection id of the initiator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub(super) address: SocketAddr,
    pub(super) id: u32,
}

/// All peers on datagrams.
#[derive(Debug, Default)]
pub(super) struct Table {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By whom M1 came from, for as long as the entry lives.
    callers: HashMap<Caller, Arc<Mailbox>>,
    /// By the id that the hub gave, and the address of M1.
    peers: HashMap<(u32, SocketAddr), Arc<Mailbox>>,
}

/// The entry of one peer; it is gone from the table when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    state: Arc<Mutex<State>>,
    caller: Caller,
    id: Option<u32>,
    pub(super) inbox: Inbox,
}

impl fmt::Display for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "udp {}", self.address)
    }
}

impl Table {
    /// Returns whether there are `most` peers, or more.
    pub(super) fn has(&self, most: usize) -> bool {
        lock(&self.state).callers.len() >= most
    }

    /// Enters a peer that `caller` has begun. Its bytes are counted by `meter`.
    pub(super) fn enter(&self, caller: Caller, meter: Arc<Meter>) -> Entry {
        let (mailbox, inbox) = mailbox(meter);
        let mut state = lock(&self.state);
        state.callers.insert(caller, Arc::new(mailbox));
        Entry {
            state: Arc::clone(&self.state),
            caller,
            id: None,
            inbox,
        }
    }

    /// Puts an M1 into the mailbox of the peer that `caller` has begun; returns whether there is one.
    pub(super) fn hand_on_again(&self, caller: Caller, m1: &[u8]) -> bool {
        let state = lock(&self.state);
        let Some(mailbox) = state.callers.get(&caller) else {
            return false;
        };
        mailbox.put(m1);
        true
    }

    /// Puts a datagram into the mailbox of the peer that answers to `id` and is at `address`, if there is one.
    pub(super) fn hand_on(&self, id: u32, address: SocketAddr, datagram: &[u8]) {
        if let Some(mailbox) = lock(&self.state).peers.get(&(id, address)) {
            mailbox.put(datagram);
        }
    }
}

impl Entry {
    /// Returns where the peer is.
    pub(super) fn address(&self) -> SocketAddr {
        self.caller.address
    }

    /// Notes that the peer names this connection by `id`. An id that another connection of this address has is not
    /// taken from it: the handshake ends in nothing, and the peer begins another.
    pub(super) fn answer_to(&mut self, id: u32) {
        if self.id.is_some() {
            return;
        }
        let mut state = lock(&self.state);
        let State { callers, peers } = &mut *state;
        let key = (id, self.caller.address);
        if let Some(mailbox) = callers.get(&self.caller)
            && !peers.contains_key(&key)
        {
            peers.insert(key, Arc::clone(mailbox));
            self.id = Some(id);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.callers.remove(&self.caller);
        if let Some(id) = self.id {
            state.peers.remove(&(id, self.caller.address));
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use futures_lite::future;

    use super::{Caller, Entry, Table};
    use crate::door::meter::Meter;

    fn caller(port: u16, id: u32) -> Caller {
        Caller {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            id,
        }
    }

    fn enter(table: &Table, caller: Caller) -> Entry {
        table.enter(caller, Arc::new(Meter::of_a_stranger(4_096)))
    }

    fn heard(entry: &Entry) -> Option<Vec<u8>> {
        future::block_on(future::poll_once(entry.inbox.next())).flatten()
    }

    #[test]
    fn a_datagram_reaches_the_peer_of_its_id_at_its_address_and_nobody_else() {
        let table = Table::default();
        let (mut first, mut second) = (enter(&table, caller(1, 7)), enter(&table, caller(2, 7)));
        first.answer_to(40);
        second.answer_to(50);
        for (id, port, is_heard) in [(40, 1, true), (40, 2, false), (41, 1, false), (0, 1, false)] {
            table.hand_on(id, caller(port, 0).address, &[1]);
            assert_eq!(heard(&first).is_some(), is_heard, "{id} from {port}");
            assert_eq!(heard(&second), None);
        }
        assert!(table.hand_on_again(caller(2, 7), &[2]));
        assert_eq!(heard(&second), Some(vec![2]));
        assert!(!table.hand_on_again(caller(2, 8), &[2]), "another M1");
    }

    #[test]
    fn an_id_that_is_taken_stays_with_who_has_it() {
        let table = Table::default();
        let (mut first, mut second) = (enter(&table, caller(1, 7)), enter(&table, caller(1, 8)));
        first.answer_to(40);
        second.answer_to(40);
        drop(second);
        table.hand_on(40, caller(1, 0).address, &[1]);
        assert_eq!(heard(&first), Some(vec![1]));
    }

    #[test]
    fn a_peer_that_is_gone_leaves_nothing_behind() {
        let table = Table::default();
        let mut entry = enter(&table, caller(1, 7));
        entry.answer_to(40);
        assert!(table.has(1));
        drop(entry);
        assert!(!table.has(1));
        let state = super::lock(&table.state);
        assert!(state.callers.is_empty() && state.peers.is_empty());
    }
}
