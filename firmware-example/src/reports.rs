//! What the device says by itself: what its sensor measures, and its log (PROTOCOL.md §10.3).
//!
//! Observations are made whether or not somebody listens, and the newest are kept: a commander that comes later gets
//! them. When there is no room the oldest goes, and whoever had not got it is told how many it missed. Both go behind
//! everything else that there is to say, the log within [`LOG_BYTES_PER_SECOND`] as well.

use heapless::Vec;
use moorline_core::channel::{Channels, Route};
use moorline_core::feed::{Cursor, Feed};
use moorline_core::message::{Event, Field, FromAgent, Log as Lines, Observation};
use moorline_core::token::Permissions;

use crate::board::Log;

/// Bytes of observations that are kept: about fifty.
const EVENTS_LEN: usize = 2048;
/// Bytes of log that are said in a second, to all that follow it.
pub const LOG_BYTES_PER_SECOND: u64 = 1024;
/// Bytes of log that may be said at once.
const LOG_BURST: u64 = 2048;
/// Longest observation in bytes.
const OBSERVATION_LEN: usize = 128;
/// Length of what is said of the log in one message, in bytes.
const LINES_LEN: usize = 512;
/// Length of the time that stands before an observation, in bytes.
const TIME_LEN: usize = 8;

/// What is kept to be said, and to whom.
pub struct Reports<const N: usize> {
    events: Feed<EVENTS_LEN>,
    followers: Vec<Follower, N>,
    next_sample_ms: u64,
    budget: Budget,
}

/// A commander that follows.
struct Follower {
    route: Route,
    events: Option<Cursor>,
    log: Option<Cursor>,
}

/// What a commander follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Observations.
    Events,
    /// The log.
    Log,
}

/// From where on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Everything that is kept.
    Oldest,
    /// From this number on.
    Number(u64),
    /// What comes.
    New,
}

impl<const N: usize> Reports<N> {
    /// Returns it with nothing to say, and nobody to say it to.
    pub const fn new() -> Self {
        Self {
            events: Feed::new(),
            followers: Vec::new(),
            next_sample_ms: 0,
            budget: Budget::new(),
        }
    }

    /// Returns whether an observation is due at `now_ms`, when there is one every `period_ms`; if so, the next is not
    /// for that long.
    pub fn is_sample_due(&mut self, now_ms: u64, period_ms: u32) -> bool {
        let is_due = period_ms != 0 && now_ms >= self.next_sample_ms;
        if is_due {
            self.next_sample_ms = now_ms + u64::from(period_ms);
        }
        is_due
    }

    /// Makes the next observation due at once, since the period has changed.
    pub fn restart(&mut self) {
        self.next_sample_ms = 0;
    }

    /// Keeps the observation `name` with one field, made at `now_ms`.
    pub fn observe(&mut self, now_ms: u64, name: &str, field: Field<'_>) {
        let mut observation = Observation::new(name);
        let _fits = observation.fields.push(field);
        let mut bytes = [0; OBSERVATION_LEN];
        let Ok(bytes) = observation.encode(&mut bytes) else {
            defmt::warn!("an observation is too long to keep");
            return;
        };
        // It is shorter than what keeps it.
        let _kept = self.events.push(&[&now_ms.to_be_bytes(), bytes]);
    }

    /// Lets the commander on `route` follow `topic`, and returns the number with which it begins; nothing when too many
    /// follow already, or no log is kept.
    pub fn follow(&mut self, route: Route, topic: Topic, start: Start, log: &Log) -> Option<u64> {
        let (cursor, number) = match topic {
            Topic::Events => begin(&self.events, start),
            Topic::Log => log.kept(|lines| begin(lines, start))?,
        };
        let follower = match self.followers.iter().position(|own| own.route == route) {
            Some(place) => self.followers.get_mut(place)?,
            None => {
                let new = Follower {
                    route,
                    events: None,
                    log: None,
                };
                self.followers.push(new).ok()?;
                self.followers.last_mut()?
            }
        };
        *follower.cursor_mut(topic) = Some(cursor);
        Some(number)
    }

    /// Says no more of `topic` to the commander on `route`.
    pub fn unfollow(&mut self, route: &Route, topic: Topic) {
        for follower in &mut self.followers {
            if follower.route == *route {
                *follower.cursor_mut(topic) = None;
            }
        }
    }

    /// Forgets those whose channel is over.
    pub fn forget<const M: usize>(&mut self, channels: &Channels<M>) {
        self.followers
            .retain(|follower| channels.facts(&follower.route).is_some());
    }

    /// Writes the next message to `out`, and returns for whom it is and how long. What a commander may no longer have is
    /// not said to it.
    #[inline(never)]
    pub fn next<const M: usize>(
        &mut self,
        channels: &Channels<M>,
        log: &Log,
        now_ms: u64,
        out: &mut [u8],
    ) -> Option<(Route, usize)> {
        let budget = self.budget.left(now_ms);
        let mut said = None;
        for (place, follower) in self.followers.iter_mut().enumerate() {
            let granted = channels
                .facts(&follower.route)
                .map(|facts| facts.permissions);
            let granted = granted.unwrap_or(Permissions::NONE);
            let mut len = None;
            if let (true, Some(cursor)) = (
                granted.contains(Permissions::AGENT_WATCH),
                &mut follower.events,
            ) {
                len = next_event(&self.events, cursor, now_ms, out);
            }
            if let (None, true, true, Some(cursor)) = (
                len,
                granted.contains(Permissions::AGENT_COMMAND_LOG),
                budget >= LINES_LEN,
                &mut follower.log,
            ) {
                len = next_lines(log, cursor, out);
                self.budget.spend(len.unwrap_or_default());
            }
            if let Some(len) = len {
                said = Some((place, follower.route, len));
                break;
            }
        }
        let (place, route, len) = said?;
        // The next in turn comes first.
        self.followers.rotate_left(place + 1);
        Some((route, len))
    }
}

impl<const N: usize> Default for Reports<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl Follower {
    fn cursor_mut(&mut self, topic: Topic) -> &mut Option<Cursor> {
        match topic {
            Topic::Events => &mut self.events,
            Topic::Log => &mut self.log,
        }
    }
}

/// Returns where a reader begins, and the number of what it gets first.
fn begin<const L: usize>(feed: &Feed<L>, start: Start) -> (Cursor, u64) {
    let cursor = match start {
        Start::Oldest => feed.begin(),
        Start::Number(number) => feed.at(number),
        Start::New => feed.end(),
    };
    (cursor, cursor.number())
}

fn next_event(
    events: &Feed<EVENTS_LEN>,
    cursor: &mut Cursor,
    now_ms: u64,
    out: &mut [u8],
) -> Option<usize> {
    let mut kept = [0; TIME_LEN + OBSERVATION_LEN];
    let item = events.read(cursor, &mut kept)?;
    let (time, bytes) = kept.get(..item.len)?.split_first_chunk::<TIME_LEN>()?;
    let event = FromAgent::Event(Event {
        number: item.number,
        lost: item.lost,
        age_ms: now_ms.saturating_sub(u64::from_be_bytes(*time)),
        observation: Observation::decode(bytes).ok()?,
    });
    event.encode(out).ok().map(|encoded| encoded.len())
}

fn next_lines(log: &Log, cursor: &mut Cursor, out: &mut [u8]) -> Option<usize> {
    let mut lines = [0; LINES_LEN];
    let (mut len, mut first) = (0, None);
    log.kept(|kept| {
        while let Some(rest) = lines.get_mut(len..) {
            // A piece of the log has no gap within.
            if first.is_some() && kept.is_behind(*cursor) {
                break;
            }
            let Some(item) = kept.read(cursor, rest) else {
                break;
            };
            first.get_or_insert(item);
            len += item.len;
        }
    })?;
    let (first, lines) = (first?, lines.get(..len)?);
    let message = FromAgent::Log(Lines {
        number: first.number,
        lost: first.lost,
        lines,
    });
    message.encode(out).ok().map(|encoded| encoded.len())
}

/// How many bytes of log may be said.
struct Budget {
    left: u64,
    /// Milliseconds since the start at which that was so.
    at_ms: u64,
}

impl Budget {
    const fn new() -> Self {
        Self {
            left: LOG_BURST,
            at_ms: 0,
        }
    }

    fn left(&mut self, now_ms: u64) -> usize {
        let gained = now_ms.saturating_sub(self.at_ms) * LOG_BYTES_PER_SECOND / 1000;
        if gained > 0 {
            self.left = (self.left + gained).min(LOG_BURST);
            self.at_ms = now_ms;
        }
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn spend(&mut self, len: usize) {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(len);
    }
}
