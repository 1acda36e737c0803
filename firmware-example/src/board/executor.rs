//! An executor in thread mode: it runs the tasks that are ready, and when none is the core sleeps.
//!
//! It is `embassy_executor::raw::Executor` with the sleep of this board. The ready-made one of embassy sleeps by WFE, which
//! the emulator passes over: there it would poll without end. On hardware either will do.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

use super::hardware::alarm;
use super::{Clock, sleep_unless, timer};

/// Runs the tasks that `spawn` spawns, and those that they spawn, for ever. To be called once.
///
/// The tick that wakes a blocking image every few milliseconds is stopped: what is to be done at some time is on the
/// alarm, by `embassy_time`. So nothing here may wait as blocking images do.
pub fn run(clock: Clock, spawn: impl FnOnce(Spawner)) -> ! {
    clock.stop_tick();
    alarm::start(timer::handle_alarm);
    timer::handle_alarm();
    let executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    spawn(executor.spawner());
    loop {
        // SAFETY: it is called here alone, and by no task: the cell lets nobody get here a second time.
        unsafe { executor.poll() };
        TURNS.fetch_add(1, Ordering::Relaxed);
        while !IS_READY.swap(false, Ordering::Relaxed) {
            sleep_unless(|_| IS_READY.load(Ordering::Relaxed));
            WAKE_UPS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How often the executor has done something.
#[derive(Debug, Clone, Copy)]
pub struct Activity {
    /// Turns in which it ran tasks.
    pub turns: u32,
    /// Ends of sleep, for tasks or for interrupts that were none of theirs.
    pub wake_ups: u32,
}

impl Activity {
    /// Returns how often it has since boot.
    pub fn now() -> Self {
        Self {
            turns: TURNS.load(Ordering::Relaxed),
            wake_ups: WAKE_UPS.load(Ordering::Relaxed),
        }
    }

    /// Returns how often it has since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            turns: self.turns.wrapping_sub(earlier.turns),
            wake_ups: self.wake_ups.wrapping_sub(earlier.wake_ups),
        }
    }
}

/// What embassy calls when a task is ready, from another task or from an interrupt.
#[unsafe(export_name = "__pender")]
fn pend(_executor: *mut ()) {
    IS_READY.store(true, Ordering::Relaxed);
}

static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
static IS_READY: AtomicBool = AtomicBool::new(false);
static TURNS: AtomicU32 = AtomicU32::new(0);
static WAKE_UPS: AtomicU32 = AtomicU32::new(0);
