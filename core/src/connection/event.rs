//! What a connection is told, and what it says.

use crate::entropy::Entropy;
use crate::handshake::{Gate, Peer, Responder};
use crate::message::{Alert, Enrolled};
use crate::reason::Reason;
use crate::time::Now;
use crate::token::VerifiedClaims;
use crate::trust::TrustKeeper;

/// What happened.
#[derive(Debug)]
pub enum Event<'m> {
    /// The handshake is finished and both ends are proved. A responder learns who the initiator is; to a newcomer it
    /// gives a token with [`Connection::enrol`](super::Connection::enrol).
    Open(Option<Peer>),
    /// The hub has enrolled this newcomer. The session rests on the token when that is shown with
    /// [`Connection::renew`](super::Connection::renew); until then nothing else is said in it.
    Enrolled(Enrolled<'m>),
    /// The session rests on a newer token: its end and its permissions may be others now. A responder learns what the
    /// token says.
    Renewed(Option<VerifiedClaims>),
    /// A token was refused, and nothing has changed.
    RenewalRefused(Reason),
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
    /// What a responder answers from; an initiator has none.
    pub responding: Option<Responding<'c>>,
    /// Where an initiator keeps whom it trusts. It is asked for while the initiator waits for M2; at other times, and at
    /// other ends, it may be [`NoKeeper`](crate::trust::NoKeeper).
    pub keeper: &'c mut dyn TrustKeeper,
}

/// What a responder answers from. It is asked for at each event, and not kept: keys and tokens may be replaced while a
/// connection lives.
pub struct Responding<'c> {
    /// Who it is and whom it takes.
    pub responder: &'c Responder<'c>,
    /// The shell's part in the decision about a peer.
    pub gate: &'c mut dyn Gate,
}
