//! The handshake: PROTOCOL.md §2, §3 and §6.1.

pub(crate) mod course;
