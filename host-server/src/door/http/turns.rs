//! Requests, answered in turns: hyper is there while it has something to do, and no longer.
//!
//! It has 16 KiB for each connection that it knows, whether anything comes or not. Whoever has not said a request whole,
//! or says no other one, is waited for without it: with the bytes that have come, and nothing else.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};
use hyper::body::{Body, Bytes, Incoming};
use hyper::rt::{self, ReadBufCursor};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};

use super::super::http_io::HyperIo;
use super::MAX_HEADERS_LEN;
use super::answers::Answer;

/// Most headers of a request.
const MAX_HEADERS: usize = 32;

/// Bytes that one read takes while a request is waited for.
const READ_LEN: usize = 1024;

/// What ends the headers of a request.
const END: &[u8] = b"\r\n\r\n";

/// A connection that is a WebSocket's from here on.
#[derive(Debug)]
pub(super) struct Upgraded<S> {
    pub(super) stream: S,
    /// What was read of it already.
    pub(super) read: Vec<u8>,
}

/// Answers the requests that come in `stream` by `answer`, until there are no more; returns the stream when an answer was
/// to switch protocols.
///
/// # Errors
///
/// What ended the connection, in words for a log.
pub(super) async fn serve<S, A, F>(
    mut stream: S,
    answer: A,
) -> Result<Option<Upgraded<S>>, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let mut read = Vec::new();
    loop {
        wait(&mut stream, &mut read).await?;
        // An end of the stream is hyper's to judge too.
        match Box::pin(take_turn(stream, read, &answer)).await? {
            Turn::Upgraded(upgraded) => return Ok(Some(upgraded)),
            Turn::Over => return Ok(None),
            Turn::Idle(parts) => (stream, read) = parts,
        }
    }
}

/// How a turn of hyper's ended.
enum Turn<S> {
    Upgraded(Upgraded<S>),
    Over,
    /// There is nothing to do until more comes than this.
    Idle((S, Vec<u8>)),
}

/// Waits until there may be a request, or the stream ends: until something has come where nothing was there, so that what is
/// no request is refused at once; and after that until headers end, or there may be no more of them.
async fn wait<S: AsyncRead + Unpin>(stream: &mut S, read: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let before = read.len();
        let len = poll_fn(|context| poll_read_more(stream, read, context)).await?;
        let fresh = read.get(before.saturating_sub(END.len() - 1)..);
        let has_end = fresh.is_some_and(|fresh| fresh.windows(END.len()).any(|end| end == END));
        if len == 0 || before == 0 || has_end || read.len() >= MAX_HEADERS_LEN {
            return Ok(());
        }
    }
}

fn poll_read_more<S: AsyncRead + Unpin>(
    stream: &mut S,
    read: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // Who is waited for has no buffer of its own.
    let mut bytes = [0; READ_LEN];
    let len = ready!(Pin::new(stream).poll_read(context, &mut bytes))?;
    read.reserve_exact(len);
    read.extend(bytes.iter().take(len));
    Poll::Ready(Ok(len))
}

/// Has hyper serve `stream`, of which `read` was read already, until it has nothing to do.
async fn take_turn<S, A, F>(stream: S, read: Vec<u8>, answer: &A) -> hyper::Result<Turn<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let work = &Work::default();
    let service = service_fn(|request: Request<Incoming>| {
        work.begin(&request);
        let answered = answer(request);
        Box::pin(async {
            let answer = answered.await;
            work.end(&answer);
            Ok::<_, Infallible>(answer)
        })
    });
    let io = Watched {
        io: HyperIo(stream),
        read: read.into(),
        work,
    };
    // The time of a stranger is measured as a whole.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADERS_LEN)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    let is_over = poll_fn(|context| match connection.poll_without_shutdown(context) {
        Poll::Ready(ended) => Poll::Ready(ended.map(|()| true)),
        Poll::Pending if work.is_done() => Poll::Ready(Ok(false)),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let parts = connection.into_parts();
    let (mut stream, read) = (parts.io.io.0, parts.read_buf.to_vec());
    if !is_over {
        return Ok(Turn::Idle((stream, read)));
    }
    if work.is_upgraded.load(Ordering::Relaxed) {
        return Ok(Turn::Upgraded(Upgraded { stream, read }));
    }
    // The peer may be gone, which ends the stream as well.
    let _ = stream.close().await;
    Ok(Turn::Over)
}

/// What hyper has to do on one connection. It is worked on by one task, so no order of memory matters.
#[derive(Debug, Default)]
struct Work {
    /// Requests that have no answer yet.
    open: AtomicUsize,
    /// Whether a request had a body: only hyper knows where it ends, so the connection stays with it.
    has_body: AtomicBool,
    is_upgraded: AtomicBool,
    /// Whether hyper wants more than has come: it has understood all that came before.
    is_starved: AtomicBool,
    /// Whether something is written that is not flushed.
    is_writing: AtomicBool,
}

impl Work {
    fn begin<B: Body>(&self, request: &Request<B>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if !request.body().is_end_stream() {
            self.has_body.store(true, Ordering::Relaxed);
        }
    }

    fn end(&self, answer: &Answer) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.is_upgraded.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether nothing is left to do until more comes.
    fn is_done(&self) -> bool {
        self.is_starved.load(Ordering::Relaxed)
            && self.open.load(Ordering::Relaxed) == 0
            && !self.is_writing.load(Ordering::Relaxed)
            && !self.has_body.load(Ordering::Relaxed)
            && !self.is_upgraded.load(Ordering::Relaxed)
    }
}

/// A stream that begins with what was read of it already, and says what hyper does with it.
#[derive(Debug)]
struct Watched<'w, S> {
    io: HyperIo<S>,
    read: Bytes,
    work: &'w Work,
}

impl<S: AsyncRead + Unpin> rt::Read for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let len = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(len));
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        self.work
            .is_starved
            .store(polled.is_pending(), Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> rt::Write for Watched<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.work.is_writing.store(true, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(context);
        if polled.is_ready() {
            self.work.is_writing.store(false, Ordering::Relaxed);
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
