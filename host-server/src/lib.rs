//! The Moorline hub.
#![forbid(unsafe_code)]
