//! What the hub keeps for who is away (PROTOCOL.md §10.4): prekey bundles, sealed commands and sealed replies.
//!
//! A record is a file, replaced whole; a reply takes the place of its command in one step. What is deleted is not
//! synced: a power cut may bring it back, and what comes twice runs once by §12.5. Nothing here opens anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use moorline_core::message::{FrameName, OfflineRefusal};
use moorline_core::offline::CommandLabel;
use moorline_core::time::UnixMillis;
use moorline_core::token::AgentId;
use serde::{Deserialize, Serialize};

use super::{StoreError, make_private_dir, replace};
use crate::config::OfflineLimits;

/// What an agent left for commanders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bundle {
    /// The signed prekey.
    #[serde(with = "base64")]
    pub(crate) prekey: Vec<u8>,
    /// The agent's unpacked token.
    #[serde(with = "base64")]
    pub(crate) token: Vec<u8>,
    /// When no command is to be sealed to it any more, in milliseconds since 1970.
    pub(crate) expires: u64,
    /// Longest command that the agent takes, in bytes.
    pub(crate) max_command_len: u16,
}

/// What became of a command, for the commander that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplyState {
    /// The agent has answered.
    Ready(Vec<u8>),
    /// The agent has not had it, or not said so.
    Waits,
    /// There is no such command of this commander, or none any more.
    Unknown,
}

/// A command, or the reply in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    agent: String,
    commander: String,
    #[serde(with = "base64")]
    name: Vec<u8>,
    /// When it goes, in milliseconds since 1970.
    until: u64,
    is_reply: bool,
    /// The command or the reply, sealed.
    #[serde(with = "base64")]
    sealed: Vec<u8>,
}

/// Bytes in base64url.
mod base64 {
    use base64ct::{Base64UrlUnpadded, Encoding};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64UrlUnpadded::encode_string(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Base64UrlUnpadded::decode_vec(&text).map_err(D::Error::custom)
    }
}

/// How much is kept: numbers, and bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kept {
    pub(crate) commands: (usize, usize),
    pub(crate) replies: (usize, usize),
}

/// The store.
#[derive(Debug)]
pub(crate) struct OfflineStore {
    entries_dir: PathBuf,
    bundles_dir: PathBuf,
    limits: OfflineLimits,
    /// By age.
    entries: BTreeMap<u64, Entry>,
    bundles: BTreeMap<String, Bundle>,
}

impl OfflineStore {
    /// Reads what is kept in `data_dir`. A file that is damaged is left where it is and not read.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the folders cannot be made or read.
    pub(crate) fn open(data_dir: &Path, limits: OfflineLimits) -> Result<Self, StoreError> {
        let dir = data_dir.join("offline");
        let (entries_dir, bundles_dir) = (dir.join("commands"), dir.join("prekeys"));
        for dir in [&dir, &entries_dir, &bundles_dir] {
            make_private_dir(dir)?;
        }
        let entries = read_all(&entries_dir)?
            .into_iter()
            .filter_map(|(name, entry)| Some((u64::from_str_radix(&name, 16).ok()?, entry)))
            .collect();
        let bundles = read_all(&bundles_dir)?.into_iter().collect();
        Ok(Self {
            entries_dir,
            bundles_dir,
            limits,
            entries,
            bundles,
        })
    }

    /// Returns what is kept.
    pub(crate) fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        for entry in self.entries.values() {
            let (number, bytes) = if entry.is_reply {
                &mut kept.replies
            } else {
                &mut kept.commands
            };
            *number += 1;
            *bytes += entry.sealed.len();
        }
        kept
    }

    /// Keeps the bundle of `agent` in place of an earlier one. When it returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the earlier one is kept then.
    pub(crate) fn put_bundle(&mut self, agent: AgentId, bundle: Bundle) -> Result<(), StoreError> {
        let agent = agent.to_string();
        if self.bundles.get(&agent) == Some(&bundle) {
            return Ok(());
        }
        write(&self.bundles_dir.join(&agent), &bundle)?;
        self.bundles.insert(agent, bundle);
        Ok(())
    }

    /// Returns the bundle of `agent`, if it is still good at `now`.
    pub(crate) fn bundle(&self, agent: AgentId, now: UnixMillis) -> Option<&Bundle> {
        let bundle = self.bundles.get(&agent.to_string())?;
        (now.0 < bundle.expires).then_some(bundle)
    }

    /// Keeps a command of `commander`. When it returns, it is on the disk. One that is kept already is kept once.
    ///
    /// # Errors
    ///
    /// [`OfflineRefusal::Full`], [`OfflineRefusal::NotStored`]; nothing is changed then.
    pub(crate) fn add_command(
        &mut self,
        commander: &str,
        label: &CommandLabel,
        frame: Vec<u8>,
        now: UnixMillis,
    ) -> Result<(), OfflineRefusal> {
        self.expire(now);
        if self.place(&label.name).is_some() {
            return Ok(());
        }
        let agent = label.agent.to_string();
        let limits = &self.limits;
        let fits = self.fits(frame.len(), limits.commands, limits.bytes, |_| true)
            && self.fits(
                frame.len(),
                limits.commands_per_commander,
                limits.bytes_per_commander,
                |entry| entry.commander == commander,
            )
            && self.fits(
                frame.len(),
                limits.commands_per_agent,
                limits.bytes_per_agent,
                |entry| entry.agent == agent && !entry.is_reply,
            );
        if !fits {
            return Err(OfflineRefusal::Full);
        }
        let number = self.entries.keys().next_back().map_or(0, |last| last + 1);
        let entry = Entry {
            agent,
            commander: commander.into(),
            name: label.name.to_vec(),
            until: label.not_after.0,
            is_reply: false,
            sealed: frame,
        };
        write(&self.path(number), &entry).map_err(not_stored)?;
        self.entries.insert(number, entry);
        Ok(())
    }

    /// Returns the oldest command for `agent` that has not lost its meaning at `now`, and its name.
    pub(crate) fn next_command(
        &self,
        agent: AgentId,
        now: UnixMillis,
    ) -> Option<(FrameName, Vec<u8>)> {
        let agent = agent.to_string();
        let entry = self
            .entries
            .values()
            .find(|entry| entry.agent == agent && !entry.is_reply && now.0 < entry.until)?;
        Some((entry.name.as_slice().try_into().ok()?, entry.sealed.clone()))
    }

    /// Forgets a command for `agent`, which has dealt with it.
    pub(crate) fn end_command(&mut self, agent: AgentId, name: &FrameName) {
        let agent = agent.to_string();
        if let Some(place) = self.place(name) {
            self.forget(|at, entry| at == place && entry.agent == agent && !entry.is_reply);
        }
    }

    /// Puts a reply of `agent` in the place of its command. When it returns, it is on the disk. Returns the commander
    /// that it is for; nobody when no such command is kept for this agent.
    ///
    /// # Errors
    ///
    /// [`OfflineRefusal::NotStored`]; the command is still there then.
    pub(crate) fn put_reply(
        &mut self,
        agent: AgentId,
        name: &FrameName,
        reply: Vec<u8>,
        now: UnixMillis,
    ) -> Result<Option<String>, OfflineRefusal> {
        let agent = agent.to_string();
        let Some(place) = self.place(name) else {
            return Ok(None);
        };
        let entry = self.entries.get(&place);
        let Some(command) = entry.filter(|entry| entry.agent == agent && !entry.is_reply) else {
            return Ok(None);
        };
        let entry = Entry {
            until: now.plus(self.limits.reply_seconds * 1000).0,
            is_reply: true,
            sealed: reply,
            ..command.clone()
        };
        write(&self.path(place), &entry).map_err(not_stored)?;
        let commander = entry.commander.clone();
        self.entries.insert(place, entry);
        Ok(Some(commander))
    }

    /// Has `limits` hold from now on. What is kept already stays.
    pub(crate) fn set_limits(&mut self, limits: OfflineLimits) {
        self.limits = limits;
    }

    /// Returns what became of the command `name` of `commander`.
    pub(crate) fn reply(&self, commander: &str, name: &FrameName, now: UnixMillis) -> ReplyState {
        let entry = self.place(name).and_then(|place| self.entries.get(&place));
        match entry.filter(|entry| entry.commander == commander && now.0 < entry.until) {
            Some(entry) if entry.is_reply => ReplyState::Ready(entry.sealed.clone()),
            Some(_) => ReplyState::Waits,
            None => ReplyState::Unknown,
        }
    }

    /// Forgets the reply to the command `name` of `commander`, who has it.
    pub(crate) fn end_reply(&mut self, commander: &str, name: &FrameName) {
        if let Some(place) = self.place(name) {
            self.forget(|at, entry| at == place && entry.commander == commander && entry.is_reply);
        }
    }

    /// Forgets what `name`, who is shut out, gave and is to have; `agent` is the id of an agent of this name.
    pub(crate) fn revoke(&mut self, name: &str, agent: AgentId) {
        let agent = agent.to_string();
        self.forget(|_, entry| {
            entry.commander == name || (entry.agent == agent && !entry.is_reply)
        });
        if self.bundles.remove(&agent).is_some() {
            remove(&self.bundles_dir.join(&agent));
        }
    }

    /// Forgets what has lost its meaning at `now`; returns whether there was anything.
    pub(crate) fn expire(&mut self, now: UnixMillis) -> bool {
        self.forget(|_, entry| entry.until <= now.0)
    }

    fn fits(
        &self,
        len: usize,
        most: usize,
        most_bytes: usize,
        counts: impl Fn(&Entry) -> bool,
    ) -> bool {
        let counted = self.entries.values().filter(|entry| counts(entry));
        let (number, bytes) = counted.fold((0, 0), |(number, bytes), entry| {
            (number + 1, bytes + entry.sealed.len())
        });
        number < most && bytes + len <= most_bytes
    }

    fn place(&self, name: &FrameName) -> Option<u64> {
        let found = self.entries.iter().find(|(_, entry)| entry.name == name);
        found.map(|(place, _)| *place)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.entries_dir.join(format!("{number:016x}"))
    }

    fn forget(&mut self, goes: impl Fn(u64, &Entry) -> bool) -> bool {
        let gone: Vec<u64> = self
            .entries
            .iter()
            .filter(|(place, entry)| goes(**place, entry))
            .map(|(place, _)| *place)
            .collect();
        for place in &gone {
            self.entries.remove(place);
            remove(&self.path(*place));
        }
        !gone.is_empty()
    }
}

fn not_stored(error: StoreError) -> OfflineRefusal {
    tracing::warn!(%error, "an offline command or reply is not stored");
    OfflineRefusal::NotStored
}

fn write(path: &Path, record: &impl Serialize) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(record).map_err(|error| StoreError::Io {
        path: path.into(),
        error: error.into(),
    })?;
    replace(path, &bytes)
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a record that is over is still there");
    }
}

/// Reads every record in `dir`, with the name of its file.
fn read_all<T: for<'de> Deserialize<'de>>(dir: &Path) -> Result<Vec<(String, T)>, StoreError> {
    let io = |error| StoreError::Io {
        path: dir.into(),
        error,
    };
    let mut records = Vec::new();
    for file in std::fs::read_dir(dir).map_err(io)? {
        let path = file.map_err(io)?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| !name.ends_with(".new")) else {
            // A power cut left it; what it was to replace is whole.
            remove(&path);
            continue;
        };
        let read = std::fs::read(&path);
        match read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
            Ok(record) => records.push((name, record)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "damaged; it is not read");
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
