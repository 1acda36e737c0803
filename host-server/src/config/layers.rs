//! Tables over tables.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError};

/// What is set so far, and by what.
#[derive(Debug, Default)]
pub(super) struct Layers {
    merged: Table,
    /// By the key, its parts joined by dots.
    origins: BTreeMap<String, String>,
}

impl Layers {
    /// Puts what `origin` sets over what is there.
    pub(super) fn put(&mut self, table: Table, origin: &str) {
        merge(&mut self.merged, table, "", origin, &mut self.origins);
    }

    /// Returns all of it as a configuration; what is not set has its default.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let table = Value::Table(self.merged.clone());
        Config::deserialize(table).map_err(|error| ConfigError::Together(error.message().into()))
    }

    /// Returns `mistake` with where the value comes from.
    pub(super) fn name(&self, mistake: ConfigError) -> ConfigError {
        match mistake {
            ConfigError::OutOfRange { key, reason } => match self.origin(key) {
                Some(origin) => ConfigError::OutOfRange {
                    key,
                    reason: format!("{reason} (from {origin})"),
                },
                None => ConfigError::OutOfRange { key, reason },
            },
            other => other,
        }
    }

    /// Returns what has set `key`, or the list whose entries have it.
    fn origin(&self, key: &str) -> Option<&String> {
        let list = key.split_once('.').map(|(list, _)| list);
        let found = self.origins.get(key);
        found.or_else(|| self.origins.get(list?))
    }
}

fn merge(
    lower: &mut Table,
    upper: Table,
    section: &str,
    origin: &str,
    origins: &mut BTreeMap<String, String>,
) {
    for (key, value) in upper {
        let path = format!("{section}{key}");
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => {
                merge(lower, upper, &format!("{path}."), origin, origins);
            }
            (_, Value::Table(upper)) => {
                let mut table = Table::new();
                merge(&mut table, upper, &format!("{path}."), origin, origins);
                lower.insert(key, Value::Table(table));
            }
            (_, value) => {
                lower.insert(key, value);
                origins.insert(path, origin.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Layers;
    use crate::config::{Config, Limits};

    #[test]
    fn a_later_layer_replaces_what_it_sets_and_nothing_else() {
        let mut layers = Layers::default();
        let table = |text: &str| toml::from_str(text).expect("a table");
        layers.put(
            table("name = \"one\"\n[limits]\ntickets = 1\nchannels = 1"),
            "a",
        );
        layers.put(table("[limits]\nchannels = 2"), "b");
        let expected = Config {
            name: "one".into(),
            limits: Limits {
                tickets: 1,
                channels: 2,
                ..Limits::default()
            },
            ..Config::default()
        };
        assert_eq!(layers.config().expect("valid"), expected);
        let origin = |key: &str| layers.origins.get(key).map(String::as_str);
        assert_eq!(origin("limits.tickets"), Some("a"));
        assert_eq!(origin("limits.channels"), Some("b"));
        assert_eq!(origin("limits.outbox"), None);
    }
}
