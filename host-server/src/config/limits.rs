//! What is bounded.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, between};

/// Most bytes of a payload that a hub can be set to take: more would not fit a transport's message.
const MAX_PAYLOAD_LEN: u16 = 16 * 1024;

/// Fewest bytes of a payload that a hub can be set to take: a command and its envelope.
const MIN_PAYLOAD_LEN: u16 = 256;

/// What is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at a time, authenticated or not.
    pub connections: usize,
    /// Connections at a time whose peer is not authenticated yet.
    pub handshakes: usize,
    /// As many of them from one address, or from the first 64 bits of an IPv6 address.
    pub handshakes_per_address: usize,
    /// Milliseconds from accepting a connection to having authenticated its peer.
    pub handshake_millis: u64,
    /// New connections of one address in a second.
    pub connections_per_address_second: u64,
    /// New connections of one address at once.
    pub connections_per_address_burst: u64,
    /// Failures of one address to prove who it is that are borne with.
    pub failures_per_address: u64,
    /// Failures with the token of one peer that are borne with, whatever addresses they come from.
    pub failures_per_subject: u64,
    /// Seconds after which a failure is forgotten.
    pub failure_seconds: u64,
    /// Seconds for which an address that fails too often is refused; twice as long each time.
    pub block_seconds: u64,
    /// Seconds that this comes to at most. One time is forgiven for as long without another.
    pub block_max_seconds: u64,
    /// Messages of one peer in a second; who sends more is read more slowly.
    pub messages_per_second: u64,
    /// Messages of one peer at once.
    pub messages_burst: u64,
    /// Milliseconds of a peer's silence after which it is asked whether it is there.
    pub heartbeat_millis: u64,
    /// Milliseconds of a peer's silence after which its session ends.
    pub silence_millis: u64,
    /// Milliseconds after which a session ends that carries nothing but heartbeats; 0 for never.
    pub idle_millis: u64,
    /// Sessions of one commander at a time.
    pub commander_sessions: usize,
    /// Longest payload of a frame in bytes.
    pub payload_len: u16,
    /// Messages that wait for one peer to take them.
    pub outbox: usize,
    /// Channels of one commander's session to agents at a time.
    pub channels: usize,
    /// Milliseconds after which a channel that carries nothing is forgotten.
    pub channel_idle_millis: u64,
    /// Tickets that are kept, with which peers come back without a signature; 0 gives none.
    pub tickets: usize,
    /// Seconds that an agent's token lives; at most 86,400.
    pub agent_token_seconds: u64,
    /// Seconds that a commander's token lives; at most 3,600.
    pub commander_token_seconds: u64,
}

impl Limits {
    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let checks = [
            between("limits.connections", self.connections, 1, 100_000),
            between("limits.handshakes", self.handshakes, 1, 512),
            between(
                "limits.handshakes_per_address",
                self.handshakes_per_address,
                1,
                512,
            ),
            between(
                "limits.handshake_millis",
                self.handshake_millis,
                1_000,
                60_000,
            ),
            between(
                "limits.connections_per_address_second",
                self.connections_per_address_second,
                1,
                10_000,
            ),
            between(
                "limits.connections_per_address_burst",
                self.connections_per_address_burst,
                1,
                100_000,
            ),
            between(
                "limits.failures_per_address",
                self.failures_per_address,
                1,
                1_000,
            ),
            between(
                "limits.failures_per_subject",
                self.failures_per_subject,
                1,
                1_000,
            ),
            between("limits.failure_seconds", self.failure_seconds, 1, 86_400),
            between("limits.block_seconds", self.block_seconds, 1, 86_400),
            between(
                "limits.block_max_seconds",
                self.block_max_seconds,
                self.block_seconds,
                604_800,
            ),
            between(
                "limits.messages_per_second",
                self.messages_per_second,
                1,
                100_000,
            ),
            between("limits.messages_burst", self.messages_burst, 1, 100_000),
            between(
                "limits.heartbeat_millis",
                self.heartbeat_millis,
                1_000,
                600_000,
            ),
            between(
                "limits.silence_millis",
                self.silence_millis,
                self.heartbeat_millis + 1,
                3_600_000,
            ),
            between("limits.idle_millis", self.idle_millis, 0, 30 * 86_400_000),
            between("limits.commander_sessions", self.commander_sessions, 1, 64),
            between(
                "limits.payload_len",
                self.payload_len,
                MIN_PAYLOAD_LEN,
                MAX_PAYLOAD_LEN,
            ),
            between("limits.outbox", self.outbox, 1, 4096),
            between("limits.channels", self.channels, 1, 1024),
            between(
                "limits.channel_idle_millis",
                self.channel_idle_millis,
                1_000,
                86_400_000,
            ),
            between("limits.tickets", self.tickets, 0, 65_536),
            between(
                "limits.agent_token_seconds",
                self.agent_token_seconds,
                60,
                86_400,
            ),
            between(
                "limits.commander_token_seconds",
                self.commander_token_seconds,
                60,
                3_600,
            ),
        ];
        checks.into_iter().filter_map(Result::err)
    }
}

/// What is kept for who is away: offline commands, and the replies that take their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfflineLimits {
    /// Commands and replies that are kept; 0 keeps none.
    pub commands: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// Commands that are kept for one agent.
    pub commands_per_agent: usize,
    /// Bytes of them.
    pub bytes_per_agent: usize,
    /// Commands and replies that are kept of one commander.
    pub commands_per_commander: usize,
    /// Bytes of them.
    pub bytes_per_commander: usize,
    /// Seconds for which a reply is kept that its commander does not fetch.
    pub reply_seconds: u64,
}

impl Default for OfflineLimits {
    fn default() -> Self {
        Self {
            commands: 1024,
            bytes: 1 << 20,
            commands_per_agent: 32,
            bytes_per_agent: 32 << 10,
            commands_per_commander: 64,
            bytes_per_commander: 64 << 10,
            reply_seconds: 7 * 86_400,
        }
    }
}

impl OfflineLimits {
    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let number = |key, value| between(key, value, 0, 16_384);
        let bytes = |key, value| between(key, value, 0, 64 << 20);
        let seconds = self.reply_seconds;
        let checks = [
            number("offline.commands", self.commands),
            number("offline.commands_per_agent", self.commands_per_agent),
            number(
                "offline.commands_per_commander",
                self.commands_per_commander,
            ),
            bytes("offline.bytes", self.bytes),
            bytes("offline.bytes_per_agent", self.bytes_per_agent),
            bytes("offline.bytes_per_commander", self.bytes_per_commander),
            between("offline.reply_seconds", seconds, 3_600, 30 * 86_400),
        ];
        checks.into_iter().filter_map(Result::err)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshakes: 64,
            // Dozens of agents behind one NAT come back together after an outage; a quarter of the share lets them,
            // and leaves the rest to other addresses.
            handshakes_per_address: 16,
            handshake_millis: 15_000,
            connections_per_address_second: 20,
            // Hundreds of agents behind one NAT come back at once.
            connections_per_address_burst: 512,
            failures_per_address: 10,
            failures_per_subject: 10,
            failure_seconds: 60,
            block_seconds: 60,
            block_max_seconds: 3_600,
            messages_per_second: 500,
            messages_burst: 1_000,
            heartbeat_millis: 20_000,
            silence_millis: 60_000,
            idle_millis: 0,
            commander_sessions: 4,
            payload_len: 4096,
            outbox: 64,
            channels: 32,
            channel_idle_millis: 600_000,
            tickets: 4096,
            agent_token_seconds: 86_400,
            commander_token_seconds: 3_600,
        }
    }
}
