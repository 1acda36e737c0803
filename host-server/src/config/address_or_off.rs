//! An address, or the word `off`: TOML has no way to say that a value is absent.

use std::net::SocketAddr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

const OFF: &str = "off";

pub(super) fn serialize<S: Serializer>(
    address: &Option<SocketAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str(OFF),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == OFF {
        return Ok(None);
    }
    let wrong = |_| D::Error::custom("an address such as 127.0.0.1:7444, or \"off\", is expected");
    text.parse().map(Some).map_err(wrong)
}
