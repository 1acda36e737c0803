//! The handshake: PROTOCOL.md §2, §3 and §6.1.

pub(crate) mod comeback;
pub(crate) mod course;
pub(crate) mod credential;
pub(crate) mod enrolment;
pub(crate) mod external;
mod forge;
pub(crate) mod hub;
pub(crate) mod matrix;
pub(crate) mod offer;
pub(crate) mod order;
pub(crate) mod resume;
pub mod schedules;
pub(crate) mod shares;
pub(crate) mod stages;
pub(crate) mod tamper;
