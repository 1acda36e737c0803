//! Links over datagrams: PROTOCOL.md §2.2 and §6.3.

pub(crate) mod cookies;
pub(crate) mod course;
pub(crate) mod offer;
mod site;

use crate::pair::Message;

/// Returns messages of a link over datagrams, for a fuzzer to begin with.
pub fn seeds() -> impl Iterator<Item = Message> {
    offer::seeds().into_iter()
}
