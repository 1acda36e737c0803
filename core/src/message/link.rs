//! Messages between a peer's application and the hub's (PROTOCOL.md §10.4). The order of the variants is their
//! number: it only grows.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::codec;
use crate::reason::Reason;
use crate::wire::TooSmall;

/// Most agents in one answer.
pub const MAX_AGENT_ENTRIES: usize = 8;

/// What a peer asks of the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHub {
    /// Lists the agents that the peer may reach, in the order of their ids.
    ListAgents {
        /// The last id of the answer before; nothing to start.
        after: Option<[u8; 16]>,
    },
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
}

impl ToHub {
    /// Decodes a message to the hub.
    ///
    /// # Errors
    ///
    /// [`Reason::MessageVersion`], [`Reason::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        codec::decode_versioned(bytes)
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
    /// [`Reason::MessageVersion`], [`Reason::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        codec::decode_versioned(bytes)
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
