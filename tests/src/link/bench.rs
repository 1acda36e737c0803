//! An agent and its hub over datagrams that may be short.

use heapless::Vec;
use moorline_core::connection::{Closure, Context, Settings};
use moorline_core::handshake::{Initiator, Responder, SingleUse, Ticket};
use moorline_core::link::{DatagramLink, HubLink, InitiatorLink, MAX_SPLIT_LEN};
use moorline_core::session::FrameAssembly;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::TrustMemory;
use moorline_core::wire::{M2_ROTATED_LEN, datagrams};

use super::site::{initiator, responder};
use crate::Failure;
use crate::fixture::{Door, FixedEntropy, World, at, ephemeral_key};
use crate::pair::{Seen, responding, seen};

/// The mtu of the cases, in bytes.
pub(super) const MTU: u16 = 256;

/// A datagram; a longer one fails the case that sends it.
pub(super) type Short = Vec<u8, 256>;

/// The datagrams that one event sent.
pub(super) type Sent = Vec<Short, 8>;

/// One end.
pub(super) struct Peer<'k, const N: usize> {
    pub(super) link: DatagramLink<'k, N>,
    pub(super) responder: Option<Responder<'k>>,
    /// Where parts of payloads are put together.
    pub(super) frames: FrameAssembly<[u8; 1024]>,
    pub(super) entropy: FixedEntropy,
    pub(super) door: Door,
    /// Whom it trusts, once that has changed.
    pub(super) kept: TrustMemory,
    /// How it ended.
    pub(super) ended: Option<Closure>,
}

/// An agent.
pub(super) type Agent<'k> = Peer<'k, M2_ROTATED_LEN>;

/// What is done with an agent, its hub and M1.
type Work<'w> =
    &'w mut dyn for<'k> FnMut(&mut Agent<'k>, &mut Peer<'k, 1024>, Short) -> Result<(), Failure>;

/// Both ends of a link with datagrams of 256 bytes at the agent, for `work`.
pub(super) fn on_short_link(work: Work<'_>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut short = initiator(&world, token);
    short.offer.mtu = MTU;
    let (mut agent, m1) = Agent::start(short, None)?;
    let mut hub = Peer::hub(responder(&world));
    work(&mut agent, &mut hub, m1)
}

impl<'k> Agent<'k> {
    /// Returns the agent's end and M1, which offers `ticket`.
    pub(super) fn start(
        initiator: Initiator<'k>,
        ticket: Option<Ticket>,
    ) -> Result<(Self, Short), Failure> {
        let mut out = [0; MAX_SPLIT_LEN];
        let mut entropy = FixedEntropy::new("agent");
        let single_use = SingleUse {
            ephemeral: ephemeral_key("agent ephemeral"),
            ticket,
        };
        let settings = Settings::default();
        let started = InitiatorLink::initiate(
            initiator,
            single_use,
            settings,
            &at(0),
            &mut entropy,
            &mut out,
        );
        let (link, m1) = started.map_err(|_| failure("M1 can be written"))?;
        let m1 = short(m1)?;
        Ok((Self::of(link, None, entropy), m1))
    }
}

impl<'k> Peer<'k, 1024> {
    /// Returns the hub's end.
    pub(super) fn hub(responder: Responder<'k>) -> Self {
        let link = HubLink::respond(None, Settings::default(), at(0).instant);
        Self::of(link, Some(responder), FixedEntropy::new("hub"))
    }
}

impl<'k, const N: usize> Peer<'k, N> {
    fn of(
        link: DatagramLink<'k, N>,
        responder: Option<Responder<'k>>,
        entropy: FixedEntropy,
    ) -> Self {
        Self {
            link,
            responder,
            frames: FrameAssembly::new(),
            entropy,
            door: Door::default(),
            kept: TrustMemory::new(),
            ended: None,
        }
    }

    /// Hands `datagram` in at `millis`, and returns what is to be sent and what was seen.
    pub(super) fn hand(&mut self, datagram: &[u8], millis: u64) -> Result<(Sent, Seen), Failure> {
        let mut bytes = short(datagram)?;
        let mut out = [0; MAX_SPLIT_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.entropy,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut self.kept,
        };
        let outcome =
            self.link
                .handle_message(&mut bytes, &mut self.frames, &mut context, &mut out);
        let (sent, seen) = (sent(outcome.send)?, seen(outcome.event));
        self.note(&seen);
        Ok((sent, seen))
    }

    /// Hands all of `datagrams` in, and returns all that is to be sent and what was seen last.
    pub(super) fn hand_all(
        &mut self,
        datagrams: &[Short],
        millis: u64,
    ) -> Result<(Sent, Seen), Failure> {
        let mut all = Sent::new();
        let mut last = Seen::Nothing;
        for datagram in datagrams {
            let (sent, seen) = self.hand(datagram, millis)?;
            all.extend(sent);
            last = seen;
        }
        Ok((all, last))
    }

    /// Lets time come to `millis`, and returns what is to be sent and what was seen.
    pub(super) fn wait(&mut self, millis: u64) -> Result<(Sent, Seen), Failure> {
        let mut out = [0; MAX_SPLIT_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.entropy,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut self.kept,
        };
        let outcome = self.link.handle_deadline(&mut context, &mut out);
        let (sent, seen) = (sent(outcome.send)?, seen(outcome.event));
        self.note(&seen);
        Ok((sent, seen))
    }

    /// Seals an application message.
    pub(super) fn say(&mut self, payload: &[u8]) -> Result<Sent, Failure> {
        let mut out = [0; MAX_SPLIT_LEN + 128];
        let sealed = self.link.send_application(payload, &mut out);
        sent(Some(
            sealed.map_err(|_| failure("the message can be sealed"))?,
        ))
    }

    fn note(&mut self, seen: &Seen) {
        if let Seen::Closed(closure) = seen {
            self.ended = Some(*closure);
        }
    }

    /// Returns a secret that both ends of its session have, and the session's name.
    pub(super) fn view(&self) -> Option<([u8; 32], [u8; 8], bool)> {
        let connection = self.link.connection();
        let secret = connection.session()?.exporter().export("view", b"");
        let facts = connection.facts()?;
        Some((*secret.expose(), facts.session_id, facts.resumed))
    }
}

pub(super) fn failure(condition: &'static str) -> Failure {
    Failure {
        condition,
        file: file!(),
        line: line!(),
        step: 0,
    }
}

/// Returns a copy of `datagram`.
pub(super) fn short(datagram: &[u8]) -> Result<Short, Failure> {
    Short::from_slice(datagram).map_err(|_| failure("no datagram is longer than the mtu"))
}

/// Returns copies of all datagrams in `bytes`.
pub(super) fn sent(bytes: Option<&[u8]>) -> Result<Sent, Failure> {
    let mut sent = Sent::new();
    for datagram in datagrams(bytes.unwrap_or_default()) {
        let pushed = sent.push(short(datagram)?);
        pushed.map_err(|_| failure("there are few datagrams"))?;
    }
    Ok(sent)
}
