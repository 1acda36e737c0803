//! Two connections, the line between them, and a clock of their own.

use heapless::Vec;
use moorline_core::connection::{Closure, Connection, Context, Event, Responding, Settings};
use moorline_core::handshake::{Initiator, Responder, SingleUse, Ticket};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::reason::Reason;
use moorline_core::time::Now;
use moorline_core::token::UnpackedToken;
use moorline_core::trust::NoKeeper;
use moorline_core::wire::Form;

use crate::fixture::{Door, FixedEntropy, World, at, ephemeral_key};
use crate::{Failure, ensure};

/// Longest message on the line: a frame with the longest payload of the cases.
pub const LINE_LEN: usize = 1100;

/// One message on the line.
pub type Message = Vec<u8, LINE_LEN>;

/// What an end made of a message, without the borrowed parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing for the layer above.
    Nothing,
    /// The connection is open.
    Open,
    /// A message for the application.
    Application(Message),
    /// An envelope.
    Envelope(Message),
    /// A pong.
    RoundTrip,
    /// A newcomer got its token.
    Enrolled(Message),
    /// The session rests on a newer token.
    Renewed,
    /// A token was refused.
    RenewalRefused(Reason),
    /// Nothing: it was dropped.
    Dropped(Reason),
    /// The end.
    Closed(Closure),
}

/// One end.
#[derive(Debug)]
pub struct End<'k> {
    /// Its connection.
    pub connection: Connection<'k>,
    /// Who it is, if it is a responder.
    pub responder: Option<Responder<'k>>,
    /// Its entropy.
    pub entropy: FixedEntropy,
    /// Its gate.
    pub door: Door,
}

impl End<'_> {
    /// Hands `message` in at `millis`, and returns what is to be sent and what was seen.
    pub fn hand(&mut self, message: &[u8], millis: u64) -> (Option<Message>, Seen) {
        self.hand_at(message, at(millis))
    }

    /// Hands `message` in at `now`, and returns what is to be sent and what was seen.
    pub fn hand_at(&mut self, message: &[u8], now: Now) -> (Option<Message>, Seen) {
        let mut bytes = copy(message);
        let mut out = [0; MAX_HANDSHAKE_LEN + 64];
        let mut context = Context {
            now,
            entropy: &mut self.entropy,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let outcome = self
            .connection
            .handle_message(&mut bytes, &mut context, &mut out);
        let sent = outcome.send.map(copy);
        (sent, seen(outcome.event))
    }

    /// Lets time come to `millis`, and returns what is to be sent and what was seen.
    pub fn wait(&mut self, millis: u64) -> (Option<Message>, Seen) {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.entropy,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let outcome = self.connection.handle_deadline(&mut context, &mut out);
        let sent = outcome.send.map(copy);
        (sent, seen(outcome.event))
    }

    /// Seals an application message.
    pub fn say(&mut self, payload: &[u8]) -> Result<Message, Failure> {
        let mut out = [0; LINE_LEN];
        let sealed = self
            .connection
            .send_application(payload, &mut out)
            .map(copy);
        sealed.map_err(|_| Failure {
            condition: "the message can be sealed",
            file: file!(),
            line: line!(),
            step: 0,
        })
    }

    /// Starts a key update.
    pub fn update(&mut self, millis: u64) -> Result<Message, Failure> {
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let frame = self
            .connection
            .update_keys(&mut context, &mut out)
            .map(copy);
        frame.map_err(|_| Failure {
            condition: "a key update can be started",
            file: file!(),
            line: line!(),
            step: 0,
        })
    }
}

/// Both ends of one line.
#[derive(Debug)]
pub struct Pair<'k> {
    /// The agent.
    pub initiator: End<'k>,
    /// The hub.
    pub responder: End<'k>,
    /// M1, which the initiator has written.
    pub m1: Message,
}

impl<'k> Pair<'k> {
    /// Returns both ends before the first message is delivered.
    pub fn start(
        world: &'k World,
        token: UnpackedToken<'k>,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let (initiator, responder) = (world.initiator(token), world.responder());
        Self::between(initiator, None, responder, Door::default(), settings, 0)
    }

    /// Returns these two ends before the first message is delivered, at `millis`. The initiator offers `ticket`.
    pub fn between(
        initiator: Initiator<'k>,
        ticket: Option<&Ticket>,
        responder: Responder<'k>,
        door: Door,
        settings: Settings,
        millis: u64,
    ) -> Result<Self, Failure> {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let start = at(millis);
        let mut entropy = FixedEntropy::new("initiator");
        let started = Connection::initiate(
            initiator,
            SingleUse {
                ephemeral: ephemeral_key("initiator ephemeral"),
                // The cases use some twice, as a thief would.
                ticket: ticket.and_then(|ticket| Ticket::from_bytes(&ticket.to_bytes()).ok()),
            },
            settings,
            &start,
            &mut entropy,
            &mut out,
        );
        let Ok((connection, m1)) = started else {
            return Err(Failure {
                condition: "M1 can be written",
                file: file!(),
                line: line!(),
                step: 0,
            });
        };
        let initiator = End {
            connection,
            responder: None,
            entropy,
            door: Door::default(),
        };
        let responder = End {
            connection: Connection::respond(Form::Stream, None, settings, start.instant),
            responder: Some(responder),
            entropy: FixedEntropy::new("responder"),
            door,
        };
        Ok(Self {
            initiator,
            responder,
            m1: copy(m1),
        })
    }

    /// Returns both ends with the handshake done, all of it at the time 0.
    pub fn open(
        world: &'k World,
        token: UnpackedToken<'k>,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let mut pair = Self::start(world, token, settings)?;
        pair.finish(0)?;
        Ok(pair)
    }

    /// Delivers all messages of the handshake, undisturbed, at `millis`; returns M2, M3 and what follows.
    pub fn finish(&mut self, millis: u64) -> Result<[Message; 3], Failure> {
        let (m2, _) = self.responder.hand(&self.m1, millis);
        let m2 = m2.unwrap_or_default();
        let (m3, _) = self.initiator.hand(&m2, millis);
        let m3 = m3.unwrap_or_default();
        let (m4, seen) = self.responder.hand(&m3, millis);
        ensure!(seen == Seen::Open);
        let m4 = m4.unwrap_or_default();
        let (none, seen) = self.initiator.hand(&m4, millis);
        ensure!(seen == Seen::Open && none.is_none());
        Ok([m2, m3, m4])
    }
}

/// Returns what `responder` answers from.
pub fn responding<'c>(
    responder: Option<&'c Responder<'c>>,
    door: &'c mut Door,
) -> Option<Responding<'c>> {
    responder.map(|responder| Responding {
        responder,
        gate: door,
    })
}

/// Returns a copy of `bytes`; what is too long for the line is cut, and refused at the other end.
pub fn copy(bytes: &[u8]) -> Message {
    bytes.iter().copied().take(LINE_LEN).collect()
}

pub(crate) fn seen(event: Option<Event<'_>>) -> Seen {
    match event {
        None => Seen::Nothing,
        Some(Event::Open(_)) => Seen::Open,
        Some(Event::Application(payload)) => Seen::Application(copy(payload)),
        Some(Event::Envelope(payload)) => Seen::Envelope(copy(payload)),
        Some(Event::Enrolled(enrolled)) => Seen::Enrolled(copy(enrolled.token)),
        Some(Event::Renewed(_)) => Seen::Renewed,
        Some(Event::RenewalRefused(reason)) => Seen::RenewalRefused(reason),
        Some(Event::RoundTrip(_)) => Seen::RoundTrip,
        Some(Event::Dropped(reason)) => Seen::Dropped(reason),
        Some(Event::Closed(closure)) => Seen::Closed(closure),
    }
}
