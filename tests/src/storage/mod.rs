//! What a device keeps in flash: the cases of `moorline_core::storage`.

pub(crate) mod counter;
pub(crate) mod cuts;
pub(crate) mod faults;
mod nor;
pub mod play;
pub mod reading;
pub(crate) mod record;

use heapless::Vec;
use moorline_core::storage::{Record, Region, StorageError};
use nor::Nor;

use crate::{Case, Failure, ensure};

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "core::storage",
        run,
    }
}

/// The flash of most cases: four sectors of 256 bytes, written four bytes at a time.
type Flash = Nor<4, 4, 256, 1024>;

/// Longest value of most cases in bytes: five of them fit in a sector.
const VALUE_LEN: usize = 16;

/// The record of most cases.
type Kept = Record<Flash, VALUE_LEN>;

/// The kind of most records.
const KIND: u8 = 7;

/// What every model starts from.
const SEED: u64 = 0x5EED_0F1A_5800_0001;

/// Returns the whole flash.
fn whole(len: usize) -> Region {
    Region {
        start: 0,
        len: u32::try_from(len).unwrap_or(u32::MAX),
    }
}

/// Opens the record of a device that has just booted.
fn open(flash: &Flash) -> Result<Kept, Failure> {
    let record = Record::new(flash, whole(1024), KIND);
    let Ok(record) = record else {
        ensure!(record.is_ok());
        return Err(NO_RECORD);
    };
    Ok(record)
}

/// Returns a value that tells its number, of every length in turn.
fn value<const N: usize>(number: u32) -> Vec<u8, N> {
    let len = usize::try_from(number).unwrap_or(0) % (N + 1) * 5 % (N + 1);
    (0..len)
        .zip(1_u32..)
        .map(|(_, at)| {
            let mixed = number.wrapping_mul(0x9E37_79B1) ^ at.wrapping_mul(0x85EB_CA6B);
            let [high, ..] = (mixed ^ mixed >> 15)
                .wrapping_mul(0x2C1B_3C6D)
                .to_be_bytes();
            high
        })
        .collect()
}

/// Says whether a record has the value with `number`, or none.
fn has<const N: usize>(read: Result<Option<&[u8]>, StorageError>, number: Option<u32>) -> bool {
    match (read, number) {
        (Ok(Some(found)), Some(number)) => *found == *value::<N>(number),
        (Ok(None), None) => true,
        _ => false,
    }
}

const NO_RECORD: Failure = Failure {
    condition: "the record fits the flash",
    file: file!(),
    line: line!(),
    step: 0,
};
