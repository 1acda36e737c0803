//! M4, the responder's confirmation (PROTOCOL.md §2.5).

use crate::crypto::{MAC_LEN, TAG_LEN};
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::Permissions;
use crate::wire::{MessageType, Reader, Writer, emit_head, parse_head};

/// Length of M4 in bytes.
pub const M4_LEN: usize = 104;

/// Length of the head and connection id of M4 and of a REFUSE in bytes.
pub const M4_PREFIX_LEN: usize = 8;

/// The plaintext of the sealed part of M4. The ticket's fields are reserved and zero.
#[derive(Debug, Clone, Copy)]
pub struct M4Sealed {
    /// The confirmation.
    pub fin: [u8; MAC_LEN],
    /// What both ends call the session in their logs; it is no secret.
    pub session_id: [u8; 8],
    /// When the session ends.
    pub expires: UnixMillis,
    /// What the initiator may do.
    pub permissions: Permissions,
}

impl M4Sealed {
    /// Length of the plaintext in bytes.
    pub const LEN: usize = M4_LEN - M4_PREFIX_LEN - TAG_LEN;

    /// Checks what is not sealed of the M4 in `message`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn check_prefix(message: &[u8]) -> Result<(), Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::M4 {
            return Err(Reason::OutOfPlace);
        }
        if reader.u32()? != 0 {
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
        let ticket = reader.array::<28>()?;
        reader.finish()?;
        if ticket.iter().any(|byte| *byte != 0) {
            return Err(Reason::Reserved);
        }
        Ok(Self {
            fin,
            session_id,
            expires,
            permissions,
        })
    }

    /// Writes head and connection id.
    pub fn emit_prefix(writer: &mut Writer<'_>) {
        emit_head(writer, MessageType::M4, M4_LEN);
        writer.u32(0);
    }

    /// Writes the plaintext, [`M4Sealed::LEN`] bytes.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer
            .bytes(&self.fin)
            .bytes(&self.session_id)
            .u64(self.expires.0)
            .u32(self.permissions.bits())
            .zeros(28);
    }
}
