//! A stream in TLS or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use futures_rustls::rustls::ProtocolVersion;

/// A stream in TLS or without.
#[derive(Debug)]
pub(crate) enum Skin<S> {
    /// As it is.
    Plain(S),
    /// In TLS.
    Tls(Box<TlsStream<S>>),
}

impl<S> Skin<S> {
    /// Returns what names this TLS connection and no other (RFC 9266); nothing without TLS, and nothing with TLS 1.2, in
    /// which two connections can be made to have the same.
    pub(crate) fn channel(&self) -> Option<[u8; 32]> {
        const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
        let Self::Tls(stream) = self else {
            return None;
        };
        let named = match &**stream {
            TlsStream::Server(stream) => {
                let (_, tls) = stream.get_ref();
                let is_13 = tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
                is_13.then(|| tls.export_keying_material([0; 32], LABEL, None))
            }
            TlsStream::Client(stream) => {
                let (_, tls) = stream.get_ref();
                let is_13 = tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
                is_13.then(|| tls.export_keying_material([0; 32], LABEL, None))
            }
        };
        named?.ok()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Skin<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Skin<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_close(context),
            Self::Tls(stream) => Pin::new(stream).poll_close(context),
        }
    }
}
