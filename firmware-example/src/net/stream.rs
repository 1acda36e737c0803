//! A TCP connection as a stream whose reads end in time.

use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use smoltcp::socket::tcp::{RecvError, Socket, State};

use super::Net;
use super::connect::UNANSWERED_MS;
use crate::stream::READ_MS;

/// A connection. A read that gets nothing for [`READ_MS`] says so. Dropping it closes it.
pub struct TcpStream<'n> {
    net: &'n mut Net,
    /// Bytes that the host has not acknowledged, and since when none was.
    unacknowledged: usize,
    unacknowledged_since: u64,
}

impl<'n> TcpStream<'n> {
    pub(super) fn new(net: &'n mut Net) -> Self {
        let now = net.clock.milliseconds();
        Self {
            net,
            unacknowledged: 0,
            unacknowledged_since: now,
        }
    }

    /// As [`Net::provoke_fault`].
    pub fn provoke_fault(&mut self) {
        self.net.provoke_fault();
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.net.sockets.get_mut(self.net.tcp)
    }

    fn poll(&mut self) {
        self.net.poll();
        let now = self.net.clock.milliseconds();
        let queued = self.socket().send_queue();
        if queued < self.unacknowledged || self.unacknowledged == 0 {
            self.unacknowledged_since = now;
        }
        self.unacknowledged = queued;
    }

    /// Says why a connection is gone that nobody closed.
    fn cause(&self) -> StreamError {
        let silent_ms = self.net.clock.milliseconds() - self.unacknowledged_since;
        if self.unacknowledged > 0 && silent_ms >= UNANSWERED_MS {
            StreamError::Unanswered
        } else {
            StreamError::Reset
        }
    }
}

impl ErrorType for TcpStream<'_> {
    type Error = StreamError;
}

impl Read for TcpStream<'_> {
    /// Returns 0 when the host has closed its side.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, StreamError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let deadline = self.net.clock.milliseconds() + READ_MS;
        loop {
            match self.socket().recv_slice(bytes) {
                Ok(0) => {}
                Ok(len) => return Ok(len),
                Err(RecvError::Finished) => return Ok(0),
                Err(RecvError::InvalidState) => return Err(self.cause()),
            }
            // What is waited for may come with this; it is asked for once more before the deadline is.
            self.poll();
            if self.socket().can_recv() || !self.socket().may_recv() {
                continue;
            }
            if self.net.clock.milliseconds() >= deadline {
                return Err(StreamError::TimedOut);
            }
            self.net.sleep();
        }
    }
}

impl Write for TcpStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let deadline = self.net.clock.milliseconds() + STALLED_MS;
        loop {
            let Ok(len) = self.socket().send_slice(bytes) else {
                return Err(self.cause());
            };
            self.poll();
            if len > 0 {
                return Ok(len);
            }
            if self.net.clock.milliseconds() >= deadline {
                return Err(StreamError::Stalled);
            }
            if !self.socket().can_send() {
                self.net.sleep();
            }
        }
    }

    /// Hands on what the host has room for. The rest follows with later calls.
    fn flush(&mut self) -> Result<(), StreamError> {
        self.poll();
        Ok(())
    }
}

impl Drop for TcpStream<'_> {
    /// Says goodbye and gives the host a moment to hear what was said last.
    fn drop(&mut self) {
        self.socket().close();
        let give_up = self.net.clock.milliseconds() + FAREWELL_MS;
        loop {
            self.poll();
            let has_heard = !matches!(
                self.socket().state(),
                State::FinWait1 | State::Closing | State::LastAck
            );
            if has_heard || self.net.clock.milliseconds() >= give_up {
                break;
            }
            self.net.sleep();
        }
        self.socket().abort();
        self.poll();
    }
}

/// What a connection can fail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum StreamError {
    /// Nothing arrived in time.
    TimedOut,
    /// The host has ended the connection, or the device has another address.
    Reset,
    /// The host has acknowledged nothing for too long.
    Unanswered,
    /// The host has made no room for too long.
    Stalled,
}

impl fmt::Display for StreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TimedOut => "nothing arrived in time",
            Self::Reset => "the host has ended the connection",
            Self::Unanswered => "the host does not answer any more",
            Self::Stalled => "the host takes nothing any more",
        })
    }
}

impl core::error::Error for StreamError {}

impl embedded_io::Error for StreamError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::Unanswered | Self::Stalled => ErrorKind::ConnectionAborted,
        }
    }
}

/// Milliseconds for which a write waits for room.
const STALLED_MS: u64 = 10_000;
/// Milliseconds for the last words.
const FAREWELL_MS: u64 = 300;
