//! What a handshake told: about the session, and about the time.

use crate::time::{Instant, TimeQuality, UnixMillis};
use crate::token::Permissions;

/// What a finished handshake told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What both ends call the session; it is no secret.
    pub session_id: [u8; 8],
    /// When the session ends.
    pub expires: UnixMillis,
    /// When the session ends, on this end's monotonic clock.
    pub expires_at: Instant,
    /// What the initiator may do.
    pub permissions: Permissions,
    /// Whether the session rests on a ticket of an earlier one.
    pub resumed: bool,
}

/// The responder's clock, authenticated by M2 (PROTOCOL.md §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubClock {
    /// The civil time.
    pub time: UnixMillis,
    /// How sure the responder is of it.
    pub quality: TimeQuality,
    /// This end's monotonic clock when `time` held.
    pub at: Instant,
    /// By how much `time` may be off: half the round trip in which it came, in milliseconds.
    pub error: u64,
}

impl HubClock {
    /// Returns the civil time at `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> UnixMillis {
        self.time.plus(now.since(self.at))
    }
}
