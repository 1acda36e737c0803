//! What the log has in it, and how.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::error::{ConfigError, require};

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A line of JSON for programs.
    Json,
}

pub(super) fn check_filter(filter: &str) -> Result<(), ConfigError> {
    let reason = match EnvFilter::try_new(filter) {
        Ok(_) => String::new(),
        Err(error) => {
            format!("is no filter such as `info` or `warn,moorline_server::hub=debug`: {error}")
        }
    };
    require("log_filter", reason.is_empty(), &reason)
}
