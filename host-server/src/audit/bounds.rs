//! How many records a second there may be about strangers, and about one peer: a flood fills no disk.

use std::collections::HashMap;

use moorline_core::time::Instant;

use super::kind::Kind;
use super::record::Event;
use super::settings::AuditConfig;

/// Peers that are counted in one second; more of them count as strangers.
const MAX_PEERS: usize = 4_096;

/// Counts records, and holds those back that are too many.
#[derive(Debug)]
pub(super) struct Bounds {
    strangers_per_second: u32,
    peer_per_second: u32,
    second: u64,
    strangers: u32,
    peers: HashMap<String, u32>,
    /// Records that were held back since one of their kind was written.
    held_back: HashMap<Kind, u64>,
}

impl Bounds {
    pub(super) fn new(settings: &AuditConfig) -> Self {
        Self {
            strangers_per_second: settings.strangers_per_second,
            peer_per_second: settings.peer_per_second,
            second: 0,
            strangers: 0,
            peers: HashMap::new(),
            held_back: HashMap::new(),
        }
    }

    /// Returns `event`, which says how many like it were held back, or nothing if it is held back too.
    pub(super) fn admit(&mut self, mut event: Event, now: Instant) -> Option<Event> {
        let second = now.0 / 1_000;
        if second != self.second {
            self.second = second;
            self.strangers = 0;
            self.peers.clear();
        }
        let has_room = self.peers.len() < MAX_PEERS;
        let peer = event.subject.as_ref();
        let peer = peer.filter(|name| has_room || self.peers.contains_key(*name));
        let (count, most) = match peer {
            Some(name) => (
                self.peers.entry(name.clone()).or_default(),
                self.peer_per_second,
            ),
            None => (&mut self.strangers, self.strangers_per_second),
        };
        if *count >= most {
            let held_back = self.held_back.entry(event.kind).or_default();
            *held_back = held_back.saturating_add(1);
            return None;
        }
        *count += 1;
        event.held_back = self.held_back.remove(&event.kind).unwrap_or(0);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds::new(&AuditConfig {
            strangers_per_second: 2,
            peer_per_second: 3,
            ..AuditConfig::default()
        })
    }

    fn stranger() -> Event {
        Event::new(Kind::StrangerRefused).peer("tcp 127.0.0.1:1")
    }

    #[test]
    fn strangers_share_a_number_and_the_rest_is_told_in_the_next() {
        let mut bounds = bounds();
        let mut admit = |now| {
            bounds
                .admit(stranger(), Instant(now))
                .map(|event| event.held_back)
        };
        assert_eq!([admit(5_000), admit(5_001)], [Some(0), Some(0)]);
        assert_eq!([admit(5_002), admit(5_999)], [None, None]);
        assert_eq!([admit(6_000), admit(6_000)], [Some(2), Some(0)]);
    }

    #[test]
    fn each_peer_has_its_own_number_and_takes_nobody_elses() {
        let mut bounds = bounds();
        let mut admit = |name: &str| {
            let event = Event::new(Kind::PermissionDenied).subject(name);
            bounds.admit(event, Instant(0)).is_some()
        };
        assert_eq!(
            [(); 4].map(|()| admit("mallory")),
            [true, true, true, false]
        );
        assert!(admit("alice"));
        assert!(bounds.admit(stranger(), Instant(0)).is_some());
    }

    #[test]
    fn no_more_peers_are_counted_than_there_is_room_for() {
        let mut bounds = bounds();
        let admitted = (0..2 * MAX_PEERS).filter(|number| {
            let event = Event::new(Kind::PermissionDenied).subject(&number.to_string());
            bounds.admit(event, Instant(0)).is_some()
        });
        assert_eq!(admitted.count(), MAX_PEERS + 2);
        assert_eq!(bounds.peers.len(), MAX_PEERS);
    }
}
