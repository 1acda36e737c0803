//! Lines about strangers in the log: as many as a reader can read, however many strangers there are.

use std::sync::{Mutex, PoisonError};

use moorline_core::time::Instant;

/// Lines that are written in one second.
const LINES_A_SECOND: u32 = 10;

/// Counts lines, and holds those back that are too many.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Page>);

#[derive(Debug, Default)]
struct Page {
    second: u64,
    written: u32,
    held_back: u64,
}

impl Journal {
    /// Returns how many lines were held back since the last one that was written, or nothing if this one is too.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.0 / 1_000;
        if second != page.second {
            page.second = second;
            page.written = 0;
        }
        if page.written == LINES_A_SECOND {
            page.held_back = page.held_back.saturating_add(1);
            return None;
        }
        page.written += 1;
        Some(std::mem::take(&mut page.held_back))
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;

    use super::{Journal, LINES_A_SECOND};

    #[test]
    fn lines_beyond_the_limit_are_counted_and_told_later() {
        let journal = Journal::default();
        for _ in 0..LINES_A_SECOND {
            assert_eq!(journal.admit(Instant(5_000)), Some(0));
        }
        assert_eq!(journal.admit(Instant(5_500)), None);
        assert_eq!(journal.admit(Instant(5_999)), None);
        assert_eq!(journal.admit(Instant(6_000)), Some(2));
        assert_eq!(journal.admit(Instant(6_000)), Some(0));
    }
}
