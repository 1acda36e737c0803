//! Offline commands: PROTOCOL.md §12.

pub(crate) mod bundle;
pub(crate) mod command;
pub(crate) mod counters;
mod forge;
pub(crate) mod layout;
pub(crate) mod machine;
pub(crate) mod post;
pub(crate) mod prekeys;
mod reference;
pub(crate) mod reply;
mod site;
pub(crate) mod tamper;
