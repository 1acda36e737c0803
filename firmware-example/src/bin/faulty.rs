//! Does what the first provisioning byte asks for, mostly badly: the test bed of the runner.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embedded_io::{Read, Write};
use moorline_firmware::board::{Board, FAILURE, SUCCESS, exit, sleep_unless};

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    let [order, argument, ..] = *board.provision else {
        exit(FAILURE)
    };
    match order {
        b'P' => panic!("this image panics, as asked with {argument}"),
        b'F' => cortex_m::asm::udf(),
        b'H' => hang(),
        b'X' => exit(argument),
        b'B' => show(board.provision),
        b'E' => echo(&mut board),
        b'S' => sleep(&board),
        b'T' => talk(&mut board),
        b'W' => dawdle(&mut board),
        _ => defmt::info!("nothing to do"),
    }
    exit(SUCCESS)
}

/// Says that it hangs, and does.
fn hang() -> ! {
    defmt::warn!("hanging");
    loop {
        sleep_unless(|_| false);
    }
}

/// Logs the provisioned bytes: a count, then as many bytes.
fn show(provision: &'static [u8]) {
    let [_, len, rest @ ..] = provision else {
        exit(FAILURE)
    };
    let bytes = rest.get(..usize::from(*len)).unwrap_or_default();
    defmt::info!(
        "provisioned {=[u8]:02x} of {=usize}",
        bytes,
        provision.len()
    );
}

/// Sends every byte back with its bits flipped, until a zero.
fn echo(board: &mut Board) {
    let mut bytes = [0; 512];
    let mut total: usize = 0;
    loop {
        let Ok(count) = board.uart.read(&mut bytes);
        let arrived = bytes.get_mut(..count).unwrap_or_default();
        let done = arrived.contains(&0);
        total += count;
        for byte in arrived.iter_mut() {
            *byte = !*byte;
        }
        let Ok(()) = board.uart.write_all(arrived);
        if done {
            let Ok(()) = board.uart.flush();
            defmt::info!(
                "echoed {=usize} bytes, {=u32} overruns",
                total,
                board.uart.overrun_count()
            );
            return;
        }
    }
}

/// Waits for a quarter of a second and says what the clock made of it.
fn sleep(board: &Board) {
    let start = board.clock.milliseconds();
    board.clock.sleep_until(start + 250);
    defmt::info!("slept {=u64} ms", board.clock.milliseconds() - start);
}

/// Sends a line before anybody could have asked for it.
fn talk(board: &mut Board) {
    let Ok(()) = board.uart.write_all(b"first words\n");
    let Ok(()) = board.uart.flush();
    hang();
}

/// Gets on for a while, and then no more.
fn dawdle(board: &mut Board) {
    board.watchdog.start(200);
    let start = board.clock.milliseconds();
    while board.clock.milliseconds() < start + 600 {
        board.watchdog.feed();
    }
    defmt::info!("fed for {=u64} ms", board.clock.milliseconds() - start);
    loop {
        core::hint::spin_loop();
    }
}
