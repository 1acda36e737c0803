//! A Moorline agent for a Cortex-M, without a heap.
//!
//! The images are in `src/bin/`; what they share is here.
//!
//! ```text
//! agent         the life over reads that block: boot, connect, serve, come back
//! task          the same as a task of an executor
//!   life        what it does from link to link, whoever moves the bytes
//!     identity  what it must have before it sends a byte
//!     kept      what outlasts a reset
//!     backoff   how long it waits
//!   serving     what it does on an open link, whoever moves the bytes
//!     exchange  from an envelope to its answer
//!       commands  the table of commands
//!         arguments, settings   what they take, and what they change
//!     reports   what the device says by itself: observations and its log
//!     offline   commands that were left for the device, run by the same table
//!     renewal   the token, and the next one
//!     rotation  the next key
//!   road      network or serial line
//!     net     the interface, its address, a connection
//!   machine, stream, nonblocking   the board as core sees it
//! board         the hardware
//! ```
//!
//! [`board`] is the only module that knows the hardware and the only one with `unsafe` in it: to bring the agent to
//! another board, replace that module. It has two, one for each of the features `mps2-an386` and `lm3s6965evb`; on the
//! second there is the least agent alone, and of this crate what that takes.

#![no_std]
#![deny(unsafe_code)]

#[cfg(all(feature = "mps2-an386", feature = "lm3s6965evb"))]
compile_error!("one board at a time: take the smaller with --no-default-features");

#[cfg(feature = "mps2-an386")]
pub mod agent;
pub mod arguments;
pub mod backoff;
#[expect(
    unsafe_code,
    reason = "registers, linker symbols and handlers are reached here and nowhere else"
)]
pub mod board;
#[cfg(feature = "mps2-an386")]
pub mod commands;
#[cfg(feature = "mps2-an386")]
pub mod exchange;
pub mod identity;
#[cfg(feature = "mps2-an386")]
pub mod issuers;
#[cfg(feature = "mps2-an386")]
pub mod kept;
#[cfg(feature = "mps2-an386")]
pub mod life;
mod machine;
#[cfg(feature = "mps2-an386")]
pub mod net;
#[cfg(feature = "mps2-an386")]
mod nonblocking;
#[cfg(feature = "mps2-an386")]
pub mod offline;
pub mod renewal;
pub mod reports;
#[cfg(feature = "mps2-an386")]
pub mod road;
#[cfg(feature = "mps2-an386")]
pub mod rotation;
#[cfg(feature = "mps2-an386")]
pub mod serving;
pub mod settings;
pub mod stream;
#[cfg(feature = "mps2-an386")]
mod task;
