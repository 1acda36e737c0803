//! Commands to an agent and its replies (PROTOCOL.md §10.3).

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::codec;
use crate::reason::Reason;
use crate::wire::TooSmall;

/// Most arguments of a command.
pub const MAX_ARGUMENTS: usize = 8;

/// Most fields of a reply.
pub const MAX_FIELDS: usize = 12;

/// What a commander asks of an agent. An agent has a table of names; a hub knows none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command<'a> {
    /// The name, such as `led`.
    pub name: &'a str,
    /// The arguments, as a person types them.
    #[serde(borrow)]
    pub arguments: Vec<&'a str, MAX_ARGUMENTS>,
}

/// A command with the commander's number for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// The number that the response repeats.
    pub id: u32,
    /// The command.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// It was done.
    Done,
    /// The agent has no command of this name.
    UnknownCommand,
    /// An argument is missing, superfluous or not of its type.
    BadArgument,
    /// The commander may not do this.
    NotPermitted,
    /// The agent tried and could not.
    Failed,
}

/// One value of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    #[serde(borrow)]
    Text(&'a str),
    /// Bytes.
    #[serde(borrow)]
    Bytes(&'a [u8]),
}

/// A named value of a reply. The name says the unit, as in `uptime_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field<'a> {
    /// The name.
    pub name: &'a str,
    /// The value.
    #[serde(borrow)]
    pub value: Value<'a>,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// How the command ended.
    pub status: Status,
    /// What it has to say.
    #[serde(borrow)]
    pub fields: Vec<Field<'a>, MAX_FIELDS>,
}

impl<'a> Reply<'a> {
    /// Returns the reply of `status` that says nothing more.
    #[must_use]
    pub fn bare(status: Status) -> Self {
        Self {
            status,
            fields: Vec::new(),
        }
    }

    /// Returns this reply with one more field; beyond [`MAX_FIELDS`] a field is left out.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Value<'a>) -> Self {
        let full = self.fields.push(Field { name, value }).is_err();
        debug_assert!(!full, "a reply has at most MAX_FIELDS fields");
        self
    }
}

/// A reply with the number of the request that it answers. It travels as [`super::FromAgent::Response`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response<'a> {
    /// The number of the request.
    pub id: u32,
    /// The reply.
    #[serde(borrow)]
    pub reply: Reply<'a>,
}

impl<'a> Request<'a> {
    /// Decodes a request.
    ///
    /// # Errors
    ///
    /// [`Reason::MessageVersion`], [`Reason::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        codec::decode_versioned(bytes)
    }

    /// Encodes the request.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        codec::encode_versioned(self, out)
    }
}
