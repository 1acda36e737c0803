//! `[http]` of the configuration.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::error::require;
use super::{ConfigError, Network, OriginPattern};

/// Most entries of a list: each is compared with each request.
const MAX_ENTRIES: usize = 64;

/// How HTTP is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// The pages from which browsers may come. When there are none, those of the hub's own host.
    pub origins: Vec<OriginPattern>,
    /// The proxies that are believed whom they speak for.
    pub proxies: Vec<Network>,
    /// Whether a WebSocket is opened only for who shows a good token with the upgrade.
    pub require_bearer: bool,
}

impl HttpSettings {
    /// Returns whether `address` is a proxy's.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }

    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let fits = |key, len: usize| require(key, len <= MAX_ENTRIES, "must be 64 at most");
        let checks = [
            fits("http.origins", self.origins.len()),
            fits("http.proxies", self.proxies.len()),
        ];
        checks.into_iter().filter_map(Result::err)
    }
}
