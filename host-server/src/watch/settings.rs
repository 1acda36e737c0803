//! What an operator sets of the watch.

use serde::{Deserialize, Serialize};

use super::webhook::Target;
use crate::config::{ConfigError, between, require};

/// Highest threshold.
const MAX_THRESHOLD: u32 = 1_000_000;

/// What is counted, and when it is an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Seconds over which is counted.
    pub window_seconds: u64,
    /// Seconds in which an alert is not said again, unless it is a graver one.
    pub cooldown_seconds: u64,
    /// Where alerts are sent, as a POST of JSON: `http://HOST:PORT/PATH`, or `off`.
    pub webhook: String,
    /// Milliseconds that one POST may take.
    pub webhook_millis: u64,
    /// Strangers and tokens that were refused.
    pub authentication_failures: Thresholds,
    /// Strangers and peers that came to a limit.
    pub limit_violations: Thresholds,
    /// Addresses that are not listened to.
    pub blocked_addresses: Thresholds,
}

/// From how many on it is an alert, of each severity; 0 for never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Worth knowing.
    pub info: u32,
    /// Worth a look.
    pub warning: u32,
    /// Worth a look at once.
    pub critical: u32,
    /// The hub is in danger.
    pub emergency: u32,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            window_seconds: 60,
            cooldown_seconds: 300,
            webhook: "off".into(),
            webhook_millis: 5_000,
            authentication_failures: Thresholds::of(10, 50, 500, 5_000),
            limit_violations: Thresholds::of(20, 100, 1_000, 10_000),
            blocked_addresses: Thresholds::of(1, 10, 100, 1_000),
        }
    }
}

impl Thresholds {
    fn of(info: u32, warning: u32, critical: u32, emergency: u32) -> Self {
        Self {
            info,
            warning,
            critical,
            emergency,
        }
    }

    fn check(&self, key: &'static str) -> Result<(), ConfigError> {
        let all = [self.info, self.warning, self.critical, self.emergency];
        for threshold in all {
            between(key, threshold, 0, MAX_THRESHOLD)?;
        }
        let rises = all.into_iter().filter(|threshold| *threshold > 0);
        require(
            key,
            rises.is_sorted_by(|lower, higher| lower < higher),
            "each threshold must be above the one before it, or 0 for never",
        )
    }
}

impl WatchConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        between("watch.window_seconds", self.window_seconds, 1, 86_400)?;
        between("watch.cooldown_seconds", self.cooldown_seconds, 0, 86_400)?;
        between("watch.webhook_millis", self.webhook_millis, 100, 60_000)?;
        if let Err(why) = self.target() {
            require("watch.webhook", false, why)?;
        }
        self.authentication_failures
            .check("watch.authentication_failures")?;
        self.limit_violations.check("watch.limit_violations")?;
        self.blocked_addresses.check("watch.blocked_addresses")
    }

    /// Returns where alerts are sent, or what is wrong with it.
    pub(super) fn target(&self) -> Result<Option<Target>, &'static str> {
        match self.webhook.as_str() {
            "off" => Ok(None),
            url => Target::parse(url).map(Some),
        }
    }
}
