//! Measures operations on the device.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use defmt_semihosting as _;
use moorline_firmware::board::SUCCESS;
use moorline_firmware::board::exit;

#[entry]
fn main() -> ! {
    exit(SUCCESS)
}
