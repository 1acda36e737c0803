//! What must be reported: code that gives a secret away.

use std::hint::black_box;

use crate::Control;
use crate::memory::{hidden, told};

/// Every control, in the order in which they run.
pub const CONTROLS: &[Control] = &[
    Control {
        name: "a comparison that ends at the first difference is reported",
        run: early_exit,
    },
    Control {
        name: "an index that is a secret is reported",
        run: secret_index,
    },
];

fn early_exit() -> bool {
    let (own, received) = (hidden([7; 32]), [7; 32]);
    told(is_same(&own, &received))
}

/// Compares as one must not. Left alone, the compiler compares 16 bytes at once, and nothing is there to report.
#[inline(never)]
fn is_same(own: &[u8; 32], received: &[u8; 32]) -> bool {
    for (own, received) in own.iter().zip(received) {
        if black_box(*own) != *received {
            return false;
        }
    }
    true
}

fn secret_index() -> bool {
    let table: [u8; 256] = std::array::from_fn(|at| at.to_le_bytes()[0] ^ 0x5A);
    let index = hidden(9_u8);
    told(look_up(&table, index)) == 9 ^ 0x5A
}

/// Looks up as one must not.
#[inline(never)]
fn look_up(table: &[u8; 256], index: u8) -> u8 {
    table[usize::from(index)]
}
