//! The credential profile: attacks that it refuses, each for its reason, and tokens that it accepts.

pub(crate) mod accepted;
pub(crate) mod algorithm;
pub(crate) mod audience;
pub(crate) mod claims;
pub(crate) mod confirmation;
pub(crate) mod encoding;
mod forge;
pub(crate) mod header;
pub(crate) mod json;
pub(crate) mod kid;
pub(crate) mod mint;
pub(crate) mod numbers;
pub(crate) mod renewal;
pub(crate) mod signature;
pub(crate) mod table;
pub(crate) mod tamper;
pub(crate) mod times;
