//! A counter that never repeats, at a fraction of a write for each number.

use core::num::NonZeroU32;

use embedded_storage::nor_flash::NorFlash;

use super::{Record, StorageError};

/// Length of what a counter keeps in bytes.
const KEPT_LEN: usize = 8;

/// Counts up through resets: numbers are reserved `step` at a time, and a reset gives up what is left of them.
///
/// ```text
/// 0 ... handed out ... next | reserved ... kept | free ...
/// ```
///
/// No number is handed out that is not below what is kept, so none is handed out twice. `n` numbers and `r` resets
/// take `n / step + r + 1` writes at most.
#[derive(Debug)]
pub struct ReservedCounter<F> {
    record: Record<F, KEPT_LEN>,
    step: NonZeroU32,
    /// The next number and the first that is not reserved; nothing before the first call.
    reserved: Option<(u64, u64)>,
}

impl<F: NorFlash> ReservedCounter<F> {
    /// Counts from zero, or from where `record` has it. Reads and writes nothing.
    #[must_use]
    pub fn new(record: Record<F, KEPT_LEN>, step: NonZeroU32) -> Self {
        Self {
            record,
            step,
            reserved: None,
        }
    }

    /// Returns the next number: higher than any before, through all resets.
    ///
    /// # Errors
    ///
    /// As [`Record::read`] and [`Record::write`], but for [`StorageError::NotWiped`]: a counter has nothing to wipe.
    /// [`StorageError::Damaged`] also when what is kept is no counter. No number is used up then.
    pub fn next(&mut self, flash: &mut F) -> Result<u64, StorageError> {
        let (number, end) = match self.reserved {
            Some(reserved) => reserved,
            None => self.resume(flash)?,
        };
        let end = if number < end {
            end
        } else {
            let end = number
                .checked_add(u64::from(self.step.get()))
                .ok_or(StorageError::Exhausted)?;
            match self.record.write(flash, &end.to_be_bytes()) {
                Ok(()) | Err(StorageError::NotWiped) => end,
                Err(error) => return Err(error),
            }
        };
        self.reserved = Some((number.saturating_add(1), end));
        Ok(number)
    }

    /// Returns the first number that was never reserved, twice: there is none to hand out yet.
    fn resume(&mut self, flash: &mut F) -> Result<(u64, u64), StorageError> {
        let mut buffer = [0; KEPT_LEN];
        let Some(kept) = self.record.read(flash, &mut buffer)? else {
            return Ok((0, 0));
        };
        let kept = kept.first_chunk().filter(|_| kept.len() == KEPT_LEN);
        let kept = u64::from_be_bytes(*kept.ok_or(StorageError::Damaged)?);
        Ok((kept, kept))
    }
}
