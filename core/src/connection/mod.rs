//! A connection from its first byte to its last word: the one type that a shell drives (PROTOCOL.md §6).
//!
//! The shell hands in whole messages (a WebSocket message, or what the delimiter yields), the time and a source of
//! entropy. It gets back at most one message to send and one event. It asks [`Connection::deadline`] when to call
//! [`Connection::handle_deadline`], and stops when the event is [`Event::Closed`].

mod deadlines;
mod enrolment;
mod event;
mod facts;
mod opening;
mod renewal;
mod settings;
mod tickets;

use enrolment::Standing;
pub use event::{Closure, Context, Event, Outcome, Responding};
pub use facts::{Facts, HubClock};
pub use renewal::NewToken;
pub use settings::{Heartbeat, Settings};

use crate::crypto::{EphemeralKey, Hash};
use crate::entropy::Entropy;
use crate::handshake::{
    AwaitM2, AwaitM3, AwaitM4, AwaitRefusal, Initiator, SingleUse, Ticket, TicketOrigin,
};
use crate::limits::MIN_MTU;
use crate::message::{Alert, Envelope, are_keys};
use crate::reason::{Error, Reason};
use crate::session::{Assembled, Delivery, FrameAssembly, Session};
use crate::time::{Instant, Now};
use crate::token::Holder;
use crate::wire::{ConnectionIds, Form, FrameType, Reject, RejectCode, TICKET_ID_LEN};

/// A connection, of either form.
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
    /// Whom the session belongs to, at a responder.
    standing: Option<Standing>,
    /// Whether this initiator has shown no token yet.
    is_newcomer: bool,
    /// When a token was last judged that is to follow it.
    judged: Option<Instant>,
    /// The hash of the token that this initiator has shown.
    renewing: Option<Hash>,
}

/// Where a connection stands.
#[derive(Debug)]
enum Stage<'k> {
    AwaitM2(AwaitM2<'k>),
    AwaitM4(AwaitM4),
    AwaitWelcome(Session, AwaitRefusal),
    AwaitM1(Option<EphemeralKey>),
    AwaitM3(AwaitM3),
    Open(Session),
    Closed,
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
        let mut connection = Self::new(stage, form, settings, now.instant);
        connection.is_newcomer = initiator.is_newcomer();
        Ok((connection, m1))
    }

    /// Returns a responder's connection of this form, which waits for M1. `ephemeral` may have been made ahead, in idle
    /// time; it serves this handshake alone. One is made when there is none.
    #[must_use]
    pub fn respond(
        form: Form,
        ephemeral: Option<EphemeralKey>,
        settings: Settings,
        now: Instant,
    ) -> Self {
        Self::new(Stage::AwaitM1(ephemeral), form, settings, now)
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
            standing: None,
            is_newcomer: false,
            judged: None,
            renewing: None,
        }
    }

    /// Takes away the newest ticket that the responder gave. It is kept as the initiator's key is.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.ticket.take()
    }

    /// Returns whether this end has sent M1 and nothing since, and still has time for M2.
    pub(crate) fn awaits_m2(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::AwaitM2(_)) && self.overdue(now).is_none()
    }

    /// Returns what is known of the path of a datagram link; nothing before a responder's peer has spoken, and at the end.
    pub(crate) fn path(&self) -> Option<Path> {
        let (ids, mtu) = match &self.stage {
            Stage::AwaitM3(wait) => (wait.ids(), wait.mtu()),
            Stage::AwaitM4(wait) => (wait.ids(), wait.mtu()),
            Stage::Open(session) | Stage::AwaitWelcome(session, _) => {
                (session.ids(), session.mtu()?)
            }
            Stage::AwaitM2(wait) => {
                let ids = ConnectionIds {
                    own: wait.id(),
                    peer: 0,
                };
                (ids, MIN_MTU)
            }
            Stage::AwaitM1(_) | Stage::Closed => return None,
        };
        Some(Path { ids, mtu })
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

    /// Returns whose token the session rests on, at a responder, while it is open.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match (&self.stage, &self.standing) {
            (Stage::Open(_), Some(Standing::Holder(holder))) => Some(holder),
            _ => None,
        }
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
        self.handle_message_or_part(message, None, context, out)
    }

    /// Takes in one message, as [`Connection::handle_message`] does. The parts of a payload are put together in
    /// `assembly`.
    pub(crate) fn handle_message_or_part<'m, 'o>(
        &mut self,
        message: &'m mut [u8],
        assembly: Option<&'m mut FrameAssembly>,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        // A shell that was busy, or a read that blocked, must not let a message outrun the deadline before it.
        if let Some(reason) = self.overdue(context.now.instant) {
            return self.fail(reason, out);
        }
        match self.advance(message, assembly, context, out) {
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
        assembly: Option<&'m mut FrameAssembly>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        match &self.stage {
            Stage::AwaitM2(_) => self.handle_m2(message, context, out),
            Stage::AwaitM4(_) => self.handle_m4(message, context.now.instant),
            Stage::AwaitWelcome(..) => self.handle_welcome(message, context, out),
            Stage::AwaitM1(_) => self.handle_m1(message, context, out),
            Stage::AwaitM3(_) => self.handle_m3(message, context, out),
            Stage::Open(_) => self.handle_frame(message, assembly, context, out),
            Stage::Closed => Err(Reason::OutOfPlace),
        }
    }

    #[inline(never)]
    fn handle_frame<'m>(
        &mut self,
        message: &'m mut [u8],
        assembly: Option<&'m mut FrameAssembly>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::Open(session) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let now = context.now.instant;
        let handled = session.handle_frame(message, now, context.entropy, out)?;
        let mut sent = handled.send.map_or(0, <[u8]>::len);
        let delivery = match (handled.delivery, assembly) {
            (Delivery::Part(part), Some(assembly)) => {
                match assembly.take(&part, session.max_whole_len())? {
                    Assembled::Begun => Delivery::Nothing,
                    Assembled::Dropped(reason) => Delivery::Dropped(reason),
                    Assembled::Whole(kind, payload) => {
                        let whole = (kind, payload, part.is_late());
                        let rest = out.get_mut(sent..).unwrap_or_default();
                        let handled = session.handle_whole(whole, now, context.entropy, rest)?;
                        sent += handled.send.map_or(0, <[u8]>::len);
                        handled.delivery
                    }
                }
            }
            (delivery, _) => delivery,
        };
        self.ticket_due |= session.take_healed() && self.outstanding.is_some();
        let event = match delivery {
            Delivery::Part(_) => Some(Event::Dropped(Reason::NoRoom)),
            Delivery::Application(_) | Delivery::Envelope(_)
                if matches!(self.standing, Some(Standing::Newcomer(_))) =>
            {
                return Err(Reason::OutOfPlace);
            }
            // Nobody is behind it whom others could answer.
            Delivery::Envelope(_) if matches!(self.standing, Some(Standing::External)) => {
                return Err(Reason::OutOfPlace);
            }
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
            // What answered the frame stands where the answer would: on datagrams the token will come again.
            Delivery::TokenUpdate(..) if sent > 0 => None,
            Delivery::TokenUpdate(token, proof) => {
                return self.handle_token_update(token, proof, context, out);
            }
            Delivery::TokenResult(result) => self.handle_token_result(&result, &context.now)?,
            // Over datagrams one that was said again may come late.
            Delivery::Enrolled(_) if !self.is_newcomer && self.form == Form::Datagram => {
                Some(Event::Dropped(Reason::OutOfPlace))
            }
            Delivery::Enrolled(_) if !self.is_newcomer => return Err(Reason::OutOfPlace),
            Delivery::Enrolled(enrolled) if !are_keys(enrolled.issuer_keys) => {
                return Err(Reason::Malformed);
            }
            Delivery::Enrolled(enrolled) => Some(Event::Enrolled(enrolled)),
            // It is said once, before anything else.
            Delivery::Welcome(_) => return Err(Reason::OutOfPlace),
            Delivery::Alert(alert) => {
                self.stage = Stage::Closed;
                Some(Event::Closed(Closure::ByPeer(alert)))
            }
        };
        Ok(Step { sent, event })
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
                    | Reason::Storage
            ),
        }
    }

    fn fail<'o>(&mut self, reason: Reason, out: &'o mut [u8]) -> Outcome<'static, 'o> {
        let event = Some(Event::Closed(Closure::Refused(reason)));
        let unanswered_offer = matches!(self.stage, Stage::AwaitM1(_));
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

/// What is known of the path of a datagram link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub(crate) ids: ConnectionIds,
    /// Longest datagram that both ends take, in bytes.
    pub(crate) mtu: u16,
}

/// What one step wrote, and what happened.
struct Step<'m> {
    sent: usize,
    event: Option<Event<'m>>,
}

impl Step<'_> {
    /// An initiator's session is open.
    const OPEN: Self = Self {
        sent: 0,
        event: Some(Event::Open(None)),
    };
}
