//! The agent: connects the board to a hub by the road that it was provisioned for.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use moorline_firmware::agent::{Agent, MEMORY};
use moorline_firmware::board::{Board, FAILURE, exit};
use moorline_firmware::road::Road;

#[entry]
fn main() -> ! {
    let Some(board) = Board::take() else {
        exit(FAILURE)
    };
    match Agent::<Road>::boot(board, MEMORY.take()) {
        Ok(mut agent) => agent.run(),
        Err(error) => {
            defmt::error!("cannot start: {}", error);
            exit(FAILURE)
        }
    }
}
