//! One value, in successive versions.

use embedded_storage::nor_flash::{MultiwriteNorFlash, NorFlash};

use super::versions::Versions;
use super::{Region, StorageError};

/// A value of at most `N` bytes that is kept in flash.
///
/// The record has no part of the value in RAM, and no hold on the flash: each call is lent it, and it is to be the same
/// flash every time.
#[derive(Debug)]
pub struct Record<F, const N: usize>(Versions<F>);

impl<F: NorFlash, const N: usize> Record<F, N> {
    /// Names the record of `kind` in `region`; each record of a device has a kind of its own. Reads and writes nothing.
    ///
    /// # Errors
    ///
    /// [`StorageError::Region`].
    pub fn new(flash: &F, region: Region, kind: u8) -> Result<Self, StorageError> {
        Self::of(Versions::new(flash, region, kind, N, false))
    }

    /// As [`Record::new`], for a secret: older versions are overwritten with zeros when a newer one stands.
    ///
    /// Those that a loss of power leaves are overwritten at the first read or write after it.
    ///
    /// # Errors
    ///
    /// As [`Record::new`].
    pub fn wiping(flash: &F, region: Region, kind: u8) -> Result<Self, StorageError>
    where
        F: MultiwriteNorFlash,
    {
        Self::of(Versions::new(flash, region, kind, N, true))
    }

    fn of(versions: Option<Versions<F>>) -> Result<Self, StorageError> {
        versions.map(Self).ok_or(StorageError::Region)
    }

    /// Returns how many versions one sector has room for.
    #[must_use]
    pub fn versions_per_sector(&self) -> u32 {
        self.0.per_sector().get()
    }

    /// Returns how often sectors are erased in all for `writes` writes to an empty region, when none is cut short and
    /// every place takes what is written.
    #[must_use]
    pub fn erases_after(&self, writes: u32) -> u32 {
        let places = self.0.per_sector();
        (writes / places).saturating_add(u32::from(writes % places != 0))
    }

    /// Reads the value into `buffer` and returns it; `None` when none was ever written. On an error `buffer` is zeros.
    ///
    /// After a reset that cut a write short, the value is the one before or the one that was being written, and stays so:
    /// this may take a write.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`]; [`StorageError::Flash`]; and when a write was cut short, what [`Record::write`] returns,
    /// but for [`StorageError::NotWiped`].
    pub fn read<'b>(
        &mut self,
        flash: &mut F,
        buffer: &'b mut [u8; N],
    ) -> Result<Option<&'b [u8]>, StorageError> {
        let len = self.0.read(flash, buffer)?;
        Ok(len.and_then(|len| buffer.get(..len)))
    }

    /// Keeps `value` in the place of the one before. When this returns, it outlasts any loss of power.
    ///
    /// # Errors
    ///
    /// [`StorageError::TooLong`] and [`StorageError::Exhausted`]: the value is the one before. [`StorageError::NotWiped`]:
    /// it is `value`. [`StorageError::Flash`], [`StorageError::Unwritable`]: it is one of them, as [`Record::read`] says.
    pub fn write(&mut self, flash: &mut F, value: &[u8]) -> Result<(), StorageError> {
        self.0.write(flash, value)
    }
}
