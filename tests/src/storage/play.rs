//! Lives of a record that end in a loss of power.

use moorline_core::storage::{Record, Region};

use super::nor::Nor;
use super::{KIND, SEED, has, value, whole};
use crate::ledger::Chance;
use crate::{Failure, ensure};

/// What happened in a play.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Losses of power.
    pub cuts: usize,
    /// Of these, before the first value was read after a boot.
    pub in_recovery: usize,
    /// After how many the value being written was found.
    pub went_on: usize,
    /// After how many it was the value before.
    pub went_back: usize,
}

impl Tally {
    /// Returns the sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            cuts: self.cuts + other.cuts,
            in_recovery: self.in_recovery + other.in_recovery,
            went_on: self.went_on + other.went_on,
            went_back: self.went_back + other.went_back,
        }
    }
}

/// A record in a flash, and what it is known to hold.
#[derive(Debug, Clone)]
pub(super) struct Play<
    const R: usize,
    const W: usize,
    const E: usize,
    const LEN: usize,
    const N: usize,
> {
    pub(super) flash: Nor<R, W, E, LEN>,
    wipes: bool,
    /// The number of the last value that was acknowledged or read.
    pub(super) stands: Option<u32>,
    /// The number of a value of which the writing was cut short.
    pub(super) begun: Option<u32>,
    pub(super) tally: Tally,
}

impl<const R: usize, const W: usize, const E: usize, const LEN: usize, const N: usize>
    Play<R, W, E, LEN, N>
{
    pub(super) fn new(seed: u64, wipes: bool) -> Self {
        Self {
            flash: Nor::new(seed),
            wipes,
            stands: None,
            begun: None,
            tally: Tally::default(),
        }
    }

    /// Opens the record, as a device that boots.
    pub(super) fn open(&self) -> Result<Record<Nor<R, W, E, LEN>, N>, Failure> {
        let region: Region = whole(LEN);
        let record = match self.wipes {
            true => Record::wiping(&self.flash, region, KIND),
            false => Record::new(&self.flash, region, KIND),
        };
        record.map_err(|_| super::NO_RECORD)
    }

    /// Writes value `number`. Returns whether it was acknowledged; if not, the power is gone.
    pub(super) fn write(
        &mut self,
        record: &mut Record<Nor<R, W, E, LEN>, N>,
        number: u32,
    ) -> Result<bool, Failure> {
        let step = usize::try_from(number).unwrap_or(0);
        let is_written = record.write(&mut self.flash, &value::<N>(number)).is_ok();
        if is_written {
            self.stands = Some(number);
            self.begun = None;
        } else {
            ensure!(self.flash.is_off, step);
            self.begun = Some(number);
            self.tally.cuts += 1;
        }
        Ok(is_written)
    }

    /// Reads the value: it is what stands or what was begun, and stands from then on. Returns whether there was power.
    pub(super) fn read(
        &mut self,
        record: &mut Record<Nor<R, W, E, LEN>, N>,
    ) -> Result<bool, Failure> {
        let mut buffer = [0; N];
        let read = record.read(&mut self.flash, &mut buffer);
        if read.is_err() {
            ensure!(self.flash.is_off);
            self.tally.cuts += 1;
            self.tally.in_recovery += 1;
            return Ok(false);
        }
        let is_begun = self.begun.is_some() && has::<N>(read, self.begun);
        ensure!(is_begun || has::<N>(read, self.stands));
        if self.begun.is_some() {
            self.tally.went_on += usize::from(is_begun);
            self.tally.went_back += usize::from(!is_begun);
        }
        if is_begun {
            self.stands = self.begun;
        }
        self.begun = None;
        Ok(true)
    }

    /// Gives the power back and sees that one value stands: at once, after another boot, and when more are written.
    pub(super) fn recover(&mut self) -> Result<(), Failure> {
        for _ in 0..2 {
            self.flash.boot();
            let mut record = self.open()?;
            ensure!(self.read(&mut record)?);
            ensure!(self.read(&mut record)?);
            self.check_wiped()?;
        }
        Ok(())
    }

    /// Checks that a flash that wipes holds no value but that which stands.
    pub(super) fn check_wiped(&self) -> Result<(), Failure> {
        if !self.wipes {
            return Ok(());
        }
        let stands = self.stands.unwrap_or(u32::MAX);
        for number in stands.saturating_sub(40)..stands.saturating_add(2) {
            let bytes = value::<N>(number);
            // Short values are in anything.
            if number != stands && bytes.len() >= 8 {
                let step = usize::try_from(number).unwrap_or(0);
                ensure!(!self.flash.holds(&bytes[..8]), step);
            }
        }
        Ok(())
    }
}

/// Plays `writes` writes from an empty flash, once for each step with the power cut there.
pub(super) fn every_step<
    const R: usize,
    const W: usize,
    const E: usize,
    const LEN: usize,
    const N: usize,
>(
    writes: u32,
    wipes: bool,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for cut in 1.. {
        let step = usize::try_from(cut).unwrap_or(0);
        let at = |failure| Failure { step, ..failure };
        let mut play = Play::<R, W, E, LEN, N>::new(SEED + u64::from(cut), wipes);
        let mut record = play.open()?;
        play.flash.cut_after(cut);
        let mut number = 0;
        while number < writes && play.write(&mut record, number).map_err(at)? {
            number += 1;
        }
        if number == writes {
            break;
        }
        play.recover().map_err(at)?;
        let mut record = play.open()?;
        for more in writes..writes + 2 {
            ensure!(play.write(&mut record, more).map_err(at)?, step);
        }
        play.recover().map_err(at)?;
        tally = tally.and(play.tally);
    }
    Ok(tally)
}

/// Plays `writes` writes from an empty flash, with the power cut at each step and again at each step of the recovery.
pub(super) fn every_two_steps<const W: usize>(writes: u32, wipes: bool) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for cut in 1.. {
        let step = usize::try_from(cut).unwrap_or(0);
        let at = |failure| Failure { step, ..failure };
        let mut play = Play::<1, W, 128, 256, 8>::new(SEED + u64::from(cut), wipes);
        let mut record = play.open()?;
        play.flash.cut_after(cut);
        let mut number = 0;
        while number < writes && play.write(&mut record, number).map_err(at)? {
            number += 1;
        }
        if number == writes {
            break;
        }
        play.flash.boot();
        for second in 1.. {
            let mut again = play.clone();
            again.flash.cut_after(second);
            let mut record = again.open()?;
            let is_read = again.read(&mut record).map_err(at)?;
            let is_cut = again.flash.is_off;
            again.recover().map_err(at)?;
            tally = tally.and(again.tally);
            if !is_cut {
                ensure!(is_read, step);
                break;
            }
        }
    }
    Ok(tally)
}

/// Plays `writes` writes to four sectors, once for each step with the power cut there.
///
/// # Errors
///
/// A value was lost, mixed or taken back; the step is that of the cut.
pub fn long_life(writes: u32) -> Result<Tally, Failure> {
    every_step::<4, 4, 256, 1024, 16>(writes, false)
}

/// Plays `lives` lives on one flash, each of which ends with the power cut at a step by chance, or with a reset.
///
/// # Errors
///
/// A value was lost, mixed or taken back; the step is the life.
pub fn wander(lives: usize, seed: u64) -> Result<Tally, Failure> {
    let narrow = wander_on::<1, 1, 128, 512, 9>(lives, seed, false)?;
    let usual = wander_on::<4, 4, 256, 1024, 24>(lives, seed ^ 1, true)?;
    let wide = wander_on::<1, 16, 256, 768, 30>(lives, seed ^ 2, false)?;
    Ok(narrow.and(usual).and(wide))
}

fn wander_on<const R: usize, const W: usize, const E: usize, const LEN: usize, const N: usize>(
    lives: usize,
    seed: u64,
    wipes: bool,
) -> Result<Tally, Failure> {
    let mut chance = Chance(seed.max(1));
    let mut play = Play::<R, W, E, LEN, N>::new(chance.draw(), wipes);
    let mut number = 0;
    for life in 0..lives {
        let at = |failure| Failure {
            step: life,
            ..failure
        };
        play.flash.boot();
        // One life in eight ends without a cut.
        if chance.below(8) > 0 {
            let longest = if chance.below(2) == 0 { 30 } else { 300 };
            let cut = u32::try_from(1 + chance.below(longest)).unwrap_or(1);
            play.flash.cut_after(cut);
        }
        let mut record = play.open()?;
        let mut is_on = play.read(&mut record).map_err(at)?;
        for _ in 0..chance.below(40) {
            if !is_on {
                break;
            }
            is_on = play.write(&mut record, number).map_err(at)?;
            number += 1;
            if is_on && chance.below(4) == 0 {
                is_on = play.read(&mut record).map_err(at)?;
            }
        }
    }
    Ok(play.tally)
}
