//! The tickets that peers may resume with (PROTOCOL.md §2.8), sealed on the disk.
//!
//! ```text
//! magic 4 | version u8 | salt 32 | entries
//! entry   = len u16 | AES-256-GCM( kind u8 | record or id ) | tag 16
//! ```
//!
//! The key is made of the key in `tickets.key` and the salt, which is fresh each time the file is written anew; the
//! number of an entry is its sequence number. Entries are added and not synced: a power cut costs the last peers a full
//! handshake, nothing else. A ticket that came back that way still needs its secret, and a holder that is not revoked.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moorline_core::crypto::{AeadKey, Secret, Suite, expand_label, extract};
use moorline_core::handshake::{MAX_TICKET_RECORD_LEN, TicketRecord};
use moorline_core::time::UnixMillis;
use moorline_core::token::UnverifiedClaims;
use zeroize::Zeroizing;

use super::{StoreError, Vault, open_or_create_key, replace};
use crate::entropy::random;
use crate::standing::TokenName;

/// The name of a ticket.
type TicketId = [u8; 16];

const MAGIC: &[u8; 4] = b"MLTK";
const VERSION: u8 = 1;
const SALT_LEN: usize = 32;
const HEADER_LEN: usize = MAGIC.len() + 1 + SALT_LEN;
const TAG_LEN: usize = 16;

/// The key's file.
pub(crate) const KEY_NAME: &str = "tickets.key";

const KIND_KEPT: u8 = 0;
const KIND_GONE: u8 = 1;

/// Tickets of one holder at a time: a commander's program may have several sessions, an agent has one.
const PER_HOLDER: usize = 4;

/// Entries that say nothing any more after which the file is written anew, beyond as many as there are tickets.
const SLACK: usize = 1024;

/// The tickets that are good.
#[derive(Debug)]
pub(crate) struct Tickets {
    path: PathBuf,
    vault: Arc<Vault>,
    key: Secret<32>,
    max: usize,
    kept: HashMap<TicketId, Kept>,
    /// The tickets by their age, the oldest first.
    by_age: BTreeMap<u64, TicketId>,
    next_age: u64,
    log: Option<Log>,
}

#[derive(Debug)]
struct Kept {
    record: TicketRecord,
    holder: String,
    age: u64,
}

/// A ticket that is kept, and the one that had to go for it.
struct Inserted {
    id: TicketId,
    in_place_of: Option<TicketId>,
}

/// The open end of the file.
#[derive(Debug)]
struct Log {
    file: File,
    key: AeadKey,
    entries: u64,
}

impl Tickets {
    /// Reads the tickets in `data_dir`, those that are still good at `now`. At most `max` are kept from then on.
    ///
    /// A file that was cut or damaged gives the tickets before the damage.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the files cannot be read or written.
    pub(crate) fn open(
        data_dir: &Path,
        vault: &Arc<Vault>,
        max: usize,
        now: UnixMillis,
    ) -> Result<Self, StoreError> {
        let key = open_or_create_key(&data_dir.join(KEY_NAME), vault)?.to_scalar();
        let path = data_dir.join("tickets");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::Io { path, error }),
        };
        let mut tickets = Self {
            path,
            vault: Arc::clone(vault),
            key,
            max,
            kept: HashMap::new(),
            by_age: BTreeMap::new(),
            next_age: 0,
            log: None,
        };
        tickets.read(bytes, now);
        tickets.write_anew()?;
        Ok(tickets)
    }

    /// Seals the tickets under a new key. A power cut between its two files costs each peer a signature, nothing else.
    pub(crate) fn rotate_key(&mut self) -> Result<(), StoreError> {
        let path = self.path.with_file_name(KEY_NAME);
        // Until the tickets are written anew there is no file of them that the old key opens.
        self.log = None;
        let removed = std::fs::remove_file(&path);
        removed.map_err(|error| StoreError::Io {
            path: path.clone(),
            error,
        })?;
        self.key = open_or_create_key(&path, &self.vault)?.to_scalar();
        self.write_anew()
    }

    /// Returns how many are kept.
    pub(crate) fn count(&self) -> usize {
        self.kept.len()
    }

    /// Returns the ticket called `id`.
    pub(crate) fn find(&self, id: &TicketId) -> Option<TicketRecord> {
        self.kept.get(id).map(|kept| kept.record.clone())
    }

    /// Removes the ticket called `id` and returns it.
    pub(crate) fn redeem(&mut self, id: &TicketId) -> Option<TicketRecord> {
        let record = self.forget(id)?;
        self.note_gone(id);
        Some(record)
    }

    /// Keeps `record`; the oldest ticket goes when there are too many. Returns whether it is kept.
    pub(crate) fn keep(&mut self, record: TicketRecord) -> bool {
        let mut plaintext = Zeroizing::new(vec![KIND_KEPT; 1 + MAX_TICKET_RECORD_LEN]);
        let Some(body) = plaintext.get_mut(1..) else {
            return false;
        };
        let Ok(len) = record.emit(body).map(|bytes| bytes.len()) else {
            return false;
        };
        plaintext.truncate(1 + len);
        let Some(Inserted { id, in_place_of }) = self.insert(record) else {
            return false;
        };
        if let Some(gone) = in_place_of {
            self.note_gone(&gone);
        }
        let written = self.append(&mut plaintext);
        if let Err(error) = written {
            tracing::warn!(%error, "a ticket is not kept");
            self.forget(&id);
            return false;
        }
        true
    }

    /// Has at most `max` be kept from now on; the oldest go when there are more.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
        while self.kept.len() > self.max
            && let Some(oldest) = self.by_age.values().next().copied()
        {
            self.redeem(&oldest);
        }
    }

    /// Forgets all tickets of `holder`.
    pub(crate) fn revoke(&mut self, holder: &str) {
        let of_holder = self.kept.iter().filter(|(_, kept)| kept.holder == holder);
        let ids: Vec<TicketId> = of_holder.map(|(id, _)| *id).collect();
        for id in ids {
            self.redeem(&id);
        }
    }

    /// Forgets the tickets whose tokens are revoked as `is_revoked` says.
    pub(crate) fn revoke_tokens(&mut self, is_revoked: impl Fn(&TokenName) -> bool) {
        let covered = self.kept.iter().filter(|(_, kept)| {
            let token = kept.record.token().ok();
            let claims = token.and_then(|token| UnverifiedClaims::decode(&token).ok());
            claims.is_none_or(|claims| is_revoked(&TokenName::of(claims.claims_unverified())))
        });
        let ids: Vec<TicketId> = covered.map(|(id, _)| *id).collect();
        for id in ids {
            self.redeem(&id);
        }
    }

    fn insert(&mut self, record: TicketRecord) -> Option<Inserted> {
        let holder = {
            let claims = UnverifiedClaims::decode(&record.token().ok()?).ok()?;
            claims.claims_unverified().subject.as_str().to_owned()
        };
        let of_holder = self
            .by_age
            .values()
            .filter(|id| self.kept.get(*id).is_some_and(|kept| kept.holder == holder));
        let oldest_of_holder = (of_holder.clone().count() >= PER_HOLDER)
            .then(|| of_holder.clone().next().copied())
            .flatten();
        let oldest = (self.kept.len() >= self.max)
            .then(|| self.by_age.values().next().copied())
            .flatten();
        let in_place_of = oldest_of_holder.or(oldest);
        if let Some(id) = &in_place_of {
            self.forget(id);
        }
        if self.kept.len() >= self.max {
            return None;
        }
        let (id, age) = (*record.id(), self.next_age);
        self.next_age += 1;
        self.by_age.insert(age, id);
        let kept = Kept {
            record,
            holder,
            age,
        };
        self.kept.insert(id, kept);
        Some(Inserted { id, in_place_of })
    }

    fn forget(&mut self, id: &TicketId) -> Option<TicketRecord> {
        let kept = self.kept.remove(id)?;
        self.by_age.remove(&kept.age);
        Some(kept.record)
    }

    fn note_gone(&mut self, id: &TicketId) {
        let mut plaintext = [&[KIND_GONE][..], id].concat();
        if let Err(error) = self.append(&mut plaintext) {
            tracing::warn!(%error, "a ticket that was used is still in the file");
        }
    }

    fn append(&mut self, plaintext: &mut [u8]) -> Result<(), StoreError> {
        let live = self.kept.len() + SLACK;
        let is_full = self
            .log
            .as_ref()
            .is_none_or(|log| usize::try_from(log.entries).is_ok_and(|entries| entries > 2 * live));
        if is_full {
            // It holds what is in memory, this entry's effect with it.
            return self.write_anew();
        }
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let written =
            sealed(&log.key, log.entries, plaintext).and_then(|entry| log.file.write_all(&entry));
        match written {
            Ok(()) => {
                log.entries += 1;
                Ok(())
            }
            Err(error) => {
                // What follows half an entry would not be read back.
                self.log = None;
                let path = self.path.clone();
                Err(StoreError::Io { path, error })
            }
        }
    }

    /// Writes the tickets that there are into a new file, under a new salt.
    fn write_anew(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let io = |error| StoreError::Io {
            path: path.clone(),
            error,
        };
        let salt = random::<SALT_LEN>().map_err(|_| io(io::Error::other("no random bytes")))?;
        let key = file_key(&self.key, &salt);
        let mut bytes = [&MAGIC[..], &[VERSION], &salt].concat();
        let mut entries = 0;
        for id in self.by_age.values() {
            let Some(kept) = self.kept.get(id) else {
                continue;
            };
            let mut plaintext = Zeroizing::new(vec![KIND_KEPT; 1 + MAX_TICKET_RECORD_LEN]);
            let body = plaintext.get_mut(1..).unwrap_or_default();
            let Ok(len) = kept.record.emit(body).map(|bytes| bytes.len()) else {
                continue;
            };
            plaintext.truncate(1 + len);
            bytes.extend(sealed(&key, entries, &mut plaintext).map_err(io)?);
            entries += 1;
        }
        self.log = None;
        replace(&self.path, &bytes)?;
        let file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .map_err(io)?;
        self.log = Some(Log { file, key, entries });
        Ok(())
    }

    /// Takes in the entries of a file, up to the first that is damaged.
    fn read(&mut self, mut bytes: Vec<u8>, now: UnixMillis) {
        let Some((header, entries)) = bytes.split_at_mut_checked(HEADER_LEN) else {
            return;
        };
        let Some(salt) = header
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.strip_prefix(&[VERSION]))
        else {
            tracing::warn!(path = %self.path.display(), "not a file of tickets; it is replaced");
            return;
        };
        let key = file_key(&self.key, salt);
        let mut rest = entries;
        let mut number = 0;
        while let Some((len, after)) = rest.split_first_chunk_mut::<2>() {
            let len = usize::from(u16::from_be_bytes(*len));
            let Some((entry, after)) = after.split_at_mut_checked(len) else {
                break;
            };
            let Some(plaintext) = opened(&key, number, entry) else {
                tracing::warn!(path = %self.path.display(), "a ticket is damaged; the rest is not read");
                break;
            };
            self.take_in(plaintext, now);
            number += 1;
            rest = after;
        }
    }

    fn take_in(&mut self, plaintext: &[u8], now: UnixMillis) {
        match plaintext.split_first() {
            Some((&KIND_KEPT, record)) => {
                let record = TicketRecord::parse(record).ok();
                if let Some(record) = record.filter(|record| record.expires() > now) {
                    self.insert(record);
                }
            }
            Some((&KIND_GONE, id)) => {
                if let Ok(id) = id.try_into() {
                    self.forget(id);
                }
            }
            _ => {}
        }
    }
}

/// Returns the key of the file with `salt`.
fn file_key(key: &Secret<32>, salt: &[u8]) -> AeadKey {
    let secret = extract(salt, key.expose());
    AeadKey::new(
        Suite::Aes256Gcm,
        &expand_label(&secret, "tickets key", b""),
        expand_label(&secret, "tickets iv", b""),
    )
}

/// Returns `plaintext` as the entry with this number.
fn sealed(key: &AeadKey, number: u64, plaintext: &mut [u8]) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other("too long");
    let len = u16::try_from(plaintext.len() + TAG_LEN).map_err(|_| too_long())?;
    let tag = key
        .seal_in_place(number, &len.to_be_bytes(), plaintext)
        .ok_or_else(too_long)?;
    Ok([&len.to_be_bytes()[..], plaintext, &tag.0].concat())
}

/// Returns what the entry with this number says.
fn opened<'e>(key: &AeadKey, number: u64, entry: &'e mut [u8]) -> Option<&'e [u8]> {
    let len = u16::try_from(entry.len()).ok()?;
    let (plaintext, tag) = entry.split_last_chunk_mut::<TAG_LEN>()?;
    key.open_in_place(number, &len.to_be_bytes(), plaintext, tag)
        .then_some(&*plaintext)
}

#[cfg(test)]
mod tests;
