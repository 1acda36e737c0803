//! What an operator sets. Every key has a default; a file is not needed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit::AuditConfig;
use crate::watch::WatchConfig;

/// Most bytes of a payload that a hub can be set to take: more would not fit a transport's message.
const MAX_PAYLOAD_LEN: u16 = 16 * 1024;

/// Fewest bytes of a payload that a hub can be set to take: a command and its envelope.
const MIN_PAYLOAD_LEN: u16 = 256;

/// A whole and valid configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The hub's name, which tokens name as their audience and issuer. It stays as it was at the first start.
    pub name: String,
    /// Where keys and the registry are kept.
    pub data_dir: PathBuf,
    /// Where HTTP with the WebSocket at `/ws` is served.
    pub listen: SocketAddr,
    /// Where bare TCP is served; `"off"` for nowhere.
    #[serde(with = "address_or_off")]
    pub listen_tcp: Option<SocketAddr>,
    /// Where datagrams are taken, over UDP; `"off"` for nowhere.
    #[serde(with = "address_or_off")]
    pub listen_udp: Option<SocketAddr>,
    /// What is bounded.
    pub limits: Limits,
    /// What is kept for who is away.
    pub offline: OfflineLimits,
    /// What is kept in the audit log.
    pub audit: AuditConfig,
    /// What is counted, and when it is an alert.
    pub watch: WatchConfig,
}

/// An address, or the word `off`: TOML has no way to say that a value is absent.
mod address_or_off {
    use std::net::SocketAddr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const OFF: &str = "off";

    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_str(OFF),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == OFF {
            return Ok(None);
        }
        let wrong =
            |_| D::Error::custom("an address such as 127.0.0.1:7444, or \"off\", is expected");
        text.parse().map(Some).map_err(wrong)
    }
}

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
    fn check(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("offline.commands", self.commands),
            ("offline.commands_per_agent", self.commands_per_agent),
            (
                "offline.commands_per_commander",
                self.commands_per_commander,
            ),
        ] {
            between(key, value, 0, 16_384)?;
        }
        for (key, value) in [
            ("offline.bytes", self.bytes),
            ("offline.bytes_per_agent", self.bytes_per_agent),
            ("offline.bytes_per_commander", self.bytes_per_commander),
        ] {
            between(key, value, 0, 64 << 20)?;
        }
        between(
            "offline.reply_seconds",
            self.reply_seconds,
            3_600,
            30 * 86_400,
        )
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "moorline".into(),
            data_dir: default_data_dir(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            listen_tcp: Some(SocketAddr::from(([127, 0, 0, 1], 7444))),
            listen_udp: None,
            limits: Limits::default(),
            offline: OfflineLimits::default(),
            audit: AuditConfig::default(),
            watch: WatchConfig::default(),
        }
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

/// Why a configuration is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist or a value of the wrong type.
    #[error("{path}: {error}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, and why.
        error: Box<toml::de::Error>,
    },
    /// A value is out of range.
    #[error("{key}: {reason}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it may be.
        reason: String,
    },
}

impl Config {
    /// Reads the configuration in `path`; without one, returns the defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the file and line, or the key, and the reason.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Self::default().checked();
        };
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.into(),
            error,
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Malformed {
            path: path.into(),
            error: Box::new(error),
        })?;
        config.checked()
    }

    /// Returns the configuration if every value is in range.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] for the first that is not.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let limits = &self.limits;
        let name_fits = (1..=32).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        require(
            "name",
            name_fits,
            "must be 1 to 32 letters, digits, `-`, `.` or `_`",
        )?;
        between("limits.connections", limits.connections, 1, 100_000)?;
        between("limits.handshakes", limits.handshakes, 1, 512)?;
        between(
            "limits.handshakes_per_address",
            limits.handshakes_per_address,
            1,
            512,
        )?;
        between(
            "limits.handshake_millis",
            limits.handshake_millis,
            1_000,
            60_000,
        )?;
        between(
            "limits.payload_len",
            limits.payload_len,
            MIN_PAYLOAD_LEN,
            MAX_PAYLOAD_LEN,
        )?;
        between("limits.outbox", limits.outbox, 1, 4096)?;
        between("limits.channels", limits.channels, 1, 1024)?;
        between(
            "limits.channel_idle_millis",
            limits.channel_idle_millis,
            1_000,
            86_400_000,
        )?;
        between("limits.tickets", limits.tickets, 0, 65_536)?;
        between(
            "limits.agent_token_seconds",
            limits.agent_token_seconds,
            60,
            86_400,
        )?;
        between(
            "limits.commander_token_seconds",
            limits.commander_token_seconds,
            60,
            3_600,
        )?;
        self.offline.check()?;
        self.audit.check()?;
        self.watch.check()?;
        Ok(self)
    }
}

pub(crate) fn between<T: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    let fits = value >= least && value <= most;
    require(
        key,
        fits,
        &format!("must be from {least} to {most}, not {value}"),
    )
}

pub(crate) fn require(key: &'static str, holds: bool, reason: &str) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange {
            key,
            reason: reason.into(),
        })
    }
}

/// What a service manager gives, or else a folder in the user's home, or else the system's place.
fn default_data_dir() -> PathBuf {
    if let Some(given) = std::env::var_os("STATE_DIRECTORY") {
        return given.into();
    }
    match std::env::var_os("HOME") {
        Some(home) => Path::new(&home).join(".local/share/moorline"),
        None => "/var/lib/moorline".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError};

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("moorlined.toml");
        std::fs::write(&path, text).expect("a file");
        Config::load(Some(&path))
    }

    #[test]
    fn the_defaults_are_valid_and_an_empty_file_gives_them() {
        assert_eq!(
            parse("").expect("valid"),
            Config::load(None).expect("valid")
        );
    }

    #[test]
    fn a_file_that_is_written_reads_back() {
        let text = toml::to_string(&Config::default()).expect("it is TOML");
        assert_eq!(parse(&text).expect("valid"), Config::default());
    }

    #[test]
    fn bare_tcp_can_be_switched_off_and_a_wrong_address_is_said_to_be() {
        let config = parse("listen_tcp = \"off\"").expect("valid");
        assert_eq!(config.listen_tcp, None);
        let text = toml::to_string(&config).expect("it is TOML");
        assert_eq!(parse(&text).expect("valid"), config);
        let error = parse("listen_tcp = \"7444\"")
            .expect_err("no address")
            .to_string();
        assert!(
            error.contains("127.0.0.1:7444") && error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    fn datagrams_are_taken_where_the_operator_says_so_and_nowhere_else() {
        assert_eq!(Config::default().listen_udp, None);
        let config = parse("listen_udp = \"127.0.0.1:7444\"").expect("valid");
        assert_eq!(config.listen_udp, Config::default().listen_tcp);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("name = \"hub\"\nlisten_port = 1\n")
            .expect_err("unknown key")
            .to_string();
        assert!(
            error.contains("listen_port") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        for (text, key) in [
            ("name = \"\"", "name"),
            ("name = \"a b\"", "name"),
            ("[limits]\nconnections = 0", "limits.connections"),
            (
                "[limits]\nhandshakes_per_address = 0",
                "limits.handshakes_per_address",
            ),
            (
                "[limits]\nhandshake_millis = 60001",
                "limits.handshake_millis",
            ),
            ("[limits]\npayload_len = 255", "limits.payload_len"),
            (
                "[limits]\ncommander_token_seconds = 3601",
                "limits.commander_token_seconds",
            ),
            ("[offline]\ncommands = 16385", "offline.commands"),
            (
                "[offline]\nbytes_per_agent = 67108865",
                "offline.bytes_per_agent",
            ),
            ("[offline]\nreply_seconds = 60", "offline.reply_seconds"),
            ("[audit]\nfiles = 1", "audit.files"),
            ("[audit]\nhead_seconds = 0", "audit.head_seconds"),
            ("[watch]\nwindow_seconds = 0", "watch.window_seconds"),
            (
                "[watch]\nwebhook = \"https://relay/\"",
                "watch.webhook: cannot be https",
            ),
            (
                "[watch]\nwebhook = \"relay\"",
                "watch.webhook: must be a URL",
            ),
            (
                "[watch.limit_violations]\ninfo = 5\nwarning = 5\ncritical = 0\nemergency = 9",
                "watch.limit_violations: each threshold",
            ),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
