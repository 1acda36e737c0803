//! The hub: one task that owns who is here and what awaits an answer.
//!
//! Everyone else sends it an [`Input`] over a bounded channel and hears back through a bounded outbox. It never waits
//! for a peer: one whose outbox is full is told so, or left.

mod directory;
mod routes;
mod run;

pub(crate) use run::{Hex, Hub, HubHandle};

use moorline_core::message::AlertCode;
use moorline_core::token::{AgentId, AgentScope, Permissions};

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
}

/// What a session tells the hub.
#[derive(Debug)]
pub(crate) enum Input {
    /// It is open.
    Opened {
        session: SessionKey,
        identity: Identity,
        outbox: async_channel::Sender<Output>,
    },
    /// It carries an envelope from its peer.
    Envelope {
        session: SessionKey,
        route: [u8; 16],
        channel: u32,
        inner: Vec<u8>,
    },
    /// Its peer asks the hub something.
    Application {
        session: SessionKey,
        message: Vec<u8>,
    },
    /// It is over.
    Closed { session: SessionKey },
    /// The peer of this name is shut out.
    Revoked { name: String },
    /// The daemon goes away.
    Drain,
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
    /// To end, with this alert and its argument.
    Close(AlertCode, u32),
}
