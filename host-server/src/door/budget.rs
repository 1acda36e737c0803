//! How many strangers may stand in the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock;

/// Counts connections, and handshakes that are not over.
#[derive(Debug)]
pub(crate) struct Budget {
    connections: Arc<AtomicUsize>,
    max_connections: usize,
    handshakes: AtomicUsize,
    max_handshakes: usize,
}

/// A place among the connections; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Connected(Arc<AtomicUsize>);

/// A place among the handshakes; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct HalfOpen<'b>(&'b AtomicUsize);

impl Budget {
    pub(crate) fn new(max_connections: usize, max_handshakes: usize) -> Self {
        Self {
            connections: Arc::default(),
            max_connections,
            handshakes: AtomicUsize::new(0),
            max_handshakes,
        }
    }

    /// Returns a place among the connections, or nothing when all are taken.
    pub(crate) fn connected(&self) -> Option<Connected> {
        take(&self.connections, self.max_connections).then(|| Connected(self.connections.clone()))
    }

    /// Waits until every connection has gone, or `patience` is over.
    pub(crate) async fn wait_until_empty(&self, patience: Duration) {
        let give_up = clock::instant().plus(u64::try_from(patience.as_millis()).unwrap_or(0));
        while self.connections.load(Ordering::Acquire) > 0 && clock::instant() < give_up {
            smol::Timer::after(Duration::from_millis(10)).await;
        }
    }

    /// Returns a place among the handshakes, or nothing when all are taken.
    pub(crate) fn half_open(&self) -> Option<HalfOpen<'_>> {
        take(&self.handshakes, self.max_handshakes).then(|| HalfOpen(&self.handshakes))
    }
}

fn take(count: &AtomicUsize, max: usize) -> bool {
    let more = |taken| (taken < max).then_some(taken + 1);
    count
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
        .is_ok()
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for HalfOpen<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn places_are_given_up_to_the_limit_and_again_when_they_are_free() {
        let budget = Budget::new(2, 1);
        let first = budget.connected();
        let second = budget.connected();
        assert!(first.is_some() && second.is_some() && budget.connected().is_none());
        drop(first);
        assert!(budget.connected().is_some());
        let half = budget.half_open();
        assert!(half.is_some() && budget.half_open().is_none());
        drop(half);
        assert!(budget.half_open().is_some());
    }
}
