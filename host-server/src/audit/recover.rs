//! What the log was when it was left, and how it goes on.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use moorline_core::crypto::SigningKey;
use moorline_core::time::UnixMillis;

use super::files::{FOLDER, HEADS, Lines, append_to, create, io_error, list, path_of};
use super::head::{Head, What};
use super::kind::{Kind, Severity};
use super::log::{Closed, Log, Written, remove};
use super::record::{Event, Link, read};
use super::settings::AuditConfig;
use crate::store::{
    StoreError, Vault, encode_key, make_private_dir, open_or_create_key, replace, sync_folder,
};

/// The key that heads are signed with, in the data directory.
pub const AUDIT_KEY_NAME: &str = "audit.key";

/// Its public half.
pub const AUDIT_PUBLIC_NAME: &str = "audit.pub";

/// How the log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// There was none.
    First,
    /// With the record that the daemon stopped.
    Stopped,
    /// Without one.
    Cut,
}

impl Ended {
    /// Returns the name in the record of the start.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::First => "nothing",
            Self::Stopped => "stop",
            Self::Cut => "crash",
        }
    }
}

/// What was found in the last file.
#[derive(Debug)]
struct Tail {
    /// The last record that is whole.
    last: Option<(Link, Kind)>,
    /// Bytes of whole lines.
    len: u64,
    /// Bytes behind the last whole line.
    torn: u64,
    /// Lines that are no records.
    damaged: u64,
}

impl Log {
    /// Opens the log in `data_dir`, and makes what is missing. A last line that has no end is cut off; nothing else is
    /// changed, whatever is wrong with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn open(
        data_dir: &Path,
        vault: &Vault,
        settings: &AuditConfig,
        now: UnixMillis,
    ) -> Result<(Self, Ended), StoreError> {
        let key = open_key(data_dir, vault)?;
        let folder = data_dir.join(FOLDER);
        make_private_dir(&folder)?;
        let heads_path = folder.join(HEADS);
        let mut files = list(&folder).map_err(io_error(&folder))?;
        let (mut start, heads) = read_heads(&heads_path, &key)?;
        if start.is_none() && heads.is_empty() && files.is_empty() {
            let head = Head::sign(What::Start, 0, Link::ORIGIN, now.0, &key);
            let head = head.map_err(|_| crate::store::KeyFileError::NoEntropy)?;
            replace(&heads_path, format!("{}\n", head.line).as_bytes())?;
            start = Some(head);
        } else if !heads_path.exists() {
            // Where it began nobody knows any more, and nobody says.
            replace(&heads_path, b"")?;
        }
        if let Some(start) = &start {
            // What was about to be removed.
            while let [first, next, ..] = files[..]
                && next <= start.link.number.saturating_add(1)
            {
                remove(&path_of(&folder, first))?;
                files.remove(0);
            }
        }
        let known = heads.last().or(start.as_ref());
        let known_link = known.map_or(Link::ORIGIN, |head| head.link);
        let (first, tail) = match files.last() {
            Some(first) => (*first, read_tail(&path_of(&folder, *first))?),
            None => {
                let first = known_link.number.saturating_add(1);
                drop(create(&path_of(&folder, first))?);
                sync_folder(&folder)?;
                (first, Tail::EMPTY)
            }
        };
        let path = path_of(&folder, first);
        let file = append_to(&path)?;
        if tail.torn > 0 {
            let cut = file.set_len(tail.len).and_then(|()| file.sync_all());
            cut.map_err(io_error(&path))?;
        }
        let found = tail.last.map_or(known_link, |(link, _)| link);
        let missing = known_link.number.saturating_sub(found.number);
        let last = if missing > 0 { known_link } else { found };
        let count = known.map_or(0, |head| head.count) + (last.number - known_link.number);
        let ended = match tail.last {
            None if last == Link::ORIGIN => Ended::First,
            Some((_, Kind::Stopped)) => Ended::Stopped,
            // A file that was just begun says nothing.
            _ => Ended::Cut,
        };
        let signed = heads.last().map_or(0, |head| head.link.number);
        let log = Self {
            heads: append_to(&heads_path)?,
            closed: closed(&files, &heads),
            folder,
            settings: settings.clone(),
            key,
            file,
            first,
            written: Written {
                len: tail.len,
                last,
                count,
            },
            is_unsynced: tail.len > 0,
            start,
            latest: heads
                .last()
                .filter(|head| head.link.number >= first)
                .cloned(),
            signed,
            notices: recovered(&tail, missing).into_iter().collect(),
            syncs: Arc::new(AtomicU64::new(0)),
        };
        Ok((log, ended))
    }
}

impl Tail {
    const EMPTY: Self = Self {
        last: None,
        len: 0,
        torn: 0,
        damaged: 0,
    };
}

/// Reads the key that heads are signed with, or makes it, and writes its public half beside it.
fn open_key(data_dir: &Path, vault: &Vault) -> Result<SigningKey, StoreError> {
    let key = open_or_create_key(&data_dir.join(AUDIT_KEY_NAME), vault)?;
    let public = data_dir.join(AUDIT_PUBLIC_NAME);
    let text = format!("{}\n", encode_key(key.public_key()));
    if std::fs::read_to_string(&public).ok().as_ref() != Some(&text) {
        replace(&public, text.as_bytes())?;
    }
    Ok(key)
}

/// Returns what has to be said of a log that did not end as it should.
fn recovered(tail: &Tail, missing: u64) -> Option<Event> {
    if tail.torn == 0 && tail.damaged == 0 && missing == 0 {
        return None;
    }
    let is_damaged = tail.damaged > 0 || missing > 0;
    let severity = if is_damaged {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let event = Event::new(Kind::Recovered)
        .severity(severity)
        .number("cut_bytes", tail.torn)
        .number("damaged_lines", tail.damaged)
        .number("missing_records", missing);
    Some(event)
}

fn read_heads(path: &Path, key: &SigningKey) -> Result<(Option<Head>, Vec<Head>), StoreError> {
    if !path.exists() {
        return Ok((None, Vec::new()));
    }
    let mut lines = Lines::open(path).map_err(io_error(path))?;
    let (mut start, mut heads) = (None, Vec::new());
    let (mut len, mut whole_len) = (0, 0);
    while let Some(line) = lines.next().map_err(io_error(path))? {
        len += line.len();
        if !line.has_end {
            continue;
        }
        whole_len = len;
        match Head::read(&line.bytes, key.public_key()) {
            Some(head) if head.what == What::Start => start = Some(head),
            Some(head) => heads.push(head),
            None => {
                tracing::error!(path = %path.display(), "a head of the audit log is not signed by its key");
            }
        }
    }
    if whole_len < len {
        let cut = append_to(path)?;
        let cut = cut.set_len(whole_len).and_then(|()| cut.sync_all());
        cut.map_err(io_error(path))?;
    }
    Ok((start, heads))
}

fn read_tail(path: &Path) -> Result<Tail, StoreError> {
    let mut lines = Lines::open(path).map_err(io_error(path))?;
    let (mut tail, mut len) = (Tail::EMPTY, 0);
    while let Some(line) = lines.next().map_err(io_error(path))? {
        let is_inside = len > tail.len;
        len += line.len();
        if !line.has_end {
            continue;
        }
        tail.len = len;
        match read(&line.bytes) {
            Ok((record, hash)) if !is_inside => {
                let number = record.number;
                tail.last = Some((Link { number, hash }, record.kind));
            }
            _ => tail.damaged += 1,
        }
    }
    tail.torn = len - tail.len;
    Ok(tail)
}

/// Returns the files before the last one, each with the head over its last record.
fn closed(files: &[u64], heads: &[Head]) -> VecDeque<Closed> {
    let pairs = files.windows(2).filter_map(|pair| match pair {
        [first, next] => Some((*first, next.saturating_sub(1))),
        _ => None,
    });
    let with_head = pairs.filter_map(|(first, last)| {
        let head = heads.iter().find(|head| head.link.number == last)?;
        Some(Closed {
            first,
            head: head.clone(),
        })
    });
    with_head.collect()
}
