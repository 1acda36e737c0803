//! M4, the responder's confirmation (PROTOCOL.md §2.5).

use serde::{Deserialize, Serialize};

use crate::crypto::{MAC_LEN, TAG_LEN};
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::Permissions;
use crate::wire::{MessageType, Reader, TICKET_ID_LEN, Writer, emit_head, parse_head};

/// Length of M4 in bytes.
pub const M4_LEN: usize = 104;

/// Length of the head and connection id of M4 and of a REFUSE in bytes.
pub const M4_PREFIX_LEN: usize = 8;

/// The plaintext of the sealed part of M4.
#[derive(Debug, Clone, Copy)]
pub struct M4Sealed {
    /// The confirmation.
    pub fin: [u8; MAC_LEN],
    /// What was agreed.
    pub terms: Terms,
}

/// On what terms a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What both ends call the session in their logs; it is no secret.
    pub session_id: [u8; 8],
    /// When the session ends.
    pub expires: UnixMillis,
    /// What the initiator may do.
    pub permissions: Permissions,
    /// What the next handshake may rest on.
    pub ticket: Option<NewTicket>,
}

impl Terms {
    /// Checks that the session does not end before it begins.
    pub(crate) fn check(&self, now: UnixMillis) -> Result<(), Reason> {
        if self.expires <= now {
            Err(Reason::SessionExpired)
        } else {
            Ok(())
        }
    }
}

/// What makes a ticket of the session's resumption secret (PROTOCOL.md §2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTicket {
    /// The ticket's name.
    pub id: [u8; TICKET_ID_LEN],
    /// What tells this ticket's secret from that of others of the session.
    pub nonce: [u8; TICKET_NONCE_LEN],
    /// Seconds for which it may be used, 1 or more.
    pub life: u32,
}

/// Length of a ticket's nonce in bytes.
pub const TICKET_NONCE_LEN: usize = 8;

impl M4Sealed {
    /// Length of the plaintext in bytes.
    pub const LEN: usize = M4_LEN - M4_PREFIX_LEN - TAG_LEN;

    /// Checks what is not sealed of the M4 in `message`, which is for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn check_prefix(message: &[u8], id: u32) -> Result<(), Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::M4 {
            return Err(Reason::OutOfPlace);
        }
        if reader.u32()? != id {
            return Err(Reason::ConnectionId);
        }
        if message.len() == M4_LEN {
            Ok(())
        } else {
            Err(Reason::Length)
        }
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(plaintext: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(plaintext);
        let fin = *reader.array()?;
        let session_id = *reader.array()?;
        let expires = UnixMillis(reader.u64()?);
        let permissions = Permissions::from_bits(reader.u32()?).ok_or(Reason::Malformed)?;
        let ticket = NewTicket {
            id: *reader.array()?,
            nonce: *reader.array()?,
            life: reader.u32()?,
        };
        reader.finish()?;
        let is_none = ticket.life == 0;
        if is_none && (ticket.id != [0; TICKET_ID_LEN] || ticket.nonce != [0; TICKET_NONCE_LEN]) {
            return Err(Reason::Reserved);
        }
        let terms = Terms {
            session_id,
            expires,
            permissions,
            ticket: (!is_none).then_some(ticket),
        };
        Ok(Self { fin, terms })
    }

    /// Writes head and connection id.
    pub fn emit_prefix(id: u32, writer: &mut Writer<'_>) {
        emit_head(writer, MessageType::M4, M4_LEN);
        writer.u32(id);
    }

    /// Writes the plaintext, [`M4Sealed::LEN`] bytes.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer
            .bytes(&self.fin)
            .bytes(&self.terms.session_id)
            .u64(self.terms.expires.0)
            .u32(self.terms.permissions.bits());
        match &self.terms.ticket {
            Some(ticket) => writer
                .bytes(&ticket.id)
                .bytes(&ticket.nonce)
                .u32(ticket.life),
            None => writer.zeros(TICKET_ID_LEN + TICKET_NONCE_LEN + 4),
        };
    }
}
