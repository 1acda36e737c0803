//! The only place that reads a clock.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moorline_core::time::{Instant, Now, TimeQuality, UnixMillis};

/// What monotonic time is counted from.
static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// Returns the time.
#[must_use]
pub fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis);
    Now {
        instant: instant(),
        unix: UnixMillis(unix),
        quality: TimeQuality::HostClock,
    }
}

/// Returns the monotonic time.
#[must_use]
pub fn instant() -> Instant {
    Instant(millis(ORIGIN.elapsed()))
}

/// Returns what waits until `deadline`, which may have passed.
pub(crate) async fn sleep_until(deadline: Instant) {
    smol::Timer::after(Duration::from_millis(deadline.since(instant()))).await;
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
