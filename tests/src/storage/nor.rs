//! NOR flash in RAM, of which every fault can be had.
//!
//! A write clears bits, an erasure sets those of whole sectors, both in aligned units. Every unit written and every
//! sector erased is a step. Power can be cut at a step, which tears it: each of its bits changes, stays, or wavers, so
//! that it reads at random until it is written to zero or erased. After a cut nothing answers until the next boot.

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase,
    check_read, check_write,
};

use crate::ledger::Chance;

/// Most sectors of a flash.
pub(super) const MAX_SECTORS: usize = 8;

/// Says whether an address is in a part of the flash.
pub(super) type Part = fn(usize) -> bool;

/// What is wrong with a part of a flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The driver returns an error when it is written.
    Write,
    /// A write leaves a bit set that was to be cleared, and says nothing.
    Drop,
    /// The driver returns an error when it is erased.
    Erase,
    /// An erasure leaves a bit cleared, and says nothing.
    Stain,
    /// The driver returns an error when it is read.
    Read,
}

/// `LEN` bytes of flash that reads in units of `R` bytes, writes in units of `W` and erases in units of `E`.
#[derive(Debug, Clone)]
pub(super) struct Nor<const R: usize, const W: usize, const E: usize, const LEN: usize> {
    /// What the cells hold.
    pub(super) cells: [u8; LEN],
    /// Which bits waver.
    wavering: [u8; LEN],
    /// How often each sector was erased.
    pub(super) erases: [u32; MAX_SECTORS],
    /// How many steps were done since the last boot.
    pub(super) steps: u32,
    /// At which step the power is cut.
    pub(super) cut_at: Option<u32>,
    /// Whether there is no power.
    pub(super) is_off: bool,
    /// How many units were written that were not erased.
    pub(super) overwrites: u32,
    /// What is wrong, and with which bytes.
    pub(super) fault: Option<(Fault, Part)>,
    /// How far the torn step had come: late for 0, early for 1.
    tear: usize,
    chance: Chance,
}

impl<const R: usize, const W: usize, const E: usize, const LEN: usize> Nor<R, W, E, LEN> {
    /// Returns an erased flash. `seed` is not zero.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            cells: [0xFF; LEN],
            wavering: [0; LEN],
            erases: [0; MAX_SECTORS],
            steps: 0,
            cut_at: None,
            is_off: false,
            overwrites: 0,
            fault: None,
            tear: 0,
            chance: Chance(seed),
        }
    }

    /// Has the power cut at the `step`th step from now, counted from one.
    pub(super) fn cut_after(&mut self, step: u32) {
        self.steps = 0;
        self.cut_at = Some(step);
    }

    /// Gives it power again. Returns whether it had been cut.
    pub(super) fn boot(&mut self) -> bool {
        self.steps = 0;
        self.cut_at = None;
        core::mem::take(&mut self.is_off)
    }

    /// Returns whether `bytes` stand anywhere.
    pub(super) fn holds(&self, bytes: &[u8]) -> bool {
        self.cells.windows(bytes.len()).any(|found| found == bytes)
    }

    /// Fills the flash with bytes at random.
    pub(super) fn litter(&mut self) {
        for cell in &mut self.cells {
            *cell = self.chance.draw().to_be_bytes()[2];
        }
    }

    /// Returns an error when `fault` strikes in the bytes at `at`, or there is no power.
    fn check(&self, fault: Fault, at: usize, len: usize) -> Result<(), NorFlashErrorKind> {
        if self.strikes(fault, at, len) {
            return Err(NorFlashErrorKind::Other);
        }
        self.answer()
    }

    /// Returns an error when there is no power.
    fn answer(&self) -> Result<(), NorFlashErrorKind> {
        if self.is_off {
            return Err(NorFlashErrorKind::Other);
        }
        Ok(())
    }

    fn strikes(&self, fault: Fault, at: usize, len: usize) -> bool {
        self.fault.is_some_and(|(strikes, is_there)| {
            strikes == fault && (at..at.saturating_add(len)).any(is_there)
        })
    }

    /// Counts a step and returns whether it is torn.
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.is_off = self.cut_at == Some(self.steps);
        if self.is_off {
            self.tear = self.chance.below(3);
        }
        self.is_off
    }

    /// Gives the bits of the cell at `at` that are set in `touched` the value that they have in `target`, or tears it.
    fn change(&mut self, at: usize, touched: u8, target: u8, is_torn: bool) {
        let [a, b, c, d, wavers, ..] = self.chance.draw().to_be_bytes();
        let (done, wavers) = match (is_torn, self.tear) {
            (false, _) => (0xFF, 0),
            // Late, early or in the middle of the step.
            (true, 0) => (a | b | c | d, 0xFF),
            (true, 1) => (a & b & c, wavers & d),
            (true, _) => (a, wavers),
        };
        let due = touched & (self.cells[at] ^ target | self.wavering[at]);
        self.cells[at] = self.cells[at] & !(due & done) | target & due & done;
        self.wavering[at] = self.wavering[at] & !(due & done) | due & !done & wavers;
    }
}

impl<const R: usize, const W: usize, const E: usize, const LEN: usize> ErrorType
    for Nor<R, W, E, LEN>
{
    type Error = NorFlashErrorKind;
}

impl<const R: usize, const W: usize, const E: usize, const LEN: usize> ReadNorFlash
    for Nor<R, W, E, LEN>
{
    const READ_SIZE: usize = R;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        check_read(self, offset, bytes.len())?;
        let at = position(offset);
        self.check(Fault::Read, at, bytes.len())?;
        for (at, byte) in (at..).zip(bytes) {
            let wavering = match self.wavering[at] {
                0 => 0,
                bits => bits & self.chance.draw().to_be_bytes()[3],
            };
            *byte = self.cells[at] ^ wavering;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        LEN
    }
}

impl<const R: usize, const W: usize, const E: usize, const LEN: usize> NorFlash
    for Nor<R, W, E, LEN>
{
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        check_erase(self, from, to)?;
        for start in (position(from)..position(to)).step_by(E) {
            self.check(Fault::Erase, start, E)?;
            let is_torn = self.step();
            self.erases[start / E] += 1;
            for at in start..start + E {
                let stain = u8::from(self.strikes(Fault::Stain, at, 1));
                self.change(at, !stain, 0xFF, is_torn);
            }
            self.answer()?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        check_write(self, offset, bytes.len())?;
        for (start, unit) in (position(offset)..).step_by(W).zip(bytes.chunks(W)) {
            self.check(Fault::Write, start, W)?;
            let is_torn = self.step();
            let unit_cells = &self.cells[start..start + W];
            self.overwrites += u32::from(unit_cells.iter().any(|cell| *cell != 0xFF));
            let dropped = u8::from(self.strikes(Fault::Drop, start, W));
            for (at, byte) in (start..).zip(unit) {
                self.change(at, !(byte | dropped), 0, is_torn);
            }
            self.answer()?;
        }
        Ok(())
    }
}

impl<const R: usize, const W: usize, const E: usize, const LEN: usize> MultiwriteNorFlash
    for Nor<R, W, E, LEN>
{
}

fn position(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
