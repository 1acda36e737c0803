//! Messages that must be refused, each for its reason.

use heapless::Vec;
use moorline_core::reason::Reason;

use super::{Run, announcement, m3_signed};
use crate::fixture::{World, signing_key};
use crate::handshake::shares::LOW_ORDER;
use crate::pair::Message;
use crate::reference::m4_facts;
use crate::{Failure, ensure};

/// Where a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// The responder waits for M1.
    AwaitM1,
    /// The initiator waits for M2.
    AwaitM2,
    /// The responder waits for M3.
    AwaitM3,
    /// The initiator waits for M4.
    AwaitM4,
}

impl At {
    /// Returns the name of the place.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AwaitM1 => "responder, waiting for M1",
            Self::AwaitM2 => "initiator, waiting for M2",
            Self::AwaitM3 => "responder, waiting for M3",
            Self::AwaitM4 => "initiator, waiting for M4",
        }
    }
}

/// A message that must be refused.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// What is wrong with it.
    pub(crate) name: &'static str,
    /// Where it arrives.
    pub(crate) at: At,
    /// The message.
    pub(crate) message: Message,
    /// Why it is refused.
    pub(crate) reason: Reason,
}

/// Most examples.
const MAX_EXAMPLES: usize = 24;

/// Returns the examples.
pub(crate) fn refused(world: &World, run: &Run) -> Result<Vec<Refused, MAX_EXAMPLES>, Failure> {
    let mut all = Vec::new();
    let mut add = |name, at, message: Message, reason| {
        let example = Refused {
            name,
            at,
            message,
            reason,
        };
        ensure!(all.push(example).is_ok());
        Ok(())
    };
    let with = |message: &Message, place: usize, byte: u8| {
        let mut message = message.clone();
        message[place] = byte;
        message
    };
    let thief = signing_key("thief")?;

    let m1 = &run.m1;
    add("version 2", At::AwaitM1, with(m1, 1, 2), Reason::Version)?;
    add("no suite", At::AwaitM1, with(m1, 4, 0), Reason::SuiteList)?;
    add("suite 3 alone", At::AwaitM1, with(m1, 5, 3), Reason::Suite)?;
    add("mode 2", At::AwaitM1, with(m1, 9, 2), Reason::Mode)?;
    add(
        "datagram form",
        At::AwaitM1,
        with(m1, 10, 0x13),
        Reason::Form,
    )?;
    let mut zero = m1.clone();
    zero[21..53].copy_from_slice(&LOW_ORDER[1]);
    let name = "a share of low order";
    add(name, At::AwaitM1, zero, Reason::ZeroSharedSecret)?;

    let m2 = &run.answered.message;
    let last = m2.len() - 1;
    let flipped = with(m2, last, m2[last] ^ 1);
    add(
        "a tag with one bit flipped",
        At::AwaitM2,
        flipped,
        Reason::Unsealed,
    )?;
    add(
        "mode 1, which was not offered",
        At::AwaitM2,
        with(m2, 5, 1),
        Reason::Mode,
    )?;
    let hub = world.hub[0].public_key().to_bytes();
    let says = announcement(world);
    let m2 = |says: super::Announcement, signer| {
        run.agreed
            .m2(&says.bytes(), &hub, signer, &run.hedges[0])
            .message
    };
    let mut unknown = says;
    unknown.key_id = thief.public_key().hash().prefix();
    let name = "a key that is not pinned";
    add(name, At::AwaitM2, m2(unknown, &thief), Reason::NotPinned)?;
    let name = "the pinned key's name, signed by another key";
    add(
        name,
        At::AwaitM2,
        m2(says, &thief),
        Reason::ResponderSignature,
    )?;
    let mut windowed = says;
    windowed.window = 64;
    let name = "a replay window on a stream";
    add(
        name,
        At::AwaitM2,
        m2(windowed, &world.hub[0]),
        Reason::PeerLimit,
    )?;
    let agent = world.agent.public_key().to_bytes();
    let m3 = |signed: &[u8], signer| {
        let (hash, hedge) = (&run.token_hash, &run.hedges[1]);
        run.answered.m3(signed, hash, &agent, signer, hedge).message
    };
    let name = "a token without its holder's key";
    let stolen = m3(&run.m3_signed, &thief);
    add(name, At::AwaitM3, stolen, Reason::InitiatorSignature)?;
    let by_hash = m3_signed(1024, 1, &run.token_hash);
    let name = "a credential of kind 1";
    add(
        name,
        At::AwaitM3,
        m3(&by_hash, &world.agent),
        Reason::CredentialKind,
    )?;
    let small = m3_signed(63, 0, &run.token);
    let name = "a longest payload of 63";
    add(
        name,
        At::AwaitM3,
        m3(&small, &world.agent),
        Reason::PeerLimit,
    )?;
    let mut padded = run.m3_signed.clone();
    ensure!(padded.resize(padded.len() + 64, 0).is_ok());
    let name = "64 bytes of padding";
    add(
        name,
        At::AwaitM3,
        m3(&padded, &world.agent),
        Reason::Padding,
    )?;

    let expires = (crate::fixture::NOW.secs() + 3600) * 1000;
    let facts = m4_facts(&crate::fixture::SESSION_ID, expires, 0);
    let unconfirmed = run.proved.m4(&[0; 32], &facts);
    let name = "a confirmation that is wrong";
    add(name, At::AwaitM4, unconfirmed, Reason::Confirmation)?;
    let mut ticket = facts;
    ticket[20] = 1;
    let name = "a ticket's name without a life";
    add(
        name,
        At::AwaitM4,
        run.proved.m4(&run.proved.fin(), &ticket),
        Reason::Reserved,
    )?;
    let over = m4_facts(&crate::fixture::SESSION_ID, crate::fixture::NOW.0, 0);
    let name = "a session that has ended";
    add(
        name,
        At::AwaitM4,
        run.proved.m4(&run.proved.fin(), &over),
        Reason::SessionExpired,
    )?;
    add(
        "a REFUSE",
        At::AwaitM4,
        run.refuse.clone(),
        Reason::RefusedCredential,
    )?;
    Ok(all)
}
