//! How the daemon does, as an operator sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::metrics::Component;
use crate::shared::Shared;

/// How the daemon does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The hub's name.
    pub hub: String,
    /// The daemon's version.
    pub version: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// Where it listens, by what; `off` for nowhere.
    pub listeners: BTreeMap<String, String>,
    /// How many connections there are in each state.
    pub states: BTreeMap<String, usize>,
    /// How many authenticated peers there are of each role.
    pub roles: BTreeMap<String, usize>,
    /// How many connections are over.
    pub closed: u64,
    /// How many addresses are blocked.
    pub blocked_addresses: usize,
    /// The hub's keys.
    pub keys: Vec<KeyReport>,
    /// What is stored.
    pub stores: Vec<StoreReport>,
    /// Its parts.
    pub components: Vec<Component>,
}

/// One of the hub's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// Which.
    pub key: String,
    /// Seconds since it was made.
    pub age_seconds: u64,
}

/// One kind of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreReport {
    /// What.
    pub store: String,
    /// How many.
    pub entries: usize,
    /// How many there may be, where that is limited.
    pub most: Option<usize>,
}

impl Shared {
    /// Returns how the daemon does.
    pub(super) async fn status(&self) -> StatusReport {
        let config = self.config();
        let written = |address: Option<std::net::SocketAddr>| {
            address.map_or_else(|| "off".to_owned(), |address| address.to_string())
        };
        let listeners = [
            ("http", Some(config.listen)),
            ("https", config.tls.listen),
            ("tcp", config.listen_tcp),
            ("udp", config.listen_udp),
            ("metrics", config.metrics.listen),
        ];
        let mut states = BTreeMap::new();
        for ((state, _), count) in self.budget.counts() {
            *states.entry(state.label().to_owned()).or_default() += count;
        }
        let roles = ["agent", "commander"];
        let keys = self.key_ages().map(|(key, age_seconds)| KeyReport {
            key: key.into(),
            age_seconds,
        });
        StatusReport {
            hub: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: clock::instant().since(self.started.instant) / 1_000,
            listeners: listeners
                .map(|(name, address)| (name.to_owned(), written(address)))
                .into(),
            states,
            roles: roles
                .map(|role| (role.to_owned(), self.budget.count_of(role)))
                .into(),
            closed: self.budget.metrics().closed_count(),
            blocked_addresses: self.budget.blocked(),
            keys: keys.into(),
            stores: self.stores().await,
            components: self.components().await,
        }
    }

    async fn stores(&self) -> Vec<StoreReport> {
        let config = self.config();
        let kept = self.offline.kept().await;
        let agents = {
            let registry = self.registry();
            registry.agents().count()
        };
        let store = |store: &str, entries, most| StoreReport {
            store: store.into(),
            entries,
            most,
        };
        let number = kept.commands.0 + kept.replies.0;
        let bytes = kept.commands.1 + kept.replies.1;
        vec![
            store("agents", agents, None),
            store(
                "tickets",
                self.tickets().count(),
                Some(config.limits.tickets),
            ),
            store("offline", number, Some(config.offline.commands)),
            store("offline_bytes", bytes, Some(config.offline.bytes)),
        ]
    }
}
