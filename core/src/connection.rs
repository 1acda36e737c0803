//! A connection from its first byte to its last word: the one type that a shell drives (PROTOCOL.md §6).
//!
//! The shell hands in whole messages (a WebSocket message, or what the delimiter yields), the time and a source of
//! entropy. It gets back at most one message to send and one event. It asks [`Connection::deadline`] when to call
//! [`Connection::handle_deadline`], and stops when the event is [`Event::Closed`].

use crate::crypto::EphemeralKey;
use crate::entropy::Entropy;
use crate::handshake::{
    AwaitM2, AwaitM3, AwaitM4, Established, Gate, Initiator, M3Answer, Responder,
};
use crate::limits::HANDSHAKE_MILLIS;
use crate::message::{Alert, Control, Envelope};
use crate::reason::{Error, Reason};
use crate::session::{Delivery, Session};
use crate::time::{Instant, Now, TimeQuality, UnixMillis};
use crate::token::{Permissions, VerifiedClaims};
use crate::wire::{FrameType, M1, MessageType, Reject, RejectCode};

/// When a silent peer is asked whether it is there, and when it is given up, in milliseconds of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Silence after which a ping is sent, and sent again.
    pub ping_after: u64,
    /// Silence after which the session ends; more than `ping_after`.
    pub dead_after: u64,
}

impl Heartbeat {
    /// Ping after 20 s, give up after 60 s.
    pub const DEFAULT: Self = Self {
        ping_after: 20_000,
        dead_after: 60_000,
    };
}

/// How a connection behaves once it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest payload of a frame that this end takes, in bytes: what it announced in the handshake.
    pub max_payload_len: u16,
    /// Milliseconds that the handshake may take.
    pub handshake_millis: u64,
    /// When the peer's silence is acted on.
    pub heartbeat: Heartbeat,
    /// Whether a key update of this end mixes in a fresh Diffie-Hellman, which heals a leak and costs two X25519.
    pub fresh_updates: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_payload_len: 1024,
            handshake_millis: HANDSHAKE_MILLIS,
            heartbeat: Heartbeat::DEFAULT,
            fresh_updates: false,
        }
    }
}

/// A connection in stream form.
#[derive(Debug)]
pub struct Connection<'k> {
    stage: Stage<'k>,
    settings: Settings,
    started: Instant,
    heard: Instant,
    pinged: Instant,
    ping_count: u32,
    /// Whether the last ping has no answer yet.
    ping_pending: bool,
    clock: Option<HubClock>,
    facts: Option<Facts>,
}

/// Where a connection stands.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a device holds one connection in a static; boxing it is not possible without a heap"
)]
enum Stage<'k> {
    AwaitM2(AwaitM2<'k>),
    AwaitM4(AwaitM4),
    AwaitM1(Responder<'k>),
    AwaitM3(Responder<'k>, AwaitM3),
    Open(Session),
    Closed,
}

/// What a finished handshake told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What both ends call the session; it is no secret.
    pub session_id: [u8; 8],
    /// When the session ends.
    pub expires: UnixMillis,
    /// When the session ends, on this end's monotonic clock.
    pub expires_at: Instant,
    /// What the initiator may do.
    pub permissions: Permissions,
}

/// The responder's clock, authenticated by M2 (PROTOCOL.md §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubClock {
    /// The civil time.
    pub time: UnixMillis,
    /// How sure the responder is of it.
    pub quality: TimeQuality,
    /// This end's monotonic clock when `time` held.
    pub at: Instant,
    /// By how much `time` may be off: half the round trip in which it came, in milliseconds.
    pub error: u64,
}

impl HubClock {
    /// Returns the civil time at `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> UnixMillis {
        self.time.plus(now.since(self.at))
    }
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
        ephemeral: EphemeralKey,
        settings: Settings,
        now: Instant,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o [u8]), Error> {
        let (wait, m1) = AwaitM2::start(initiator, ephemeral, out)?;
        Ok((Self::new(Stage::AwaitM2(wait), settings, now), m1))
    }

    /// Returns the responder's connection, which waits for M1.
    #[must_use]
    pub fn respond(responder: Responder<'k>, settings: Settings, now: Instant) -> Self {
        Self::new(Stage::AwaitM1(responder), settings, now)
    }

    fn new(stage: Stage<'k>, settings: Settings, now: Instant) -> Self {
        Self {
            stage,
            settings,
            started: now,
            heard: now,
            pinged: now,
            ping_count: 0,
            ping_pending: false,
            clock: None,
            facts: None,
        }
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
        self.heard = context.now.instant;
        match self.advance(message, context, out) {
            Ok(Step { sent, event }) => Outcome {
                send: written(out, sent),
                event,
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
            Stage::AwaitM1(_) => self.handle_m1(message, context, out),
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
            Reject::parse(message)?;
            return Err(Reason::Rejected);
        }
        let (next, m3) = wait.handle_m2(message, context.entropy, out)?;
        let sent = m3.len();
        self.note_time(next.hub_time(), context.now.instant);
        self.stage = Stage::AwaitM4(next);
        Ok(Step { sent, event: None })
    }

    #[inline(never)]
    fn handle_m4<'m>(&mut self, message: &mut [u8], now: Instant) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM4(wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let established = wait.handle_m4(message, self.clock.unwrap_or_default().at(now))?;
        self.open(established, now);
        Ok(Step {
            sent: 0,
            event: Some(Event::Open(None)),
        })
    }

    #[inline(never)]
    fn handle_m1<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM1(responder) = self.stage else {
            return Err(Reason::OutOfPlace);
        };
        // No key is made for bytes that are no offer.
        M1::parse(message)?;
        let ephemeral = EphemeralKey::generate(context.entropy)?;
        let (next, m2) =
            responder.handle_m1(message, &context.now, ephemeral, context.entropy, out)?;
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
        match wait.handle_m3(message, responder, &now, gate, out)? {
            M3Answer::Open {
                m4,
                established,
                claims,
            } => {
                let sent = m4.len();
                self.clock = Some(HubClock {
                    time: now.unix,
                    quality: now.quality,
                    at: now.instant,
                    error: 0,
                });
                self.open(established, now.instant);
                Ok(Step {
                    sent,
                    event: Some(Event::Open(Some(claims))),
                })
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
        let event = match handled.delivery {
            Delivery::Nothing => None,
            Delivery::Application(payload) => Some(Event::Application(payload)),
            Delivery::Envelope(payload) => Some(Event::Envelope(payload)),
            Delivery::Pong(number) => {
                let answers = self.ping_pending && number == self.ping_count;
                self.ping_pending &= !answers;
                answers.then(|| Event::RoundTrip(now.since(self.pinged)))
            }
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

    #[inline(never)]
    fn open(&mut self, established: Established, now: Instant) {
        let clock = self.clock.unwrap_or_default();
        let left = established.expires.0.saturating_sub(clock.at(now).0);
        self.facts = Some(Facts {
            session_id: established.session_id,
            expires: established.expires,
            expires_at: now.plus(left),
            permissions: established.permissions,
        });
        self.stage = Stage::Open(Session::new(
            established,
            self.settings.max_payload_len,
            now,
        ));
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
                send: reject.emit(out).ok().map(|bytes| &*bytes),
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
