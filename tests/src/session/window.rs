//! The replay window of stored messages and of datagrams (RFC 6479, PROTOCOL.md §5.2).

use moorline_core::reason::Reason;
use moorline_core::session::SlidingWindow;

use crate::{Case, Failure, ensure};

const CLAUSE: &str = "RFC 6479 §2";

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a replay window is as wide as its words but one",
        clause: "PROTOCOL.md §5.2",
        run: || {
            ensure!(SlidingWindow::<2>::new().width() == 64);
            ensure!(SlidingWindow::<17>::new().width() == 1024);
            ensure!(SlidingWindow::<33>::new().width() == 2048);
            Ok(())
        },
    },
    Case {
        name: "the edges of a window of 64 are where the standard has them",
        clause: CLAUSE,
        run: edges::<2>,
    },
    Case {
        name: "the edges of a window of 1,024 are where the standard has them",
        clause: CLAUSE,
        run: edges::<17>,
    },
    Case {
        name: "the edges of a window of 2,048 are where the standard has them",
        clause: CLAUSE,
        run: edges::<33>,
    },
    Case {
        name: "a window of 64 agrees with a list of all numbers over 100,000 steps",
        clause: CLAUSE,
        run: || agrees::<2>(0x9E37_79B9_7F4A_7C15),
    },
    Case {
        name: "a window of 1,024 agrees with a list of all numbers over 100,000 steps",
        clause: CLAUSE,
        run: || agrees::<17>(0xD1B5_4A32_D192_ED03),
    },
    Case {
        name: "a window of 2,048 agrees with a list of all numbers over 100,000 steps",
        clause: CLAUSE,
        run: || agrees::<33>(0x8CB9_2BA7_2F3D_8DD7),
    },
    Case {
        name: "a number that is looked at and not recorded leaves the window as it was",
        clause: "PROTOCOL.md §5.2",
        run: || {
            let mut window = SlidingWindow::<2>::new();
            ensure!(window.check(1_000_000).is_ok());
            ensure!(window.commit(5).is_ok());
            ensure!(window.check(u64::MAX - 1).is_ok());
            ensure!(window.check(4).is_ok() && window.commit(4).is_ok());
            ensure!(window.commit(5) == Err(Reason::Replayed));
            Ok(())
        },
    },
];

fn edges<const WORDS: usize>() -> Result<(), Failure> {
    let width = SlidingWindow::<WORDS>::new().width();
    // Where the right edge is put, around the borders of words and at the end of all numbers.
    let edges = [
        0,
        1,
        63,
        64,
        65,
        width - 1,
        width,
        width + 1,
        10 * width + 63,
        10 * width + 64,
        u64::MAX - 2,
        u64::MAX - 1,
    ];
    for (step, edge) in edges.into_iter().enumerate() {
        let mut window = SlidingWindow::<WORDS>::new();
        ensure!(window.commit(edge).is_ok(), step);
        ensure!(window.check(edge) == Err(Reason::Replayed), step);
        let left = edge.saturating_sub(width - 1);
        if edge > 0 {
            ensure!(window.check(left).is_ok(), step);
            ensure!(window.commit(left).is_ok(), step);
            ensure!(window.commit(left) == Err(Reason::Replayed), step);
        }
        if left > 0 {
            ensure!(window.commit(left - 1) == Err(Reason::TooOld), step);
            ensure!(window.commit(0) == Err(Reason::TooOld), step);
        }
        // One further, and the left edge moves by one.
        if edge < u64::MAX - 1 && left > 0 {
            ensure!(window.commit(edge + 1).is_ok(), step);
            ensure!(window.check(left) == Err(Reason::TooOld), step);
            ensure!(window.check(left + 1).is_ok(), step);
        }
    }
    let mut window = SlidingWindow::<WORDS>::new();
    ensure!(window.check(u64::MAX) == Err(Reason::Sequence));
    ensure!(window.commit(u64::MAX) == Err(Reason::Sequence));
    // A leap over everything forgets everything, and a number of the same place in the ring is free.
    let ring = width + 64;
    ensure!(window.commit(0).is_ok() && window.commit(ring).is_ok());
    ensure!(window.commit(7 * ring).is_ok());
    for seq in 7 * ring - (width - 1)..7 * ring {
        ensure!(window.check(seq).is_ok(), usize::try_from(seq).unwrap_or(0));
    }
    ensure!(window.check(ring) == Err(Reason::TooOld));
    Ok(())
}

fn agrees<const WORDS: usize>(seed: u64) -> Result<(), Failure> {
    let tally = window_model::<WORDS>(seed, 100_000)?;
    ensure!(tally.taken > 1_000 && tally.replayed > 500 && tally.too_old > 500);
    Ok(())
}

/// How many of the newest numbers the model remembers one by one; more than the widest window.
const MODEL_LEN: usize = 4096;

/// How often a window took a number and refused one, so that nothing passes because nothing happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowTally {
    /// Numbers that were recorded.
    pub taken: u64,
    /// Numbers that had been recorded before.
    pub replayed: u64,
    /// Numbers left of the window.
    pub too_old: u64,
}

/// Compares a window of `WORDS` words with a list of the numbers that were seen, over `steps` numbers that `seed`
/// gives.
///
/// # Errors
///
/// The step at which they disagree.
pub fn window_model<const WORDS: usize>(seed: u64, steps: usize) -> Result<WindowTally, Failure> {
    let mut tally = WindowTally::default();
    let mut window = SlidingWindow::<WORDS>::new();
    let width = window.width();
    // Which number was last seen at each place; 0 for none, as numbers begin at 1 here.
    let mut seen = [0u64; MODEL_LEN];
    let place = |seq: u64| usize::try_from(seq % 4096).unwrap_or(0);
    let mut newest = 1;
    ensure!(window.commit(1).is_ok());
    seen[place(1)] = 1;
    let mut state = seed;
    for step in 0..steps {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let back = state >> 32;
        let seq = match state % 16 {
            0 => newest + 1 + back % (3 * width),
            1..6 => newest + 1 + back % 3,
            6..8 => newest.saturating_sub(width - 2 + back % 5).max(1),
            _ => newest.saturating_sub(back % (width + 8)).max(1),
        };
        let expected = if seq + width <= newest {
            Err(Reason::TooOld)
        } else if seen[place(seq)] == seq {
            Err(Reason::Replayed)
        } else {
            Ok(())
        };
        ensure!(window.check(seq) == expected, step);
        if !state.is_multiple_of(7) {
            ensure!(window.commit(seq) == expected, step);
            match expected {
                Ok(()) => {
                    seen[place(seq)] = seq;
                    newest = newest.max(seq);
                    tally.taken += 1;
                }
                Err(Reason::Replayed) => tally.replayed += 1,
                Err(_) => tally.too_old += 1,
            }
        }
    }
    Ok(tally)
}
