//! What every image of this board has without the protocol: the agent's flash less this one's is the price of it.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embedded_io::Write;
use moorline_firmware::board::{Board, FAILURE, exit};

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    defmt::info!("hello after {=u64} us", board.clock.microseconds());
    if let Err(error) = board.entropy.check() {
        defmt::error!("no entropy, so no keys: {}", error);
        exit(FAILURE);
    }
    board.leds.set(0, true);
    defmt::info!(
        "temperature {=i32}, provisioned {=u8}",
        board.sensor.millidegrees(),
        board.provision[0]
    );
    let mut bytes = [0; 256];
    loop {
        let count = board.uart.read_until(&mut bytes, u64::MAX);
        let Ok(()) = board.uart.write_all(bytes.get(..count).unwrap_or_default());
    }
}
