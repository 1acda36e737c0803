//! Channels, end to end between a commander and an agent: PROTOCOL.md §2, §6.3 and §10.2.

pub(crate) mod credentials;
pub(crate) mod loss;
pub mod schedules;
pub(crate) mod site;
pub(crate) mod table;
