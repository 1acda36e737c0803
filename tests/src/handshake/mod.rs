//! The handshake: PROTOCOL.md §2, §3 and §6.1.

mod course;

use crate::Case;

/// The tables of the handshake.
pub(crate) static TABLES: &[&[Case]] = &[course::CASES];
