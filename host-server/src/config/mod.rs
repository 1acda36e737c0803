//! What an operator sets. Every key has a default; a file is not needed.

mod accounts;
mod address_or_off;
mod drain;
mod error;
mod http;
mod keys;
mod layers;
mod limits;
mod live;
mod load;
mod log;
mod metrics;
mod network;
mod origin;
mod outside;
mod path_or_off;
mod secret;
mod tls;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use accounts::{AccountSettings, Registration};
pub use drain::Drain;
pub use error::{ConfigError, Mistakes};
pub(crate) use error::{between, require};
pub use http::HttpSettings;
pub use keys::{KeySettings, LockMemory};
pub use limits::{Limits, OfflineLimits};
pub(crate) use live::Live;
pub use load::Sources;
pub use log::LogFormat;
pub use metrics::MetricsSettings;
pub use network::{MalformedNetwork, Network};
pub use origin::{MalformedOrigin, OriginPattern};
pub use outside::OutsideIssuer;
pub use secret::Secret;
use serde::{Deserialize, Serialize};
pub use tls::TlsSettings;

use crate::audit::AuditConfig;
use crate::watch::WatchConfig;

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
    /// Which lines the log has, as `RUST_LOG` says it, which wins.
    pub log_filter: String,
    /// How lines of the log are written.
    pub log_format: LogFormat,
    /// The file that the log is added to; `"off"` for standard error.
    #[serde(with = "path_or_off")]
    pub log_file: Option<PathBuf>,
    /// The file that says which process serves; `"off"` for none.
    #[serde(with = "path_or_off")]
    pub pid_file: Option<PathBuf>,
    /// Issuers that are not this hub, and the most that their tokens may carry.
    pub outside: Vec<OutsideIssuer>,
    /// How the daemon ends.
    pub drain: Drain,
    /// How HTTP is served.
    pub http: HttpSettings,
    /// How HTTP is served in TLS.
    pub tls: TlsSettings,
    /// How commanders log in over HTTP.
    pub accounts: AccountSettings,
    /// What is bounded.
    pub limits: Limits,
    /// What is kept for who is away.
    pub offline: OfflineLimits,
    /// How keys are kept.
    pub keys: KeySettings,
    /// What is kept in the audit log.
    pub audit: AuditConfig,
    /// What is counted, and when it is an alert.
    pub watch: WatchConfig,
    /// Where health and metrics are said.
    pub metrics: MetricsSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "moorline".into(),
            data_dir: default_data_dir(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            listen_tcp: Some(SocketAddr::from(([127, 0, 0, 1], 7444))),
            listen_udp: None,
            log_filter: "info".into(),
            log_format: LogFormat::Text,
            log_file: None,
            pid_file: None,
            outside: Vec::new(),
            drain: Drain::default(),
            http: HttpSettings::default(),
            tls: TlsSettings::default(),
            accounts: AccountSettings::default(),
            limits: Limits::default(),
            offline: OfflineLimits::default(),
            keys: KeySettings::default(),
            audit: AuditConfig::default(),
            watch: WatchConfig::default(),
            metrics: MetricsSettings::default(),
        }
    }
}

impl Config {
    /// Returns what is out of range; nothing when the configuration is valid.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ConfigError> {
        let name_fits = (1..=32).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let name = require(
            "name",
            name_fits,
            "must be 1 to 32 letters, digits, `-`, `.` or `_`",
        );
        let mut mistakes = Vec::new();
        mistakes.extend(name.err());
        mistakes.extend(log::check_filter(&self.log_filter).err());
        mistakes.extend(outside::mistakes(&self.outside, &self.name));
        mistakes.extend(self.drain.mistakes());
        mistakes.extend(self.accounts.mistakes());
        mistakes.extend(self.http.mistakes());
        mistakes.extend(self.tls.mistakes());
        mistakes.extend(self.limits.mistakes());
        mistakes.extend(self.offline.mistakes());
        mistakes.extend(self.keys.mistakes(&self.limits));
        mistakes.extend(self.audit.check().err());
        mistakes.extend(self.watch.check().err());
        mistakes
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
