//! How many records a second there may be about strangers, and about one peer: a flood fills no disk.

use std::collections::HashMap;

use moorline_core::time::Instant;

use super::kind::Kind;
use super::record::Event;
use super::settings::AuditConfig;

/// Peers that are counted in one hour; more of them count as strangers.
const MAX_PEERS: usize = 4_096;

/// Seconds' worth of records that are written in one hour: who goes on and on does not push all others out of the files.
const SECONDS_AN_HOUR: u32 = 100;

/// Counts records, and holds those back that are too many.
#[derive(Debug)]
pub(super) struct Bounds {
    strangers_per_second: u32,
    peer_per_second: u32,
    hour: u64,
    strangers: Count,
    peers: HashMap<String, Count>,
    /// Records that were held back since one of their kind was written.
    held_back: HashMap<Kind, u64>,
}

/// How many records there were.
#[derive(Debug, Default)]
struct Count {
    second: u64,
    in_second: u32,
    in_hour: u32,
}

impl Count {
    /// Counts one more, unless there were as many as there may be.
    fn admits(&mut self, second: u64, most: u32) -> bool {
        if second != self.second {
            self.second = second;
            self.in_second = 0;
        }
        let is_admitted =
            self.in_second < most && self.in_hour < most.saturating_mul(SECONDS_AN_HOUR);
        if is_admitted {
            self.in_second += 1;
            self.in_hour += 1;
        }
        is_admitted
    }
}

impl Bounds {
    pub(super) fn new(settings: &AuditConfig) -> Self {
        Self {
            strangers_per_second: settings.strangers_per_second,
            peer_per_second: settings.peer_per_second,
            hour: 0,
            strangers: Count::default(),
            peers: HashMap::new(),
            held_back: HashMap::new(),
        }
    }

    /// Returns `event`, which says how many like it were held back, or nothing if it is held back too.
    pub(super) fn admit(&mut self, mut event: Event, now: Instant) -> Option<Event> {
        // The operator's, and those that tell of a flood, are few.
        if matches!(event.kind, Kind::Alert | Kind::OperatorRefused) {
            return Some(event);
        }
        let (second, hour) = (now.0 / 1_000, now.0 / 3_600_000);
        if hour != self.hour {
            self.hour = hour;
            self.strangers = Count::default();
            self.peers.clear();
        }
        let has_room = self.peers.len() < MAX_PEERS;
        let peer = event.subject.as_ref();
        let peer = peer.filter(|name| has_room || self.peers.contains_key(*name));
        let is_admitted = match peer {
            Some(name) => {
                let count = self.peers.entry(name.clone()).or_default();
                count.admits(second, self.peer_per_second)
            }
            None => self.strangers.admits(second, self.strangers_per_second),
        };
        if !is_admitted {
            let held_back = self.held_back.entry(event.kind).or_default();
            *held_back = held_back.saturating_add(1);
            return None;
        }
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

    #[test]
    fn who_goes_on_for_an_hour_has_no_more_than_a_hundred_seconds_of_it() {
        let mut bounds = bounds();
        let mut written = |from: u64| {
            let seconds = from..from + 600;
            let admitted = seconds.flat_map(|second| {
                let mut admit = || bounds.admit(stranger(), Instant(second * 1_000)).is_some();
                [admit(), admit(), admit()]
            });
            admitted.filter(|admitted| *admitted).count()
        };
        assert_eq!(written(0), 200);
        assert_eq!(written(1_000), 0);
        assert_eq!(written(3_600), 200);
    }

    #[test]
    fn an_alert_is_not_held_back_by_the_flood_that_it_tells_of() {
        let mut bounds = bounds();
        while bounds.admit(stranger(), Instant(0)).is_some() {}
        let alert = bounds.admit(Event::new(Kind::Alert), Instant(0));
        assert_eq!(alert.map(|alert| alert.held_back), Some(0));
    }
}
