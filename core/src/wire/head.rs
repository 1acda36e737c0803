//! The head of a handshake message: `type u8 | version u8 | len u16` (PROTOCOL.md §2.1).

use crate::limits::VERSION;
use crate::reason::Reason;
use crate::wire::{Reader, Writer};

/// Length of a head in bytes.
pub const HEAD_LEN: usize = 4;

/// What the first byte of a handshake message names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MessageType {
    /// The initiator's offer.
    M1,
    /// The responder's share, identity and proof.
    M2,
    /// The initiator's token and proof.
    M3,
    /// The responder's confirmation.
    M4,
    /// A sealed refusal after M3.
    Refuse,
    /// A hint, unauthenticated, that the handshake is not taken.
    Reject,
}

impl MessageType {
    /// Returns the byte that names this message.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::M1 => 0x01,
            Self::M2 => 0x02,
            Self::M3 => 0x03,
            Self::M4 => 0x04,
            Self::Refuse => 0x07,
            Self::Reject => 0x08,
        }
    }

    /// Returns the message that `code` names.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::M1,
            Self::M2,
            Self::M3,
            Self::M4,
            Self::Refuse,
            Self::Reject,
        ]
        .into_iter()
        .find(|kind| kind.code() == code)
    }
}

/// Returns whether `message` is of a kind that belongs to the handshake, known or not.
pub(crate) fn is_handshake(message: &[u8]) -> bool {
    message.first().is_some_and(|kind| *kind < 0x10)
}

/// Reads the head of `message`, and returns its type with a cursor over the bytes after the head.
///
/// # Errors
///
/// [`Reason::UnknownType`], [`Reason::Version`], or [`Reason::Length`] unless exactly as many bytes follow as the
/// head counts.
pub fn parse_head(message: &[u8]) -> Result<(MessageType, Reader<'_>), Reason> {
    let mut reader = Reader::new(message);
    let kind = MessageType::from_code(reader.u8()?).ok_or(Reason::UnknownType)?;
    if reader.u8()? != VERSION {
        return Err(Reason::Version);
    }
    if usize::from(reader.u16()?) != reader.remaining() {
        return Err(Reason::Length);
    }
    Ok((kind, reader))
}

/// Writes the head of a message of `len` bytes in all.
pub(crate) fn emit_head(writer: &mut Writer<'_>, kind: MessageType, len: usize) {
    let after = u16::try_from(len.saturating_sub(HEAD_LEN)).unwrap_or(u16::MAX);
    writer.u8(kind.code()).u8(VERSION).u16(after);
}
