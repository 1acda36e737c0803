//! What an image takes of the device's memories.

use std::fs;
use std::path::Path;

use object::elf::{SHF_ALLOC, SHF_WRITE};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind};

use crate::error::Error;

/// The sizes of an image, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sections {
    /// What is programmed: code, constants and the first values of variables.
    pub flash_bytes: u64,
    /// What variables take for as long as the device runs; the stack is not in it.
    pub ram_bytes: u64,
}

impl Sections {
    /// Reads the sizes of the image at `path`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no ELF file.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let bytes = read(path)?;
        let elf = parse(path, &bytes)?;
        let mut sections = Self {
            flash_bytes: 0,
            ram_bytes: 0,
        };
        for section in elf.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            if sh_flags & u64::from(SHF_ALLOC) == 0 {
                continue;
            }
            if section.kind() != SectionKind::UninitializedData {
                sections.flash_bytes += section.size();
            }
            if sh_flags & u64::from(SHF_WRITE) != 0 {
                sections.ram_bytes += section.size();
            }
        }
        Ok(sections)
    }
}

/// Returns the address that the image at `path` calls `symbol`.
///
/// # Errors
///
/// As [`Sections::of`]; the image has no such symbol.
pub(crate) fn address_of(symbol: &str, path: &Path) -> Result<u64, Error> {
    let bytes = read(path)?;
    let elf = parse(path, &bytes)?;
    let found = elf.symbol_by_name(symbol).ok_or_else(|| Error::Sections {
        path: path.into(),
        reason: format!("it has no symbol {symbol}"),
    })?;
    Ok(found.address())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })
}

fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<object::File<'b>, Error> {
    object::File::parse(bytes).map_err(|error| Error::Sections {
        path: path.into(),
        reason: error.to_string(),
    })
}
