//! The form of messages and frames: of a stream or of datagrams (PROTOCOL.md §2.1).

use crate::reason::Reason;
use crate::token::AgentId;

/// Whether what carries messages keeps them whole and in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// Messages arrive once and in order, or not at all; connection ids are 0.
    Stream,
    /// Messages may be lost, repeated and reordered; connection ids tell sessions apart.
    Datagram,
}

impl Form {
    /// Checks that `id` is one of this form.
    pub(super) fn check_id(self, id: u32) -> Result<u32, Reason> {
        match (self, id) {
            (Self::Stream, 0) => Ok(0),
            (Self::Datagram, 1..) => Ok(id),
            _ => Err(Reason::ConnectionId),
        }
    }
}

/// What a handshake runs over. It begins the transcript, so that nothing of one line means anything on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Line {
    /// A link over a stream.
    Stream,
    /// A link over datagrams.
    Datagram,
    /// A channel to this agent, through a hub. It has the form of datagrams: a hub may lose what it carries.
    Channel(AgentId),
}

impl Line {
    /// Returns the form of messages on this line.
    #[must_use]
    pub fn form(self) -> Form {
        match self {
            Self::Stream => Form::Stream,
            Self::Datagram | Self::Channel(_) => Form::Datagram,
        }
    }
}

/// The numbers by which the two ends of a datagram line know a session; both are 0 on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionIds {
    /// What the peer writes in what it sends here.
    pub own: u32,
    /// What this end writes in what it sends.
    pub peer: u32,
}

impl ConnectionIds {
    /// The ids of a stream.
    pub const NONE: Self = Self { own: 0, peer: 0 };
}
