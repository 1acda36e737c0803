//! The serial line as a stream whose reads end in time.

use core::convert::Infallible;
use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, Write};

use crate::board::{Clock, Uart};

/// The serial line to the hub, by a UART whose reads block unless another is named. A read that gets nothing for `READ_MS`
/// says so, and deadlines are attended to.
pub struct Line<'u, U = Uart> {
    pub(crate) uart: &'u mut U,
    pub(crate) clock: Clock,
}

impl<'u, U> Line<'u, U> {
    /// Returns the stream over `uart`.
    pub fn new(uart: &'u mut U, clock: Clock) -> Self {
        Self { uart, clock }
    }
}

impl Line<'_> {
    /// Reads and drops what arrives until nothing does for `QUIET_MS`, or `DRAIN_MS` have passed; returns how
    /// many bytes were dropped.
    ///
    /// What is on its way belongs to a connection that is over.
    pub fn drain(&mut self) -> usize {
        let mut dropped = 0;
        let mut bytes = [0; 64];
        let give_up = self.clock.milliseconds() + DRAIN_MS;
        loop {
            let now = self.clock.milliseconds();
            let len = self.uart.read_until(&mut bytes, now + QUIET_MS);
            dropped += len;
            if len == 0 || now >= give_up {
                return dropped;
            }
        }
    }
}

impl<U> ErrorType for Line<'_, U> {
    type Error = LineError;
}

impl Read for Line<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, LineError> {
        let deadline = self.clock.milliseconds() + READ_MS;
        match self.uart.read_until(bytes, deadline) {
            0 if !bytes.is_empty() => Err(LineError::TimedOut),
            len => Ok(len),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        self.uart.write(bytes).map_err(LineError::from)
    }

    fn flush(&mut self) -> Result<(), LineError> {
        self.uart.flush().map_err(LineError::from)
    }
}

/// What a serial line can fail with: nothing but silence, for a wire does not know what it is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum LineError {
    /// Nothing arrived in time.
    TimedOut,
}

impl From<Infallible> for LineError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nothing arrived in time")
    }
}

impl core::error::Error for LineError {}

impl embedded_io::Error for LineError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::TimedOut
    }
}

/// Deadlines of the link are seconds; a fifth of one is soon enough to attend to them.
pub const READ_MS: u64 = 200;
/// The other end of the line is a socket on the same host: what it has sent is here within this time.
pub(crate) const QUIET_MS: u64 = 50;
/// A line that never falls silent is read no longer than this; the attempt that follows fails and comes back here.
pub(crate) const DRAIN_MS: u64 = 1_000;
