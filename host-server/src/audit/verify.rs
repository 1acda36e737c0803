//! Whether the log is what was written: the chain of its records, and the heads that were signed over it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use moorline_core::crypto::{Hash, PublicKey};

use super::files::{FOLDER, HEADS, Lines, list, path_of};
use super::head::{Head, What};
use super::record::{Link, decode, read};

/// How often the files are read anew when the daemon removes some meanwhile.
const ATTEMPTS: usize = 5;

/// What a log is that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The number of the first record that is kept; one more than `last` when there is none.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// How many files they are in.
    pub files: usize,
    /// The last record that a signed head names.
    pub signed: u64,
    /// When that head was signed, in milliseconds since 1970.
    pub signed_at: u64,
    /// The line of that head, to be kept elsewhere.
    pub head: Option<String>,
    /// Bytes of a last line that has no end: it is being written, or the daemon was killed. The next start cuts it off.
    pub torn: u64,
}

impl Whole {
    /// Returns how many records at the end no head names: whoever can write the files can still change these.
    #[must_use]
    pub fn unsigned(&self) -> u64 {
        self.last.saturating_sub(self.signed)
    }
}

/// What is wrong with a log: the first thing that is.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// A record is not the one that was written.
    #[error("record {number} was changed ({file}, line {line})")]
    Changed {
        /// The record that belongs there.
        number: u64,
        /// The file.
        file: String,
        /// The line in it, from 1.
        line: u64,
    },
    /// A file that is followed by another has something behind its last record.
    #[error("there is something behind record {last} that is no record")]
    Behind {
        /// The last record of the file.
        last: u64,
    },
    /// A record does not follow the one before it: one of the two was replaced.
    #[error("record {number} does not follow record {} as it stands here: that one was replaced", number - 1)]
    NotLinked {
        /// The later one.
        number: u64,
    },
    /// Records are gone.
    #[error("records {first} to {last} are missing")]
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// A record stands where another belongs.
    #[error("record {found} stands where record {expected} belongs: they are out of order")]
    OutOfOrder {
        /// What stands there.
        found: u64,
        /// What belongs there.
        expected: u64,
    },
    /// The log ends before what was signed.
    #[error(
        "the log is cut off: it ends with record {last}, and a signed head names record {signed}"
    )]
    CutOff {
        /// Its last record.
        last: u64,
        /// The record that the head names.
        signed: u64,
    },
    /// A head is not signed by the key.
    #[error("the head in line {line} of {place} is not signed by this key")]
    HeadNotSigned {
        /// The line, from 1.
        line: usize,
        /// Which heads.
        place: String,
    },
    /// A head names another record than the one that is here.
    #[error("record {number} is not the one that a signed head names")]
    OtherRecord {
        /// The number of both.
        number: u64,
    },
    /// No signed word says where the log begins.
    #[error("nothing that is signed says where the log begins")]
    NoStart,
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Checks the log in `data_dir` against `key`, and against `shipped`: heads of it that were kept elsewhere, a line each.
///
/// A daemon may be writing to it.
///
/// # Errors
///
/// [`Damage`]: the first record that is wrong, and how.
pub fn verify(data_dir: &Path, key: &PublicKey, shipped: &str) -> Result<Whole, Damage> {
    let folder = data_dir.join(FOLDER);
    let mut attempt = 1;
    loop {
        let before = read_heads(&folder, key)?;
        let found = walk(&folder, &before, key, shipped);
        // Old files may have been removed while it was read.
        let is_settled = found.is_ok()
            || attempt == ATTEMPTS
            || read_heads(&folder, key)?.start_number() == before.start_number();
        if is_settled {
            return found;
        }
        attempt += 1;
    }
}

/// The heads in the folder.
#[derive(Debug, Default)]
struct Heads {
    start: Option<Link>,
    by_number: BTreeMap<u64, Hash>,
    last: Option<Head>,
}

impl Heads {
    fn start_number(&self) -> Option<u64> {
        self.start.map(|link| link.number)
    }

    fn take(&mut self, head: Head) -> Result<(), Damage> {
        let Link { number, hash } = head.link;
        if self
            .by_number
            .insert(number, hash)
            .is_some_and(|other| other != hash)
        {
            return Err(Damage::OtherRecord { number });
        }
        if self
            .last
            .as_ref()
            .is_none_or(|last| last.link.number <= number)
        {
            self.last = Some(head);
        }
        Ok(())
    }
}

fn read_heads(folder: &Path, key: &PublicKey) -> Result<Heads, Damage> {
    let path = folder.join(HEADS);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Damage::NoStart),
        read => read.map_err(unreadable(&path))?,
    };
    let mut heads = Heads::default();
    for (place, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        // The last one may be on its way.
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        let not_signed = || Damage::HeadNotSigned {
            line: place,
            place: format!("{FOLDER}/{HEADS}"),
        };
        let head = Head::read(line, key).ok_or_else(not_signed)?;
        if head.what == What::Start {
            heads.start = Some(head.link);
        }
        heads.take(head)?;
    }
    Ok(heads)
}

/// Goes through all records.
fn walk(folder: &Path, heads: &Heads, key: &PublicKey, shipped: &str) -> Result<Whole, Damage> {
    let start = heads.start.ok_or(Damage::NoStart)?;
    let mut expected = heads.by_number.clone();
    for (place, line) in (1..).zip(shipped.lines().filter(|line| !line.is_empty())) {
        let not_signed = || Damage::HeadNotSigned {
            line: place,
            place: "those that were kept elsewhere".into(),
        };
        let head = Head::read(line.as_bytes(), key).ok_or_else(not_signed)?;
        let number = head.link.number;
        let known = expected.insert(number, head.link.hash);
        if known.is_some_and(|known| known != head.link.hash) {
            return Err(Damage::OtherRecord { number });
        }
    }
    let files = list(folder).map_err(unreadable(folder))?;
    let (mut last, mut first, mut torn) = (None::<Link>, None, 0);
    for name in &files {
        if torn > 0 {
            let last = last.map_or(start.number, |last| last.number);
            return Err(Damage::Behind { last });
        }
        torn = walk_file(
            &path_of(folder, *name),
            start,
            &expected,
            &mut last,
            &mut first,
        )?;
    }
    let (last, first) = (last.unwrap_or(start), first.unwrap_or(start.number + 1));
    if let Some((signed, _)) = expected
        .last_key_value()
        .filter(|(signed, _)| **signed > last.number)
    {
        return Err(Damage::CutOff {
            last: last.number,
            signed: *signed,
        });
    }
    let head = heads.last.as_ref();
    Ok(Whole {
        first,
        last: last.number,
        files: files.len(),
        signed: head.map_or(0, |head| head.link.number),
        signed_at: head.map_or(0, |head| head.time),
        head: head.map(|head| head.line.clone()),
        torn,
    })
}

/// Goes through one file behind `last`; returns how many bytes at its end are no whole line.
fn walk_file(
    path: &Path,
    start: Link,
    heads: &BTreeMap<u64, Hash>,
    last: &mut Option<Link>,
    first: &mut Option<u64>,
) -> Result<u64, Damage> {
    let mut lines = Lines::open(path).map_err(unreadable(path))?;
    let (mut torn, mut place) = (0, 0);
    while let Some(line) = lines.next().map_err(unreadable(path))? {
        if !line.has_end {
            torn += line.len();
            continue;
        }
        place += 1;
        // What was not to be removed yet, or not again, may stand before the start.
        let expected = last.map_or(start.number + 1, |last| last.number + 1);
        let changed = |number| Damage::Changed {
            number,
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            line: place,
        };
        let (record, hash) = match read(&line.bytes) {
            Ok(read) if torn == 0 => read,
            _ => return Err(changed(expected)),
        };
        let number = record.number;
        let previous = decode(&record.previous);
        match *last {
            None if number <= start.number => {}
            None if number == expected => {
                if previous != Some(start.hash) {
                    return Err(changed(number));
                }
            }
            Some(before) if number == expected => {
                if previous != Some(before.hash) {
                    return Err(Damage::NotLinked { number });
                }
            }
            _ if number > expected && !stands_later(lines, expected)? => {
                return Err(Damage::Missing {
                    first: expected,
                    last: number - 1,
                });
            }
            _ => {
                return Err(Damage::OutOfOrder {
                    found: number,
                    expected,
                });
            }
        }
        if heads.get(&number).is_some_and(|known| *known != hash) {
            return Err(Damage::OtherRecord { number });
        }
        first.get_or_insert(number);
        *last = Some(Link { number, hash });
    }
    Ok(torn)
}

/// Returns whether the record `wanted` stands further down in the same file.
fn stands_later(mut lines: Lines, wanted: u64) -> Result<bool, Damage> {
    let path = Path::new(FOLDER);
    while let Some(line) = lines.next().map_err(unreadable(path))? {
        if read(&line.bytes).is_ok_and(|(record, _)| record.number == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Damage {
    let path = path.to_owned();
    move |error| Damage::Unreadable { path, error }
}
