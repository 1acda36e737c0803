//! A connection from its first byte to its last word: the one type that a shell drives (PROTOCOL.md §6).
//!
//! The shell hands in whole messages (a WebSocket message, or what the delimiter yields), the time and a source of
//! entropy. It gets back at most one message to send and one event. It asks [`Connection::deadline`] when to call
//! [`Connection::handle_deadline`], and stops when the event is [`Event::Closed`].

mod facts;
mod settings;

pub use facts::{Facts, HubClock};
pub use settings::{Heartbeat, Settings};

use crate::crypto::EphemeralKey;
use crate::entropy::Entropy;
use crate::handshake::{
    AwaitM2, AwaitM3, AwaitM4, AwaitRefusal, Established, Gate, Initiator, M2Answer, M3Answer,
    Responder, Role, SingleUse, Terms, Ticket, TicketOrigin, give_ticket,
};
use crate::message::{Alert, Control, Envelope, Welcome};
use crate::reason::{Error, Reason};
use crate::session::{Delivery, Session};
use crate::time::{Instant, Now, TimeQuality, UnixMillis};
use crate::token::VerifiedClaims;
use crate::wire::{
    Form, FrameType, Line, MessageType, NewTicket, Reject, RejectCode, TICKET_ID_LEN,
};

/// A connection in stream form.
#[derive(Debug)]
pub struct Connection<'k> {
    stage: Stage<'k>,
    form: Form,
    settings: Settings,
    started: Instant,
    heard: Instant,
    pinged: Instant,
    ping_count: u32,
    /// Whether the last ping has no answer yet.
    ping_pending: bool,
    clock: Option<HubClock>,
    facts: Option<Facts>,
    /// What the tickets of this session have in common, at an initiator.
    origin: Option<TicketOrigin>,
    /// The newest ticket that was given and not taken away by the shell.
    ticket: Option<Ticket>,
    /// The name of the ticket that this responder gave last.
    outstanding: Option<[u8; TICKET_ID_LEN]>,
    /// Whether that ticket is to be replaced.
    ticket_due: bool,
    resumed: bool,
}

/// Where a connection stands.
#[derive(Debug)]
enum Stage<'k> {
    AwaitM2(AwaitM2<'k>),
    AwaitM4(AwaitM4),
    AwaitWelcome(Session, AwaitRefusal),
    AwaitM1(Responder<'k>, Option<EphemeralKey>),
    AwaitM3(Responder<'k>, AwaitM3),
    Open(Session),
    Closed,
}

/// What happened.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an event is looked at where it was made; without a heap there is nowhere else to put claims"
)]
pub enum Event<'m> {
    /// The handshake is finished and both ends are proved. A responder learns who the initiator is.
    Open(Option<VerifiedClaims>),
    /// A message for the application.
    Application(&'m mut [u8]),
    /// A message that the hub carries.
    Envelope(&'m mut [u8]),
    /// The peer answered a ping after so many milliseconds.
    RoundTrip(u64),
    /// A message was dropped and nothing has changed: on datagrams anyone can send anything.
    Dropped(Reason),
    /// The connection is over; its keys are wiped.
    Closed(Closure),
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Closure {
    /// The peer said so, in a sealed frame; nothing that it sent before is missing.
    ByPeer(Alert),
    /// This end ended it for a fault of the peer.
    Refused(Reason),
}

/// What an event of a connection led to.
#[derive(Debug)]
#[must_use]
pub struct Outcome<'m, 'o> {
    /// A message to be sent.
    pub send: Option<&'o [u8]>,
    /// What happened.
    pub event: Option<Event<'m>>,
}

/// What an event may draw on.
pub struct Context<'c> {
    /// The time.
    pub now: Now,
    /// A source of entropy.
    pub entropy: &'c mut dyn Entropy,
    /// The shell's part in the decision about a peer; an initiator has none.
    pub gate: Option<&'c mut dyn Gate>,
}

impl<'k> Connection<'k> {
    /// Writes M1 to `out` and returns the initiator's connection with it.
    ///
    /// # Errors
    ///
    /// As [`AwaitM2::start`].
    pub fn initiate<'o>(
        initiator: Initiator<'k>,
        single_use: impl Into<SingleUse>,
        settings: Settings,
        now: &Now,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o [u8]), Error> {
        let (wait, m1) = AwaitM2::start(initiator, single_use.into(), now, entropy, out)?;
        let form = initiator.wanted.line().form();
        let stage = Stage::AwaitM2(wait);
        Ok((Self::new(stage, form, settings, now.instant), m1))
    }

    /// Returns the responder's connection, which waits for M1. `ephemeral` may have been made ahead, in idle time; it
    /// serves this handshake alone. One is made when there is none.
    #[must_use]
    pub fn respond(
        responder: Responder<'k>,
        ephemeral: Option<EphemeralKey>,
        settings: Settings,
        now: Instant,
    ) -> Self {
        let form = responder.respond_as.line().form();
        Self::new(Stage::AwaitM1(responder, ephemeral), form, settings, now)
    }

    fn new(stage: Stage<'k>, form: Form, settings: Settings, now: Instant) -> Self {
        Self {
            stage,
            form,
            settings,
            started: now,
            heard: now,
            pinged: now,
            ping_count: 0,
            ping_pending: false,
            clock: None,
            facts: None,
            origin: None,
            ticket: None,
            outstanding: None,
            ticket_due: false,
            resumed: false,
        }
    }

    /// Takes away the newest ticket that the responder gave. It is kept as the initiator's key is.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.ticket.take()
    }

    /// Returns whether application messages may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Returns what the handshake told, once it is finished.
    #[must_use]
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// Returns the responder's clock, once M2 has proved it.
    #[must_use]
    pub fn clock(&self) -> Option<&HubClock> {
        self.clock.as_ref()
    }

    /// Returns the session, while it is open.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::Open(session) => Some(session),
            _ => None,
        }
    }

    /// Takes in one message of the peer, which is decrypted where it stands. An answer is written to `out`, which
    /// takes [`crate::limits::MAX_HANDSHAKE_LEN`] bytes.
    pub fn handle_message<'m, 'o>(
        &mut self,
        message: &'m mut [u8],
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        // A shell that was busy, or a read that blocked, must not let a message outrun the deadline before it.
        if let Some(reason) = self.overdue(context.now.instant) {
            return self.fail(reason, out);
        }
        match self.advance(message, context, out) {
            Ok(Step { sent, event }) => {
                if !matches!(event, Some(Event::Dropped(_))) {
                    self.heard = context.now.instant;
                }
                Outcome {
                    send: written(out, sent),
                    event,
                }
            }
            Err(reason) if self.survives(reason) => Outcome {
                send: None,
                event: Some(Event::Dropped(reason)),
            },
            Err(reason) => self.fail(reason, out),
        }
    }

    // A stage's values lie on the stack while that stage is worked on, and not while another one is: so each has a
    // function that is not merged into its caller. On a device this halves the peak.

    fn advance<'m>(
        &mut self,
        message: &'m mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        match &self.stage {
            Stage::AwaitM2(_) => self.handle_m2(message, context, out),
            Stage::AwaitM4(_) => self.handle_m4(message, context.now.instant),
            Stage::AwaitWelcome(..) => self.handle_welcome(message, context, out),
            Stage::AwaitM1(..) => self.handle_m1(message, context, out),
            Stage::AwaitM3(..) => self.handle_m3(message, context, out),
            Stage::Open(_) => self.handle_frame(message, context, out),
            Stage::Closed => Err(Reason::OutOfPlace),
        }
    }

    #[inline(never)]
    fn handle_m2<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM2(wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        if message.first() == Some(&MessageType::Reject.code()) {
            Reject::parse(message, wait.id())?;
            return Err(Reason::Rejected);
        }
        let (answer, m3) = wait.handle_m2(message, &context.now, context.entropy, out)?;
        let sent = m3.len();
        let now = context.now.instant;
        match answer {
            M2Answer::Full(next) => {
                self.note_time(next.hub_time(), now);
                self.stage = Stage::AwaitM4(next);
            }
            M2Answer::Resumed(next) => {
                self.note_time(next.hub_time(), now);
                let (established, refusal) = next.into_session();
                self.resumed = true;
                let session = self.session_of(established, now);
                self.stage = Stage::AwaitWelcome(session, refusal);
            }
        }
        Ok(Step { sent, event: None })
    }

    #[inline(never)]
    fn handle_m4<'m>(&mut self, message: &mut [u8], now: Instant) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM4(wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let (established, terms) =
            wait.handle_m4(message, self.clock.unwrap_or_default().at(now))?;
        let session = self.session_of(established, now);
        Ok(self.open(session, &terms, now, None))
    }

    /// The first frame of a resumed session says what M4 says in others; a REFUSE may come in its place.
    #[inline(never)]
    fn handle_welcome<'m>(
        &mut self,
        message: &'m mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitWelcome(session, refusal) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        if message.first() == Some(&MessageType::Refuse.code()) {
            return Err(refusal.handle_refuse(message)?);
        }
        let now = context.now.instant;
        let handled = session.handle_frame(message, now, context.entropy, out)?;
        let welcome = match handled.delivery {
            Delivery::Welcome(welcome) => welcome,
            Delivery::Dropped(reason) => return Err(reason),
            _ => return Err(Reason::OutOfPlace),
        };
        let terms = welcome.terms()?;
        terms.check(self.clock.unwrap_or_default().at(now))?;
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::AwaitWelcome(session, _) => Ok(self.open(session, &terms, now, None)),
            _ => Err(Reason::OutOfPlace),
        }
    }

    #[inline(never)]
    fn handle_m1<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM1(responder, ephemeral) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let gate = context.gate.as_deref().ok_or(Reason::NotAdmitted)?;
        let responder = *responder;
        let (next, m2) =
            responder.handle_m1(message, &context.now, ephemeral, gate, context.entropy, out)?;
        let sent = m2.len();
        self.stage = Stage::AwaitM3(responder, next);
        Ok(Step { sent, event: None })
    }

    #[inline(never)]
    fn handle_m3<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM3(responder, wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let now = context.now;
        let gate = context.gate.as_deref_mut().ok_or(Reason::NotAdmitted)?;
        match wait.handle_m3(message, responder, &now, gate, context.entropy, out)? {
            M3Answer::Open {
                m4,
                established,
                terms,
                claims,
            } => {
                let sent = m4.map(|m4| m4.len());
                self.resumed = sent.is_none();
                self.clock = Some(HubClock {
                    time: now.unix,
                    quality: now.quality,
                    at: now.instant,
                    error: 0,
                });
                self.outstanding = terms.ticket.map(|ticket| ticket.id);
                let mut session = self.session_of(established, now.instant);
                let sent = match sent {
                    Some(sent) => sent,
                    None => {
                        let welcome = Control::Welcome(Welcome::new(&terms));
                        session.seal_control(&welcome, out)?.len()
                    }
                };
                let step = self.open(session, &terms, now.instant, Some(claims));
                Ok(Step { sent, ..step })
            }
            M3Answer::Refused { refuse, reason } => {
                let sent = refuse.len();
                self.stage = Stage::Closed;
                let event = Some(Event::Closed(Closure::Refused(reason)));
                Ok(Step { sent, event })
            }
        }
    }

    #[inline(never)]
    fn handle_frame<'m>(
        &mut self,
        message: &'m mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::Open(session) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let now = context.now.instant;
        let handled = session.handle_frame(message, now, context.entropy, out)?;
        let sent = handled.send.map_or(0, <[u8]>::len);
        self.ticket_due |= session.take_healed() && self.outstanding.is_some();
        let event = match handled.delivery {
            Delivery::Nothing => None,
            Delivery::Dropped(reason) => Some(Event::Dropped(reason)),
            Delivery::Application(payload) => Some(Event::Application(payload)),
            Delivery::Envelope(payload) => Some(Event::Envelope(payload)),
            Delivery::Pong(number) => {
                let answers = self.ping_pending && number == self.ping_count;
                self.ping_pending &= !answers;
                answers.then(|| Event::RoundTrip(now.since(self.pinged)))
            }
            Delivery::Ticket(new) => {
                let settled = session.peer_epoch() == session.epoch();
                if new.life == 0 || self.origin.is_none() {
                    return Err(Reason::Malformed);
                }
                // Where a key update crosses it, the two ends do not agree on what it is made of.
                if settled {
                    self.note_ticket(&new, now);
                }
                None
            }
            // It is said once, before anything else.
            Delivery::Welcome(_) => return Err(Reason::OutOfPlace),
            Delivery::Alert(alert) => {
                self.stage = Stage::Closed;
                Some(Event::Closed(Closure::ByPeer(alert)))
            }
        };
        Ok(Step { sent, event })
    }

    /// Returns when [`Connection::handle_deadline`] is to be called; nothing once the connection is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Closed => None,
            // What is due at once.
            Stage::Open(_) if self.ticket_due => Some(Instant(0)),
            Stage::Open(session) => {
                let heartbeat = self.settings.heartbeat;
                let ping = self.heard.max(self.pinged).plus(heartbeat.ping_after);
                let dead = self.heard.plus(heartbeat.dead_after);
                let expiry = self.facts.map_or(dead, |facts| facts.expires_at);
                Some(ping.min(dead).min(expiry).min(session.deadline()))
            }
            _ => Some(self.started.plus(self.settings.handshake_millis)),
        }
    }

    /// Returns why the connection is over at `now`, whatever the peer says: its time is up.
    fn overdue(&self, now: Instant) -> Option<Reason> {
        let (end, reason) = match &self.stage {
            Stage::Closed => return None,
            Stage::Open(_) => (self.facts?.expires_at, Reason::Expired),
            _ => (
                self.started.plus(self.settings.handshake_millis),
                Reason::HandshakeTimeout,
            ),
        };
        (now >= end).then_some(reason)
    }

    /// Does what is due: gives up a peer, pings it, or replaces keys. Called early, it does nothing. `out` takes
    /// [`crate::limits::MAX_HANDSHAKE_LEN`] bytes.
    pub fn handle_deadline<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'static, 'o> {
        match self.attend(context, out) {
            Ok(sent) => Outcome {
                send: written(out, sent),
                event: None,
            },
            Err(reason) => self.fail(reason, out),
        }
    }

    fn attend(&mut self, context: &mut Context<'_>, out: &mut [u8]) -> Result<usize, Reason> {
        let now = context.now.instant;
        if let Some(reason) = self.overdue(now) {
            return Err(reason);
        }
        let Stage::Open(session) = &mut self.stage else {
            return Ok(0);
        };
        if self.ticket_due {
            return self.replace_ticket(context, out);
        }
        let heartbeat = self.settings.heartbeat;
        if now >= self.heard.plus(heartbeat.dead_after) {
            return Err(Reason::Silent);
        }
        let fresh = self.settings.fresh_updates;
        if let Some(frame) = session.handle_deadline(now, fresh, context.entropy, out)? {
            return Ok(frame.len());
        }
        if now >= self.heard.max(self.pinged).plus(heartbeat.ping_after) {
            self.pinged = now;
            self.ping_count = self.ping_count.wrapping_add(1);
            self.ping_pending = true;
            return Ok(session
                .seal_control(&Control::Ping(self.ping_count), out)?
                .len());
        }
        Ok(0)
    }

    /// Replaces the ticket that this responder gave: a thief of the keys before the last update has its secret.
    #[inline(never)]
    fn replace_ticket(
        &mut self,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<usize, Reason> {
        self.ticket_due = false;
        let (Stage::Open(session), Some(gate), Some(facts), Some(id)) = (
            &mut self.stage,
            context.gate.as_deref_mut(),
            &self.facts,
            self.outstanding.take(),
        ) else {
            return Ok(0);
        };
        let record = gate.redeem_ticket(&id).and_then(|record| record.followed());
        let Some(record) = record.filter(|_| session.is_settled()) else {
            return Ok(0);
        };
        let (resumption, now) = (session.resumption(), &context.now);
        let ticket = give_ticket(
            record,
            resumption,
            facts.expires,
            now,
            gate,
            context.entropy,
        );
        let Some(ticket) = ticket else {
            return Ok(0);
        };
        self.outstanding = Some(ticket.id);
        Ok(session
            .seal_control(&Control::TicketNew(ticket), out)?
            .len())
    }

    /// Seals a message for the peer's application into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], and as [`Session::seal`].
    pub fn send_application<'o>(
        &mut self,
        payload: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.open_session()?
            .seal(FrameType::Application, &[payload], out)
    }

    /// Seals an envelope into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], and as [`Session::seal`].
    pub fn send_envelope<'o>(
        &mut self,
        envelope: &Envelope<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let header = envelope.header();
        self.open_session()?
            .seal(FrameType::Envelope, &[&header, envelope.inner], out)
    }

    /// Starts a key update at once and seals its first frame into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], and as [`Session::update_keys`].
    pub fn update_keys<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let fresh = self.settings.fresh_updates;
        let now = context.now.instant;
        self.open_session()?
            .update_keys(now, fresh, context.entropy, out)
    }

    /// Ends the connection and wipes its keys. Returns the sealed alert to be sent, when the session was open.
    #[must_use]
    pub fn close<'o>(&mut self, alert: Alert, out: &'o mut [u8]) -> Option<&'o [u8]> {
        let sealed = match &mut self.stage {
            Stage::Open(session) => session.seal_alert(alert, out),
            _ => None,
        };
        self.stage = Stage::Closed;
        sealed
    }

    fn open_session(&mut self) -> Result<&mut Session, Error> {
        match &mut self.stage {
            Stage::Open(session) => Ok(session),
            _ => Err(Error::NotOpen),
        }
    }

    /// Returns the session that `established` leads to, and notes what its tickets have in common.
    #[inline(never)]
    fn session_of(&mut self, established: Established, now: Instant) -> Session {
        self.origin = match established.role {
            Role::Initiator => Some(TicketOrigin {
                suite: established.suite,
                responder: established.responder,
                agent: match established.line {
                    Line::Channel(agent) => Some(agent),
                    Line::Stream | Line::Datagram => None,
                },
                max_payload_len: self.settings.max_payload_len,
            }),
            Role::Responder => None,
        };
        Session::new(established, self.settings.max_payload_len, now)
    }

    #[inline(never)]
    fn open<'m>(
        &mut self,
        session: Session,
        terms: &Terms,
        now: Instant,
        claims: Option<VerifiedClaims>,
    ) -> Step<'m> {
        let clock = self.clock.unwrap_or_default();
        let left = terms.expires.0.saturating_sub(clock.at(now).0);
        self.facts = Some(Facts {
            session_id: terms.session_id,
            expires: terms.expires,
            expires_at: now.plus(left),
            permissions: terms.permissions,
            resumed: self.resumed,
        });
        self.stage = Stage::Open(session);
        if let Some(new) = &terms.ticket {
            self.note_ticket(new, now);
        }
        Step {
            sent: 0,
            event: Some(Event::Open(claims)),
        }
    }

    /// Makes the ticket that the responder gave.
    fn note_ticket(&mut self, new: &NewTicket, now: Instant) {
        let clock = self.clock.unwrap_or_default();
        if let (Stage::Open(session), Some(origin)) = (&self.stage, &self.origin) {
            let expires = clock.at(now).plus(u64::from(new.life) * 1000);
            self.ticket = Some(Ticket::new(new, session.resumption(), origin, expires));
        }
    }

    /// Notes the hub's clock, which was read somewhere in the round trip that ends at `now` (PROTOCOL.md §7.2).
    fn note_time(&mut self, (time, quality): (UnixMillis, TimeQuality), now: Instant) {
        let error = now.since(self.started) / 2;
        let quality = if error > MAX_TIME_ERROR_MILLIS {
            TimeQuality::Unknown
        } else {
            quality
        };
        self.clock = Some(HubClock {
            time: time.plus(error),
            quality,
            at: now,
            error,
        });
    }

    /// Returns whether a message that is refused for `reason` is dropped, and waited out.
    fn survives(&self, reason: Reason) -> bool {
        if self.form == Form::Stream {
            return false;
        }
        match &self.stage {
            // The session says itself what it drops.
            Stage::Open(_) => false,
            Stage::Closed => true,
            _ => !matches!(
                reason,
                Reason::RefusedCredential
                    | Reason::RefusedOverload
                    | Reason::RefusedNoTime
                    | Reason::PeerLimit
                    | Reason::Entropy
            ),
        }
    }

    fn fail<'o>(&mut self, reason: Reason, out: &'o mut [u8]) -> Outcome<'static, 'o> {
        let event = Some(Event::Closed(Closure::Refused(reason)));
        let unanswered_offer = matches!(self.stage, Stage::AwaitM1(..));
        if unanswered_offer && reason == Reason::Version {
            self.stage = Stage::Closed;
            let reject = Reject {
                code: RejectCode::Version,
                argument: 0,
            };
            return Outcome {
                send: reject.emit(0, out).ok().map(|bytes| &*bytes),
                event,
            };
        }
        Outcome {
            send: self.close(Alert::for_reason(reason), out),
            event,
        }
    }
}

/// Returns the first `len` bytes of `out`, or nothing for none.
fn written(out: &[u8], len: usize) -> Option<&[u8]> {
    out.get(..len).filter(|bytes| !bytes.is_empty())
}

/// What one step wrote, and what happened.
struct Step<'m> {
    sent: usize,
    event: Option<Event<'m>>,
}

/// Half a round trip in milliseconds beyond which the time in it is not taken (PROTOCOL.md §7.2).
const MAX_TIME_ERROR_MILLIS: u64 = 15_000;
