//! What a commander keeps about its offline commands (PROTOCOL.md §12): for each agent the prekey that it saw last, its
//! own counter, and what opens the replies that are still to come.

use std::fs::File;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Hash, Secret};
use moorline_core::message::{Command, FrameName};
use moorline_core::offline::{PENDING_REPLY_LEN, PendingReply, SeenPrekey};
use moorline_core::time::UnixMillis;
use moorline_core::token::AgentId;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::store::{StoreError, make_private_dir, replace};

/// Most commands to one agent whose replies are awaited.
pub const MAX_OPEN_COMMANDS: usize = 64;

/// Milliseconds after its end for which a command's reply may still be fetched: 8 days.
const REPLY_GRACE_MILLIS: u64 = 8 * 86_400_000;

/// A folder with a file for each agent, readable by its owner alone.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

/// What is kept about one agent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    seen: Option<Seen>,
    /// The number of the last command.
    counter: u64,
    /// The commands whose replies are awaited, the oldest first.
    pub open: Vec<OpenCommand>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    agent_key: String,
    id: u32,
    issued_at: u64,
}

/// A command whose reply is awaited.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenCommand {
    /// How its sender called the agent.
    pub agent: String,
    /// The command's name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its number.
    pub counter: u64,
    /// When it has lost its meaning, in milliseconds since 1970.
    pub not_after: u64,
    /// Whether its reply is to be signed.
    pub wants_signature: bool,
    /// What opens the replies to its copies, the newest last. It is sealed again when the agent needs the token.
    copies: Vec<Copy>,
}

/// What opens the reply to one frame.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Copy(String);

impl std::fmt::Debug for Copy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Copy(..)")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl OpenCommand {
    /// Returns the entry of a command for the agent that is called `agent`, of which there is no copy yet.
    #[must_use]
    pub fn new(
        agent: &str,
        command: &Command<'_>,
        counter: u64,
        not_after: UnixMillis,
        wants_signature: bool,
    ) -> Self {
        Self {
            agent: agent.into(),
            name: command.name.into(),
            arguments: command
                .arguments
                .iter()
                .map(|text| (*text).into())
                .collect(),
            counter,
            not_after: not_after.0,
            wants_signature,
            copies: Vec::new(),
        }
    }

    /// Returns what opens the reply to its newest copy; nothing when what is stored is damaged.
    #[must_use]
    pub fn pending(&self) -> Option<PendingReply> {
        let mut bytes = Zeroizing::new([0; PENDING_REPLY_LEN]);
        let text = &self.copies.last()?.0;
        let read = Base64UrlUnpadded::decode(text.as_bytes(), &mut *bytes).ok()?;
        (read.len() == PENDING_REPLY_LEN).then_some(())?;
        PendingReply::from_bytes(&Secret::new(*bytes)).ok()
    }

    /// Returns the name of its newest copy.
    #[must_use]
    pub fn frame(&self) -> Option<FrameName> {
        Some(self.pending()?.frame().prefix())
    }

    /// Notes a copy of it.
    pub fn add_copy(&mut self, pending: &PendingReply) {
        let bytes = pending.to_bytes();
        self.copies
            .push(Copy(Base64UrlUnpadded::encode_string(bytes.expose())));
    }
}

impl Account {
    /// Returns the newest prekey of the agent that was seen.
    #[must_use]
    pub fn seen(&self) -> Option<SeenPrekey> {
        let seen = self.seen.as_ref()?;
        let key = Base64UrlUnpadded::decode_vec(&seen.agent_key).ok()?;
        Some(SeenPrekey {
            agent_key: Hash(key.try_into().ok()?),
            id: seen.id,
            issued_at: seen.issued_at,
        })
    }

    /// Notes the newest prekey of the agent.
    pub fn saw(&mut self, seen: &SeenPrekey) {
        self.seen = Some(Seen {
            agent_key: Base64UrlUnpadded::encode_string(seen.agent_key.as_bytes()),
            id: seen.id,
            issued_at: seen.issued_at,
        });
    }

    /// Returns the number of the next command, from now on used.
    pub fn count(&mut self) -> u64 {
        self.counter = self.counter.saturating_add(1);
        self.counter
    }

    /// Notes that the agent has counted this far: this end has lost its numbers, or the agent's storage is another.
    pub fn go_on_from(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    /// Returns the open command of this number.
    pub fn find(&mut self, counter: u64) -> Option<&mut OpenCommand> {
        self.open.iter_mut().find(|open| open.counter == counter)
    }

    /// Ends the wait for the replies to the command of this number.
    pub fn close(&mut self, counter: u64) {
        self.open.retain(|open| open.counter != counter);
    }
}

impl Ledger {
    /// Returns the ledger in `folder`, which need not exist yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Has `work` change what is kept about `agent`. When it returns, that is on the disk. Others wait meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is changed then.
    pub fn change<R>(
        &self,
        agent: AgentId,
        work: impl FnOnce(&mut Account) -> R,
    ) -> Result<R, StoreError> {
        make_private_dir(&self.folder)?;
        let _lock = self.lock()?;
        let mut account = self.read(agent)?;
        let result = work(&mut account);
        let path = self.path(agent);
        let bytes = serde_json::to_vec(&account).map_err(|error| StoreError::Io {
            path: path.clone(),
            error: error.into(),
        })?;
        replace(&path, &Zeroizing::new(bytes))?;
        Ok(result)
    }

    /// Returns what is kept about `agent`. A file that is damaged is an error: its counter must not be used twice.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn read(&self, agent: AgentId) -> Result<Account, StoreError> {
        let path = self.path(agent);
        let io = |error| StoreError::Io {
            path: path.clone(),
            error,
        };
        match std::fs::read(&path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                serde_json::from_slice(&bytes).map_err(|error| io(error.into()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Account::default()),
            Err(error) => Err(io(error)),
        }
    }

    /// Returns the agents about which something is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn agents(&self) -> Result<Vec<AgentId>, StoreError> {
        let io = |error| StoreError::Io {
            path: self.folder.clone(),
            error,
        };
        let files = match std::fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut agents = Vec::new();
        for file in files {
            let name = file.map_err(io)?.file_name();
            agents.extend(name.to_str().and_then(|name| name.parse::<AgentId>().ok()));
        }
        agents.sort_unstable_by_key(|agent| agent.0);
        Ok(agents)
    }

    fn lock(&self) -> Result<File, StoreError> {
        let path = self.folder.join("lock");
        let io = |error| StoreError::Io {
            path: path.clone(),
            error,
        };
        let file = File::create(&path).map_err(io)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| io(error.into()))?;
        Ok(file)
    }

    fn path(&self, agent: AgentId) -> PathBuf {
        self.folder.join(agent.to_string())
    }
}

/// Returns whether nothing can come of the command any more at `now`.
#[must_use]
pub fn is_over(open: &OpenCommand, now: UnixMillis) -> bool {
    open.not_after.saturating_add(REPLY_GRACE_MILLIS) <= now.0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use moorline_core::token::AgentId;

    use super::Ledger;

    #[test]
    fn a_counter_that_was_used_is_never_used_again_and_others_read_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("offline");
        let agent = AgentId([5; 16]);
        for expected in 1..=3 {
            let ledger = Ledger::new(&path);
            let counter = ledger.change(agent, |account| account.count());
            assert_eq!(counter.expect("on the disk"), expected);
        }
        let ledger = Ledger::new(&path);
        let after = ledger.change(agent, |account| {
            account.go_on_from(9);
            account.go_on_from(4);
            account.count()
        });
        assert_eq!(after.expect("on the disk"), 10);
        assert_eq!(ledger.agents().expect("it is read"), [agent]);
        let file = path.join(agent.to_string());
        let mode = |path: &std::path::Path| {
            let metadata = std::fs::metadata(path).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        // A damaged file is not an empty one.
        std::fs::write(&file, "{}x").expect("a file");
        assert!(ledger.change(agent, |account| account.count()).is_err());
    }
}
