//! Takes alerts to whom they are for. Each has a queue of its own, so that one who does not listen holds nobody up.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future;
use serde_json::json;

use super::counters::Alert;
use super::settings::WatchConfig;
use super::webhook::Target;
use crate::audit::{Event, Kind, Severity};
use crate::witness::Witness;

/// Alerts that wait for one who takes them.
const QUEUE: usize = 16;

/// What a user does with alerts.
pub trait AlertHandler: Send + Sync + 'static {
    /// Takes an alert. It may take its time: it holds up nothing but the alerts behind it, of which 16 wait and the
    /// others are dropped.
    fn handle(&self, alert: &Alert);
}

/// A user's handler.
#[derive(Clone)]
pub(crate) struct Handler(pub(crate) Arc<dyn AlertHandler>);

impl fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Handler")
    }
}

/// Takes alerts along.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) alerts: Receiver<Alert>,
    pub(crate) hub: String,
    pub(crate) config: WatchConfig,
    pub(crate) handler: Option<Handler>,
}

impl Courier {
    /// Takes alerts along until there are no more.
    pub(crate) async fn run(self, witness: Witness) {
        let (to_webhook, webhook) = async_channel::bounded(QUEUE);
        let (to_handler, handled) = async_channel::bounded(QUEUE);
        let target = self.config.target().ok().flatten();
        let patience = Duration::from_millis(self.config.webhook_millis);
        let (has_target, has_handler) = (target.is_some(), self.handler.is_some());
        let sort = async {
            while let Ok(alert) = self.alerts.recv().await {
                tell(&alert, &witness);
                if has_target {
                    hand_on(&to_webhook, &alert, "webhook");
                }
                if has_handler {
                    hand_on(&to_handler, &alert, "handler");
                }
            }
            drop((to_webhook, to_handler));
        };
        let posting = post_all(webhook, target, patience, &self.hub);
        let handling = handle_all(handled, self.handler);
        future::zip(sort, future::zip(posting, handling)).await;
    }
}

/// Writes an alert to the log and to the audit log.
fn tell(alert: &Alert, witness: &Witness) {
    let Alert {
        class,
        severity,
        count,
        window_seconds,
        ..
    } = alert;
    let (class, last_address) = (class.name(), alert.address.as_deref().unwrap_or("none"));
    match severity {
        Severity::Info => {
            tracing::info!(class, %severity, count, window_seconds, last_address, "alert");
        }
        Severity::Warning => {
            tracing::warn!(class, %severity, count, window_seconds, last_address, "alert");
        }
        Severity::Critical | Severity::Emergency => {
            tracing::error!(class, %severity, count, window_seconds, last_address, "alert");
        }
    }
    let event = Event::new(Kind::Alert)
        .severity(*severity)
        .text("class", class)
        .number("count", *count)
        .number("window_seconds", *window_seconds);
    witness.note(match &alert.address {
        Some(address) => event.peer(address),
        None => event,
    });
}

fn hand_on(to: &Sender<Alert>, alert: &Alert, what: &str) {
    if to.try_send(alert.clone()).is_err() {
        tracing::warn!(
            what,
            "an alert is dropped: those before it are not taken yet"
        );
    }
}

async fn post_all(alerts: Receiver<Alert>, target: Option<Target>, patience: Duration, hub: &str) {
    while let (Ok(alert), Some(target)) = (alerts.recv().await, &target) {
        let mut body = json!(alert);
        body["hub"] = json!(hub);
        if let Err(error) = target.post(body.to_string(), patience).await {
            tracing::warn!(%error, "an alert did not reach the webhook");
        }
    }
}

async fn handle_all(alerts: Receiver<Alert>, handler: Option<Handler>) {
    while let (Ok(alert), Some(Handler(handler))) = (alerts.recv().await, handler.clone()) {
        // What a user's handler does wrong ends nothing of the hub.
        let handled = smol::unblock(move || {
            catch_unwind(AssertUnwindSafe(|| handler.handle(&alert))).is_ok()
        });
        if !handled.await {
            tracing::error!("the handler of alerts panicked");
        }
    }
}
