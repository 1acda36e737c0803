//! What stands clear in prekeys, commands and replies: bytes to values and back (PROTOCOL.md §12.1 to §12.3).

use crate::crypto::{HASH_LEN, Hash, SHARE_LEN, SIGNATURE_LEN, Share, Suite, TAG_LEN};
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::{AGENT_ID_LEN, AgentId};
use crate::wire::{Reader, Writer};

/// Length of what a prekey's signature is over, in bytes.
pub const PREKEY_PREFIX_LEN: usize = 1 + AGENT_ID_LEN + 4 + 1 + 8 + SHARE_LEN;

/// Length of a prekey with its signature, in bytes. The agent's token follows it in a bundle.
pub const SIGNED_PREKEY_LEN: usize = PREKEY_PREFIX_LEN + SIGNATURE_LEN;

/// Length of what stands clear in a command, in bytes.
pub const COMMAND_HEAD_LEN: usize = 1 + AGENT_ID_LEN + 4 + KEY_NAME_LEN + 8 + 8 + SHARE_LEN;

/// Least length of a command in bytes: with a token by its hash and one byte of content.
pub const MIN_COMMAND_LEN: usize = COMMAND_HEAD_LEN + 1 + HASH_LEN + 1 + SIGNATURE_LEN + TAG_LEN;

/// Length of what stands clear in a reply, in bytes.
pub const REPLY_HEAD_LEN: usize = 1 + 1 + 8 + FRAME_NAME_LEN;

/// Length in bytes of the name of a commander's key: the front of its hash.
pub(super) const KEY_NAME_LEN: usize = 8;

/// Length in bytes of the name of a command's frame: the front of its hash.
pub(super) const FRAME_NAME_LEN: usize = 16;

/// The first byte of a command.
const KIND_COMMAND: u8 = 0x31;

/// The first byte of a reply.
pub(super) const KIND_REPLY: u8 = 0x32;

/// The first byte of a prekey.
const KIND_PREKEY: u8 = 0x33;

/// What an agent signs about a prekey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PrekeyPrefix {
    pub(super) agent: AgentId,
    pub(super) id: u32,
    pub(super) suite: Suite,
    pub(super) expires: UnixMillis,
    pub(super) share: Share,
}

/// What a prekey says before its suite is judged: the suite comes late in the order of checks.
pub(super) struct MeasuredPrekey {
    pub(super) agent: AgentId,
    pub(super) id: u32,
    pub(super) suite: u8,
    pub(super) expires: UnixMillis,
    pub(super) share: Share,
}

impl MeasuredPrekey {
    pub(super) fn parse(prefix: &[u8; PREKEY_PREFIX_LEN]) -> Result<Self, Reason> {
        let mut reader = Reader::new(prefix);
        if reader.u8()? != KIND_PREKEY {
            return Err(Reason::UnknownType);
        }
        Ok(Self {
            agent: AgentId(*reader.array()?),
            id: reader.u32()?,
            suite: reader.u8()?,
            expires: UnixMillis(reader.u64()?),
            share: Share(*reader.array()?),
        })
    }
}

impl PrekeyPrefix {
    pub(super) fn emit(&self) -> [u8; PREKEY_PREFIX_LEN] {
        let mut prefix = [0; PREKEY_PREFIX_LEN];
        let mut writer = Writer::new(&mut prefix);
        writer
            .u8(KIND_PREKEY)
            .bytes(&self.agent.0)
            .u32(self.id)
            .u8(self.suite.number())
            .u64(self.expires.0)
            .bytes(&self.share.0);
        debug_assert!(
            writer
                .finish()
                .is_ok_and(|all| all.len() == PREKEY_PREFIX_LEN)
        );
        prefix
    }
}

/// What stands clear in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommandHead {
    pub(super) agent: AgentId,
    pub(super) prekey: u32,
    /// The front of the hash of the commander's key.
    pub(super) key_name: [u8; KEY_NAME_LEN],
    pub(super) counter: u64,
    pub(super) not_after: UnixMillis,
    pub(super) share: Share,
}

impl CommandHead {
    pub(super) fn parse(head: &[u8; COMMAND_HEAD_LEN]) -> Result<Self, Reason> {
        let mut reader = Reader::new(head);
        if reader.u8()? != KIND_COMMAND {
            return Err(Reason::UnknownType);
        }
        Ok(Self {
            agent: AgentId(*reader.array()?),
            prekey: reader.u32()?,
            key_name: *reader.array()?,
            counter: reader.u64()?,
            not_after: UnixMillis(reader.u64()?),
            share: Share(*reader.array()?),
        })
    }

    pub(super) fn emit(&self) -> [u8; COMMAND_HEAD_LEN] {
        let mut head = [0; COMMAND_HEAD_LEN];
        let mut writer = Writer::new(&mut head);
        writer
            .u8(KIND_COMMAND)
            .bytes(&self.agent.0)
            .u32(self.prekey)
            .bytes(&self.key_name)
            .u64(self.counter)
            .u64(self.not_after.0)
            .bytes(&self.share.0);
        debug_assert!(
            writer
                .finish()
                .is_ok_and(|all| all.len() == COMMAND_HEAD_LEN)
        );
        head
    }
}

/// What a reply is, with its argument: the clear part of it but for the frame's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyKind {
    /// The command ran; the argument is a code over what is sealed.
    Result([u8; 8]),
    /// This frame was the last one of its key that was taken; what it gave is gone.
    Lost,
    /// The counter is not above this one.
    Stale(u64),
    /// The token is not known by its hash.
    TokenNeeded,
    /// The command is not taken.
    Refused(RefusalCode),
}

impl ReplyKind {
    /// Reads the head of a reply to `frame`.
    pub(super) fn parse(head: &[u8; REPLY_HEAD_LEN], frame: &Hash) -> Result<Self, Reason> {
        let mut reader = Reader::new(head);
        if reader.u8()? != KIND_REPLY {
            return Err(Reason::UnknownType);
        }
        let index = reader.u8()?;
        let argument = reader.u64()?;
        if *reader.array::<FRAME_NAME_LEN>()? != frame.prefix() {
            return Err(Reason::OtherCommand);
        }
        Ok(match (index, argument) {
            (0, _) => Self::Result(argument.to_be_bytes()),
            (1, 0) => Self::Lost,
            (2, _) => Self::Stale(argument),
            (3, 0) => Self::TokenNeeded,
            (4, _) => Self::Refused(RefusalCode::from_code(argument).ok_or(Reason::Malformed)?),
            _ => return Err(Reason::Malformed),
        })
    }

    pub(super) fn emit(&self, frame: &Hash) -> [u8; REPLY_HEAD_LEN] {
        let (index, argument) = match *self {
            Self::Result(code) => (0, u64::from_be_bytes(code)),
            Self::Lost => (1, 0),
            Self::Stale(counter) => (2, counter),
            Self::TokenNeeded => (3, 0),
            Self::Refused(code) => (4, code.code()),
        };
        let mut head = [0; REPLY_HEAD_LEN];
        let mut writer = Writer::new(&mut head);
        writer
            .u8(KIND_REPLY)
            .u8(index)
            .u64(argument)
            .bytes(&frame.prefix::<FRAME_NAME_LEN>());
        debug_assert!(writer.finish().is_ok_and(|all| all.len() == REPLY_HEAD_LEN));
        head
    }
}

/// Why an agent does not take a command that it could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RefusalCode {
    /// The agent does not know the time.
    NoTime,
    /// The command has expired, or would live longer than its token.
    NotAfter,
    /// The commander may not give it.
    NotPermitted,
    /// The counter is too far above the last one.
    Counter,
    /// There is no room for one more commander.
    NoRoom,
    /// The agent could not store the counter.
    Storage,
    /// The command cannot be read.
    Malformed,
}

impl RefusalCode {
    const ALL: [Self; 7] = [
        Self::NoTime,
        Self::NotAfter,
        Self::NotPermitted,
        Self::Counter,
        Self::NoRoom,
        Self::Storage,
        Self::Malformed,
    ];

    /// Returns the number of this code.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::NoTime => 1,
            Self::NotAfter => 2,
            Self::NotPermitted => 3,
            Self::Counter => 4,
            Self::NoRoom => 5,
            Self::Storage => 6,
            Self::Malformed => 7,
        }
    }

    /// Returns the code that `code` numbers.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// Returns why, for the agent's own log.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NoTime => Reason::NoTime,
            Self::NotAfter => Reason::NotAfter,
            Self::NotPermitted => Reason::NotPermitted,
            Self::Counter => Reason::CounterTooFar,
            Self::NoRoom => Reason::NoRoom,
            Self::Storage => Reason::Storage,
            Self::Malformed => Reason::Malformed,
        }
    }
}
