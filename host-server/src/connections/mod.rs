//! What each connection does: its state, its counters and its health, for operators. No peer learns any of it.

mod counted;
mod entry;

pub(crate) use counted::Counted;
pub(crate) use entry::Entry;
use serde::{Deserialize, Serialize};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It is accepted, and has said nothing whole yet.
    Connecting,
    /// Its handshake is under way.
    Connected,
    /// Its peer is authenticated.
    Authenticated,
    /// It is being ended.
    Disconnecting,
}

impl ConnectionState {
    /// Returns its name, as operators and metrics have it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Authenticated => "authenticated",
            Self::Disconnecting => "disconnecting",
        }
    }
}

/// How a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is well.
    Good,
    /// It carries nothing for long.
    Idle,
    /// Its peer answers late, or not at all.
    Slow,
    /// Its peer does not take what is for it: its outbox is nearly full.
    Behind,
}

/// One connection, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// Its number, which no other connection of this daemon's life has.
    pub id: u64,
    /// Where it stands.
    pub state: ConnectionState,
    /// Milliseconds since it was accepted.
    pub age_millis: u64,
    /// What carries it: `http` until a request opens a WebSocket, `websocket`, `tcp` or `udp`.
    pub transport: String,
    /// Where it comes from.
    pub address: String,
    /// The peer's name, once it is authenticated.
    pub name: Option<String>,
    /// What the peer is: `agent` or `commander`.
    pub role: Option<String>,
    /// Messages of the peer.
    pub messages_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Messages to the peer.
    pub messages_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Messages of the peer that were dropped.
    pub refused: u64,
    /// The last round trip in milliseconds; there is one where a silent peer has answered.
    pub round_trip_millis: Option<u64>,
    /// The mean of all of them in milliseconds.
    pub mean_round_trip_millis: Option<u64>,
    /// Milliseconds since the peer was last heard.
    pub heard_millis: u64,
    /// Messages that wait for the peer to take them.
    pub waiting: usize,
    /// How it does.
    pub health: Health,
    /// Why, in words.
    pub reason: String,
}
