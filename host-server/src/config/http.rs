//! `[http]` of the configuration.

use serde::{Deserialize, Serialize};

use super::error::require;
use super::{ConfigError, OriginPattern};

/// Most patterns of a list: each is compared with each request.
const MAX_PATTERNS: usize = 64;

/// How HTTP is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// The pages from which browsers may come. When there are none, those of the hub's own host.
    pub origins: Vec<OriginPattern>,
}

impl HttpSettings {
    pub(super) fn mistakes(&self) -> impl Iterator<Item = ConfigError> {
        let fits = self.origins.len() <= MAX_PATTERNS;
        let checks = [require("http.origins", fits, "must be 64 at most")];
        checks.into_iter().filter_map(Result::err)
    }
}
