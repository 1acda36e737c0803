//! What is counted of one connection.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use moorline_core::message::AlertCode;
use moorline_core::time::Instant;

use super::{ConnectionReport, ConnectionState, Health};
use crate::hub::{Identity, Outbox, Output};

/// Milliseconds without a message after which a connection is called idle.
const IDLE_MILLIS: u64 = 600_000;

/// Milliseconds of a round trip from which on a peer is called slow.
const SLOW_MILLIS: u64 = 2_000;

/// What a connection is carried by before a transport has it.
const UNDECIDED: &str = "http";

/// One connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    address: SocketAddr,
    since: Instant,
    transport: OnceLock<&'static str>,
    state: AtomicU8,
    peer: OnceLock<Known>,
    received: Counter,
    sent: Counter,
    refused: AtomicU64,
    last_round_trip: AtomicU64,
    round_trips: AtomicU64,
    round_trip_sum: AtomicU64,
    heard: AtomicU64,
    /// When something was last carried that is no heartbeat.
    carried: AtomicU64,
}

/// Who the peer is, and the way to its session.
#[derive(Debug)]
struct Known {
    name: String,
    role: &'static str,
    outbox: Outbox,
}

#[derive(Debug, Default)]
struct Counter {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    fn count(&self, len: usize) {
        add(&self.messages, 1);
        add(&self.bytes, u64::try_from(len).unwrap_or(u64::MAX));
    }
}

impl Entry {
    pub(crate) fn new(id: u64, address: SocketAddr, now: Instant) -> Self {
        Self {
            id,
            address,
            since: now,
            transport: OnceLock::new(),
            state: AtomicU8::new(0),
            peer: OnceLock::new(),
            received: Counter::default(),
            sent: Counter::default(),
            refused: AtomicU64::new(0),
            last_round_trip: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            round_trip_sum: AtomicU64::new(0),
            heard: AtomicU64::new(now.0),
            carried: AtomicU64::new(now.0),
        }
    }

    /// Notes what carries it.
    pub(crate) fn is_carried_by(&self, transport: &'static str) {
        let _ = self.transport.set(transport);
    }

    /// Returns what carries it.
    pub(crate) fn transport(&self) -> &'static str {
        self.transport.get().copied().unwrap_or(UNDECIDED)
    }

    pub(crate) fn state(&self) -> ConnectionState {
        match self.state.load(Ordering::Acquire) {
            0 => ConnectionState::Connecting,
            1 => ConnectionState::Connected,
            2 => ConnectionState::Authenticated,
            _ => ConnectionState::Disconnecting,
        }
    }

    /// Notes a message of the peer.
    pub(crate) fn receive(&self, len: usize, now: Instant) {
        self.received.count(len);
        self.state.fetch_max(1, Ordering::AcqRel);
        self.heard.store(now.0, Ordering::Release);
    }

    /// Notes a message to the peer.
    pub(crate) fn send(&self, len: usize) {
        self.sent.count(len);
    }

    /// Notes that something was carried that is no heartbeat.
    pub(crate) fn carry(&self, now: Instant) {
        self.carried.store(now.0, Ordering::Release);
    }

    /// Returns when something was last carried that is no heartbeat.
    pub(crate) fn carried(&self) -> Instant {
        Instant(self.carried.load(Ordering::Acquire))
    }

    /// Notes that a message of the peer was dropped.
    pub(crate) fn refuse(&self) {
        add(&self.refused, 1);
    }

    /// Notes that the peer answered a ping after `millis`.
    pub(crate) fn round_trip(&self, millis: u64) {
        self.last_round_trip.store(millis, Ordering::Release);
        add(&self.round_trip_sum, millis);
        add(&self.round_trips, 1);
    }

    /// Notes who the peer is, and where its session hears of what is for it.
    pub(crate) fn authenticate(&self, identity: &Identity, outbox: Outbox) {
        let known = Known {
            name: identity.name().into(),
            role: match identity {
                Identity::Agent { .. } => "agent",
                Identity::Commander { .. } => "commander",
            },
            outbox,
        };
        let _ = self.peer.set(known);
        self.state.fetch_max(2, Ordering::AcqRel);
    }

    /// Notes that it is being ended.
    pub(crate) fn end(&self) {
        self.state.fetch_max(3, Ordering::AcqRel);
    }

    /// Returns the role of the peer, once it is known.
    pub(crate) fn role(&self) -> Option<&'static str> {
        self.peer.get().map(|peer| peer.role)
    }

    /// Returns whether an operator calls it so: by its number, or by the name of its peer.
    pub(crate) fn is_called(&self, whom: &str) -> bool {
        let is_name = self.peer.get().is_some_and(|peer| peer.name == whom);
        is_name || whom.parse() == Ok(self.id)
    }

    /// Has the session of an authenticated peer say a sealed goodbye and end; returns whether there is one.
    pub(crate) fn close(&self, alert: AlertCode) -> bool {
        let Some(peer) = self.peer.get() else {
            return false;
        };
        // It hears of this even when its outbox is full.
        let close = Box::new(Output::Close(alert, 0));
        peer.outbox.force_send(close).is_ok()
    }

    /// Returns what an operator sees at `now`.
    pub(crate) fn report(&self, now: Instant) -> ConnectionReport {
        let trips = load(&self.round_trips);
        let trip = (trips > 0).then(|| load(&self.last_round_trip));
        let heard_millis = now.since(Instant(load(&self.heard)));
        let (waiting, room) = self.peer.get().map_or((0, 1), |peer| {
            (peer.outbox.len(), peer.outbox.capacity().unwrap_or(1))
        });
        let idle_millis = now.since(self.carried());
        let (health, reason) = judge(waiting, room, trip, idle_millis);
        ConnectionReport {
            id: self.id,
            state: self.state(),
            age_millis: now.since(self.since),
            transport: self.transport().into(),
            address: self.address.to_string(),
            name: self.peer.get().map(|peer| peer.name.clone()),
            role: self.role().map(String::from),
            messages_in: load(&self.received.messages),
            bytes_in: load(&self.received.bytes),
            messages_out: load(&self.sent.messages),
            bytes_out: load(&self.sent.bytes),
            refused: load(&self.refused),
            round_trip_millis: trip,
            mean_round_trip_millis: load(&self.round_trip_sum).checked_div(trips),
            heard_millis,
            waiting,
            health,
            reason,
        }
    }
}

/// Returns how a connection does, and why. What is worst is said.
fn judge(waiting: usize, room: usize, trip: Option<u64>, idle_millis: u64) -> (Health, String) {
    if waiting * 4 >= room * 3 {
        let reason = format!("{waiting} of {room} messages wait for it to take them");
        return (Health::Behind, reason);
    }
    if let Some(millis) = trip.filter(|millis| *millis >= SLOW_MILLIS) {
        return (Health::Slow, format!("it answered after {millis} ms"));
    }
    if idle_millis >= IDLE_MILLIS {
        let seconds = idle_millis / 1_000;
        return (Health::Idle, format!("nothing was carried for {seconds} s"));
    }
    (Health::Good, String::new())
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::AcqRel);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use moorline_core::message::AlertCode;
    use moorline_core::time::Instant;
    use moorline_core::token::AgentId;

    use super::{Entry, judge};
    use crate::connections::{ConnectionState, Health};
    use crate::hub::{Identity, Output};

    fn entry() -> Entry {
        Entry::new(7, SocketAddr::from(([127, 0, 0, 1], 1)), Instant(100))
    }

    #[test]
    fn states_follow_each_other_and_never_go_back() {
        let entry = entry();
        assert_eq!(entry.state(), ConnectionState::Connecting);
        entry.receive(10, Instant(150));
        assert_eq!(entry.state(), ConnectionState::Connected);
        let (outbox, output) = async_channel::bounded(1);
        assert!(!entry.close(AlertCode::Close) && !entry.is_called("boiler"));
        let identity = Identity::Agent {
            name: "boiler".into(),
            id: AgentId::of("moorline", "boiler"),
        };
        entry.authenticate(&identity, outbox);
        entry.receive(10, Instant(160));
        assert_eq!(entry.state(), ConnectionState::Authenticated);
        assert!(entry.is_called("boiler") && entry.is_called("7") && !entry.is_called("8"));
        assert!(entry.close(AlertCode::Close));
        let told = output.try_recv().expect("it is told");
        assert!(matches!(*told, Output::Close(AlertCode::Close, 0)));
        entry.end();
        entry.receive(10, Instant(170));
        assert_eq!(entry.state(), ConnectionState::Disconnecting);
    }

    #[test]
    fn what_is_counted_is_reported() {
        let entry = entry();
        entry.is_carried_by("tcp");
        entry.receive(10, Instant(150));
        entry.receive(5, Instant(160));
        entry.send(7);
        entry.refuse();
        for millis in [30, 10] {
            entry.round_trip(millis);
        }
        let report = entry.report(Instant(200));
        assert_eq!((report.messages_in, report.bytes_in), (2, 15));
        assert_eq!((report.messages_out, report.bytes_out), (1, 7));
        assert_eq!(
            (report.refused, report.heard_millis, report.age_millis),
            (1, 40, 100)
        );
        assert_eq!(report.round_trip_millis, Some(10));
        assert_eq!(report.mean_round_trip_millis, Some(20));
        assert_eq!(
            (report.transport.as_str(), report.health),
            ("tcp", Health::Good)
        );
    }

    #[test]
    fn health_says_the_worst_and_why() {
        for (waiting, trip, idle, health) in [
            (0, None, 0, Health::Good),
            (2, Some(1_999), 599_999, Health::Good),
            (0, None, 600_000, Health::Idle),
            (0, Some(2_000), 600_000, Health::Slow),
            (3, Some(2_000), 600_000, Health::Behind),
        ] {
            let (found, reason) = judge(waiting, 4, trip, idle);
            assert_eq!(found, health);
            assert_eq!(reason.is_empty(), health == Health::Good);
        }
    }
}
