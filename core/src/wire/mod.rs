//! Bytes to values and back.
//!
//! Every file of a message has one order: layout constants, the value, `parse`, `emit`. `parse` takes bytes of any
//! kind and returns a value that cannot be nonsense; `emit` writes it back to the same bytes. Neither knows keys or
//! states. Integers are big-endian (PROTOCOL.md §2.1).

mod reader;
mod writer;

pub use reader::{Reader, Truncated};
pub use writer::{TooSmall, Writer};
