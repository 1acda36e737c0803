//! The agent: connects the board to a hub over the serial line.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use defmt_semihosting as _;
use embedded_io::Write;
use moorline_firmware::board::Board;
use moorline_firmware::board::FAILURE;
use moorline_firmware::board::exit;

#[entry]
fn main() -> ! {
    let Some(board) = Board::take() else {
        exit(FAILURE)
    };
    run(board)
}

/// Greets, refuses to go on without entropy, and sends back what arrives.
fn run(mut board: Board) -> ! {
    defmt::info!("hello after {=u64} us", board.clock.microseconds());
    if let Err(error) = board.entropy.check() {
        defmt::error!("no entropy, so no keys: {}", error);
        exit(FAILURE);
    }
    defmt::info!("entropy is good");
    let mut bytes = [0; 256];
    loop {
        let count = board.uart.read_until(&mut bytes, u64::MAX);
        let Ok(()) = board.uart.write_all(bytes.get(..count).unwrap_or_default());
    }
}
