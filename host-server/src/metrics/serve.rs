//! `/healthz`, `/readyz` and `/metrics`, on a listener of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::future;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use smol::net::{TcpListener, TcpStream};

use super::level;
use crate::connections::ConnectionState;
use crate::door::{HyperIo, MAX_HEADERS_LEN};
use crate::shared::Shared;

/// Connections at a time; one more is dropped.
const MAX_CONNECTIONS: usize = 16;

/// Most headers of a request.
const MAX_HEADERS: usize = 32;

/// How long a request and its answer may take together.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the listener rests after the system refused to give a socket.
const PAUSE: Duration = Duration::from_millis(100);

/// The media type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves requests on `listener` for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let count = Arc::new(AtomicUsize::new(0));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if count.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
                    count.fetch_sub(1, Ordering::AcqRel);
                } else {
                    let (shared, count) = (Arc::clone(&shared), Arc::clone(&count));
                    let task = async move {
                        serve_one(stream, &shared).await;
                        count.fetch_sub(1, Ordering::AcqRel);
                    };
                    executor.spawn(task).detach();
                }
                future::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a request for metrics");
                smol::Timer::after(PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, shared: &Shared) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(&request, shared).await)
    });
    let served = async {
        let served = http1::Builder::new()
            .header_read_timeout(None)
            .keep_alive(false)
            .max_buf_size(MAX_HEADERS_LEN)
            .max_headers(MAX_HEADERS)
            .serve_connection(HyperIo(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a request for metrics failed");
        }
    };
    future::or(served, async {
        smol::Timer::after(PATIENCE).await;
    })
    .await;
}

async fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD is expected\n");
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/healthz" => plain(StatusCode::OK, "alive\n"),
        "/readyz" => readiness(shared).await,
        "/metrics" => metrics(shared).await,
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    }
}

async fn readiness(shared: &Shared) -> Response<Full<Bytes>> {
    let components = shared.components().await;
    let broken = components.iter().filter(|component| !component.works);
    let lines: Vec<String> = broken
        .map(|component| format!("{}: {}\n", component.name, component.reason))
        .collect();
    if lines.is_empty() {
        return plain(StatusCode::OK, "ready\n");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, lines.concat())
}

async fn metrics(shared: &Shared) -> Response<Full<Bytes>> {
    shared.measure().await;
    match shared.budget.metrics().text() {
        Ok(text) => said(StatusCode::OK, text, OPENMETRICS),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "no text\n"),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    said(status, text, "text/plain; charset=utf-8")
}

fn said(
    status: StatusCode,
    text: impl Into<Bytes>,
    media_type: &'static str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

impl Shared {
    /// Sets what is only known by looking.
    async fn measure(&self) {
        let metrics = self.budget.metrics();
        let counts = self.budget.counts();
        for state in [
            ConnectionState::Connecting,
            ConnectionState::Connected,
            ConnectionState::Authenticated,
            ConnectionState::Disconnecting,
        ] {
            for transport in ["http", "websocket", "tcp", "udp"] {
                let count = counts.get(&(state, transport)).copied().unwrap_or(0);
                let labels = [("state", state.label()), ("transport", transport)];
                metrics.connections.get_or_create(&labels).set(level(count));
            }
        }
        let kept = self.offline.kept().await;
        for (kind, (number, bytes)) in [("command", kept.commands), ("reply", kept.replies)] {
            let labels = [("kind", kind)];
            metrics.offline.get_or_create(&labels).set(level(number));
            metrics
                .offline_bytes
                .get_or_create(&labels)
                .set(level(bytes));
        }
        metrics.tickets.set(level(self.tickets().count()));
        metrics.blocked.set(level(self.budget.blocked()));
        metrics.hub_queue.set(level(self.hub.queue_len()));
        metrics.start_time.set(level(self.started.unix.secs()));
        for (key, seconds) in self.key_ages() {
            metrics
                .key_age
                .get_or_create(&[("key", key)])
                .set(level(seconds));
        }
    }
}
