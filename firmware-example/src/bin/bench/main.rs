//! Measures operations on the device: the instructions and the stack that each takes.
//!
//! Run it with an instruction counter, `cargo bench-device` or `--icount`: otherwise the timer counts the host's
//! time. To measure one more operation, add a line to a table in `operations.rs`.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

mod link;
mod meter;
mod operations;

use cortex_m_rt::entry;
use meter::Meter;
use moorline_firmware::board::{Board, FAILURE, SUCCESS, exit};
use operations::{OPERATIONS, SIZES};

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    for operation in OPERATIONS {
        // What is set up at first use is not the operation's.
        (operation.run)(&mut Meter::new(board.clock, &mut board.stack));
        let mut meter = Meter::new(board.clock, &mut board.stack);
        (operation.run)(&mut meter);
        defmt::println!(
            "bench {=str} provider {=str} instructions {=u64} stack {=usize}",
            operation.name,
            operation.provider,
            meter.instruction_count(),
            meter.peak_stack_len()
        );
    }
    for size in SIZES {
        defmt::println!(
            "size {=str} provider {=str} bytes {=usize}",
            size.name,
            size.provider,
            size.bytes
        );
    }
    exit(SUCCESS)
}
