//! How long to wait before the hub is tried again.
//!
//! The pause is drawn evenly between nothing and a ceiling that doubles with each failure, so that devices which lost
//! their hub in one moment do not come back in one moment.

use moorline_core::connection::Closure;
use moorline_core::driver::DriverError;
use moorline_core::entropy::Entropy;
use moorline_core::message::{Alert, AlertCode};

/// The ceiling of the next pause.
pub struct Backoff {
    ceiling_ms: u64,
}

impl Backoff {
    /// Returns the state before the first failure.
    pub const fn new() -> Self {
        Self {
            ceiling_ms: FIRST_CEILING_MS,
        }
    }

    /// Returns the milliseconds to wait after a connection ended for `why`.
    pub fn next<E>(&mut self, why: &DriverError<E>, entropy: &mut impl Entropy) -> u64 {
        let mut draw = [0; 4];
        // Without entropy nothing can be sealed either: such a device is in no hurry.
        if entropy.fill(&mut draw).is_err() {
            draw = [0xFF; 4];
        }
        let jitter_ms = (self.ceiling_ms * u64::from(u32::from_be_bytes(draw))) >> u32::BITS;
        self.ceiling_ms = (self.ceiling_ms * 2).min(LAST_CEILING_MS);
        least_ms(why) + jitter_ms
    }
}

/// Returns the milliseconds that the hub asks for.
fn least_ms<E>(why: &DriverError<E>) -> u64 {
    let DriverError::Closed(Closure::ByPeer(Alert { code, argument })) = why else {
        return 0;
    };
    match code {
        AlertCode::GoingAway | AlertCode::Overload => u64::from(*argument).min(LONGEST_ASKED_MS),
        AlertCode::Superseded => SUPERSEDED_MS,
        _ => 0,
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// A hub that restarts is back in about this time.
const FIRST_CEILING_MS: u64 = 500;
/// A person who has repaired the hub waits no longer than this for the device.
const LAST_CEILING_MS: u64 = 30_000;
/// Another device, or an older run of this one, holds the same key: two that hurry would take turns for ever.
const SUPERSEDED_MS: u64 = 60_000;
/// A hub that is proved may still be wrong; it does not send a device away for longer than an hour.
const LONGEST_ASKED_MS: u64 = 3_600_000;
