//! The timers of `embassy_time`, over the clock and the alarm of the board.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};
use embassy_time_queue_utils::Queue;

use super::clock::{TICKS_PER_SECOND, ticks_since_boot};
use super::hardware::alarm;

/// Who waits for which time.
struct Timers {
    queue: Mutex<RefCell<Queue>>,
}

time_driver_impl!(static TIMERS: Timers = Timers {
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for Timers {
    fn now(&self) -> u64 {
        ticks_since_boot() / clock_ticks()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let mut queue = self.queue.borrow_ref_mut(section);
            if queue.schedule_wake(at, waker) {
                set_alarm(&mut queue);
            }
        });
    }
}

/// Wakes those whose time has come.
pub(super) fn handle_alarm() {
    critical_section::with(|section| set_alarm(&mut TIMERS.queue.borrow_ref_mut(section)));
}

/// As [`handle_alarm`], and sets the alarm for the next of the others.
fn set_alarm(queue: &mut Queue) {
    let now = TIMERS.now();
    let at = queue.next_expiration(now);
    // One more, since a part of the tick that it is has passed.
    let ticks = at
        .saturating_sub(now)
        .saturating_add(1)
        .saturating_mul(clock_ticks());
    alarm::set(u32::try_from(ticks).unwrap_or(LONGEST).min(LONGEST));
}

/// Returns the ticks of the clock in one of `embassy_time`, which is a microsecond.
fn clock_ticks() -> u64 {
    u64::from(TICKS_PER_SECOND) / TICK_HZ
}

/// An alarm comes after this many ticks of the clock at the latest, whether or not somebody waits: the clock is read then, and
/// misses no wrap of its counter.
const LONGEST: u32 = 60 * TICKS_PER_SECOND;
