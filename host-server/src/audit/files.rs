//! The files of the log: their names, and their lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::record::MAX_LINE_LEN;
use crate::store::StoreError;

/// The folder in the data directory.
pub(super) const FOLDER: &str = "audit";

/// The file of heads in the folder.
pub(super) const HEADS: &str = "heads";

/// What the names of files with records end on.
const ENDING: &str = ".jsonl";

/// Returns the path of the file whose first record is `first`.
pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{ENDING}"))
}

/// Returns the numbers of the first records of all files in `folder`, which rise.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_suffix(ENDING))
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes the file `path`, which must not be there, for its owner alone.
pub(super) fn create(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.map_err(io_error(path))
}

/// Opens the file `path` to write behind its end.
pub(super) fn append_to(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().append(true).open(path);
    file.map_err(io_error(path))
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { path, error }
}

/// One line of a file, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// Whether it had an end. Only the last line of a file has none, or one that is too long to be any of ours.
    pub(super) has_end: bool,
}

/// Reads lines that may be damaged: one is never longer than a record can be.
#[derive(Debug)]
pub(super) struct Lines(BufReader<File>);

impl Line {
    /// Returns how many bytes of the file it takes.
    pub(super) fn len(&self) -> u64 {
        let len = self.bytes.len() + usize::from(self.has_end);
        u64::try_from(len).unwrap_or(u64::MAX)
    }
}

impl Lines {
    /// Opens the file `path`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self(BufReader::new(file)))
    }

    /// Returns the next line; what is too long for one comes in several.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_LINE_LEN).unwrap_or(u64::MAX);
        let read = self.0.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        let has_end = bytes.last() == Some(&b'\n');
        if has_end {
            bytes.pop();
        }
        Ok(Some(Line { bytes, has_end }))
    }
}
