//! A commander's channel to one agent, end to end through the hub.

use moorline_core::connection::{Closure, Context, Event};
use moorline_core::datagram::Datagram;
use moorline_core::handshake::{Initiator, Shown, SingleUse, Ticket, Wanted, WantedAgent};
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::Instant;
use moorline_core::token::AgentId;
use moorline_core::trust::NoKeeper;

use super::link::{OFFER, PAYLOAD_LEN, ephemeral_key, settings};
use super::{ClientError, Commander};
use crate::clock;
use crate::entropy::SystemEntropy;
use crate::transport::max_message_len;

/// A channel, open or on its way.
#[derive(Debug)]
pub(super) struct Channel<'k> {
    /// The agent at its end.
    pub(super) agent: AgentId,
    /// The commander's number for it.
    pub(super) number: u32,
    datagram: Datagram<'k>,
    /// Whether a ticket was offered.
    pub(super) rests_on_ticket: bool,
    /// Why the last message was dropped: if nothing better comes, that is what is wrong.
    dropped: Option<Reason>,
    out: Vec<u8>,
}

/// What one message led to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// What is to be carried to the agent.
    pub(super) send: Option<Vec<u8>>,
    /// A message of the agent's.
    pub(super) message: Option<Vec<u8>>,
}

impl<'k> Channel<'k> {
    /// Returns the channel to `agent` that begins, and its first message. It rests on `ticket` where the agent takes it.
    pub(super) fn start(
        commander: Commander<'k>,
        agent: AgentId,
        number: u32,
        ticket: Option<Ticket>,
    ) -> Result<(Self, Vec<u8>), ClientError> {
        let rests_on_ticket = ticket.is_some();
        let initiator = Initiator {
            key: commander.key,
            shows: Shown::Token(commander.token),
            wanted: Wanted::Agent(WantedAgent {
                id: agent,
                anchors: commander.anchors,
                audience: commander.audience,
            }),
            offer: OFFER,
        };
        let mut out = vec![0; max_message_len(PAYLOAD_LEN)];
        let (datagram, m1) = Datagram::initiate(
            initiator,
            SingleUse {
                ephemeral: ephemeral_key()?,
                ticket,
            },
            settings(),
            &clock::now(),
            &mut SystemEntropy,
            &mut out,
        )
        .map_err(ClientError::Own)?;
        let m1 = m1.to_vec();
        let channel = Self {
            agent,
            number,
            datagram,
            rests_on_ticket,
            dropped: None,
            out,
        };
        Ok((channel, m1))
    }

    /// Returns whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.datagram.connection().is_open()
    }

    /// Takes away the newest ticket that the agent gave.
    pub(super) fn take_ticket(&mut self) -> Option<Ticket> {
        self.datagram.take_ticket()
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.datagram.deadline()
    }

    /// Takes in what the hub carried here.
    pub(super) fn handle(&mut self, inner: &mut [u8]) -> Result<Step, ClientError> {
        let mut context = Context {
            now: clock::now(),
            entropy: &mut SystemEntropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let outcome = self
            .datagram
            .handle_message(inner, &mut context, &mut self.out);
        let mut step = Step {
            send: outcome.send.map(<[u8]>::to_vec),
            message: None,
        };
        match outcome.event {
            Some(Event::Application(message)) => step.message = Some(message.to_vec()),
            Some(Event::Dropped(reason)) => self.dropped = Some(reason),
            Some(Event::Closed(closure)) => return Err(self.ended(closure)),
            _ => {}
        }
        Ok(step)
    }

    /// Does what is due.
    pub(super) fn attend(&mut self) -> Result<Step, ClientError> {
        let mut context = Context {
            now: clock::now(),
            entropy: &mut SystemEntropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let outcome = self.datagram.handle_deadline(&mut context, &mut self.out);
        let send = outcome.send.map(<[u8]>::to_vec);
        match outcome.event {
            Some(Event::Closed(closure)) => Err(self.ended(closure)),
            _ => Ok(Step {
                send,
                message: None,
            }),
        }
    }

    /// Seals `message`.
    pub(super) fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, ClientError> {
        self.datagram
            .send_application(message, &mut self.out)
            .map(<[u8]>::to_vec)
            .map_err(|error| match error {
                Error::PayloadTooLong { .. } => ClientError::TooLong,
                error => ClientError::Own(error),
            })
    }

    /// Returns the sealed goodbye, when the channel is open.
    pub(super) fn close(&mut self) -> Option<Vec<u8>> {
        let alert = Alert::new(AlertCode::Close);
        self.datagram
            .close(alert, &mut self.out)
            .map(<[u8]>::to_vec)
    }

    /// Returns what kept the channel from opening, if something was dropped that should not have come from the agent.
    pub(super) fn suspicion(&self) -> Option<ClientError> {
        self.dropped.map(|reason| match reason {
            Reason::Rejected => ClientError::AgentBusy,
            other => ClientError::WrongAgent(other),
        })
    }

    fn ended(&self, closure: Closure) -> ClientError {
        match (closure, self.dropped) {
            (Closure::Refused(Reason::RefusedCredential), _) => ClientError::RefusedByAgent,
            (Closure::Refused(Reason::RefusedNoTime), _) => ClientError::AgentWithoutTime,
            (Closure::Refused(Reason::HandshakeTimeout), Some(_)) => self
                .suspicion()
                .unwrap_or(ClientError::ChannelEnded(closure)),
            (closure, _) => ClientError::ChannelEnded(closure),
        }
    }
}
