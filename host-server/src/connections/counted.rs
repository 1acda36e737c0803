//! A transport of which every message is counted.

use std::io;
use std::sync::Arc;

use moorline_core::wire::Form;

use super::Entry;
use crate::clock;
use crate::metrics::Metrics;
use crate::transport::Transport;

/// A transport of which every message is counted.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    transport: T,
    entry: Arc<Entry>,
    metrics: Arc<Metrics>,
}

impl<T: Transport> Counted<T> {
    /// Returns `transport`, whose messages `entry` and `metrics` count.
    pub(crate) fn new(transport: T, entry: &Arc<Entry>, metrics: &Arc<Metrics>) -> Self {
        entry.is_carried_by(T::NAME);
        Self {
            transport,
            entry: Arc::clone(entry),
            metrics: Arc::clone(metrics),
        }
    }
}

impl<T: Transport> Transport for Counted<T> {
    const FORM: Form = T::FORM;
    const NAME: &'static str = T::NAME;

    fn answer_to(&mut self, id: u32) {
        self.transport.answer_to(id);
    }

    fn widen(&mut self, max_message_len: usize) {
        self.transport.widen(max_message_len);
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let received = self.transport.receive().await;
        if let Ok(Some(message)) = &received {
            self.entry.receive(message.len(), clock::instant());
            self.metrics.received(message.len());
        }
        received
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.transport.send(message).await?;
        self.entry.send(message.len());
        self.metrics.sent(message.len());
        Ok(())
    }

    async fn end(&mut self) {
        self.transport.end().await;
    }
}
