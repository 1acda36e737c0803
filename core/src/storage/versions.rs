//! The successive versions of one value, whatever its length.

use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::ops::Range;

use embedded_storage::nor_flash::{NorFlash, NorFlashError};
use zeroize::Zeroize;

use super::layout::{CONFIRM_WORD, Header, Layout};
use super::{Region, StorageError, medium};

/// The versions of a value of at most `max_len` bytes. It is compiled once for values of all lengths.
#[derive(Debug)]
pub(super) struct Versions<F> {
    layout: Layout,
    max_len: usize,
    kind: u8,
    wipes: bool,
    /// What is known of the region; nothing before the first call, and after a failure.
    found: Option<Found>,
    flash: PhantomData<fn(&mut F)>,
}

/// What a record knows of its region.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// The number of the newest version, if there is one.
    newest: Option<u32>,
    /// The first number that was not used.
    next: u32,
    /// A version later than `newest` was acknowledged and reads no longer.
    is_damaged: bool,
    /// The newest version is confirmed, and none was begun after it.
    is_settled: bool,
    /// A place that looks erased from `next` on is erased.
    is_trusted: bool,
    /// Places from this number on, up to the newest version, may hold older values.
    unwiped: u32,
}

impl<F: NorFlash> Versions<F> {
    /// Names the versions of `kind` in `region`; nothing when the region does not fit the flash or the value.
    pub(super) fn new(
        flash: &F,
        region: Region,
        kind: u8,
        max_len: usize,
        wipes: bool,
    ) -> Option<Self> {
        Some(Self {
            layout: Layout::new(flash, region, max_len)?,
            max_len,
            kind,
            wipes,
            found: None,
            flash: PhantomData,
        })
    }

    /// Returns how many versions one sector has room for.
    pub(super) fn per_sector(&self) -> NonZeroU32 {
        self.layout.places()
    }

    /// Reads the newest version into `buffer`, which has room for every version, and returns its length.
    pub(super) fn read(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, StorageError> {
        self.read_len(flash, buffer)
            .inspect_err(|_| buffer.zeroize())
    }

    /// Writes `value` as the newest version.
    pub(super) fn write(&mut self, flash: &mut F, value: &[u8]) -> Result<(), StorageError> {
        if value.len() > self.max_len {
            return Err(StorageError::TooLong);
        }
        let found = match self.found.take() {
            Some(found) => found,
            None => self.find(flash, u32::MAX)?,
        };
        self.put(flash, found, value)?;
        self.wipe(flash)
    }

    fn read_len(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, StorageError> {
        let mut below = u32::MAX;
        loop {
            let found = match self.found.take() {
                Some(found) => found,
                None => self.find(flash, below)?,
            };
            if found.is_damaged {
                self.found = Some(found);
                return Err(StorageError::Damaged);
            }
            let Some(number) = found.newest else {
                self.forget_begun(flash, found)?;
                return Ok(None);
            };
            let Some(value) = self.load(flash, number, buffer).map_err(failed)? else {
                if found.is_settled {
                    return Err(StorageError::Damaged);
                }
                // It was whole a moment ago: cells that waver. The one before it is written again, above it.
                below = number;
                continue;
            };
            let len = value.len();
            if found.is_settled {
                self.found = Some(found);
            } else {
                self.put(flash, found, value)?;
            }
            // The value stands; the next write says what could not be wiped.
            let _not_wiped = self.wipe(flash);
            return Ok(Some(len));
        }
    }

    /// Finds the newest version whose number is less than `below`, and what was begun after it.
    fn find(&self, flash: &mut F, below: u32) -> Result<Found, StorageError> {
        let (mut newest, mut damaged) = (None, None);
        for place in 0..self.layout.total().get() {
            let Some(header) = self.header(flash, place).map_err(failed)? else {
                continue;
            };
            let number = header.number;
            let is_own = number % self.layout.total() == place && number < below;
            if !is_own || Some(number) <= newest {
                continue;
            }
            if self.is_whole(flash, &header, &mut []).map_err(failed)? {
                newest = Some(number);
            } else if self.is_confirmed(flash, number).map_err(failed)? {
                damaged = damaged.max(Some(number));
            }
        }
        let last = newest.max(damaged);
        let mut next = last.map_or(0, |last| last.saturating_add(1));
        let mut is_begun = false;
        for number in self.layout.free(newest, next) {
            let header = self.header(flash, number).map_err(failed)?;
            if header.is_some_and(|header| header.number == number) {
                next = number.saturating_add(1);
                is_begun = true;
            }
        }
        let is_confirmed = match newest {
            Some(number) => self.is_confirmed(flash, number).map_err(failed)?,
            None => true,
        };
        Ok(Found {
            newest,
            next,
            is_damaged: damaged > newest,
            is_settled: is_confirmed && !is_begun,
            is_trusted: false,
            unwiped: next.saturating_sub(self.layout.total().get()),
        })
    }

    /// Writes `value` to the first place that takes it.
    fn put(&mut self, flash: &mut F, found: Found, value: &[u8]) -> Result<(), StorageError> {
        if found.next == u32::MAX {
            return Err(StorageError::Exhausted);
        }
        let free = self.layout.free(found.newest, found.next);
        let end = free.end;
        match (self.put_in(flash, found, free, value), found.newest) {
            (Err(_), Some(newest)) => {
                // What was begun in the other sectors has used up their places.
                let start = self.clear_others(flash, newest).map_err(failed)?;
                let (start, end) = self.above(found, newest, start..end);
                self.put_in(flash, found, start..end, value)
            }
            (put, _) => put,
        }
    }

    /// Returns where of `free` to begin and end. A damaged version whose number is higher would hide what is written below it.
    fn above(&self, found: Found, newest: u32, free: Range<u32>) -> (u32, u32) {
        if !found.is_damaged || found.next <= free.start {
            return (free.start, free.end);
        }
        let own = self.layout.sector(newest);
        let mut start = self.layout.next_sector(found.next.saturating_sub(1));
        if self.layout.sector(start) == own {
            start = self.layout.next_sector(start);
        }
        (start, free.end.max(self.layout.next_sector(start)))
    }

    /// Writes `value` to the first place that takes it, of those with the numbers of `free`.
    fn put_in(
        &mut self,
        flash: &mut F,
        found: Found,
        free: Range<u32>,
        value: &[u8],
    ) -> Result<(), StorageError> {
        let mut number = free.start;
        let mut is_trusted = found.is_trusted;
        let mut error = StorageError::Unwritable;
        while number < free.end {
            if self.layout.is_first(number) {
                if let Err(fault) = self.erase_sector(flash, number) {
                    error = failed(fault);
                    number = self.layout.next_sector(number);
                    continue;
                }
                is_trusted = true;
            }
            match self.attempt(flash, number, value, is_trusted) {
                Ok(Attempt::Taken) => {
                    self.found = Some(Found {
                        newest: Some(number),
                        next: number.saturating_add(1),
                        is_damaged: false,
                        is_settled: true,
                        is_trusted,
                        unwiped: found.unwiped,
                    });
                    return Ok(());
                }
                Ok(Attempt::Spent) => {}
                Ok(Attempt::PassedOver) => is_trusted = true,
                Err(fault) => error = failed(fault),
            }
            number = number.saturating_add(1);
        }
        Err(error)
    }

    /// Writes `value` as version `number`, whose place is in no use.
    fn attempt(
        &self,
        flash: &mut F,
        number: u32,
        value: &[u8],
        is_trusted: bool,
    ) -> Result<Attempt, F::Error> {
        let (at, unit) = (self.layout.place_at(number), self.layout.unit());
        if !medium::is_erased(flash, at, self.layout.place_len())? {
            return Ok(Attempt::Spent);
        }
        if !is_trusted {
            // A flash that does not write twice may refuse: it is passed over all the same.
            let _refused = medium::write_word(flash, at, unit, 0);
            return Ok(Attempt::PassedOver);
        }
        let header = Header::new(self.kind, number, value);
        medium::write_content(flash, at, unit, &header, value)?;
        if !medium::has_content(flash, at, unit, &header, value)? {
            return Ok(Attempt::Spent);
        }
        for (at, word) in [
            (self.layout.commit_at(number), header.commit_word()),
            (self.layout.confirm_at(number), CONFIRM_WORD),
        ] {
            medium::write_word(flash, at, unit, word)?;
            if medium::read_word(flash, at, unit)? != word {
                return Ok(Attempt::Spent);
            }
        }
        Ok(Attempt::Taken)
    }

    /// Overwrites what is older than the newest version, if the record wipes.
    fn wipe(&mut self, flash: &mut F) -> Result<(), StorageError> {
        let Some(found) = self.found.as_mut().filter(|_| self.wipes) else {
            return Ok(());
        };
        let newest = found.newest.unwrap_or(0);
        // Older numbers have given their places to these.
        let first = newest.saturating_sub(self.layout.total().get() - 1);
        for number in found.unwiped.max(first)..newest {
            let at = self.layout.place_at(number);
            medium::wipe(flash, at, self.layout.place_len()).map_err(|_| StorageError::NotWiped)?;
        }
        found.unwiped = newest;
        Ok(())
    }

    /// Sees to it that versions that were begun when there was none do not appear later.
    fn forget_begun(&mut self, flash: &mut F, found: Found) -> Result<(), StorageError> {
        let mut number = 0;
        while number < found.next && !found.is_settled {
            self.erase_sector(flash, number).map_err(failed)?;
            number = self.layout.next_sector(number);
        }
        self.found = Some(Found {
            next: 0,
            is_settled: true,
            ..found
        });
        Ok(())
    }

    /// Erases every sector but that of the newest version, and returns the first number after it.
    fn clear_others(&self, flash: &mut F, newest: u32) -> Result<u32, F::Error> {
        let own = self.layout.sector(newest);
        let mut number = 0;
        while number < self.layout.total().get() {
            if self.layout.sector(number) != own {
                self.erase_sector(flash, number)?;
            }
            number = self.layout.next_sector(number);
        }
        Ok(self.layout.next_sector(newest))
    }

    fn erase_sector(&self, flash: &mut F, number: u32) -> Result<(), F::Error> {
        let sector = self.layout.sector(number);
        flash.erase(sector.start, sector.end)
    }

    /// Reads version `number` into `buffer`; `None` when it is not whole.
    fn load<'b>(
        &self,
        flash: &mut F,
        number: u32,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, F::Error> {
        let header = self.header(flash, number)?;
        let Some(header) = header.filter(|header| header.number == number) else {
            return Ok(None);
        };
        let is_whole = self.is_whole(flash, &header, buffer)?;
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        Ok(buffer.get(..len).filter(|_| is_whole))
    }

    /// Reads the header in the place of version `number`: of whatever version, but of this record.
    fn header(&self, flash: &mut F, number: u32) -> Result<Option<Header>, F::Error> {
        let at = self.layout.place_at(number);
        let header = medium::read_header(flash, at, self.layout.unit())?;
        let fits = |len| usize::try_from(len).is_ok_and(|len| len <= self.max_len);
        Ok(header.filter(|header| header.kind == self.kind && fits(header.len)))
    }

    /// Returns whether the version with `header` was written to its end, and reads its value into `out` if that has room.
    fn is_whole(&self, flash: &mut F, header: &Header, out: &mut [u8]) -> Result<bool, F::Error> {
        let unit = self.layout.unit();
        let committed = medium::read_word(flash, self.layout.commit_at(header.number), unit)?;
        if committed != header.commit_word() {
            return Ok(false);
        }
        let at = self.layout.place_at(header.number);
        medium::read_value(flash, at, unit, header, out)
    }

    fn is_confirmed(&self, flash: &mut F, number: u32) -> Result<bool, F::Error> {
        let at = self.layout.confirm_at(number);
        Ok(medium::read_word(flash, at, self.layout.unit())? == CONFIRM_WORD)
    }
}

/// What became of a place.
enum Attempt {
    /// It has the value.
    Taken,
    /// It was in use, or did not take the value.
    Spent,
    /// A write may have begun there before the reset.
    PassedOver,
}

fn failed(fault: impl NorFlashError) -> StorageError {
    StorageError::Flash(fault.kind().into())
}
