//! Whole messages over a socket, whatever the framing.

use std::io;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Message;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use moorline_core::framing::{Delimited, Framing, Progress, delimited_len};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::wire::{FRAME_OVERHEAD, Form};

use crate::entropy::SystemEntropy;

/// Bytes that one read of a bare stream takes: most messages are shorter.
const READ_LEN: usize = 1024;

/// Returns the longest message in bytes on a transport whose frames carry up to `payload_len`.
pub(crate) fn max_message_len(payload_len: u16) -> usize {
    MAX_HANDSHAKE_LEN.max(usize::from(payload_len) + FRAME_OVERHEAD)
}

/// What carries messages. Waiting for one and giving up loses nothing.
pub(crate) trait Transport {
    /// The form of the links that it carries. Over datagrams a message is one datagram, and what is sent is one or
    /// several, one after the other.
    const FORM: Form = Form::Stream;

    /// What operators call it.
    const NAME: &'static str;

    /// Notes that the peer names this end by `id` in its datagrams.
    fn answer_to(&mut self, _id: u32) {}

    /// Takes messages of up to `max_message_len` bytes from here on, where a transport has room for shorter ones until its
    /// peer is authenticated.
    fn widen(&mut self, _max_message_len: usize) {}

    /// Waits for the next message; nothing stands for the end of the stream.
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Sends `message`.
    async fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Ends the stream.
    async fn end(&mut self);
}

/// Binary messages of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket<S>(WebSocketStream<S>);

impl<S> WebSocket<S> {
    pub(crate) fn new(stream: WebSocketStream<S>) -> Self {
        Self(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for WebSocket<S> {
    const NAME: &'static str = "websocket";

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.0.next().await {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes.into())),
                // Answered by the library, which keeps one answer at most. Others on this thread have their turn.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => future::yield_now().await,
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "not a binary message",
                    ));
                }
                Some(Err(error)) => return Err(to_io(error)),
            }
        }
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0
            .send(Message::Binary(message.to_vec().into()))
            .await
            .map_err(to_io)
    }

    async fn end(&mut self) {
        // The peer may be gone, which ends the stream as well.
        let _ = self.0.close(None).await;
    }
}

fn to_io(error: async_tungstenite::tungstenite::Error) -> io::Error {
    match error {
        async_tungstenite::tungstenite::Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

/// Delimited messages of a bare stream.
#[derive(Debug)]
pub(crate) struct BareStream<S> {
    stream: S,
    framing: Delimited<Vec<u8>>,
    input: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S> BareStream<S> {
    /// Returns the transport for messages of up to [`MAX_HANDSHAKE_LEN`] bytes, until it is widened.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            framing: framing_for(MAX_HANDSHAKE_LEN),
            input: vec![0; READ_LEN],
            start: 0,
            end: 0,
        }
    }
}

fn framing_for(max_message_len: usize) -> Delimited<Vec<u8>> {
    Delimited::new(vec![0; delimited_len(max_message_len)])
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for BareStream<S> {
    const NAME: &'static str = "tcp";

    fn widen(&mut self, max_message_len: usize) {
        // The message that authenticated the peer was whole, and none is begun: what came after it is still in `input`.
        self.framing = framing_for(max_message_len);
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            while self.start < self.end {
                let bytes = self.input.get(self.start..self.end).unwrap_or_default();
                // Garbage is dropped by this framing, never refused.
                let Ok(absorbed) = self.framing.absorb(bytes) else {
                    return Ok(None);
                };
                self.start += absorbed.taken;
                if absorbed.progress == Progress::Message {
                    return Ok(Some(self.framing.message().to_vec()));
                }
            }
            // Others on this thread have their turn, however much of this there is.
            future::yield_now().await;
            let len = self.stream.read(&mut self.input).await?;
            if len == 0 {
                return Ok(None);
            }
            self.start = 0;
            self.end = len;
        }
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut unit = vec![0; delimited_len(message.len())];
        let unit = self
            .framing
            .emit(message, &mut SystemEntropy, &mut unit)
            .map_err(|_| io::Error::other("the message is longer than the transport takes"))?;
        self.stream.write_all(unit).await?;
        self.stream.flush().await
    }

    async fn end(&mut self) {
        // The peer may be gone, which ends the stream as well.
        let _ = self.stream.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use async_tungstenite::tungstenite::protocol::Role;
    use futures_lite::future;

    use super::*;

    /// A peer that always has something more to say and takes whatever it is told, until it has said enough.
    struct Flood {
        unit: &'static [u8],
        left: usize,
    }

    impl AsyncRead for Flood {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            if self.left == 0 {
                return Poll::Ready(Ok(0));
            }
            self.left -= 1;
            let len = self.unit.len();
            buffer[..len].copy_from_slice(self.unit);
            Poll::Ready(Ok(len))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Returns whether others have a turn before the flood has ended.
    async fn gives_others_a_turn<T: Transport>(mut transport: T) -> bool {
        future::poll_once(transport.receive()).await.is_none()
    }

    #[test]
    fn a_peer_that_says_nothing_of_use_leaves_others_their_turn() {
        let flood = |unit| Flood { unit, left: 1_000 };
        future::block_on(async {
            let bare = BareStream::new(flood(&[0xA5, 0]));
            assert!(gives_others_a_turn(bare).await);
            let pings = flood(&[0x89, 0x80, 0, 0, 0, 0]);
            let stream = WebSocketStream::from_raw_socket(pings, Role::Server, None).await;
            assert!(gives_others_a_turn(WebSocket::new(stream)).await);
        });
    }
}
