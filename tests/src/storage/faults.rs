//! Flash that fails, that lies and that rots.

use moorline_core::storage::{FlashFault, Record, StorageError};

use super::nor::{Fault, Part};
use super::record::PLACE_LEN;
use super::{Flash, KIND, NO_RECORD, SEED, VALUE_LEN, case, has, open, value, whole};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "a place or sector that fails or lies is passed over, and what was acknowledged stays",
        passed_over,
    ),
    case(
        "when no place takes a value the old one stands, and a flash that recovers takes the next",
        nothing_takes,
    ),
    case(
        "a flash that is not read is an error and not an empty one",
        not_read,
    ),
    case(
        "an acknowledged value that rots is an error and not an older value",
        rotten,
    ),
    case(
        "a value stands when an older one cannot be wiped, and the next write wipes both",
        not_wiped,
    ),
];

/// Parts of the flash: of one place, of many, of every first place of a sector, of a sector.
const PARTS: &[Part] = &[
    |at| at < 4,
    |at| (16..20).contains(&at),
    |at| (20..36).contains(&at),
    |at| (36..40).contains(&at),
    |at| (40..44).contains(&at),
    |at| (PLACE_LEN..4 * PLACE_LEN).contains(&at),
    |at| at % 256 < PLACE_LEN,
    |at| (256..512).contains(&at),
    |at| (500..530).contains(&at),
    |at| at < 500,
];

fn passed_over() -> Result<(), Failure> {
    let mut buffer = [0; VALUE_LEN];
    for fault in [Fault::Write, Fault::Drop, Fault::Erase, Fault::Stain] {
        for (step, part) in PARTS.iter().enumerate() {
            let mut flash = Flash::new(SEED);
            if fault == Fault::Erase && part(0) && part(512) {
                // No sector is left.
                continue;
            }
            flash.fault = Some((fault, *part));
            let mut record = open(&flash)?;
            for number in 0..60 {
                ensure!(
                    record.write(&mut flash, &value::<VALUE_LEN>(number)) == Ok(()),
                    step
                );
                let read = record.read(&mut flash, &mut buffer);
                ensure!(has::<VALUE_LEN>(read, Some(number)), step);
                if number % 4 == 0 {
                    record = open(&flash)?;
                    let read = record.read(&mut flash, &mut buffer);
                    ensure!(has::<VALUE_LEN>(read, Some(number)), step);
                }
            }
        }
    }
    Ok(())
}

fn nothing_takes() -> Result<(), Failure> {
    let mut buffer = [0; VALUE_LEN];
    let other = StorageError::Flash(FlashFault::Other);
    let in_value: Part = |at| (20..36).contains(&(at % 256 % PLACE_LEN));
    let in_commit: Part = |at| (36..40).contains(&(at % 256 % PLACE_LEN));
    let in_confirm: Part = |at| at % 256 % PLACE_LEN >= 40;
    for (fault, part, error) in [
        (Fault::Write, in_value, other),
        (Fault::Write, in_commit, other),
        (Fault::Write, in_confirm, other),
        (Fault::Erase, |_| true, other),
        (Fault::Drop, |_| true, StorageError::Unwritable),
        (Fault::Drop, in_value, StorageError::Unwritable),
        (Fault::Drop, in_confirm, StorageError::Unwritable),
    ] {
        for kept in 0..25 {
            let step = usize::try_from(kept).unwrap_or(0);
            let mut flash = Flash::new(SEED);
            let mut record = open(&flash)?;
            for number in 0..kept {
                ensure!(
                    record
                        .write(&mut flash, &value::<VALUE_LEN>(number))
                        .is_ok(),
                    step
                );
            }
            flash.fault = Some((fault, part));
            // Until the sector is full, an erasure that fails fails nothing.
            let mut last = kept.checked_sub(1);
            let mut refused = 0;
            while refused < 3 {
                match record.write(&mut flash, &value::<VALUE_LEN>(200)) {
                    Ok(()) if fault == Fault::Erase => last = Some(200),
                    written => {
                        ensure!(written == Err(error), step);
                        refused += 1;
                    }
                }
            }
            flash.fault = None;
            let read = record.read(&mut flash, &mut buffer);
            if part(40) && !part(0) {
                // It was written to the end but for the last word: one of them stands.
                let is_new = has::<VALUE_LEN>(read, Some(200));
                last = if is_new { Some(200) } else { last };
            }
            ensure!(has::<VALUE_LEN>(read, last), step);
            record = open(&flash)?;
            ensure!(
                has::<VALUE_LEN>(record.read(&mut flash, &mut buffer), last),
                step
            );
            ensure!(
                record.write(&mut flash, &value::<VALUE_LEN>(99)) == Ok(()),
                step
            );
            record = open(&flash)?;
            ensure!(
                has::<VALUE_LEN>(record.read(&mut flash, &mut buffer), Some(99)),
                step
            );
        }
    }
    Ok(())
}

fn not_read() -> Result<(), Failure> {
    let mut buffer = [7; VALUE_LEN];
    let mut flash = Flash::new(SEED);
    let mut record = open(&flash)?;
    for number in 0..12 {
        ensure!(
            record
                .write(&mut flash, &value::<VALUE_LEN>(number))
                .is_ok()
        );
    }
    let parts: [Part; 4] = [|at| at == 3, |at| at == 300, |at| at == 512, |_| true];
    for (from, part) in parts.into_iter().enumerate() {
        flash.fault = Some((Fault::Read, part));
        record = open(&flash)?;
        let error = Err(StorageError::Flash(FlashFault::Other));
        ensure!(record.read(&mut flash, &mut buffer) == error, from);
        ensure!(buffer == [0; VALUE_LEN], from);
        flash.fault = None;
        ensure!(
            has::<VALUE_LEN>(record.read(&mut flash, &mut buffer), Some(11)),
            from
        );
    }
    Ok(())
}

fn rotten() -> Result<(), Failure> {
    let mut buffer = [0; VALUE_LEN];
    for at in (16..PLACE_LEN - 4).filter(|at| !(31..36).contains(at)) {
        let mut flash = Flash::new(SEED);
        let mut record = open(&flash)?;
        for number in 0..8 {
            ensure!(record.write(&mut flash, b"eleven long").is_ok(), number);
        }
        flash.cells[256 + 2 * PLACE_LEN + at] ^= 4;
        let damaged = Err(StorageError::Damaged);
        ensure!(record.read(&mut flash, &mut buffer) == damaged, at);
        record = open(&flash)?;
        for _ in 0..2 {
            ensure!(record.read(&mut flash, &mut buffer) == damaged, at);
        }
        ensure!(record.write(&mut flash, b"new") == Ok(()), at);
        ensure!(record.read(&mut flash, &mut buffer) == Ok(Some(b"new")), at);
        record = open(&flash)?;
        ensure!(record.read(&mut flash, &mut buffer) == Ok(Some(b"new")), at);
    }
    Ok(())
}

fn not_wiped() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let record = Record::<_, VALUE_LEN>::wiping(&flash, whole(1024), KIND);
    let mut record = record.map_err(|_| NO_RECORD)?;
    let mut buffer = [0; VALUE_LEN];
    ensure!(record.write(&mut flash, b"first secret") == Ok(()));
    flash.fault = Some((Fault::Write, |at| at < PLACE_LEN));
    let not_wiped = record.write(&mut flash, b"second secret");
    ensure!(not_wiped == Err(StorageError::NotWiped));
    ensure!(record.read(&mut flash, &mut buffer) == Ok(Some(b"second secret")));
    ensure!(flash.holds(b"first secret"));
    flash.fault = None;
    ensure!(record.write(&mut flash, b"third secret") == Ok(()));
    ensure!(!flash.holds(b"first secret") && !flash.holds(b"second secret"));
    Ok(())
}
