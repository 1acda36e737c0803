//! NOR flash that outlasts the run.
//!
//! What QEMU calls the board's flash is memory, and nothing in it outlasts a run. So the flash is a file of the host, by
//! semihosting, with the rules of NOR: a write clears bits, an erasure sets those of whole sectors. Where the file is
//! comes with the command line, `flash=PATH`; one that is not there is made, erased.
//!
//! For tests, `cut=N` on the same command line takes the power away at the `N`th step, counted from one: a step is a word
//! that is written or a sector that is erased. The step is torn, by a pattern that follows from `tear=SEED`: each of its
//! bits has changed or not. The run ends there, with the status [`POWER_CUT`]. `fail=N` wears the flash out: the `N`th step
//! and every one after it changes nothing and fails, and what is there is read as before.

use core::sync::atomic::{AtomicBool, Ordering};

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
    check_erase, check_read, check_write,
};
use semihosting::fs::{File, OpenOptions};
use semihosting::io::{Read, Seek, SeekFrom, Write};

use super::arguments::Arguments;
use super::exit::{POWER_CUT, exit};

/// Length of the flash in bytes.
pub const FLASH_LEN: u32 = 128 * 1024;

/// Length of a sector in bytes: what is erased at once.
pub const SECTOR_LEN: u32 = 4096;

/// As [`SECTOR_LEN`].
const ERASE_LEN: usize = 4096;

/// Length of what is in memory at once of what is changed, in bytes.
const PIECE_LEN: usize = 256;

/// Length of a word in bytes: what is written at once.
const WORD_LEN: usize = 4;

/// The flash.
pub struct Flash {
    file: File,
    cut: Option<Cut>,
    wear: Option<Wear>,
}

impl Flash {
    /// Opens the flash, once.
    ///
    /// # Errors
    ///
    /// [`FlashError::Taken`] on every call but the first; [`FlashError::NoFlash`], [`FlashError::NotOpened`],
    /// [`FlashError::Length`], [`FlashError::Host`].
    pub fn open() -> Result<Self, FlashError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(FlashError::Taken);
        }
        let arguments = Arguments::read();
        let path = arguments.flash().ok_or(FlashError::NoFlash)?;
        let mut both = OpenOptions::new();
        both.read(true).write(true);
        let file = match both.open(path) {
            Ok(file) => file,
            // One that is there and not to be written is not made anew.
            Err(_) if File::open(path).is_ok() => return Err(FlashError::NotOpened),
            Err(_) => {
                let erased = File::create(path).map_err(|_| FlashError::NotOpened)?;
                write_erased(erased)?;
                both.open(path).map_err(|_| FlashError::NotOpened)?
            }
        };
        let len = file.metadata().map_err(|_| FlashError::Host)?.len();
        if len != u64::from(FLASH_LEN) {
            return Err(FlashError::Length);
        }
        let cut = arguments.number("cut=").map(|step| Cut {
            steps_left: step,
            pattern: u64::from(arguments.number("tear=").unwrap_or(0)) << 32 | u64::from(step) | 1,
        });
        let wear = arguments.number("fail=").map(|step| Wear {
            good_steps_left: step.saturating_sub(1),
        });
        Ok(Self { file, cut, wear })
    }

    /// Changes the `len` bytes at `start` by `change`, a piece after the other, or tears that and ends the run. Flash that
    /// is worn out is not changed.
    fn step(
        &mut self,
        start: u32,
        len: usize,
        change: impl Fn(&mut [u8]),
    ) -> Result<(), FlashError> {
        if let Some(wear) = &mut self.wear {
            wear.step()?;
        }
        let is_cut = self.cut.as_mut().is_some_and(Cut::is_last);
        for at in (0..len).step_by(PIECE_LEN) {
            let offset = start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            let mut held = [0; PIECE_LEN];
            let piece_len = PIECE_LEN.min(len - at);
            let held = held.get_mut(..piece_len).unwrap_or_default();
            self.read(offset, held)?;
            let mut changed = [0; PIECE_LEN];
            let changed = changed.get_mut(..held.len()).unwrap_or_default();
            changed.copy_from_slice(held);
            change(changed);
            if let (true, Some(cut)) = (is_cut, &mut self.cut) {
                cut.tear(held, changed);
            }
            self.seek(offset)?;
            self.file.write_all(changed).map_err(|_| FlashError::Host)?;
        }
        if is_cut {
            exit(POWER_CUT);
        }
        Ok(())
    }

    fn seek(&mut self, offset: u32) -> Result<(), FlashError> {
        let start = SeekFrom::Start(u64::from(offset));
        self.file.seek(start).map_err(|_| FlashError::Host)?;
        Ok(())
    }
}

/// When the power goes.
struct Cut {
    steps_left: u32,
    pattern: u64,
}

/// When the flash is worn out.
struct Wear {
    good_steps_left: u32,
}

/// Why the flash does not do what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum FlashError {
    /// No file is named: give QEMU `-semihosting-config enable=on,target=native,arg=flash=PATH`.
    NoFlash,
    /// It was opened before.
    Taken,
    /// The host neither opens the file nor makes it.
    NotOpened,
    /// The file is not as long as the flash.
    Length,
    /// The host does not read or write the file.
    Host,
    /// It is worn out, and keeps what it has.
    WornOut,
    /// The driver was asked for parts of words or sectors.
    NotAligned,
    /// The driver was asked for what lies beyond the flash.
    OutOfBounds,
}

impl core::fmt::Display for FlashError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::NoFlash => {
                "no flash: QEMU is given no flash=PATH on the semihosting command line"
            }
            Self::Taken => "the flash was opened before",
            Self::NotOpened => "the host neither opens the file of the flash nor makes it",
            Self::Length => "the file of the flash has not the length of the flash",
            Self::Host => "the host does not read or write the file of the flash",
            Self::WornOut => "the flash is worn out",
            Self::NotAligned => "a part of a word or of a sector",
            Self::OutOfBounds => "beyond the flash",
        })
    }
}

impl core::error::Error for FlashError {}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NoFlash
            | Self::Taken
            | Self::NotOpened
            | Self::Length
            | Self::Host
            | Self::WornOut => NorFlashErrorKind::Other,
        }
    }
}

impl From<NorFlashErrorKind> for FlashError {
    fn from(kind: NorFlashErrorKind) -> Self {
        match kind {
            NorFlashErrorKind::NotAligned => Self::NotAligned,
            NorFlashErrorKind::OutOfBounds => Self::OutOfBounds,
            _ => Self::Host,
        }
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len())?;
        self.seek(offset)?;
        self.file.read_exact(bytes).map_err(|_| FlashError::Host)
    }

    fn capacity(&self) -> usize {
        usize::try_from(FLASH_LEN).unwrap_or(usize::MAX)
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD_LEN;
    const ERASE_SIZE: usize = ERASE_LEN;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        for start in (from..to).step_by(ERASE_LEN) {
            self.step(start, ERASE_LEN, |piece| piece.fill(ERASED))?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        for (start, word) in (offset..).step_by(WORD_LEN).zip(bytes.chunks(WORD_LEN)) {
            self.step(start, WORD_LEN, |cells| {
                for (cell, byte) in cells.iter_mut().zip(word) {
                    *cell &= byte;
                }
            })?;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for Flash {}

impl Cut {
    /// Counts a step, and says whether it is the last one.
    fn is_last(&mut self) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        self.steps_left == 0
    }

    /// Takes back the change of some bits.
    fn tear(&mut self, held: &[u8], changed: &mut [u8]) {
        for (cell, held) in changed.iter_mut().zip(held) {
            // xorshift64 (Marsaglia 2003).
            self.pattern ^= self.pattern << 13;
            self.pattern ^= self.pattern >> 7;
            self.pattern ^= self.pattern << 17;
            let [.., undone, _, _] = self.pattern.to_be_bytes();
            *cell ^= (*cell ^ held) & undone;
        }
    }
}

impl Wear {
    /// Counts a step, and fails when it is one too many.
    fn step(&mut self) -> Result<(), FlashError> {
        let left = self.good_steps_left.checked_sub(1);
        self.good_steps_left = left.ok_or(FlashError::WornOut)?;
        Ok(())
    }
}

fn write_erased(mut file: File) -> Result<(), FlashError> {
    for _ in (0..FLASH_LEN).step_by(ERASE_LEN) {
        file.write_all(&[ERASED; ERASE_LEN])
            .map_err(|_| FlashError::Host)?;
    }
    Ok(())
}

/// What a cell reads as when it was erased.
const ERASED: u8 = 0xFF;
