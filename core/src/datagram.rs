//! A connection over datagrams: what is lost is sent again, what comes twice is answered alike (PROTOCOL.md §6.3).

use heapless::Vec;

use crate::connection::{Connection, Context, Event, Outcome, Settings};
use crate::crypto::{EphemeralKey, Hash};
use crate::entropy::{Entropy, draw};
use crate::handshake::{Initiator, SingleUse, Ticket};
use crate::limits::{MAX_COOKIES, MAX_HANDSHAKE_LEN, MAX_RESENDS, REPEAT_MILLIS, RESEND_MILLIS};
use crate::message::Alert;
use crate::reason::{Error, Reason};
use crate::session::FrameAssembly;
use crate::time::{Instant, Now};
use crate::wire::{Form, Line, M0, M1, MAX_M1_LEN, Starred, is_handshake, is_m0};

/// A connection over datagrams.
#[derive(Debug)]
pub struct Datagram<'k> {
    connection: Connection<'k>,
    flight: Flight,
}

/// The last handshake message of this end, for when it is lost.
#[derive(Debug)]
struct Flight {
    bytes: Vec<u8, MAX_HANDSHAKE_LEN>,
    /// The hash of the message that it answers; the initiator's first answers none.
    answers: Option<Hash>,
    sent: Instant,
    /// How often this end has sent it again unasked.
    resends: u32,
    /// When it does so next; an initiator alone.
    again: Option<Instant>,
    /// How often M1 was sent again with a cookie.
    cookies: u8,
}

impl Flight {
    fn new(now: Instant) -> Self {
        Self {
            bytes: Vec::new(),
            answers: None,
            sent: now,
            resends: 0,
            again: None,
            cookies: 0,
        }
    }

    /// Notes `bytes`, which answer the message with the hash `answers`.
    fn note(&mut self, bytes: &[u8], answers: Option<Hash>, now: Instant) {
        self.bytes.clear();
        // Every handshake message fits.
        let _ = self.bytes.extend_from_slice(bytes);
        self.answers = answers;
        self.sent = now;
        self.resends = 0;
    }

    /// Puts the cookie of `m0` into M1, which this still is.
    fn take_cookie(&mut self, m0: &[u8], now: Instant) -> Result<(), Reason> {
        let m1 = M1::parse(&self.bytes, Line::Datagram).map_err(|_| Reason::OutOfPlace)?;
        let M0 { cookie } = M0::parse(m0, m1.id)?;
        if self.cookies >= MAX_COOKIES {
            return Err(Reason::OutOfPlace);
        }
        let mut out = [0; MAX_M1_LEN];
        let with_cookie = Starred::of(&self.bytes).emit_with(&cookie, &mut out);
        let with_cookie = with_cookie.map_err(|_| Reason::Length)?;
        self.bytes.clear();
        // Every handshake message fits.
        let _ = self.bytes.extend_from_slice(with_cookie);
        self.cookies += 1;
        if self.again.is_some() {
            self.again = Some(now.plus(RESEND_MILLIS << self.resends.min(MAX_RESENDS)));
        }
        Ok(())
    }

    /// Copies the message to `out`.
    fn emit<'o>(&self, out: &'o mut [u8]) -> Option<&'o [u8]> {
        let place = out.get_mut(..self.bytes.len())?;
        place.copy_from_slice(&self.bytes);
        Some(place)
    }
}

impl<'k> Datagram<'k> {
    /// Writes M1 to `out` and returns the initiator's connection with it.
    ///
    /// # Errors
    ///
    /// As [`Connection::initiate`].
    pub fn initiate<'o>(
        initiator: Initiator<'k>,
        single_use: impl Into<SingleUse>,
        settings: Settings,
        now: &Now,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o [u8]), Error> {
        let (connection, m1) =
            Connection::initiate(initiator, single_use, settings, now, entropy, out)?;
        let mut flight = Flight::new(now.instant);
        flight.note(m1, None, now.instant);
        flight.again = Some(now.instant.plus(RESEND_MILLIS));
        Ok((Self { connection, flight }, m1))
    }

    /// Returns the responder's connection, which waits for M1. `ephemeral` is as in [`Connection::respond`].
    #[must_use]
    pub fn respond(ephemeral: Option<EphemeralKey>, settings: Settings, now: Instant) -> Self {
        Self {
            connection: Connection::respond(Form::Datagram, ephemeral, settings, now),
            flight: Flight::new(now),
        }
    }

    /// Returns the connection.
    #[must_use]
    pub fn connection(&self) -> &Connection<'k> {
        &self.connection
    }

    /// Returns the connection, for what an open session does.
    pub(crate) fn connection_mut(&mut self) -> &mut Connection<'k> {
        &mut self.connection
    }

    /// Takes in one message, as [`Connection::handle_message`] does. A handshake message that was answered before gets
    /// the same answer again, byte for byte.
    pub fn handle_message<'m, 'o>(
        &mut self,
        message: &'m mut [u8],
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        self.handle_message_or_part(message, None, context, out)
    }

    /// Takes in one message, as [`Datagram::handle_message`] does. The parts of a payload are put together in `assembly`.
    pub(crate) fn handle_message_or_part<'m, 'o>(
        &mut self,
        message: &'m mut [u8],
        assembly: Option<&'m mut FrameAssembly>,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        if !is_handshake(message) {
            return self
                .connection
                .handle_message_or_part(message, assembly, context, out);
        }
        let now = context.now.instant;
        if is_m0(message) && self.connection.awaits_m2(now) {
            return match self.flight.take_cookie(message, now) {
                Ok(()) => Outcome {
                    send: self.flight.emit(out),
                    event: None,
                },
                Err(reason) => Outcome {
                    send: None,
                    event: Some(Event::Dropped(reason)),
                },
            };
        }
        let hash = hash_of(message);
        let repeated = self.flight.answers == Some(hash);
        if repeated && now < self.flight.sent.plus(REPEAT_MILLIS) {
            return Outcome {
                send: self.flight.emit(out),
                event: None,
            };
        }
        let outcome = self.connection.handle_message(message, context, out);
        if let Some(answer) = outcome.send {
            self.flight.note(answer, Some(hash), now);
            if self.flight.again.is_some() {
                self.flight.again = Some(now.plus(RESEND_MILLIS));
            }
        }
        if matches!(outcome.event, Some(Event::Open(_) | Event::Closed(_))) {
            self.flight.again = None;
        }
        outcome
    }

    /// Returns when [`Datagram::handle_deadline`] is to be called; nothing once the connection is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = self.connection.deadline()?;
        Some(
            self.flight
                .again
                .map_or(deadline, |again| deadline.min(again)),
        )
    }

    /// Does what is due, as [`Connection::handle_deadline`] does, and sends again what was not answered.
    pub fn handle_deadline<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'static, 'o> {
        let now = context.now.instant;
        let is_over = self
            .connection
            .deadline()
            .is_none_or(|deadline| now >= deadline);
        match self.flight.again {
            Some(again) if !is_over && now >= again => {
                self.flight.resends += 1;
                self.flight.again = (self.flight.resends < MAX_RESENDS)
                    .then(|| now.plus(self.pause(context.entropy)));
                Outcome {
                    send: self.flight.emit(out),
                    event: None,
                }
            }
            _ => self.connection.handle_deadline(context, out),
        }
    }

    /// Returns how long to wait before the next sending: twice as long each time, and up to a quarter more, so that
    /// many ends that lost the same hub do not speak in step.
    fn pause(&self, entropy: &mut dyn Entropy) -> u64 {
        let pause = RESEND_MILLIS << self.flight.resends.min(MAX_RESENDS);
        let jitter = draw::<2>(entropy).map_or(0, |bytes| u64::from(u16::from_be_bytes(*bytes)));
        pause + pause / 4 * jitter / u64::from(u16::MAX)
    }

    /// Seals a message for the peer's application into `out`.
    ///
    /// # Errors
    ///
    /// As [`Connection::send_application`].
    pub fn send_application<'o>(
        &mut self,
        payload: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.connection.send_application(payload, out)
    }

    /// Starts a key update at once and seals its first frame into `out`.
    ///
    /// # Errors
    ///
    /// As [`Connection::update_keys`].
    pub fn update_keys<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.connection.update_keys(context, out)
    }

    /// Takes away the newest ticket that the responder gave.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.connection.take_ticket()
    }

    /// Ends the connection and wipes its keys. Returns the sealed alert to be sent, when the session was open.
    #[must_use]
    pub fn close<'o>(&mut self, alert: Alert, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.flight.again = None;
        self.connection.close(alert, out)
    }
}

/// Returns what a message is known by when it comes again. An M1 is the same with a cookie and without.
fn hash_of(message: &[u8]) -> Hash {
    match M1::parse(message, Line::Datagram) {
        Ok(_) => Starred::of(message).hash(&[]),
        Err(_) => Hash::of(&[message]),
    }
}
