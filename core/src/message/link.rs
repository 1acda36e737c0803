//! Messages between a peer's application and the hub's (PROTOCOL.md §10.4). The order of the variants is their
//! number: it only grows.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::codec;
use crate::crypto::PUBLIC_KEY_LEN;
use crate::limits::{MAX_OFFLINE_COMMAND_LEN, MAX_OFFLINE_REPLY_LEN};
use crate::offline::{MIN_COMMAND_LEN, MIN_REPLY_LEN, SIGNED_PREKEY_LEN};
use crate::reason::Reason;
use crate::revocation::MAX_REVOKE_LIST_LEN;
use crate::token::MAX_UNPACKED_LEN;
use crate::trust::{KeyName, MAX_ISSUER_STATEMENTS, STATEMENT_LEN};
use crate::wire::TooSmall;

/// Most agents in one answer.
pub const MAX_AGENT_ENTRIES: usize = 8;

/// What names an offline command to whoever carries it: the first bytes of the hash of its frame.
pub type FrameName = [u8; 16];

/// What a peer asks of the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHub<'a> {
    /// Lists the agents that the peer may reach, in the order of their ids.
    ListAgents {
        /// The last id of the answer before; nothing to start.
        after: Option<[u8; 16]>,
    },
    /// An agent's newest prekey, for commanders that ask while it is away. The hub adds the token of the session.
    PublishPrekey {
        /// The signed prekey.
        prekey: &'a [u8],
        /// Longest offline command that the agent takes, in bytes.
        max_command_len: u16,
    },
    /// A commander asks for the prekey of an agent.
    FetchBundle {
        /// The agent's id.
        agent: [u8; 16],
    },
    /// A commander gives a sealed command to keep for the agent that its head names.
    GiveCommand {
        /// The command.
        frame: &'a [u8],
    },
    /// An agent is ready for one command.
    NextCommand {
        /// The command that it is done with and does not answer.
        taken: Option<FrameName>,
    },
    /// An agent answers a command, and is done with it.
    GiveReply {
        /// The reply.
        reply: &'a [u8],
    },
    /// A commander asks for the reply to its command.
    FetchReply {
        /// The command.
        frame: FrameName,
        /// Whether the answer may come later: with the reply, or when there will be none.
        wait: bool,
    },
    /// A commander has the reply to its command; the hub forgets it.
    TakenReply {
        /// The command.
        frame: FrameName,
    },
    /// Asks for a token that may follow the session's (PROTOCOL.md §5.7).
    RenewToken {
        /// The public key that it is to name, when that is to be another one.
        key: Option<&'a [u8]>,
    },
    /// Asks which keys of the issuer came after one (PROTOCOL.md §7.5).
    FetchIssuers {
        /// The name of the newest key that the peer knows.
        after: KeyName,
    },
}

/// Why the hub does not do its part in an offline command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OfflineRefusal {
    /// The commander reaches no agent of this id. Whether there is one is not told.
    UnknownAgent,
    /// The peer may not do this.
    NotPermitted,
    /// The hub has no prekey of the agent that is still good.
    NoPrekey,
    /// The hub keeps no more commands of this commander, for this agent, or at all.
    Full,
    /// The command is longer than the agent takes or the hub keeps.
    TooLong,
    /// The command has lost its meaning already, or keeps it for longer than any token lives.
    NotAfter,
    /// The message is not what it should be, or another's.
    BadMessage,
    /// The hub could not store it.
    NotStored,
}

/// One agent of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEntry<'a> {
    /// Its id.
    pub id: [u8; 16],
    /// Its subject, by which people call it.
    pub name: &'a str,
    /// Whether it has a session at this moment.
    pub online: bool,
}

/// Why the hub did not carry an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RouteRefusal {
    /// The commander reaches no agent of this id. Whether there is one is not told.
    UnknownAgent,
    /// The agent has no session, or its session ended.
    Offline,
    /// The commander's token does not permit this.
    NotPermitted,
    /// The message is not one that the hub carries, or longer than the agent takes.
    BadMessage,
    /// Too many channels are open, or the agent does not keep up.
    Busy,
}

/// What the hub says to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made, encoded or read in place, and dropped"
)]
pub enum FromHub<'a> {
    /// Answers [`ToHub::ListAgents`].
    Agents {
        /// The agents.
        #[serde(borrow)]
        entries: Vec<AgentEntry<'a>, MAX_AGENT_ENTRIES>,
        /// Whether more follow the last one.
        more: bool,
    },
    /// An envelope was not carried, or its answer will not come.
    RouteRefused {
        /// The channel of the envelope.
        channel: u32,
        /// Why.
        refusal: RouteRefusal,
    },
    /// The peer may not ask this.
    NotPermitted,
    /// Answers [`ToHub::FetchBundle`].
    Bundle {
        /// The signed prekey, and the agent's token.
        bundle: &'a [u8],
    },
    /// Answers [`ToHub::GiveCommand`]: the command is stored, and is there to stay.
    CommandKept {
        /// The command.
        frame: FrameName,
    },
    /// The hub does not do its part.
    OfflineRefused {
        /// The agent's id for a prekey, the command's name for a command or a reply.
        about: [u8; 16],
        /// Why.
        refusal: OfflineRefusal,
    },
    /// Answers [`ToHub::NextCommand`], at once or later.
    Command {
        /// The command.
        frame: &'a [u8],
    },
    /// Answers [`ToHub::FetchReply`].
    Reply {
        /// The reply.
        reply: &'a [u8],
    },
    /// Answers [`ToHub::FetchReply`] when there is no reply.
    NoReply {
        /// The command.
        frame: FrameName,
        /// Whether the hub still keeps the command for the agent.
        waits: bool,
    },
    /// Answers [`ToHub::RenewToken`].
    Token {
        /// The token, unpacked. The session rests on it when the peer has shown it.
        token: &'a [u8],
    },
    /// Answers [`ToHub::RenewToken`] when there is no token: it was asked for too soon, or the hub gives none.
    TokenRefused,
    /// What the issuer has revoked (PROTOCOL.md §7.4): said to agents when their link opens, and when it changes.
    Revoked {
        /// The list.
        list: &'a [u8],
    },
    /// Statements about the issuer's keys, each after the one before it (PROTOCOL.md §7.5): the newest when a link opens and
    /// when there is another; those that were asked for, the oldest first.
    Issuers {
        /// The statements, none to [`MAX_ISSUER_STATEMENTS`].
        statements: &'a [u8],
        /// Whether more follow the last one.
        more: bool,
    },
}

impl<'a> ToHub<'a> {
    /// Decodes a message to the hub.
    ///
    /// # Errors
    ///
    /// [`Reason::MessageVersion`], [`Reason::Malformed`]; [`Reason::Length`] for a prekey, a command, a reply or a
    /// key that is too short or too long to be one.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        let message = codec::decode_versioned(bytes)?;
        let fits = match &message {
            Self::PublishPrekey { prekey, .. } => prekey.len() == SIGNED_PREKEY_LEN,
            Self::GiveCommand { frame } => is_command_len(frame),
            Self::GiveReply { reply } => is_reply_len(reply),
            Self::RenewToken { key: Some(key) } => key.len() == PUBLIC_KEY_LEN,
            _ => true,
        };
        fits.then_some(message).ok_or(Reason::Length)
    }

    /// Encodes the message.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        codec::encode_versioned(self, out)
    }
}

impl<'a> FromHub<'a> {
    /// Decodes a message of the hub.
    ///
    /// # Errors
    ///
    /// [`Reason::MessageVersion`], [`Reason::Malformed`]; [`Reason::Length`] for a bundle, a command, a reply, a
    /// token or statements that are too short or too long to be one.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        let message = codec::decode_versioned(bytes)?;
        let fits = match &message {
            Self::Bundle { bundle } => {
                let token_len = bundle.len().checked_sub(SIGNED_PREKEY_LEN);
                token_len.is_some_and(|len| (1..=MAX_UNPACKED_LEN).contains(&len))
            }
            Self::Command { frame } => is_command_len(frame),
            Self::Reply { reply } => is_reply_len(reply),
            Self::Token { token } => (1..=MAX_UNPACKED_LEN).contains(&token.len()),
            Self::Revoked { list } => (1..=MAX_REVOKE_LIST_LEN).contains(&list.len()),
            Self::Issuers { statements, .. } => {
                statements.len() % STATEMENT_LEN == 0
                    && statements.len() <= MAX_ISSUER_STATEMENTS * STATEMENT_LEN
            }
            _ => true,
        };
        fits.then_some(message).ok_or(Reason::Length)
    }

    /// Encodes the message.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        codec::encode_versioned(self, out)
    }
}

fn is_command_len(frame: &[u8]) -> bool {
    (MIN_COMMAND_LEN..=MAX_OFFLINE_COMMAND_LEN).contains(&frame.len())
}

fn is_reply_len(reply: &[u8]) -> bool {
    (MIN_REPLY_LEN..=MAX_OFFLINE_REPLY_LEN).contains(&reply.len())
}
