//! What is counted of the whole daemon, in the text format of OpenMetrics 1.0.
//!
//! Labels come from closed lists: no name, address, key or token of a peer is in them.

mod health;
mod serve;

use std::fmt;

pub use health::Component;
pub(crate) use health::{Doors, Running};
use moorline_core::message::RouteRefusal;
use moorline_core::reason::Reason;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
pub(crate) use serve::serve;

/// One label.
type One = [(&'static str, &'static str); 1];

/// Two labels.
type Two = [(&'static str, &'static str); 2];

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    registry: Registry,
    messages: Family<One, Counter>,
    bytes: Family<One, Counter>,
    routed: Counter,
    routed_bytes: Counter,
    route_refusals: Family<One, Counter>,
    handshakes: Family<One, Counter>,
    sent_away: Family<One, Counter>,
    limit_hits: Family<One, Counter>,
    renewals: Family<One, Counter>,
    closed: Family<One, Counter>,
    /// Those below are set when they are asked for.
    pub(crate) connections: Family<Two, Gauge>,
    pub(crate) channels: Gauge,
    pub(crate) offline: Family<One, Gauge>,
    pub(crate) offline_bytes: Family<One, Gauge>,
    pub(crate) tickets: Gauge,
    pub(crate) blocked: Gauge,
    pub(crate) key_age: Family<One, Gauge>,
    pub(crate) start_time: Gauge,
    pub(crate) hub_queue: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Returns the counts, all of them zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self::default();
        let mut registry = Registry::with_prefix("moorline");
        metrics.register_counters(&mut registry);
        metrics.register_gauges(&mut registry);
        metrics.registry = registry;
        metrics
    }

    fn register_counters(&self, registry: &mut Registry) {
        let mut family = |name, help, family: &Family<One, Counter>| {
            registry.register(name, help, family.clone());
        };
        family(
            "messages",
            "Messages of peers (in) and to them (out)",
            &self.messages,
        );
        family(
            "message_bytes",
            "Bytes of messages of peers (in) and to them (out)",
            &self.bytes,
        );
        family(
            "route_refusals",
            "Envelopes of commanders that were not carried, by the kind of the refusal",
            &self.route_refusals,
        );
        family(
            "handshakes",
            "Handshakes that ended, by their outcome",
            &self.handshakes,
        );
        family(
            "strangers_sent_away",
            "Connections that were dropped, or ended before their peer was authenticated, by the reason",
            &self.sent_away,
        );
        family(
            "limit_hits",
            "How often a limit was hit, by the limit",
            &self.limit_hits,
        );
        family(
            "token_renewals",
            "Newer tokens that peers asked for, by their outcome",
            &self.renewals,
        );
        family(
            "connections_closed",
            "Connections that are over, by their peer's role",
            &self.closed,
        );
        registry.register(
            "routed_envelopes",
            "Envelopes that were carried",
            self.routed.clone(),
        );
        registry.register(
            "routed_bytes",
            "Bytes inside of them",
            self.routed_bytes.clone(),
        );
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register(
            "connections",
            "Connections now, by state and transport",
            self.connections.clone(),
        );
        registry.register(
            "offline_entries",
            "Commands and replies that are kept",
            self.offline.clone(),
        );
        registry.register("offline_bytes", "Bytes of them", self.offline_bytes.clone());
        registry.register_with_unit(
            "key_age",
            "Seconds since each of the hub's keys was made",
            Unit::Seconds,
            self.key_age.clone(),
        );
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge(
            "channels",
            "Channels between commanders and agents",
            &self.channels,
        );
        gauge("tickets", "Tickets that are kept", &self.tickets);
        gauge(
            "blocked_addresses",
            "Addresses that are blocked now",
            &self.blocked,
        );
        gauge(
            "hub_queue_length",
            "Inputs that wait for the hub's task",
            &self.hub_queue,
        );
        registry.register_with_unit(
            "process_start_time",
            "When the daemon started, in seconds since 1970",
            Unit::Seconds,
            self.start_time.clone(),
        );
    }

    /// Returns all of it as text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(crate) fn received(&self, len: usize) {
        self.messages.get_or_create(&[("direction", "in")]).inc();
        self.bytes
            .get_or_create(&[("direction", "in")])
            .inc_by(wide(len));
    }

    pub(crate) fn sent(&self, len: usize) {
        self.messages.get_or_create(&[("direction", "out")]).inc();
        self.bytes
            .get_or_create(&[("direction", "out")])
            .inc_by(wide(len));
    }

    pub(crate) fn routed(&self, len: usize) {
        self.routed.inc();
        self.routed_bytes.inc_by(wide(len));
    }

    pub(crate) fn route_refused(&self, refusal: RouteRefusal) {
        let kind = match refusal {
            RouteRefusal::UnknownAgent => "unknown_agent",
            RouteRefusal::Offline => "offline",
            RouteRefusal::NotPermitted => "not_permitted",
            RouteRefusal::BadMessage => "bad_message",
            RouteRefusal::Busy => "busy",
        };
        self.route_refusals.get_or_create(&[("kind", kind)]).inc();
    }

    pub(crate) fn handshake(&self, outcome: &'static str) {
        self.handshakes.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub(crate) fn handshake_refused(&self, reason: Reason) {
        self.handshake(class(reason));
    }

    pub(crate) fn sent_away(&self, reason: &'static str) {
        self.sent_away.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn limit_hit(&self, limit: &'static str) {
        self.limit_hits.get_or_create(&[("limit", limit)]).inc();
    }

    pub(crate) fn renewal(&self, outcome: &'static str) {
        self.renewals.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub(crate) fn closed(&self, role: Option<&'static str>) {
        let role = role.unwrap_or("stranger");
        self.closed.get_or_create(&[("role", role)]).inc();
    }

    /// Returns how many connections are over.
    pub(crate) fn closed_count(&self) -> u64 {
        ["agent", "commander", "stranger"]
            .map(|role| self.closed.get_or_create(&[("role", role)]).get())
            .iter()
            .sum()
    }
}

/// Returns the class of a refusal: few enough to be labels.
fn class(reason: Reason) -> &'static str {
    match reason {
        Reason::InitiatorSignature
        | Reason::EnrolmentCode
        | Reason::UnknownKey
        | Reason::ExternalKey
        | Reason::Binder
        | Reason::TicketGone => "refused_proof",
        Reason::Token(_) => "refused_token",
        Reason::Revoked => "refused_revoked",
        Reason::NotAdmitted => "refused_not_admitted",
        Reason::HandshakeTimeout => "refused_late",
        _ => "refused_protocol",
    }
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Returns `number` as a gauge takes it.
pub(crate) fn level<N: TryInto<i64>>(number: N) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use moorline_core::reason::Reason;
    use moorline_core::token::TokenReason;

    use super::{Metrics, class};

    #[test]
    fn what_is_counted_is_in_the_text_and_the_text_ends_as_the_format_asks() {
        let metrics = Metrics::new();
        metrics.received(10);
        metrics.received(5);
        metrics.handshake("full");
        metrics.closed(None);
        metrics.start_time.set(1_700_000_000);
        let text = metrics.text().expect("text");
        for line in [
            "moorline_messages_total{direction=\"in\"} 2",
            "moorline_message_bytes_total{direction=\"in\"} 15",
            "moorline_handshakes_total{outcome=\"full\"} 1",
            "moorline_process_start_time_seconds 1700000000",
            "# TYPE moorline_messages counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(metrics.closed_count(), 1);
    }

    #[test]
    fn refusals_have_few_classes() {
        assert_eq!(class(Reason::InitiatorSignature), "refused_proof");
        assert_eq!(class(Reason::Token(TokenReason::Expired)), "refused_token");
        assert_eq!(class(Reason::Malformed), "refused_protocol");
    }
}
