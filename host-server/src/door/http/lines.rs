//! Lines that end as they have to.
//!
//! A line of a request ends with CR and LF (RFC 9112 §2.2). A recipient may take LF alone for the end too, and where one does and
//! a proxy in front of it does not, a request hides in another. Here it ends the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

/// A stream of requests without bodies, every LF of which follows a CR, until there are requests no more.
#[derive(Debug)]
pub(super) struct Lines<S> {
    stream: S,
    last: u8,
    is_over: Arc<AtomicBool>,
}

impl<S> Lines<S> {
    /// Checks what is read of `stream` until `is_over` is set.
    pub(super) fn new(stream: S, is_over: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            last: 0,
            is_over,
        }
    }

    /// Returns the stream, which is read as it is from now on.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

/// Returns whether every LF of `bytes`, which follow `last`, has a CR before it.
fn are_whole(last: u8, bytes: &[u8]) -> bool {
    let before = std::iter::once(&last).chain(bytes);
    let mut pairs = before.zip(bytes);
    pairs.all(|(before, byte)| *byte != b'\n' || *before == b'\r')
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(len)) = read
            && !self.is_over.load(Ordering::Acquire)
        {
            let bytes = buffer.get(..len).unwrap_or_default();
            if !are_whole(self.last, bytes) {
                let error = "a line ends without CR";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            self.last = bytes.last().copied().unwrap_or(self.last);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::are_whole;

    #[test]
    fn every_line_end_has_both_its_bytes_wherever_it_is_cut() {
        assert!(are_whole(0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(are_whole(b'\r', b"\nHost: a") && are_whole(b'x', b""));
        assert!(!are_whole(0, b"\n") && !are_whole(b'x', b"\nHost: a"));
        assert!(!are_whole(0, b"GET / HTTP/1.1\r\nHost: a\n\r\n"));
        assert!(!are_whole(0, b"\r\n\n"));
    }
}
