//! The hub's clock, which may be wrong.

use std::time;

use moorline_conformance::fixture::NOW;
use moorline_core::time::{Instant, Now, TimeQuality, UnixMillis};

use super::Hub;

/// The clock.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    started: time::Instant,
    /// Milliseconds from the time of the fixture, at which the device was provisioned, to the time at which the hub began.
    ahead: i64,
}

impl Clock {
    /// Returns a clock that is right when the device was provisioned just now.
    pub(super) fn start() -> Self {
        Self {
            started: time::Instant::now(),
            ahead: 0,
        }
    }

    pub(super) fn now(self) -> Now {
        let millis = u64::try_from(self.started.elapsed().as_millis()).expect("a short test");
        let began = NOW.0.checked_add_signed(self.ahead).expect("a time");
        Now {
            instant: Instant(millis),
            unix: UnixMillis(began + millis),
            quality: TimeQuality::Synchronised,
        }
    }
}

impl Hub {
    /// Begins so long after the device was provisioned.
    pub(crate) fn later(mut self, millis: i64) -> Self {
        self.set_clock(millis);
        self
    }

    /// Steps the clock to so many milliseconds after the device was provisioned, or before it. The session that is open goes
    /// on with the time of before.
    pub(crate) fn set_clock(&mut self, millis: i64) {
        self.clock.ahead = millis;
    }
}
