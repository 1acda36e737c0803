//! The reader of a region, which takes any bytes.

use moorline_core::storage::{Record, StorageError};

use super::nor::Nor;
use super::{KIND, SEED, VALUE_LEN, whole};

/// Length of what is read in bytes: two sectors.
const FLASH_LEN: usize = 512;

type Flash = Nor<4, 4, 256, FLASH_LEN>;

/// Reads a region that begins with `data` and goes on erased. What is read stands, and what is written over it too.
///
/// # Panics
///
/// It does not.
pub fn read(data: &[u8]) {
    let mut flash = Flash::new(SEED);
    for (cell, byte) in flash.cells.iter_mut().zip(data) {
        *cell = *byte;
    }
    let open = |flash: &Flash| {
        Record::<_, VALUE_LEN>::wiping(flash, whole(FLASH_LEN), KIND).expect("it fits")
    };
    let (mut first, mut second) = ([0; VALUE_LEN], [0; VALUE_LEN]);
    let read = open(&flash).read(&mut flash, &mut first);
    match read {
        Ok(_) | Err(StorageError::Damaged) => {
            let again = open(&flash).read(&mut flash, &mut second);
            assert_eq!(read, again, "what was read stands");
        }
        Err(error) => assert!(is_at_end(error), "{error:?}"),
    }
    match open(&flash).write(&mut flash, b"new") {
        Ok(()) => {
            let again = open(&flash).read(&mut flash, &mut second);
            assert_eq!(again, Ok(Some(&b"new"[..])), "what was written stands");
        }
        Err(error) => assert!(is_at_end(error), "{error:?}"),
    }
}

/// Whether the numbers were at their end, as in bytes of any content they may be.
fn is_at_end(error: StorageError) -> bool {
    matches!(error, StorageError::Exhausted | StorageError::Unwritable)
}

/// Returns a region with a few versions in it.
#[must_use]
pub fn seed() -> [u8; FLASH_LEN] {
    let mut flash = Flash::new(SEED);
    let record = Record::<_, VALUE_LEN>::new(&flash, whole(FLASH_LEN), KIND);
    let mut record = record.expect("it fits");
    for value in [&b"first"[..], b"second", b"", b"the fourth value"] {
        record.write(&mut flash, value).expect("it is kept");
    }
    flash.cells
}
