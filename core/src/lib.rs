//! The Moorline protocol.
#![no_std]
#![forbid(unsafe_code)]
