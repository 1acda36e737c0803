//! A counter in flash.

use core::num::NonZeroU32;

use moorline_core::storage::{Record, Region, ReservedCounter, StorageError};

use super::nor::Nor;
use super::{KIND, NO_RECORD, SEED, case};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "a counter counts from zero, goes on after a reset and writes once a step",
        counts,
    ),
    case(
        "a counter that loses power at any step never repeats and never goes back",
        any_step,
    ),
    case("a counter ends before it would begin again", ends),
    case("a counter is no number of another length", odd_length),
];

/// Two sectors of 256 bytes.
type Flash = Nor<4, 4, 256, 512>;

const REGION: Region = Region { start: 0, len: 512 };

fn open(flash: &Flash, step: u32) -> Result<ReservedCounter<Flash>, Failure> {
    let record = Record::new(flash, REGION, KIND).map_err(|_| NO_RECORD)?;
    let step = NonZeroU32::new(step).ok_or(NO_RECORD)?;
    Ok(ReservedCounter::new(record, step))
}

fn counts() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let mut counter = open(&flash, 10)?;
    for number in 0..1_000 {
        ensure!(counter.next(&mut flash) == Ok(number));
    }
    // A hundred writes to places for seven in a sector.
    ensure!(flash.erases.iter().sum::<u32>() == 100_u32.div_ceil(7));
    let mut counter = open(&flash, 10)?;
    ensure!(counter.next(&mut flash) == Ok(1_000));
    let mut counter = open(&flash, 3)?;
    ensure!(counter.next(&mut flash) == Ok(1_010));
    ensure!(counter.next(&mut flash) == Ok(1_011));
    Ok(())
}

fn any_step() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let mut last: Option<u64> = None;
    let mut cuts = 0;
    for life in 0..600_u32 {
        let step = usize::try_from(life).unwrap_or(0);
        flash.boot();
        flash.cut_after(1 + life % 60);
        let mut counter = open(&flash, 4)?;
        let mut failed = None;
        while failed.is_none() {
            match counter.next(&mut flash) {
                Ok(number) => {
                    ensure!(last < Some(number), step);
                    // Resets give up what was reserved, and no more.
                    ensure!(number - last.unwrap_or(0) <= 3 * 4, step);
                    last = Some(number);
                }
                Err(error) => failed = Some(error),
            }
        }
        ensure!(flash.is_off, step);
        cuts += 1;
    }
    ensure!(cuts == 600 && last > Some(1_000));
    Ok(())
}

fn ends() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let record = Record::<Flash, 8>::new(&flash, REGION, KIND);
    let mut record = record.map_err(|_| NO_RECORD)?;
    let kept = u64::MAX - 12;
    ensure!(record.write(&mut flash, &kept.to_be_bytes()) == Ok(()));
    let mut counter = open(&flash, 5)?;
    for number in kept..kept + 10 {
        ensure!(counter.next(&mut flash) == Ok(number));
    }
    for _ in 0..2 {
        ensure!(counter.next(&mut flash) == Err(StorageError::Exhausted));
    }
    Ok(())
}

fn odd_length() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let record = Record::<Flash, 8>::new(&flash, REGION, KIND);
    let mut record = record.map_err(|_| NO_RECORD)?;
    for len in 0..8 {
        ensure!(record.write(&mut flash, &[1; 8][..len]) == Ok(()), len);
        let mut counter = open(&flash, 5)?;
        ensure!(counter.next(&mut flash) == Err(StorageError::Damaged), len);
    }
    Ok(())
}
