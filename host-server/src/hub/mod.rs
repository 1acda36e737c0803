//! The hub: one task that owns who is here and what awaits an answer.
//!
//! Everyone else sends it an [`Input`] over a bounded channel and hears back through a bounded outbox. It never waits
//! for a peer: one whose outbox is full is told so, or left.

mod directory;
mod routes;
mod run;

use moorline_core::message::{Alert, AlertCode, ENVELOPE_HEADER_LEN};
use moorline_core::token::{AgentId, AgentScope, Permissions};
pub(crate) use run::{Hex, Hub, HubHandle};

use crate::access::Holder;
use crate::config::{Drain, Limits};
use crate::standing::TokenName;

/// What names a session inside the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(crate) [u8; 8]);

/// Who a session belongs to, from its verified token.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// An agent.
    Agent {
        /// Its name.
        name: String,
        /// Its id.
        id: AgentId,
    },
    /// A commander.
    Commander {
        /// Its name.
        name: String,
        /// What it may do.
        permissions: Permissions,
        /// Which agents it reaches.
        scope: AgentScope,
    },
}

impl Identity {
    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Agent { name, .. } | Self::Commander { name, .. } => name,
        }
    }

    /// Returns what the token of a commander says.
    pub(crate) fn holder(&self) -> Option<Holder<'_>> {
        match self {
            Self::Agent { .. } => None,
            Self::Commander {
                name,
                permissions,
                scope,
            } => Some(Holder {
                name,
                permissions: *permissions,
                scope,
            }),
        }
    }
}

/// Where the hub leaves what it tells a session. Boxes keep the places that nobody uses small.
pub(crate) type Outbox = async_channel::Sender<Box<Output>>;

/// What a session tells the hub.
#[derive(Debug)]
pub(crate) enum Input {
    /// It is open, and rests on this token.
    Opened {
        session: SessionKey,
        identity: Identity,
        token: TokenName,
        outbox: Outbox,
    },
    /// It rests on a newer token, and perhaps on a new key.
    Renewed {
        session: SessionKey,
        identity: Identity,
        token: TokenName,
        rekeyed: bool,
    },
    /// It carries an envelope from its peer.
    Envelope {
        session: SessionKey,
        route: [u8; 16],
        channel: u32,
        inner: Vec<u8>,
    },
    /// An envelope on this route is longer than its peer takes.
    TooLong {
        session: SessionKey,
        route: [u8; 16],
    },
    /// Its peer asks the hub something.
    Application {
        session: SessionKey,
        message: Vec<u8>,
    },
    /// It is over.
    Closed { session: SessionKey },
    /// Something is revoked: sessions whose tokens do not count any more are to end. It is said when each has been told.
    Revoked(async_channel::Sender<()>),
    /// All agents are to hear this.
    ToAgents { message: Vec<u8> },
    /// All peers are to hear this.
    ToAll { message: Vec<u8> },
    /// All sessions are to end; their peers may come back.
    EndAll(Drain),
    /// Something is kept for this peer.
    Nudge(Nudged),
    /// Other limits hold from now on.
    Limits(Box<Limits>),
    /// Somebody asks whether the hub still works; it says so.
    Ping(async_channel::Sender<()>),
    /// The daemon goes away, and peers are told so in this way.
    Drain(Drain),
}

/// For whom something is kept.
#[derive(Debug)]
pub(crate) enum Nudged {
    /// An agent: a command.
    Agent(AgentId),
    /// The commander of this name: a reply.
    Commander(String),
}

/// What the hub tells a session.
#[derive(Debug)]
pub(crate) enum Output {
    /// To carry an envelope to its peer.
    Envelope {
        route: [u8; 16],
        channel: u32,
        inner: Vec<u8>,
    },
    /// To say something to its peer.
    Application(Vec<u8>),
    /// To look at what is kept for its peer.
    Nudge,
    /// To end, with this alert and its argument.
    Close(AlertCode, u32),
}

impl Output {
    /// Returns how long the payload is that carries this.
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Envelope { inner, .. } => ENVELOPE_HEADER_LEN + inner.len(),
            Self::Application(message) => message.len(),
            Self::Nudge => 0,
            Self::Close(..) => Alert::LEN,
        }
    }
}
