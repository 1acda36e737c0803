//! An end of a link or of a channel, and the randomness that it draws.

use heapless::Vec;
use moorline_core::connection::{Connection, Context, Outcome, Settings};
use moorline_core::crypto::{EphemeralKey, Hash, Secret, Share};
use moorline_core::datagram::Datagram;
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::handshake::{Initiator, Responder, SingleUse, Ticket};
use moorline_core::message::Alert;
use moorline_core::trust::NoKeeper;
use moorline_core::wire::Form;

use crate::Failure;
use crate::fixture::{Door, at};
use crate::pair::{LINE_LEN, Message, Seen, copy, responding, seen};
use crate::reference::Block;

/// Entropy of one life of one end, and the last blocks that it gave: a scalar is a whole block.
pub(crate) struct Drawn {
    seed: Block,
    count: u32,
    blocks: Vec<Block, 16>,
}

impl Drawn {
    /// Returns the entropy of life number `life`.
    pub(crate) fn new(seed: u64, life: u64) -> Self {
        let seed = Hash::of(&[b"ledger", &seed.to_be_bytes(), &life.to_be_bytes()]).0;
        Self {
            seed,
            count: 0,
            blocks: Vec::new(),
        }
    }

    /// Returns the key whose share is `share`, if its scalar was drawn of late.
    pub(crate) fn key_of(&self, share: &Share) -> Option<EphemeralKey> {
        self.blocks
            .iter()
            .rev()
            .map(|scalar| EphemeralKey::from_scalar(&Secret::new(*scalar)))
            .find(|key| key.share() == *share)
    }
}

impl Entropy for Drawn {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(32) {
            let block = Hash::of(&[&self.seed, &self.count.to_be_bytes()]).0;
            self.count += 1;
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
            if chunk.len() == 32 {
                if self.blocks.is_full() {
                    self.blocks.remove(0);
                }
                let _ = self.blocks.push(block);
            }
        }
        Ok(())
    }
}

/// What an end runs.
#[expect(
    clippy::large_enum_variant,
    reason = "both are large, and there is no heap on the device"
)]
enum Line<'k> {
    Link(Connection<'k>),
    Channel(Datagram<'k>),
}

/// One life of one end.
pub(crate) struct End<'k> {
    line: Line<'k>,
    responder: Option<Responder<'k>>,
    pub(crate) drawn: Drawn,
    pub(crate) door: Door,
}

impl<'k> End<'k> {
    /// Returns the initiator with M1.
    pub(crate) fn initiator(
        initiator: Initiator<'k>,
        ticket: Option<Ticket>,
        settings: Settings,
        mut drawn: Drawn,
    ) -> Result<(Self, Message), Failure> {
        let mut out = [0; LINE_LEN];
        let form = initiator.wanted.line().form();
        let ephemeral = EphemeralKey::generate(&mut drawn).map_err(|_| NOT_STARTED)?;
        let use_up = SingleUse { ephemeral, ticket };
        let (line, m1) = match form {
            Form::Stream => {
                Connection::initiate(initiator, use_up, settings, &at(0), &mut drawn, &mut out)
                    .map(|(connection, m1)| (Line::Link(connection), m1))
            }
            Form::Datagram => {
                Datagram::initiate(initiator, use_up, settings, &at(0), &mut drawn, &mut out)
                    .map(|(datagram, m1)| (Line::Channel(datagram), m1))
            }
        }
        .map_err(|_| NOT_STARTED)?;
        let end = Self {
            line,
            responder: None,
            drawn,
            door: Door::default(),
        };
        Ok((end, copy(m1)))
    }

    /// Returns the responder.
    pub(crate) fn responder(
        responder: Responder<'k>,
        form: Form,
        door: Door,
        settings: Settings,
        drawn: Drawn,
    ) -> Self {
        let start = at(0).instant;
        let line = match form {
            Form::Stream => Line::Link(Connection::respond(form, None, settings, start)),
            Form::Datagram => Line::Channel(Datagram::respond(None, settings, start)),
        };
        Self {
            line,
            responder: Some(responder),
            drawn,
            door,
        }
    }

    pub(crate) fn connection(&self) -> &Connection<'k> {
        match &self.line {
            Line::Link(connection) => connection,
            Line::Channel(datagram) => datagram.connection(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection().is_open()
    }

    pub(crate) fn epoch(&self) -> u32 {
        let session = self.connection().session();
        session.map_or(0, moorline_core::session::Session::epoch)
    }

    pub(crate) fn take_ticket(&mut self) -> Option<Ticket> {
        match &mut self.line {
            Line::Link(connection) => connection.take_ticket(),
            Line::Channel(datagram) => datagram.take_ticket(),
        }
    }

    /// Hands `message` in at `millis`, and returns what is to be sent and what was seen.
    pub(crate) fn hand(&mut self, message: &[u8], millis: u64) -> (Option<Message>, Seen) {
        let mut bytes = copy(message);
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.drawn,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let Outcome { send, event } = match &mut self.line {
            Line::Link(connection) => connection.handle_message(&mut bytes, &mut context, &mut out),
            Line::Channel(datagram) => datagram.handle_message(&mut bytes, &mut context, &mut out),
        };
        (send.map(copy), seen(event))
    }

    /// Lets time come to `millis`, and returns what is to be sent and what was seen.
    pub(crate) fn wait(&mut self, millis: u64) -> (Option<Message>, Seen) {
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.drawn,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let Outcome { send, event } = match &mut self.line {
            Line::Link(connection) => connection.handle_deadline(&mut context, &mut out),
            Line::Channel(datagram) => datagram.handle_deadline(&mut context, &mut out),
        };
        (send.map(copy), seen(event))
    }

    /// Asks for new keys; nothing when it is not the moment.
    pub(crate) fn ask(&mut self, millis: u64) -> Option<Message> {
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.drawn,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let asked = match &mut self.line {
            Line::Link(connection) => connection.update_keys(&mut context, &mut out),
            Line::Channel(datagram) => datagram.update_keys(&mut context, &mut out),
        };
        asked.ok().map(copy)
    }

    /// Seals an application message; nothing when the end is not open.
    pub(crate) fn say(&mut self, payload: &[u8]) -> Option<Message> {
        let mut out = [0; LINE_LEN];
        let said = match &mut self.line {
            Line::Link(connection) => connection.send_application(payload, &mut out),
            Line::Channel(datagram) => datagram.send_application(payload, &mut out),
        };
        said.ok().map(copy)
    }

    /// Says `alert`, and is over.
    pub(crate) fn close(&mut self, alert: Alert) -> Option<Message> {
        let mut out = [0; LINE_LEN];
        let said = match &mut self.line {
            Line::Link(connection) => connection.close(alert, &mut out),
            Line::Channel(datagram) => datagram.close(alert, &mut out),
        };
        said.map(copy)
    }
}

const NOT_STARTED: Failure = Failure {
    condition: "M1 can be written",
    file: file!(),
    line: line!(),
    step: 0,
};
