//! A count over the last seconds, in a fixed number of slots.

use moorline_core::time::Instant;

/// Slots of a window. A count is exact up to one of them.
const SLOTS: usize = 32;

/// How often something happened in the last seconds.
#[derive(Debug)]
pub(super) struct Window {
    slot_millis: u64,
    slots: [u32; SLOTS],
    /// The number of the newest slot, counted from the start of time.
    newest: u64,
}

impl Window {
    /// Returns an empty window of `seconds`.
    pub(super) fn new(seconds: u64) -> Self {
        let slots = u64::try_from(SLOTS).unwrap_or(1);
        Self {
            slot_millis: (seconds.saturating_mul(1_000) / slots).max(1),
            slots: [0; SLOTS],
            newest: 0,
        }
    }

    /// Counts one more, and returns how many there are.
    pub(super) fn add(&mut self, now: Instant) -> u64 {
        // Time does not go back; what seems to, counts as now.
        let slot = (now.0 / self.slot_millis).max(self.newest);
        let slots = u64::try_from(SLOTS).unwrap_or(1);
        for passed in (self.newest + 1..=slot).rev().take(SLOTS) {
            if let Some(count) = self.place(passed % slots) {
                *count = 0;
            }
        }
        self.newest = slot;
        if let Some(count) = self.place(slot % slots) {
            *count = count.saturating_add(1);
        }
        self.slots.iter().copied().map(u64::from).sum()
    }

    fn place(&mut self, slot: u64) -> Option<&mut u32> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::new(32);
        for second in 0..32u64 {
            assert_eq!(window.add(Instant(second * 1_000)), second + 1);
        }
        // From here on one goes as one comes.
        assert_eq!(window.add(Instant(32_000)), 32);
        assert_eq!(window.add(Instant(32_999)), 33);
        assert_eq!(window.add(Instant(62_000)), 4, "of the seconds 31 and 32");
        assert_eq!(window.add(Instant(1_000_000_000)), 1);
        assert_eq!(window.add(Instant(5)), 2, "a clock that goes back");
    }
}
