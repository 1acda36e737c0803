//! Boots Moorline device images in QEMU and judges what they did.
//!
//! ```text
//! image        builds an image of `firmware-example`
//!   emulator   runs it: serial line, provisioning, deadline
//!     log      decodes what it says, with the image's own table
//!       conformance, bench   judge that
//! wasm         the conformance cases under Node, judged by the same
//!         suite              sums it all up
//! site         a hub and its peers, by the programs that a user runs
//!   stand      one of each: hub, device, commander
//! interop      the tests of the second peer, in Python, against all of these
//! ```
//!
//! Invariants: no emulator outlives the value that stands for it; nothing waits without a deadline unless asked
//! to; nothing is installed without a line that says so.

#![forbid(unsafe_code)]

pub mod bench;
pub mod conformance;
pub mod constant_time;
pub mod image;
pub mod interop;
pub mod interpreted;
pub mod monitor;
pub mod setup;
pub mod site;
pub mod stand;
pub mod suite;
pub mod wasm;

mod emulator;
mod error;
mod log;
mod reporting;
mod running;

pub use emulator::{GATEWAY, Qemu};
pub use error::Error;
pub use log::{Decoder, Level, Location, LogLine};
pub use running::{Outcome, POWER_CUT, Running};
