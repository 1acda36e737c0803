//! Where the versions of a record lie, and what stands before each.

use core::num::NonZeroU32;
use core::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::Region;
use super::medium::CHUNK_LEN;
use crate::wire::{Reader, Truncated, Writer};

/// Length of a header in bytes.
pub(super) const HEADER_LEN: usize = 20;

/// Length of the commit word and of the confirm word in bytes.
pub(super) const WORD_LEN: usize = 4;

/// The places of a region.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    start: u32,
    sector_len: u32,
    /// In one sector.
    places: NonZeroU32,
    /// In the region.
    total: NonZeroU32,
    place_len: u32,
    /// What every part of a place is a multiple of.
    unit: u32,
}

impl Layout {
    /// Divides `region` into places for values of `value_len` bytes; `None` when it cannot be.
    pub(super) fn new<F: NorFlash>(flash: &F, region: Region, value_len: usize) -> Option<Self> {
        let unit = F::READ_SIZE.max(F::WRITE_SIZE).max(WORD_LEN);
        let is_sound = F::READ_SIZE.is_power_of_two() && F::WRITE_SIZE.is_power_of_two();
        if !is_sound || unit > CHUNK_LEN {
            return None;
        }
        let unit = u32::try_from(unit).ok()?;
        let sector_len = u32::try_from(F::ERASE_SIZE).ok()?;
        let content_len = u32::try_from(value_len.checked_add(HEADER_LEN)?).ok()?;
        let place_len = content_len
            .checked_next_multiple_of(unit)?
            .checked_add(unit.checked_mul(2)?)?;
        let places = NonZeroU32::new(sector_len.checked_div(place_len)?)?;
        let sectors = NonZeroU32::new(region.len.checked_div(sector_len)?)?;
        let end = region.start.checked_add(region.len)?;
        let is_within = usize::try_from(end).ok()? <= flash.capacity();
        let is_aligned = [region.start, region.len]
            .iter()
            .all(|at| at.is_multiple_of(sector_len));
        if !is_within || !is_aligned || !sector_len.is_multiple_of(unit) || sectors.get() < 2 {
            return None;
        }
        Some(Self {
            start: region.start,
            sector_len,
            places,
            total: places.checked_mul(sectors)?,
            place_len,
            unit,
        })
    }

    /// Returns the number of places in one sector.
    pub(super) fn places(&self) -> NonZeroU32 {
        self.places
    }

    /// Returns the number of places in the region.
    pub(super) fn total(&self) -> NonZeroU32 {
        self.total
    }

    /// Returns the length of a place in bytes.
    pub(super) fn place_len(&self) -> u32 {
        self.place_len
    }

    /// Returns what every operation of the flash is a multiple of, in bytes.
    pub(super) fn unit(&self) -> usize {
        usize::try_from(self.unit).unwrap_or(CHUNK_LEN)
    }

    /// Returns where the place of version `number` begins.
    pub(super) fn place_at(&self, number: u32) -> u32 {
        let place = number % self.total % self.places;
        self.sector(number).start + place * self.place_len
    }

    /// Returns where the commit word of version `number` is.
    pub(super) fn commit_at(&self, number: u32) -> u32 {
        self.place_at(number) + self.place_len - 2 * self.unit
    }

    /// Returns where the confirm word of version `number` is.
    pub(super) fn confirm_at(&self, number: u32) -> u32 {
        self.place_at(number) + self.place_len - self.unit
    }

    /// Returns the sector of version `number`.
    pub(super) fn sector(&self, number: u32) -> Range<u32> {
        let sector = number % self.total / self.places;
        let start = self.start + sector * self.sector_len;
        start..start + self.sector_len
    }

    /// Returns whether the place of version `number` is the first of its sector.
    pub(super) fn is_first(&self, number: u32) -> bool {
        number % self.places == 0
    }

    /// Returns the first number after `number` whose place is in another sector.
    pub(super) fn next_sector(&self, number: u32) -> u32 {
        (number - number % self.places).saturating_add(self.places.get())
    }

    /// Returns the numbers from `next` on whose places do not lie in the sector of `newest`, unless they follow it there.
    pub(super) fn free(&self, newest: Option<u32>, next: u32) -> Range<u32> {
        let start = newest.map_or(next, |newest| newest - newest % self.places);
        next..start.saturating_add(self.total.get())
    }
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Which record of the device it is.
    pub(super) kind: u8,
    /// Which version.
    pub(super) number: u32,
    /// The length of the value in bytes.
    pub(super) len: u32,
    /// The checksum of header and value.
    pub(super) checksum: u32,
}

impl Header {
    /// Returns the header of `value`.
    pub(super) fn new(kind: u8, number: u32, value: &[u8]) -> Self {
        let mut header = Self {
            kind,
            number,
            len: u32::try_from(value.len()).unwrap_or(u32::MAX),
            checksum: 0,
        };
        let mut digest = header.digest();
        digest.update(value);
        header.checksum = digest.finalize();
        header
    }

    /// Begins the checksum: what is left is the value.
    pub(super) fn digest(&self) -> Digest<'static, u32, NoTable> {
        let mut digest = CHECKSUM.digest();
        let bytes = self.to_bytes();
        digest.update(bytes.split_last_chunk::<4>().map_or(&[], |(head, _)| head));
        digest
    }

    /// Returns the word that says that header and value were written.
    pub(super) fn commit_word(&self) -> u32 {
        !self.checksum
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut writer = Writer::new(&mut bytes);
        writer
            .bytes(&MAGIC)
            .u8(FORMAT)
            .u8(self.kind)
            .u32(self.number)
            .u32(!self.number)
            .u32(self.len)
            .u32(self.checksum);
        debug_assert!(writer.finish().is_ok());
        bytes
    }

    /// Reads a header; `None` when it is none of this format.
    pub(super) fn parse(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        Self::read(bytes).ok().flatten()
    }

    fn read(bytes: &[u8; HEADER_LEN]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(bytes);
        let is_known = *reader.array()? == MAGIC && reader.u8()? == FORMAT;
        let (kind, number, flipped) = (reader.u8()?, reader.u32()?, reader.u32()?);
        let header = Self {
            kind,
            number,
            len: reader.u32()?,
            checksum: reader.u32()?,
        };
        Ok((is_known && flipped == !number).then_some(header))
    }
}

/// What says that a version was read back.
pub(super) const CONFIRM_WORD: u32 = 0;

const MAGIC: [u8; 2] = *b"MR";
const FORMAT: u8 = 1;

static CHECKSUM: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
