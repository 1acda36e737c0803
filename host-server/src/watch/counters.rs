//! The counts, and when one of them is an alert.

use std::sync::{Arc, Mutex, PoisonError};

use async_channel::{Receiver, Sender};
use moorline_core::time::{Instant, Now};
use serde::Serialize;

use super::settings::{Thresholds, WatchConfig};
use super::window::Window;
use crate::audit::{Event, Kind, Severity};

/// Alerts that wait to be taken along.
const QUEUE: usize = 64;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Strangers and tokens that were refused.
    AuthenticationFailures,
    /// Strangers and peers that came to a limit.
    LimitViolations,
    /// Addresses that are not listened to.
    BlockedAddresses,
}

impl Class {
    /// Returns the name in alerts and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthenticationFailures => "authentication_failures",
            Self::LimitViolations => "limit_violations",
            Self::BlockedAddresses => "blocked_addresses",
        }
    }

    fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::StrangerRefused | Kind::TokenRefused | Kind::LoginRefused => {
                Some(Self::AuthenticationFailures)
            }
            Kind::LimitHit => Some(Self::LimitViolations),
            Kind::AddressBlocked => Some(Self::BlockedAddresses),
            _ => None,
        }
    }
}

/// Something happens too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// What.
    pub class: Class,
    /// How grave it is.
    pub severity: Severity,
    /// How often it happened in the window.
    pub count: u64,
    /// The window in seconds.
    pub window_seconds: u64,
    /// When this was noticed, in milliseconds since 1970.
    pub time: u64,
    /// The last address that had to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// One count.
#[derive(Debug)]
struct Counter {
    class: Class,
    window: Window,
    thresholds: Thresholds,
    /// The last alert: how grave it was, and when.
    last: Option<(Severity, Instant)>,
}

impl Counter {
    /// Counts one more; returns the alert that it is.
    fn add(&mut self, now: Instant, cooldown_millis: u64) -> Option<(Severity, u64)> {
        let count = self.window.add(now);
        let Thresholds {
            info,
            warning,
            critical,
            emergency,
        } = self.thresholds;
        let reached = [
            (Severity::Emergency, emergency),
            (Severity::Critical, critical),
            (Severity::Warning, warning),
            (Severity::Info, info),
        ];
        let is_reached = |threshold: u32| threshold > 0 && count >= u64::from(threshold);
        let (severity, _) = reached
            .into_iter()
            .find(|(_, threshold)| is_reached(*threshold))?;
        let is_cooling = self
            .last
            .is_some_and(|(last, at)| severity <= last && now.since(at) < cooldown_millis);
        if is_cooling {
            return None;
        }
        self.last = Some((severity, now));
        Some((severity, count))
    }
}

/// Counts what goes wrong.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    counters: Arc<Mutex<[Counter; 3]>>,
    window_seconds: u64,
    cooldown_millis: u64,
    alerts: Sender<Alert>,
}

impl Watch {
    /// Returns the watch, and the end at which its alerts come out.
    pub(crate) fn new(config: &WatchConfig) -> (Self, Receiver<Alert>) {
        let counter = |class, thresholds: &Thresholds| Counter {
            class,
            window: Window::new(config.window_seconds),
            thresholds: thresholds.clone(),
            last: None,
        };
        let counters = [
            counter(
                Class::AuthenticationFailures,
                &config.authentication_failures,
            ),
            counter(Class::LimitViolations, &config.limit_violations),
            counter(Class::BlockedAddresses, &config.blocked_addresses),
        ];
        let (sender, alerts) = async_channel::bounded(QUEUE);
        let watch = Self {
            counters: Arc::new(Mutex::new(counters)),
            window_seconds: config.window_seconds,
            cooldown_millis: config.cooldown_seconds.saturating_mul(1_000),
            alerts: sender,
        };
        (watch, alerts)
    }

    /// Counts what happens.
    pub(crate) fn observe(&self, event: &Event, now: Now) {
        let Some(class) = Class::of(event.kind()) else {
            return;
        };
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.iter_mut().find(|counter| counter.class == class);
        let reached = counter.and_then(|counter| counter.add(now.instant, self.cooldown_millis));
        drop(counters);
        if let Some((severity, count)) = reached {
            let alert = Alert {
                class,
                severity,
                count,
                window_seconds: self.window_seconds,
                time: now.unix.0,
                address: event.address().map(str::to_owned),
            };
            if self.alerts.try_send(alert).is_err() {
                tracing::warn!(class = class.name(), %severity, count, "an alert is not taken along");
            }
        }
    }

    /// Says that no more alerts come.
    pub(crate) fn close(&self) {
        self.alerts.close();
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::{TimeQuality, UnixMillis};

    use super::*;

    fn at(millis: u64) -> Now {
        Now {
            instant: Instant(millis),
            unix: UnixMillis(millis),
            quality: TimeQuality::HostClock,
        }
    }

    fn config() -> WatchConfig {
        WatchConfig {
            window_seconds: 32,
            cooldown_seconds: 100,
            authentication_failures: Thresholds {
                info: 2,
                warning: 4,
                critical: 0,
                emergency: 8,
            },
            ..WatchConfig::default()
        }
    }

    fn refused() -> Event {
        Event::new(Kind::StrangerRefused).peer("tcp 10.0.0.1:1")
    }

    fn said(alerts: &Receiver<Alert>) -> Vec<(Severity, u64)> {
        let alerts = std::iter::from_fn(|| alerts.try_recv().ok());
        alerts.map(|alert| (alert.severity, alert.count)).collect()
    }

    #[test]
    fn each_threshold_is_an_alert_once_and_the_graver_one_at_once() {
        let (watch, alerts) = Watch::new(&config());
        for second in 0..10 {
            watch.observe(&refused(), at(1_000 * second));
        }
        let all = [
            (Severity::Info, 2),
            (Severity::Warning, 4),
            (Severity::Emergency, 8),
        ];
        assert_eq!(said(&alerts), all);
        // The window is empty again, and the cool-down is not over.
        for second in 90..100 {
            watch.observe(&refused(), at(1_000 * second));
        }
        assert_eq!(said(&alerts), []);
        for second in 200..203 {
            watch.observe(&refused(), at(1_000 * second));
        }
        assert_eq!(said(&alerts), [(Severity::Info, 2)]);
    }

    #[test]
    fn each_class_is_counted_by_itself() {
        let (watch, alerts) = Watch::new(&config());
        watch.observe(&refused(), at(0));
        watch.observe(&Event::new(Kind::LimitHit), at(0));
        watch.observe(&Event::new(Kind::SessionOpened), at(0));
        assert_eq!(said(&alerts), []);
        watch.observe(&Event::new(Kind::AddressBlocked), at(0));
        assert_eq!(said(&alerts), [(Severity::Info, 1)]);
        watch.observe(&refused(), at(0));
        let alert = alerts.try_recv().expect("an alert");
        assert_eq!(alert.class, Class::AuthenticationFailures);
        assert_eq!(alert.address.as_deref(), Some("10.0.0.1:1"));
    }

    #[test]
    fn alerts_that_nobody_takes_are_dropped() {
        let config = WatchConfig {
            cooldown_seconds: 0,
            ..config()
        };
        let (watch, alerts) = Watch::new(&config);
        for second in 0..1_000 {
            watch.observe(&refused(), at(1_000 * second));
        }
        assert_eq!(alerts.len(), QUEUE);
    }
}
