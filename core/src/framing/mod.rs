//! From a byte stream to messages and back (PROTOCOL.md §9).
//!
//! A framing owns the buffer in which a message is put together. It adds no security: what it yields may be
//! nonsense, and what it drops is missed by the sequence numbers above it.

mod delimiter;
mod upgrade;
mod websocket;

pub use delimiter::{DELIMITED_OVERHEAD, Delimited, delimited_len};
pub use upgrade::{MAX_RESPONSE_LEN, UpgradeError, UpgradeKey, emit_request, parse_response};
pub use websocket::{MAX_CLIENT_HEADER_LEN, WebSocketClient};

use crate::entropy::Entropy;
use crate::reason::Error;

/// Marks where messages begin and end on a byte stream.
pub trait Framing {
    /// Takes bytes from the front of `bytes` until something is complete, or all of them.
    ///
    /// # Errors
    ///
    /// [`FramingError`] when the stream cannot be followed any further.
    fn absorb(&mut self, bytes: &[u8]) -> Result<Absorbed, FramingError>;

    /// Returns the message that the last [`Framing::absorb`] completed. It is gone with the next one.
    fn message(&mut self) -> &mut [u8];

    /// Writes what the framing itself has to answer to `out`, after [`Progress::Answer`] or [`Progress::Ended`].
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`], [`Error::Entropy`].
    fn emit_answer<'o>(
        &mut self,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error>;

    /// Writes `message` with its marks to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`], [`Error::Entropy`].
    fn emit<'o>(
        &mut self,
        message: &[u8],
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error>;
}

/// What [`Framing::absorb`] took in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absorbed {
    /// How many bytes were taken from the front.
    pub taken: usize,
    /// What they completed.
    pub progress: Progress,
}

/// What the bytes taken in completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing yet.
    Pending,
    /// A message.
    Message,
    /// A question of the framing, to be answered with [`Framing::emit_answer`].
    Answer,
    /// The end of the stream, announced by the peer and to be answered with [`Framing::emit_answer`].
    Ended,
}

/// Why a stream cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FramingError {
    /// A message is longer than the buffer.
    TooLong,
    /// A WebSocket frame has a reserved bit, a reserved opcode, a length in a longer form than needed, or is out of
    /// place (RFC 6455 §5).
    BadFrame,
    /// A server's frame is masked (RFC 6455 §5.1).
    Masked,
    /// A message is not binary.
    NotBinary,
}
