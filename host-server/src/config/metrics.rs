//! `[metrics]` of the configuration.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::address_or_off;

/// Where health and metrics are said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Where `/healthz`, `/readyz` and `/metrics` are served over HTTP; `"off"` for nowhere.
    #[serde(with = "address_or_off")]
    pub listen: Option<SocketAddr>,
}
