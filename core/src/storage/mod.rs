//! What a device keeps through resets, in NOR flash and safe against the loss of power at any step.
//!
//! A [`Record`] holds successive versions of one value in a [`Region`] of at least two sectors. A [`ReservedCounter`] is a
//! counter over a record that never repeats. What the bytes of a value mean is its user's.
//!
//! # Layout
//!
//! A sector is divided into places of one length, each for one version; what is left at its end stays unused.
//!
//! ```text
//! place   header 20 | value, up to N | erased | commit 4 | confirm 4
//! header  magic "MR" 2 | format u8 | kind u8 | number u32 | number, all bits flipped 4 | len u32 | checksum 4
//! ```
//!
//! Value, commit word and confirm word each begin and end at a multiple of the unit: the largest of the flash's read
//! size, its write size and 4 bytes. What is left over in a unit stays erased. Integers are big-endian. The checksum is
//! CRC-32 (ISO-HDLC) of the header before it and of the value, the commit word is the checksum with all bits flipped, and
//! the confirm word is zero.
//!
//! Version `number` lies in place `number % places` of the region, and in no other: a place that is torn or that does not
//! take what is written uses up its number. So no two versions have one number, and the newest is the one with the
//! highest. The number stands there twice, once with its bits flipped: an erasure that is cut short changes bits in one
//! direction, which makes no other number of it.
//!
//! # Order of writing
//!
//! 1. The first place of a sector is preceded by the erasure of that sector, always; the newest version lies in another.
//! 2. Header and value are written and read back.
//! 3. The commit word is written and read back: from here on the version is found after a reset.
//! 4. The confirm word is written and read back: from here on it is the value. The write is acknowledged.
//! 5. A record that wipes overwrites older versions with zeros.
//!
//! A cell that lost its power while it was written may read as one thing at one time and as another later. Therefore:
//!
//! * A version without a confirm word, or with a later one begun after it, is written again under a new number before
//!   its value is handed out. What was read once is not taken back.
//! * The first place that looks erased after a reset is overwritten with zeros and passed over, unless its sector is
//!   erased first: a write may have begun there that nobody sees.
//!
//! # Wear
//!
//! `w` writes erase sectors `ceil(w / p)` times in all, where `p` is the number of places in a sector, see
//! [`Record::erases_after`]; the sectors take turns, so each of `s` sectors is erased `ceil(w / p / s)` times at most. A
//! reset counts as one write, and one that cuts a write short as three and one erasure.
//!
//! # Why a checksum
//!
//! The checksum finds what a cut or a worn cell has left, not forgery. A code under a key would not either: the key would
//! lie in the same flash, and who can write the flash can put back an older version with its code. The checksum of a
//! secret lies beside the secret and is wiped with it.
//!
//! # What is asked of the driver
//!
//! A driver returns what a cell reads as, also when it was torn: an error while reading stands for a flash that does not
//! answer, and no value is returned then. Nothing else writes to the region.

mod counter;
mod layout;
mod medium;
mod record;
mod versions;

pub use counter::ReservedCounter;
use embedded_storage::nor_flash::NorFlashErrorKind;
pub use record::Record;

/// A range of flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it begins: a multiple of the erase size, in bytes.
    pub start: u32,
    /// How long it is: a multiple of the erase size and at least two of it, in bytes.
    pub len: u32,
}

/// Why a value was not read or not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StorageError {
    /// The region is not aligned, has fewer than two sectors, goes beyond the flash, or a sector has no room for a value;
    /// or the flash reads or writes in units of other than 1, 2, 4, 8, 16, 32 or 64 bytes.
    Region,
    /// The value is longer than the record holds.
    TooLong,
    /// The driver failed. After a write the value is the old one or the new one: the next read says which, for good.
    Flash(FlashFault),
    /// No place took the value. As after [`StorageError::Flash`], the next read says which value stands.
    Unwritable,
    /// The newest value was acknowledged, and what lies there is no longer it. An older one is not returned in its place; a
    /// write ends this state. After a reset this is seen as long as the header reads.
    Damaged,
    /// The value is kept, and an older version could not be overwritten. The next write tries again.
    NotWiped,
    /// The numbers of the record or of the counter are used up.
    Exhausted,
}

/// What a driver of flash says of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlashFault {
    /// The operation was not aligned.
    NotAligned,
    /// The operation went beyond the flash.
    OutOfBounds,
    /// The driver's own reason.
    Other,
}

impl From<NorFlashErrorKind> for FlashFault {
    fn from(kind: NorFlashErrorKind) -> Self {
        match kind {
            NorFlashErrorKind::NotAligned => Self::NotAligned,
            NorFlashErrorKind::OutOfBounds => Self::OutOfBounds,
            _ => Self::Other,
        }
    }
}
