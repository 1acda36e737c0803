//! How many bytes a connection may send before they come to something.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use moorline_core::limits::MAX_HANDSHAKE_LEN;

use super::screened::{Screen, Screened};
use crate::transport::max_message_len;

/// Most bytes that are read of a connection before its peer is authenticated: the headers of a request, M1 and M3,
/// and as much again for the marks of the framing and for what a line says before its speaker is heard. Everything
/// counts: pings, fragments, empty frames and garbage.
const STRANGER_LEN: usize = 2 * (super::http::MAX_HEADERS_LEN + 2 * MAX_HANDSHAKE_LEN);

/// Most bytes of these that are read once requests are over: M1, M3 and a newcomer's token, each as long as it may be, which
/// none of them is; the rest is room for marks and pings. A WebSocket keeps what has come of a message until it is whole.
const HANDSHAKE_LEN: usize = 3 * MAX_HANDSHAKE_LEN;

/// Counts the bytes of one connection down. A stranger's count is for good; a peer's begins again at each of its
/// messages, so it bounds what does not belong to one.
#[derive(Debug)]
pub(crate) struct Meter {
    left: AtomicUsize,
    is_settled: AtomicBool,
    /// What a peer may send from one message to the next: the longest one with its marks, and what a stranger may.
    peer_len: usize,
}

impl Meter {
    pub(super) fn of_a_stranger(payload_len: u16) -> Self {
        Self {
            left: AtomicUsize::new(STRANGER_LEN),
            is_settled: AtomicBool::new(false),
            peer_len: 2 * max_message_len(payload_len) + STRANGER_LEN,
        }
    }

    /// Takes the connection for a peer's from here on.
    pub(super) fn settle(&self) {
        self.is_settled.store(true, Ordering::Release);
        self.begin_again();
    }

    /// Allows a stranger `len` bytes more, for what comes before its first request.
    pub(super) fn allow(&self, len: usize) {
        self.left.fetch_add(len, Ordering::AcqRel);
    }

    /// Allows a stranger no more than a handshake takes from here on.
    pub(super) fn begin_handshake(&self) {
        self.left.fetch_min(HANDSHAKE_LEN, Ordering::AcqRel);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Counts `len` bytes of a datagram; returns whether they are taken. What is too much of a stranger is dropped; a
    /// peer has no limit here, since anyone on the line could use it up.
    pub(super) fn takes(&self, len: usize) -> bool {
        if self.is_settled() {
            return true;
        }
        let left = self.left.load(Ordering::Acquire);
        let is_taken = len <= left;
        if is_taken {
            self.left.store(left - len, Ordering::Release);
        }
        is_taken
    }

    /// Counts anew after a message of a peer; a stranger's messages change nothing.
    pub(crate) fn begin_again(&self) {
        if self.is_settled() {
            self.left.store(self.peer_len, Ordering::Release);
        }
    }
}

/// A stream of which no more is read than its meter allows.
pub(crate) type Metered<S> = Screened<S, Arc<Meter>>;

impl Screen for Arc<Meter> {
    fn room(&mut self, len: usize) -> io::Result<usize> {
        let room = len.min(self.left.load(Ordering::Acquire));
        if room == 0 && len > 0 {
            let error = "more bytes than messages need";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(room)
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.load(Ordering::Acquire);
        let left = left.saturating_sub(bytes.len());
        self.left.store(left, Ordering::Release);
        Ok(())
    }
}
