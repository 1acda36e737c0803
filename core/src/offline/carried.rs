//! What whoever carries prekeys, commands and replies reads of them (PROTOCOL.md §10.4): the clear part, which nobody
//! vouches for.

use super::agent::MIN_REPLY_LEN;
use super::layout::{
    COMMAND_HEAD_LEN, CommandHead, KIND_REPLY, MIN_COMMAND_LEN, MeasuredPrekey, REPLY_HEAD_LEN,
    SIGNED_PREKEY_LEN,
};
use crate::crypto::Hash;
use crate::message::FrameName;
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::AgentId;
use crate::wire::Reader;

/// What a command says in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandLabel {
    /// Whom it is for.
    pub agent: AgentId,
    /// The first 8 bytes of the name of the key that gives it.
    pub key_name: [u8; 8],
    /// When it has lost its meaning.
    pub not_after: UnixMillis,
    /// What names it.
    pub name: FrameName,
}

impl CommandLabel {
    /// Reads the clear part of `frame`.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`], [`Reason::UnknownType`].
    pub fn read(frame: &[u8]) -> Result<Self, Reason> {
        if frame.len() < MIN_COMMAND_LEN {
            return Err(Reason::Length);
        }
        let head = frame
            .first_chunk::<COMMAND_HEAD_LEN>()
            .ok_or(Reason::Length)?;
        let head = CommandHead::parse(head)?;
        Ok(Self {
            agent: head.agent,
            key_name: head.key_name,
            not_after: head.not_after,
            name: frame_name(frame),
        })
    }
}

/// What a signed prekey says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrekeyLabel {
    /// Whose it is.
    pub agent: AgentId,
    /// The number that the agent gave it.
    pub id: u32,
    /// When no command is to be sealed to it any more.
    pub expires: UnixMillis,
}

impl PrekeyLabel {
    /// Reads a signed prekey. Its signature is not looked at: commanders do.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`], [`Reason::UnknownType`].
    pub fn read(prekey: &[u8; SIGNED_PREKEY_LEN]) -> Result<Self, Reason> {
        let prefix = prekey.first_chunk().ok_or(Reason::Length)?;
        let measured = MeasuredPrekey::parse(prefix)?;
        Ok(Self {
            agent: measured.agent,
            id: measured.id,
            expires: measured.expires,
        })
    }
}

/// Returns what names the command `frame`.
#[must_use]
pub fn frame_name(frame: &[u8]) -> FrameName {
    Hash::of(&[frame]).prefix()
}

/// Returns the name of the command that `reply` says it answers.
///
/// # Errors
///
/// [`Reason::Length`], [`Reason::UnknownType`].
pub fn answered_frame(reply: &[u8]) -> Result<FrameName, Reason> {
    if reply.len() < MIN_REPLY_LEN {
        return Err(Reason::Length);
    }
    let head = reply
        .first_chunk::<REPLY_HEAD_LEN>()
        .ok_or(Reason::Length)?;
    let mut reader = Reader::new(head);
    if reader.u8()? != KIND_REPLY {
        return Err(Reason::UnknownType);
    }
    reader.bytes(1 + 8)?;
    Ok(*reader.array()?)
}
