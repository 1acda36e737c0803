//! A stream of which every read is looked at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

/// What looks at the reads of a stream.
pub(crate) trait Screen {
    /// Returns how many bytes may be read now where there is room for `len`.
    ///
    /// # Errors
    ///
    /// What ends the stream: nothing may be read any more.
    fn room(&mut self, len: usize) -> io::Result<usize> {
        Ok(len)
    }

    /// Looks at `bytes`, which were read.
    ///
    /// # Errors
    ///
    /// What ends the stream.
    fn look(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A stream of which `screen` looks at every read. What is written goes out as it is.
#[derive(Debug)]
pub(crate) struct Screened<S, C> {
    stream: S,
    screen: C,
}

impl<S, C> Screened<S, C> {
    pub(super) fn new(stream: S, screen: C) -> Self {
        Self { stream, screen }
    }

    /// Returns the stream, which is read as it is from now on.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin, C: Screen + Unpin> AsyncRead for Screened<S, C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, screen } = self.get_mut();
        let len = screen.room(buffer.len())?;
        let place = buffer.get_mut(..len).unwrap_or_default();
        let read = Pin::new(stream).poll_read(context, place);
        if let Poll::Ready(Ok(len)) = read {
            screen.look(place.get(..len).unwrap_or_default())?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, C: Unpin> AsyncWrite for Screened<S, C> {
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
