//! Tickets: what an earlier session leaves for the next handshake (PROTOCOL.md §2.8).

use core::fmt;

use heapless::Vec;

use super::{Established, ResumptionSecret};
use crate::crypto::{HASH_LEN, Hash, Secret, Suite};
use crate::limits::{MAX_TICKET_CHAIN, MAX_TICKET_SECONDS};
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::{AGENT_ID_LEN, AgentId, MAX_UNPACKED_LEN, UnpackedToken, VerifiedToken};
use crate::wire::{Line, NewTicket, Reader, TICKET_ID_LEN, TooSmall, Writer};

/// Length of a [`Ticket`] in storage in bytes.
pub const TICKET_LEN: usize = 1 + TICKET_ID_LEN + 32 + 1 + HASH_LEN + AGENT_ID_LEN + 8 + 2;

/// Longest [`TicketRecord`] in storage in bytes.
pub const MAX_TICKET_RECORD_LEN: usize =
    TICKET_ID_LEN + 32 + 1 + HASH_LEN + HASH_LEN + 8 + 1 + 2 + MAX_UNPACKED_LEN;

/// What an initiator keeps. It is worth what a token and its key are worth until it is used or expires: it is stored
/// as they are, and wiped with them.
pub struct Ticket {
    pub(super) id: [u8; TICKET_ID_LEN],
    pub(super) secret: Secret<32>,
    pub(super) suite: Suite,
    /// The hash of the responder's key.
    pub(super) responder: Hash,
    /// The agent at the other end of the channel; nothing on a link.
    pub(super) agent: Option<AgentId>,
    pub(super) expires: UnixMillis,
    /// Longest payload that the holder takes: a resumed handshake does not say it again.
    pub(super) max_payload_len: u16,
}

impl Ticket {
    /// Returns the ticket that `new` makes of a session's resumption secret.
    pub(crate) fn new(
        new: &NewTicket,
        resumption: &ResumptionSecret,
        origin: &TicketOrigin,
        expires: UnixMillis,
    ) -> Self {
        Self {
            id: new.id,
            secret: resumption.ticket(&new.nonce),
            suite: origin.suite,
            responder: origin.responder,
            agent: origin.agent,
            expires,
            max_payload_len: origin.max_payload_len,
        }
    }

    /// Returns when the ticket is no longer good.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }

    /// Returns whether the ticket was given on such a line.
    pub(super) fn is_of(&self, line: Line) -> bool {
        match line {
            Line::Stream | Line::Datagram => self.agent.is_none(),
            Line::Channel(agent) => self.agent == Some(agent),
        }
    }

    /// Writes the ticket for storage that only its owner reads.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<TICKET_LEN> {
        Secret::filled_by(|bytes| {
            let mut writer = Writer::new(bytes);
            writer
                .u8(u8::from(self.agent.is_some()))
                .bytes(&self.id)
                .bytes(self.secret.expose())
                .u8(self.suite.number())
                .bytes(self.responder.as_bytes())
                .bytes(&self.agent.map_or([0; AGENT_ID_LEN], |agent| agent.0))
                .u64(self.expires.0)
                .u16(self.max_payload_len);
            debug_assert!(writer.finish().is_ok());
        })
    }

    /// Reads a ticket from storage.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] when it is not one.
    pub fn from_bytes(bytes: &Secret<TICKET_LEN>) -> Result<Self, Reason> {
        let mut reader = Reader::new(bytes.expose());
        let on_channel = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Reason::Malformed),
        };
        let id = *reader.array()?;
        let secret = Secret::new(*reader.array()?);
        let suite = Suite::from_number(reader.u8()?).ok_or(Reason::Malformed)?;
        let responder = Hash(*reader.array()?);
        let agent = AgentId(*reader.array()?);
        let expires = UnixMillis(reader.u64()?);
        let max_payload_len = reader.u16()?;
        reader.finish()?;
        Ok(Self {
            id,
            secret,
            suite,
            responder,
            agent: on_channel.then_some(agent),
            expires,
            max_payload_len,
        })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket")
    }
}

/// What a session knows about the tickets that it gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TicketOrigin {
    pub(crate) suite: Suite,
    pub(crate) responder: Hash,
    pub(crate) agent: Option<AgentId>,
    pub(crate) max_payload_len: u16,
}

/// What a responder keeps of a ticket that it gave. It is worth a session in the holder's name: at rest it is sealed.
///
/// The holder's token is in it. When the ticket is used, everything about the token is looked at again but its
/// issuer's signature: its time, its place, its revocation, its issuer's key.
pub struct TicketRecord {
    pub(super) id: [u8; TICKET_ID_LEN],
    pub(super) secret: Secret<32>,
    pub(super) suite: Suite,
    /// The hash of the responder's key.
    pub(super) responder: Hash,
    /// The hash of the issuer's key that the token was verified with.
    pub(super) issuer_key: Hash,
    pub(super) expires: UnixMillis,
    /// How many tickets may follow this one without a full handshake.
    pub(super) left: u8,
    /// Longest payload that the holder takes: a resumed handshake does not say it again.
    pub(super) max_payload_len: u16,
    pub(super) token: Vec<u8, MAX_UNPACKED_LEN>,
}

impl TicketRecord {
    /// Returns what a record is made of for the holder of `token`, without name and secret yet.
    pub(crate) fn of_token(
        token: &UnpackedToken<'_>,
        proof: &VerifiedToken,
        established: &Established,
        left: u8,
    ) -> Option<Self> {
        Some(Self {
            id: [0; TICKET_ID_LEN],
            secret: Secret::new([0; 32]),
            suite: established.suite,
            responder: established.responder,
            issuer_key: proof.issuer_key_hash(),
            expires: UnixMillis(0),
            left,
            max_payload_len: established.peer_max_payload_len,
            token: Vec::from_slice(token.as_bytes()).ok()?,
        })
    }

    /// Returns what the record of the ticket after this one is made of; nothing at the end of the chain.
    pub(crate) fn followed(&self) -> Option<Self> {
        let left = self.left.checked_sub(1)?;
        Some(Self {
            left,
            ..self.clone()
        })
    }

    /// Returns the record with the holder's newer token in it; nothing when that does not fit.
    pub(crate) fn renewed(&self, token: &[u8], proof: &VerifiedToken) -> Option<Self> {
        Some(Self {
            issuer_key: proof.issuer_key_hash(),
            token: Vec::from_slice(token).ok()?,
            ..self.clone()
        })
    }

    /// Returns the ticket's name.
    #[must_use]
    pub fn id(&self) -> &[u8; TICKET_ID_LEN] {
        &self.id
    }

    /// Returns when the ticket is no longer good.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }

    /// Returns the holder's token.
    ///
    /// # Errors
    ///
    /// As [`UnpackedToken::parse`]; it was measured before it was kept.
    pub fn token(&self) -> Result<UnpackedToken<'_>, Reason> {
        Ok(UnpackedToken::parse(&self.token)?.0)
    }

    /// Returns the proof that the token's signature was checked.
    pub(super) fn proof(&self, token: &UnpackedToken<'_>) -> VerifiedToken {
        VerifiedToken::kept(token.hash(), self.issuer_key)
    }

    /// Writes the record to `out`, for storage that is sealed; [`MAX_TICKET_RECORD_LEN`] bytes take every record.
    ///
    /// # Errors
    ///
    /// [`TooSmall`].
    pub fn emit<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let mut writer = Writer::new(out);
        writer
            .bytes(&self.id)
            .bytes(self.secret.expose())
            .u8(self.suite.number())
            .bytes(self.responder.as_bytes())
            .bytes(self.issuer_key.as_bytes())
            .u64(self.expires.0)
            .u8(self.left)
            .u16(self.max_payload_len)
            .bytes(&self.token);
        writer.finish()
    }

    /// Reads a record from storage.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(bytes);
        let id = *reader.array()?;
        let secret = Secret::new(*reader.array()?);
        let suite = Suite::from_number(reader.u8()?).ok_or(Reason::Malformed)?;
        let responder = Hash(*reader.array()?);
        let issuer_key = Hash(*reader.array()?);
        let expires = UnixMillis(reader.u64()?);
        let left = reader.u8()?;
        let max_payload_len = reader.u16()?;
        let token = Vec::from_slice(reader.rest()).map_err(|_| Reason::Malformed)?;
        let (_, token_len) = UnpackedToken::parse(&token)?;
        if token_len != token.len() || left > MAX_TICKET_CHAIN {
            return Err(Reason::Malformed);
        }
        Ok(Self {
            id,
            secret,
            suite,
            responder,
            issuer_key,
            expires,
            left,
            max_payload_len,
            token,
        })
    }
}

impl Clone for TicketRecord {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            secret: Secret::new(*self.secret.expose()),
            suite: self.suite,
            responder: self.responder,
            issuer_key: self.issuer_key,
            expires: self.expires,
            left: self.left,
            max_payload_len: self.max_payload_len,
            token: self.token.clone(),
        }
    }
}

impl fmt::Debug for TicketRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TicketRecord")
    }
}

/// Returns the seconds for which a ticket may be used that is given at `now` for a session that ends at `session_end`.
pub(crate) fn ticket_life(now: UnixMillis, session_end: UnixMillis) -> u32 {
    let left = session_end.0.saturating_sub(now.0) / 1000;
    u32::try_from(left).map_or(MAX_TICKET_SECONDS, |left| left.min(MAX_TICKET_SECONDS))
}
