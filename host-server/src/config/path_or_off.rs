//! A path, or the word `off`: TOML has no way to say that a value is absent.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const OFF: &str = "off";

pub(super) fn serialize<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => path.serialize(serializer),
        None => serializer.serialize_str(OFF),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    Ok((path.as_os_str() != OFF).then_some(path))
}
