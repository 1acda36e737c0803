//! Links over datagrams: PROTOCOL.md §2.2, §2.10, §2.11 and §6.3.

pub(crate) mod again;
mod bench;
pub(crate) mod cookies;
pub(crate) mod course;
pub(crate) mod fragments;
pub(crate) mod offer;
pub(crate) mod parts;
pub(crate) mod rotation;
pub mod schedules;
mod site;

use crate::pair::Message;

/// Returns messages of a link over datagrams, for a fuzzer to begin with.
pub fn seeds() -> impl Iterator<Item = Message> {
    offer::seeds().into_iter().chain(fragments::seeds())
}
