//! Keeps values in flash until its power is cut, and says each that it has found or kept: `qemu/tests/powercut.rs` cuts it
//! at step after step and sees that nothing that was said is lost.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use core::num::NonZeroU32;

use cortex_m_rt::entry;
use moorline_core::storage::{Record, Region, ReservedCounter, StorageError};
use moorline_firmware::board::{Board, FAILURE, Flash, SECTOR_LEN, SUCCESS, exit};

#[entry]
fn main() -> ! {
    // Starts the clock, which every line of the log is stamped with.
    let Some(_board) = Board::take() else {
        exit(FAILURE)
    };
    let mut flash = match Flash::open() {
        Ok(flash) => flash,
        Err(error) => {
            defmt::error!("no flash: {}", error);
            exit(FAILURE)
        }
    };
    match live(&mut flash) {
        Ok(()) => exit(SUCCESS),
        Err(error) => {
            defmt::error!("not kept: {}", error);
            exit(FAILURE)
        }
    }
}

/// Finds what was kept before, and keeps more.
fn live(flash: &mut Flash) -> Result<(), StorageError> {
    let mut secret = Record::<_, SECRET_LEN>::wiping(flash, SECRET, 1)?;
    let mut note = Record::<_, NOTE_LEN>::new(flash, NOTE, 2)?;
    let mut counter = ReservedCounter::new(Record::new(flash, COUNTER, 3)?, STEP);
    let mut secret_number = find(flash, &mut secret, "secret")?;
    let mut note_number = find(flash, &mut note, "note")?;
    for _ in 0..ROUNDS {
        let number = counter.next(flash)?;
        defmt::println!("counted {=u64}", number);
        secret_number += 1;
        secret.write(flash, &value::<SECRET_LEN>(secret_number))?;
        defmt::println!("kept secret {=u32}", secret_number);
        for _ in 0..3 {
            note_number += 1;
            note.write(flash, &value::<NOTE_LEN>(note_number))?;
            defmt::println!("kept note {=u32}", note_number);
        }
    }
    Ok(())
}

/// Reads the value of `record` and says its number; zero when there is none.
fn find<const N: usize>(
    flash: &mut Flash,
    record: &mut Record<Flash, N>,
    name: &str,
) -> Result<u32, StorageError> {
    let mut buffer = [0; N];
    let found = record.read(flash, &mut buffer)?;
    let number = found.and_then(|found| found.first_chunk());
    let number = number.map_or(0, |number| u32::from_be_bytes(*number));
    // A value is what it was made as, or it is a mixture.
    if found.is_some_and(|found| *found != value::<N>(number)) {
        return Err(StorageError::Damaged);
    }
    defmt::println!("found {=str} {=u32}", name, number);
    Ok(number)
}

/// Returns a value that begins with its number, and of which every other byte follows from it.
fn value<const N: usize>(number: u32) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, at) in bytes.iter_mut().zip(1_u32..) {
        let mixed = number.wrapping_mul(0x9E37_79B1) ^ at.wrapping_mul(0x85EB_CA6B);
        let [high, ..] = (mixed ^ mixed >> 15)
            .wrapping_mul(0x2C1B_3C6D)
            .to_be_bytes();
        *place = high;
    }
    for (place, byte) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    bytes
}

/// As long as a ticket with what belongs to it.
const SECRET_LEN: usize = 200;
const NOTE_LEN: usize = 24;

const SECRET: Region = sectors(0, 2);
const NOTE: Region = sectors(2, 3);
const COUNTER: Region = sectors(5, 2);

/// Numbers that the counter reserves at once.
const STEP: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// More than any cut lets it play.
const ROUNDS: u32 = 40;

const fn sectors(first: u32, count: u32) -> Region {
    Region {
        start: first * SECTOR_LEN,
        len: count * SECTOR_LEN,
    }
}
