//! One peer's session: the only place that knows both a connection and a transport.

mod admission;
mod again;
mod answers;
mod delivery;
mod end;
mod pace;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use again::Again;
use answers::Answers;
use delivery::write;
use end::End;
use futures_lite::future;
use moorline_core::connection::{Context, Event, Heartbeat, Responding, Settings};
use moorline_core::handshake::{Peer, RespondAs, Responder, Succession};
use moorline_core::limits::{MAX_HANDSHAKE_LEN, MAX_SPLIT_PAYLOAD_LEN};
use moorline_core::message::{Alert, AlertCode, Envelope, ToHub};
use moorline_core::reason::Reason;
use moorline_core::time::Instant;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;
use moorline_core::wire::{Form, Limits as WireLimits, Reject, RejectCode, SuiteList};
use pace::Pace;

use crate::audit::{Event as Happened, Kind};
use crate::clock;
use crate::connections::Counted;
use crate::door::Place;
use crate::entropy::SystemEntropy;
use crate::gate::Door;
use crate::hub::{Input, Output, SessionKey};
use crate::line::{DATAGRAM_MTU, HubLine, Parts, own_len};
use crate::offline::Desk;
use crate::renewals::Renewals;
use crate::shared::Shared;
use crate::store::HubKeys;
use crate::transport::Transport;

/// How long the end of a stream may take: a WebSocket's last frame waits for room in a socket that a peer who never
/// reads does not make. It is shorter than what a daemon that stops gives its sessions.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Seconds after which a stranger that was turned away may come back.
const OVERLOAD_SECONDS: u8 = 1;

/// Longest payload in bytes that travels in parts.
const MAX_PARTS_LEN: u16 = 4_096;

const _: () = assert!(MAX_SPLIT_PAYLOAD_LEN == 4_096);

/// Largest transport unit in bytes: streams have none, so the field has its highest value.
const STREAM_MTU: u16 = u16::MAX;

/// Serves one peer on `transport` until it is over. `peer` says in logs where it comes from; `place` is what it has to
/// have to be let in.
pub(crate) async fn serve<T: Transport>(shared: &Shared, transport: T, peer: &str, place: &Place) {
    let mut transport = Counted::new(transport, place.entry(), shared.budget.metrics());
    let mut session = Session::new(shared, &mut transport, peer, place);
    let end = session.run().await;
    session.count_failure(&end);
    place.entry().end();
    if place.is_settled() {
        tracing::info!(peer, %end, "session over");
    } else {
        shared.note_stranger(end.kind_of_stranger(), &peer, &end);
    }
    future::or(transport.end(), async {
        smol::Timer::after(END_PATIENCE).await;
    })
    .await;
}

/// Hints to a stranger that it may come back. No work is done for it, and nothing waits for it to listen.
pub(crate) async fn turn_away<T: Transport>(mut transport: T) {
    let reject = Reject {
        code: RejectCode::Overload,
        argument: OVERLOAD_SECONDS,
    };
    let mut out = [0; MAX_HANDSHAKE_LEN];
    if let Ok(bytes) = reject.emit(0, &mut out) {
        let _ = future::poll_once(transport.send(bytes)).await;
    }
}

/// What a session waits for.
enum Wake {
    Message(std::io::Result<Option<Vec<u8>>>),
    Output(Option<Box<Output>>),
    Deadline,
}

struct Session<'s, T> {
    shared: &'s Shared,
    transport: &'s mut T,
    peer: &'s str,
    line: HubLine,
    parts: Parts,
    /// The hub's keys: those of the beginning until the peer is authenticated, and then those in use.
    keys: Arc<HubKeys>,
    payload_len: u16,
    place: &'s Place,
    key: Option<SessionKey>,
    renewals: Renewals,
    /// The session of a newcomer that has not shown its token yet.
    enrolling: Option<SessionKey>,
    /// Whose token the peer has shown. Nobody vouches for it.
    shown: Option<String>,
    pace: Pace,
    desk: Option<Desk>,
    again: Again,
    /// What a commander on datagrams may ask for again.
    answers: Option<Answers>,
    outbox: async_channel::Receiver<Box<Output>>,
    outbox_sender: async_channel::Sender<Box<Output>>,
    /// Takes what a handshake or the session itself sends; it grows to what is carried to this peer.
    out: Vec<u8>,
}

impl<'s, T: Transport> Session<'s, T> {
    fn new(shared: &'s Shared, transport: &'s mut T, peer: &'s str, place: &'s Place) -> Self {
        let limits = place.limits();
        let payload_len = match T::FORM {
            Form::Stream => limits.payload_len,
            Form::Datagram => limits.payload_len.min(MAX_PARTS_LEN),
        };
        let settings = Settings {
            max_payload_len: payload_len,
            handshake_millis: limits.handshake_millis,
            heartbeat: Heartbeat {
                ping_after: limits.heartbeat_millis,
                dead_after: limits.silence_millis,
            },
            fresh_updates: true,
        };
        let (outbox_sender, outbox) = async_channel::bounded(limits.outbox);
        Self {
            shared,
            transport,
            peer,
            line: HubLine::respond(T::FORM, settings, clock::instant()),
            parts: Parts::default(),
            keys: shared.keys(),
            payload_len,
            place,
            key: None,
            renewals: Renewals::default(),
            enrolling: None,
            shown: None,
            pace: Pace::new(limits),
            desk: None,
            again: Again::default(),
            answers: None,
            outbox,
            outbox_sender,
            out: vec![0; own_len(T::FORM)],
        }
    }

    async fn run(&mut self) -> End {
        let end = loop {
            let worked = match self.wake().await {
                // What it needs in memory is free again when there is nothing to handle.
                Wake::Message(Ok(Some(message))) => Box::pin(self.handle_message(message)).await,
                Wake::Message(Ok(None)) => Err(End::Truncated),
                Wake::Message(Err(error)) => Err(error.into()),
                Wake::Output(Some(output)) => Box::pin(self.handle_output(*output)).await.map(drop),
                Wake::Output(None) => Err(End::ByHub(AlertCode::GoingAway)),
                Wake::Deadline => Box::pin(self.handle_deadline()).await,
            };
            let worked = match worked {
                Ok(()) => Box::pin(self.attend_offline()).await,
                ended => ended,
            };
            if let Err(end) = worked {
                break end;
            }
            // A peer that always has something to say is not the only one on its thread.
            future::yield_now().await;
        };
        if let Some(session) = self.key.take() {
            self.shared.hub.tell(Input::Closed { session }).await;
            let why = end.to_string();
            if end.is_limit() {
                self.note(self.happened(Kind::LimitHit).text("why", &why));
            }
            let closed = self.happened(Kind::SessionClosed).session(session);
            self.note(closed.text("why", &why));
        }
        end
    }

    /// Counts a handshake that ended in a failure.
    fn count_failure(&self, end: &End) {
        if let End::Refused(reason) = end
            && !self.place.is_settled()
        {
            // This is looked at after the issuer's signature was found right.
            let shown = self.shown.as_deref();
            let subject = shown.filter(|_| *reason == Reason::InitiatorSignature);
            let budget = &self.shared.budget;
            budget.metrics().handshake_refused(*reason);
            budget.fail(self.place, *reason, T::FORM, subject, self.peer);
        }
    }

    /// Returns the keys that a message is judged by.
    fn keys(&mut self) -> Arc<HubKeys> {
        if self.place.is_settled() {
            self.keys = self.shared.keys();
        }
        Arc::clone(&self.keys)
    }

    /// Returns something that happens to this peer.
    fn happened(&self, kind: Kind) -> Happened {
        let happened = Happened::new(kind)
            .subject(self.renewals.name())
            .peer(self.peer);
        match self.key {
            Some(session) => happened.session(session),
            None => happened,
        }
    }

    fn note(&self, happened: Happened) {
        self.shared.witness.note(happened);
    }

    async fn wake(&mut self) -> Wake {
        let due = [
            self.line.deadline(),
            self.again.deadline(),
            self.idle_deadline(),
        ];
        let deadline = due.into_iter().flatten().min();
        let held_until = self.pace.held_until();
        let message = async {
            if let Some(until) = held_until {
                clock::sleep_until(until).await;
            }
            Wake::Message(self.transport.receive().await)
        };
        let output = async { Wake::Output(self.outbox.recv().await.ok()) };
        let late = async {
            match deadline {
                Some(deadline) => clock::sleep_until(deadline).await,
                None => future::pending().await,
            }
            Wake::Deadline
        };
        future::or(future::or(output, late), message).await
    }

    async fn handle_message(&mut self, message: Vec<u8>) -> Result<(), End> {
        let mut parts = std::mem::take(&mut self.parts);
        let handled = self.take_message(message, &mut parts).await;
        // Before the link is open there is no payload of which a part could be in there.
        if self.line.connection().is_open() {
            self.parts = parts;
        }
        handled
    }

    async fn take_message(&mut self, mut message: Vec<u8>, parts: &mut Parts) -> Result<(), End> {
        self.place.meter().begin_again();
        if self.place.is_settled() && self.pace.count(clock::instant()) {
            self.shared.budget.note_limit("messages", self.peer);
        }
        let keys = self.keys();
        let responder = responder(self.shared, &keys, T::FORM, self.payload_len);
        let (len, event, session, newcomer, token, acts) = {
            let mut door = Door {
                shared: self.shared,
                session: None,
                next_key: self.renewals.next_key(),
                network: self.place.network(),
                newcomer: None,
                external: self.renewals.external(),
                token: Vec::new(),
                acts: Vec::new(),
                subject: RefCell::default(),
            };
            let mut context = Context {
                now: clock::now(),
                entropy: &mut SystemEntropy,
                responding: Some(Responding {
                    responder: &responder,
                    gate: &mut door,
                }),
                keeper: &mut NoKeeper,
            };
            let outcome =
                self.line
                    .handle_message(&mut message, parts, &mut context, &mut self.out);
            let len = outcome.send.map(<[u8]>::len);
            let Door {
                session,
                newcomer,
                token,
                acts,
                subject,
                ..
            } = door;
            self.shown = subject.take().or(self.shown.take());
            (len, outcome.event, session, newcomer, token, acts)
        };
        self.note_event(event.as_ref());
        // What was done is on record before the peer hears that it was.
        for act in acts {
            let recorded = self.shared.witness.record_durably(act.peer(self.peer));
            recorded.await?;
        }
        if let Some(id) = self.line.id() {
            self.transport.answer_to(id);
        }
        // The hub knows of the peer before the peer knows that it is in.
        let mut has_hub = true;
        match (&event, session) {
            (Some(Event::Open(Some(Peer::Holder(claims)))), Some(session)) => {
                has_hub = self.let_in(session, claims.claims(), token).await?;
            }
            (Some(Event::Renewed(Some(claims))), _) => {
                has_hub = self.note_renewal(claims.claims(), token).await?;
            }
            _ => {}
        }
        if let Some(bytes) = len.and_then(|len| self.out.get(..len)) {
            write(self.transport, bytes).await?;
        }
        if !has_hub {
            let hint = self.shared.config().drain.hint();
            return self
                .handle_output(Output::Close(AlertCode::GoingAway, hint))
                .await
                .map(drop);
        }
        match event {
            Some(Event::Open(Some(Peer::External(identity)))) => {
                self.enrolling = session;
                self.renewals.note_external(identity);
                Ok(())
            }
            Some(Event::Open(Some(Peer::Newcomer(_)))) => match newcomer {
                Some(newcomer) => self.give_first_token(&newcomer, session).await,
                None => Err(End::Refused(Reason::NotAdmitted)),
            },
            None
            | Some(
                Event::RoundTrip(_)
                | Event::Open(_)
                | Event::Enrolled(_)
                | Event::Renewed(_)
                | Event::Dropped(_),
            ) => Ok(()),
            Some(Event::RenewalRefused(reason)) => {
                tracing::info!(peer = self.peer, ?reason, "a token was refused");
                let refused = self.happened(Kind::TokenRefused);
                self.note(refused.text("why", &format!("{reason:?}")));
                Ok(())
            }
            Some(Event::Envelope(payload)) => {
                let (Ok(envelope), Some(session)) = (Envelope::parse(payload), self.key) else {
                    return self.fail(AlertCode::Protocol, Reason::Malformed).await;
                };
                let Envelope {
                    route,
                    channel,
                    inner,
                } = envelope;
                let answers = self.answers.as_mut();
                if let Some(inner) =
                    answers.and_then(|answers| answers.ask((route, channel), inner))
                {
                    let again = Output::Envelope {
                        route,
                        channel,
                        inner,
                    };
                    return self.handle_output(again).await.map(drop);
                }
                let input = Input::Envelope {
                    session,
                    route,
                    channel,
                    inner: inner.to_vec(),
                };
                self.shared.hub.tell(input).await;
                Ok(())
            }
            Some(Event::Application(payload)) => {
                let message = payload.to_vec();
                self.handle_application(message).await
            }
            Some(Event::Closed(closure)) => Err(closure.into()),
        }
    }

    /// Counts what happened, for operators.
    fn note_event(&self, event: Option<&Event<'_>>) {
        let (entry, metrics) = (self.place.entry(), self.shared.budget.metrics());
        match event {
            Some(Event::Open(peer)) => {
                let facts = self.line.connection().facts();
                metrics.handshake(match peer {
                    Some(Peer::Newcomer(_)) => "newcomer",
                    Some(Peer::External(_)) => "external_key",
                    _ if facts.is_some_and(|facts| facts.resumed) => "resumed",
                    _ => "full",
                });
            }
            Some(Event::RoundTrip(millis)) => entry.round_trip(*millis),
            Some(Event::Dropped(_)) => entry.refuse(),
            Some(Event::RenewalRefused(_)) => {
                entry.refuse();
                metrics.renewal("refused");
            }
            Some(Event::Envelope(_) | Event::Application(_)) => entry.carry(clock::instant()),
            Some(Event::Renewed(_)) => metrics.renewal("done"),
            _ => {}
        }
    }

    /// Has the session's own desk, or else the hub, deal with what the peer asks.
    async fn handle_application(&mut self, message: Vec<u8>) -> Result<(), End> {
        if let Ok(ToHub::RenewToken { key }) = ToHub::decode(&message) {
            return self.give_token(key).await;
        }
        if let Ok(ToHub::FetchIssuers { after }) = ToHub::decode(&message) {
            return match self.shared.issuers_message(Some(&after)) {
                Some(message) => self
                    .handle_output(Output::Application(message))
                    .await
                    .map(drop),
                None => Ok(()),
            };
        }
        if let (Some(desk), Ok(asked)) = (&mut self.desk, ToHub::decode(&message))
            && let Some(said) = desk.handle(self.shared, &asked).await
        {
            return match said {
                Some(said) => self.say(said).await,
                None => Ok(()),
            };
        }
        if let Some(session) = self.key {
            let input = Input::Application { session, message };
            self.shared.hub.tell(input).await;
        }
        Ok(())
    }

    /// Returns when a peer that carries nothing is let go of, if it ever is.
    fn idle_deadline(&self) -> Option<Instant> {
        let millis = self.place.limits().idle_millis;
        let may_end = millis > 0 && self.place.is_settled();
        may_end.then(|| self.place.entry().carried().plus(millis))
    }

    async fn handle_deadline(&mut self) -> Result<(), End> {
        if self
            .idle_deadline()
            .is_some_and(|due| clock::instant() >= due)
        {
            self.shared.budget.note_limit("idle", self.peer);
            let close = Output::Close(AlertCode::Limit, 0);
            return self.handle_output(close).await.map(drop);
        }
        if let Some(what) = self.again.due(clock::instant()) {
            self.say_again(what).await?;
        }
        let keys = self.keys();
        let responder = responder(self.shared, &keys, T::FORM, self.payload_len);
        let outcome = {
            let mut door = Door {
                shared: self.shared,
                session: None,
                next_key: self.renewals.next_key(),
                network: self.place.network(),
                newcomer: None,
                external: self.renewals.external(),
                token: Vec::new(),
                acts: Vec::new(),
                subject: RefCell::default(),
            };
            let mut context = Context {
                now: clock::now(),
                entropy: &mut SystemEntropy,
                responding: Some(Responding {
                    responder: &responder,
                    gate: &mut door,
                }),
                keeper: &mut NoKeeper,
            };
            self.line.handle_deadline(&mut context, &mut self.out)
        };
        if let Some(bytes) = outcome.send {
            write(self.transport, bytes).await?;
        }
        match outcome.event {
            Some(Event::Closed(closure)) => Err(closure.into()),
            _ => Ok(()),
        }
    }

    async fn fail(&mut self, code: AlertCode, reason: Reason) -> Result<(), End> {
        if let Some(frame) = self.line.close(Alert::new(code), &mut self.out) {
            write(self.transport, frame).await?;
        }
        Err(End::Refused(reason))
    }
}

/// Returns the hub's part in a connection of this form, with `keys`.
fn responder<'k>(
    shared: &'k Shared,
    keys: &'k HubKeys,
    form: Form,
    max_payload_len: u16,
) -> Responder<'k> {
    let succession = Succession {
        earlier: &keys.succession.earlier,
        by_root: keys.succession.by_root.as_ref(),
    };
    Responder {
        keys: &keys.identity,
        anchors: &keys.anchors,
        audience: &shared.name,
        suites: SuiteList::AES_FIRST,
        respond_as: RespondAs::Hub(form, succession),
        limits: WireLimits {
            mtu: match form {
                Form::Stream => STREAM_MTU,
                Form::Datagram => DATAGRAM_MTU,
            },
            max_payload_len,
            max_token_len: u16::try_from(MAX_UNPACKED_LEN).unwrap_or(u16::MAX),
        },
    }
}
