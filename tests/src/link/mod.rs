//! Links over datagrams: PROTOCOL.md §2.2 and §6.3.

pub(crate) mod course;
pub(crate) mod offer;
mod site;
