//! The initiator: an agent or a commander.

use super::{ExternalKey, Ticket};
use crate::crypto::{EphemeralKey, SigningKey};
use crate::token::{AgentId, TrustAnchors, UnpackedToken};
use crate::trust::TrustStore;
use crate::wire::{Credential, Enrolment, EnrolmentCode, Form, Line, SuiteList};

/// Who an initiator is and whom it takes for the other end.
#[derive(Debug, Clone, Copy)]
pub struct Initiator<'k> {
    /// Its key, which the token names.
    pub key: &'k SigningKey,
    /// What it shows.
    pub shows: Shown<'k>,
    /// Whom it wants to reach.
    pub wanted: Wanted<'k>,
    /// What it announces.
    pub offer: Offer,
}

/// What an initiator shows of itself.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'k> {
    /// A token that names its key.
    Token(UnpackedToken<'k>),
    /// A code with which it is enrolled (PROTOCOL.md §2.9): on links.
    Code(EnrolmentCode<'k>),
    /// Its key alone, by which the hub knows it; its token is over (PROTOCOL.md §2.9): on links.
    Key,
    /// A key that its hub was given too (PROTOCOL.md §2.12): on links. It signs nothing in the handshake.
    ExternalKey(&'k ExternalKey),
}

impl<'k> Initiator<'k> {
    /// Returns what stands in M3, unless the handshake has no signatures.
    pub(super) fn credential(&self) -> Option<Credential<'k>> {
        match self.shows {
            Shown::Token(token) => Some(Credential::Token(token)),
            Shown::Code(code) => Some(self.enrolment(Some(code))),
            Shown::Key => Some(self.enrolment(None)),
            Shown::ExternalKey(_) => None,
        }
    }

    fn enrolment(&self, code: Option<EnrolmentCode<'k>>) -> Credential<'k> {
        Credential::Enrolment(Enrolment {
            code,
            key: self.key.public_key().to_bytes(),
        })
    }

    /// Returns whether it has no token that is good.
    pub(crate) fn is_newcomer(&self) -> bool {
        !matches!(self.shows, Shown::Token(_))
    }
}

/// What one handshake uses up.
#[derive(Debug)]
pub struct SingleUse {
    /// Its ephemeral key, which may have been made at any time before.
    pub ephemeral: EphemeralKey,
    /// What an earlier session left. One that does not fit is passed over.
    pub ticket: Option<Ticket>,
}

impl From<EphemeralKey> for SingleUse {
    fn from(ephemeral: EphemeralKey) -> Self {
        Self {
            ephemeral,
            ticket: None,
        }
    }
}

/// Whom an initiator wants to reach, and how it knows that one.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'k> {
    /// The hub with one of these keys, or one that they vouch for, over a link of this form.
    Hub(&'k TrustStore, Form),
    /// An agent, through a hub.
    Agent(WantedAgent<'k>),
}

/// How a commander knows an agent: by its token.
#[derive(Debug, Clone, Copy)]
pub struct WantedAgent<'k> {
    /// The agent's id.
    pub id: AgentId,
    /// The issuers whose tokens count.
    pub anchors: &'k TrustAnchors,
    /// The audience that the agent's token must name.
    pub audience: &'k str,
}

impl Wanted<'_> {
    /// Returns what the handshake runs over.
    #[must_use]
    pub fn line(&self) -> Line {
        match self {
            Self::Hub(_, Form::Stream) => Line::Stream,
            Self::Hub(_, Form::Datagram) => Line::Datagram,
            Self::Agent(agent) => Line::Channel(agent.id),
        }
    }

    /// Returns what names the expected key in M1.
    pub(super) fn hint(&self) -> [u8; 4] {
        match self {
            Self::Hub(trust, _) => trust.expected().prefix(),
            Self::Agent(_) => [0; 4],
        }
    }

    /// Returns whether `ticket` was given by whom is wanted.
    pub(super) fn is_of(&self, ticket: &Ticket) -> bool {
        let by_the_key = match self {
            Self::Hub(trust, _) => trust.find(&ticket.responder.prefix()).is_some(),
            Self::Agent(_) => true,
        };
        by_the_key && ticket.is_of(self.line())
    }
}

/// What an initiator announces of itself.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// The suites that it takes, the preferred one first; suite 1 is among them.
    pub suites: SuiteList,
    /// Largest transport unit that it takes, in bytes; at least 160.
    pub mtu: u16,
    /// Longest payload of a frame that it takes, in bytes; 64 to 16,384.
    pub max_payload_len: u16,
    /// Whether it has no clock.
    pub no_clock: bool,
    /// Whether it wants a ticket for the next time.
    pub wants_ticket: bool,
}
