//! The log on the disk: a chain of records in files, and signed heads of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moorline_core::crypto::SigningKey;
use moorline_core::time::UnixMillis;

use super::files::{HEADS, append_to, create, io_error, path_of};
use super::head::{Head, What};
use super::kind::Kind;
use super::record::{Event, Link, write};
use super::settings::AuditConfig;
use crate::store::{KeyFileError, StoreError, replace, sync_folder};

/// Milliseconds of a day.
const DAY_MILLIS: u64 = 86_400_000;

/// What has happened, and when.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) time: UnixMillis,
}

/// A file that is not written to any more.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    /// The number of its first record.
    pub(super) first: u64,
    /// The head that was signed over its last one. A file without one was tampered with, and is kept.
    pub(super) head: Head,
}

/// How far the current file is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) len: u64,
    pub(super) last: Link,
    pub(super) count: u64,
}

/// The log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) folder: PathBuf,
    pub(super) settings: AuditConfig,
    pub(super) key: SigningKey,
    pub(super) file: File,
    /// The number of the first record of the current file.
    pub(super) first: u64,
    pub(super) written: Written,
    /// Whether something was written since the disk was last waited for.
    pub(super) is_unsynced: bool,
    pub(super) heads: File,
    pub(super) start: Option<Head>,
    pub(super) closed: VecDeque<Closed>,
    /// The last head over the current file.
    pub(super) latest: Option<Head>,
    /// The last record that a head names.
    pub(super) signed: u64,
    /// What the log itself has to say.
    pub(super) notices: Vec<Event>,
    /// How often the disk was waited for.
    pub(super) syncs: Arc<AtomicU64>,
}

impl Log {
    /// Writes records, in their order. They are on the disk after [`Log::sync`].
    ///
    /// # Errors
    ///
    /// [`StoreError`]: of these, the records from some one on are not written, and the log is whole.
    pub(super) fn append(&mut self, entries: &[Entry], now: UnixMillis) -> Result<(), StoreError> {
        let mut pending = Pending::behind(self.written);
        for Entry { event, time } in entries {
            let (line, link) = write(event.clone(), *time, &pending.last)
                .map_err(std::io::Error::from)
                .map_err(io_error(&self.folder))?;
            let line_len = u64::try_from(line.len()).unwrap_or(u64::MAX);
            let len = self.written.len + pending.len();
            if len > 0 && len + line_len > self.settings.file_bytes {
                self.write(&pending)?;
                self.rotate(now)?;
                pending = Pending::behind(self.written);
            }
            pending.bytes.extend_from_slice(&line);
            pending.last = link;
            pending.count += 1;
        }
        self.write(&pending)
    }

    fn write(&mut self, pending: &Pending) -> Result<(), StoreError> {
        if pending.bytes.is_empty() {
            return Ok(());
        }
        let path = path_of(&self.folder, self.first);
        self.is_unsynced = true;
        if let Err(error) = self.file.write_all(&pending.bytes) {
            // What a full disk took of a line is no record.
            let _ = self.file.set_len(self.written.len);
            return Err(io_error(&path)(error));
        }
        self.written = Written {
            len: self.written.len + pending.len(),
            last: pending.last,
            count: pending.count,
        };
        Ok(())
    }

    /// Waits until everything that was written is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if self.is_unsynced {
            let path = path_of(&self.folder, self.first);
            self.file.sync_data().map_err(io_error(&path))?;
            self.is_unsynced = false;
            self.syncs.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Returns how many records no head names yet.
    pub(super) fn unsigned(&self) -> u64 {
        self.written.last.number.saturating_sub(self.signed)
    }

    /// Signs a head over all records, if there are new ones. They are on the disk before it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn sign_head(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        if self.unsigned() == 0 {
            return Ok(());
        }
        self.sync()?;
        let head = self.head(What::Head, self.written.count, self.written.last, now)?;
        let path = self.folder.join(HEADS);
        let line = [head.line.as_bytes(), b"\n"].concat();
        let written = self.heads.write_all(&line);
        written
            .and_then(|()| self.heads.sync_data())
            .map_err(io_error(&path))?;
        self.signed = head.link.number;
        self.latest = Some(head);
        Ok(())
    }

    pub(super) fn head(
        &self,
        what: What,
        count: u64,
        link: Link,
        now: UnixMillis,
    ) -> Result<Head, StoreError> {
        let head = Head::sign(what, count, link, now.0, &self.key);
        Ok(head.map_err(|_| KeyFileError::NoEntropy)?)
    }

    /// Begins the next file. A head over the last record of the current one stays for good.
    fn rotate(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        self.sync()?;
        let Written { last, count, .. } = self.written;
        let head = self.head(What::Head, count, last, now)?;
        let first = last.number.saturating_add(1);
        let closed = Closed {
            first: self.first,
            head,
        };
        self.closed.push_back(closed);
        let latest = self.latest.take();
        let made = self.rewrite_heads().and_then(|()| {
            let file = create(&path_of(&self.folder, first))?;
            sync_folder(&self.folder)?;
            Ok(file)
        });
        match made {
            Ok(file) => self.file = file,
            Err(error) => {
                // It is tried again with the next record.
                self.closed.pop_back();
                self.latest = latest;
                return Err(error);
            }
        }
        self.first = first;
        self.signed = last.number;
        self.written.len = 0;
        self.retire(now)
    }

    /// Keeps the heads that are needed: where the log begins, the last of each file, and the latest.
    pub(super) fn rewrite_heads(&mut self) -> Result<(), StoreError> {
        let closed = self.closed.iter().map(|closed| &closed.head);
        let mut text = String::new();
        for head in self.start.iter().chain(closed).chain(&self.latest) {
            text.push_str(&head.line);
            text.push('\n');
        }
        let path = self.folder.join(HEADS);
        replace(&path, text.as_bytes())?;
        self.heads = append_to(&path)?;
        Ok(())
    }

    /// Removes the files that are too many or too old. A signed head says where the log begins then.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn retire(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        let kept_millis = self.settings.keep_days.saturating_mul(DAY_MILLIS);
        let surplus = (self.closed.len() + 1).saturating_sub(self.settings.files);
        let old = self
            .closed
            .iter()
            .take_while(|closed| closed.head.time.saturating_add(kept_millis) < now.0);
        let count = surplus.max(old.count());
        let gone: Vec<Closed> = self.closed.drain(..count.min(self.closed.len())).collect();
        let (Some(oldest), Some(youngest)) = (gone.first(), gone.last()) else {
            return Ok(());
        };
        let head = &youngest.head;
        self.start = Some(self.head(What::Start, head.count, head.link, now)?);
        self.rewrite_heads()?;
        self.notices.push(
            Event::new(Kind::Pruned)
                .number("first", oldest.first)
                .number("last", head.link.number)
                .number("files", u64::try_from(gone.len()).unwrap_or(u64::MAX)),
        );
        for closed in &gone {
            remove(&path_of(&self.folder, closed.first))?;
        }
        sync_folder(&self.folder)
    }
}

/// Removes the file `path`, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

/// Records that are on their way to the file.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    last: Link,
    count: u64,
}

impl Pending {
    fn behind(written: Written) -> Self {
        Self {
            bytes: Vec::new(),
            last: written.last,
            count: written.count,
        }
    }

    fn len(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }
}
