//! Loss of power at every step.

use super::play::{Play, Tally, every_step, every_two_steps, long_life, wander};
use super::{Flash, SEED, case, open};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "power lost at any step leaves the last acknowledged value or the one being written",
        any_step,
    ),
    case(
        "power lost at any step leaves one of both in flash of every unit",
        any_unit,
    ),
    case(
        "power lost again at any step of the recovery changes nothing",
        in_recovery,
    ),
    case(
        "over lives that end by chance no value is lost, mixed or taken back",
        by_chance,
    ),
    case(
        "power lost at any step leaves no older secret once a record that wipes is read again",
        wiping,
    ),
    case(
        "a write that wavers is settled by the first read, and does not come or go later",
        wavering,
    ),
    case(
        "a place in which a write began unseen is not used",
        begun_unseen,
    ),
];

fn any_step() -> Result<(), Failure> {
    let tally = long_life(70)?;
    ensure!(tally.cuts > 500 && tally.went_on > 40 && tally.went_back > 400);
    Ok(())
}

fn any_unit() -> Result<(), Failure> {
    let tally = every_step::<1, 1, 128, 256, 10>(16, false)?;
    let tally = tally.and(every_step::<1, 8, 256, 512, 40>(24, false)?);
    let tally = tally.and(every_step::<4, 16, 256, 768, 12>(24, true)?);
    let tally = tally.and(every_step::<1, 32, 256, 512, 20>(24, false)?);
    // One version in a sector.
    let tally = tally.and(every_step::<4, 4, 256, 512, 120>(12, true)?);
    ensure!(tally.cuts > 1_000 && tally.went_on > 50);
    Ok(())
}

fn in_recovery() -> Result<(), Failure> {
    let tally = every_two_steps::<4>(14, false)?;
    let tally = tally.and(every_two_steps::<4>(14, true)?);
    let tally = tally.and(every_two_steps::<1>(7, false)?);
    ensure!(tally.in_recovery > 1_000 && tally.went_on > 100 && tally.went_back > 100);
    Ok(())
}

fn by_chance() -> Result<(), Failure> {
    let tally = wander(400, SEED)?;
    ensure!(tally.cuts > 500 && tally.in_recovery > 50);
    ensure!(tally.went_on > 20 && tally.went_back > 200);
    Ok(())
}

fn wiping() -> Result<(), Failure> {
    let tally = every_step::<4, 4, 256, 512, 16>(30, true)?;
    ensure!(tally.cuts > 500);
    Ok(())
}

fn wavering() -> Result<(), Failure> {
    let mut tally = Tally::default();
    for seed in 1..=200 {
        let step = usize::try_from(seed).unwrap_or(0);
        for before in 0..3 {
            // Header and value of 20 to 36 bytes, commit word, confirm word: the power goes at one of the words.
            for cut in 6..=11 {
                let mut play = Play::<4, 4, 256, 512, 16>::new(seed, false);
                let mut record = play.open()?;
                for number in 0..before {
                    ensure!(play.write(&mut record, number)?, step);
                }
                play.flash.cut_after(cut);
                if play.write(&mut record, before)? {
                    continue;
                }
                for _ in 0..2 {
                    let recovered = play.recover();
                    recovered.map_err(|failure| Failure { step, ..failure })?;
                }
                tally = tally.and(play.tally);
            }
        }
    }
    ensure!(tally.went_on > 100 && tally.went_back > 100);
    Ok(())
}

fn begun_unseen() -> Result<(), Failure> {
    let mut flash = Flash::new(SEED);
    let mut record = open(&flash)?;
    ensure!(record.write(&mut flash, b"stands") == Ok(()));
    let place = 44..88;
    ensure!(flash.cells[place.clone()].iter().all(|cell| *cell == 0xFF));
    // The write of the first unit is cut so early that nothing shows.
    let mut record = open(&flash)?;
    ensure!(record.write(&mut flash, b"goes elsewhere") == Ok(()));
    ensure!(flash.cells[place.start..place.start + 4] == [0; 4]);
    ensure!(
        flash.cells[place.start + 4..place.end]
            .iter()
            .all(|cell| *cell == 0xFF)
    );
    ensure!(flash.cells[88..90] == *b"MR");
    // Nor is it overwritten where there is no doubt.
    ensure!(record.write(&mut flash, b"goes next") == Ok(()));
    ensure!(flash.cells[132..134] == *b"MR");
    // A write that began where it shows is passed over with the place after it, and nothing is written there.
    let mut flash = Flash::new(SEED);
    let mut record = open(&flash)?;
    ensure!(record.write(&mut flash, b"stands") == Ok(()));
    flash.cells[80] = 0xFE;
    let mut record = open(&flash)?;
    ensure!(record.write(&mut flash, b"goes elsewhere") == Ok(()));
    ensure!(flash.overwrites == 0 && flash.cells[44..80].iter().all(|cell| *cell == 0xFF));
    ensure!(flash.cells[88..92] == [0; 4] && flash.cells[132..134] == *b"MR");
    Ok(())
}
