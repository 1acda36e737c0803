//! How a connection behaves.

use crate::limits::HANDSHAKE_MILLIS;

/// When a silent peer is asked whether it is there, and when it is given up, in milliseconds of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Silence after which a ping is sent, and sent again.
    pub ping_after: u64,
    /// Silence after which the session ends; more than `ping_after`.
    pub dead_after: u64,
}

impl Heartbeat {
    /// Ping after 20 s, give up after 60 s.
    pub const DEFAULT: Self = Self {
        ping_after: 20_000,
        dead_after: 60_000,
    };
}

/// How a connection behaves once it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest payload of a frame that this end takes, in bytes: what it announced in the handshake.
    pub max_payload_len: u16,
    /// Milliseconds that the handshake may take.
    pub handshake_millis: u64,
    /// When the peer's silence is acted on.
    pub heartbeat: Heartbeat,
    /// Whether a key update of this end mixes in a fresh Diffie-Hellman, which heals a leak and costs two X25519.
    pub fresh_updates: bool,
}

impl Settings {
    /// Payloads of up to 1,024 bytes, the protocol's time for a handshake, the usual heartbeat, and key updates without
    /// a fresh Diffie-Hellman.
    pub const DEFAULT: Self = Self {
        max_payload_len: 1024,
        handshake_millis: HANDSHAKE_MILLIS,
        heartbeat: Heartbeat::DEFAULT,
        fresh_updates: false,
    };
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
