//! Why a configuration is not valid.

use std::fmt;
use std::path::{Path, PathBuf};

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
    /// The file is not TOML, or has a key that does not exist or a value of the wrong type. What stands there is not
    /// repeated: it may be a secret.
    #[error("{path}, line {line}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// Why.
        reason: String,
    },
    /// An environment variable sets no key, or to what it cannot be.
    #[error("the environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// Why.
        reason: String,
    },
    /// Files and variables are in order one by one, and not together.
    #[error("the whole configuration: {0}")]
    Together(String),
    /// The name of the surroundings is none that a file can have.
    #[error("`{0}` names no environment: letters, digits, `-` and `_` do")]
    NoEnvironment(String),
    /// Surroundings are named where there is no file.
    #[error(
        "the environment `{0}` is a file beside the configuration, and no configuration is given"
    )]
    NoFile(String),
    /// A value is out of range.
    #[error("{key}: {reason}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it may be.
        reason: String,
    },
}

/// All that is wrong with a configuration: one mistake or more.
#[derive(Debug)]
pub struct Mistakes(pub Vec<ConfigError>);

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { "\n" };
            write!(formatter, "{gap}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl ConfigError {
    /// Returns what is wrong with the file at `path`, which holds `text`.
    pub(super) fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        Self::Malformed {
            path: path.into(),
            line: 1 + before.unwrap_or_default().matches('\n').count(),
            reason: error.message().trim_end().replace('\n', ", "),
        }
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
