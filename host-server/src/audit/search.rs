//! What is in the log, one record after the other. Whether it is what was written, [`super::verify()`] says.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{FOLDER, Lines, list, path_of};
use super::kind::{Kind, Severity};
use super::record::{Record, read};

/// Which records are wanted; what is not said is no condition.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// What they are about.
    pub kinds: Vec<Kind>,
    /// Whom they are about.
    pub subject: Option<String>,
    /// The peer's address, with or without its port.
    pub address: Option<String>,
    /// How much they matter at least.
    pub severity: Option<Severity>,
    /// The earliest, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Those before this, in milliseconds since 1970.
    pub until: Option<u64>,
}

impl Query {
    /// Returns whether `record` is wanted.
    #[must_use]
    pub fn wants(&self, record: &Record) -> bool {
        let is_here = |address: &String| {
            let host = record.address.as_deref().map(host);
            record.address.as_ref() == Some(address) || host == Some(address)
        };
        (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && (self.subject.is_none() || self.subject == record.subject)
            && self.address.as_ref().is_none_or(is_here)
            && self.severity.is_none_or(|least| record.severity >= least)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }
}

/// Returns an address and port without the port.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// The records of a log, in its order.
#[derive(Debug)]
pub struct Records {
    files: VecDeque<PathBuf>,
    lines: Option<Lines>,
    unreadable: u64,
}

impl Records {
    /// Opens the log in `data_dir`. A daemon may be writing to it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        let files = list(&folder)?;
        Ok(Self {
            files: files.iter().map(|first| path_of(&folder, *first)).collect(),
            lines: None,
            unreadable: 0,
        })
    }

    /// Returns how many lines were no records.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn step(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(lines) = &mut self.lines else {
                let Some(path) = self.files.pop_front() else {
                    return Ok(None);
                };
                match Lines::open(&path) {
                    // It was removed meanwhile: it was the oldest.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    opened => self.lines = Some(opened?),
                }
                continue;
            };
            match lines.next()? {
                None => self.lines = None,
                // It is being written.
                Some(line) if !line.has_end => {}
                Some(line) => match read(&line.bytes) {
                    Ok((record, _)) => return Ok(Some(record)),
                    Err(_) => self.unreadable += 1,
                },
            }
        }
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
