//! The header of a frame (PROTOCOL.md §5.1).
//!
//! ```text
//! stream    type u8 | epoch u8 | len u16 | seq u32
//! datagram  type u8 | epoch u8 | len u16 | cid u32 | seq u32
//! ```

use crate::crypto::TAG_LEN;
use crate::reason::Reason;
use crate::wire::{Form, Reader, Writer};

/// Length of a header in stream form, in bytes.
pub const FRAME_HEADER_LEN: usize = 8;

/// Length of a header in datagram form, in bytes.
pub const DATAGRAM_HEADER_LEN: usize = 12;

/// Bytes that a frame in stream form adds to its payload.
pub const FRAME_OVERHEAD: usize = FRAME_HEADER_LEN + TAG_LEN;

/// Bytes that a frame in datagram form adds to its payload.
pub const DATAGRAM_OVERHEAD: usize = DATAGRAM_HEADER_LEN + TAG_LEN;

impl Form {
    /// Returns the length of a frame's header, in bytes.
    #[must_use]
    pub fn frame_header_len(self) -> usize {
        match self {
            Self::Stream => FRAME_HEADER_LEN,
            Self::Datagram => DATAGRAM_HEADER_LEN,
        }
    }

    /// Returns how many bytes a frame adds to its payload.
    #[must_use]
    pub fn frame_overhead(self) -> usize {
        match self {
            Self::Stream => FRAME_OVERHEAD,
            Self::Datagram => DATAGRAM_OVERHEAD,
        }
    }
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameType {
    /// A message between the peer's application and the hub's.
    Application,
    /// A message of the session about itself.
    Control,
    /// The last frame of its sender.
    Alert,
    /// A message that the hub carries between a commander and an agent.
    Envelope,
    /// A part of a payload that is too long for one frame; on datagram links.
    Part,
}

impl FrameType {
    /// Returns the byte that names this type.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Application => 0x20,
            Self::Control => 0x21,
            Self::Alert => 0x22,
            Self::Envelope => 0x23,
            Self::Part => 0x24,
        }
    }

    /// Returns the type that `code` names.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::Application,
            Self::Control,
            Self::Alert,
            Self::Envelope,
            Self::Part,
        ]
        .into_iter()
        .find(|kind| kind.code() == code)
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame carries.
    pub kind: FrameType,
    /// The low 8 bits of the epoch.
    pub epoch: u8,
    /// Length of the sealed payload with its tag, in bytes.
    pub sealed_len: u16,
    /// The sequence number.
    pub seq: u32,
}

impl FrameHeader {
    /// Reads the header of `frame`, which is in `form` and, in datagram form, for the end that `own_id` names.
    ///
    /// # Errors
    ///
    /// [`Reason::UnknownType`]; [`Reason::ConnectionId`] for the id of another; [`Reason::Length`] unless exactly as
    /// many bytes follow as the header counts, a tag at least.
    pub fn parse(frame: &[u8], form: Form, own_id: u32) -> Result<Self, Reason> {
        let mut reader = Reader::new(frame);
        let kind = FrameType::from_code(reader.u8()?).ok_or(Reason::UnknownType)?;
        let epoch = reader.u8()?;
        let sealed_len = reader.u16()?;
        if form == Form::Datagram && reader.u32()? != own_id {
            return Err(Reason::ConnectionId);
        }
        let seq = reader.u32()?;
        let follows = reader.remaining();
        if usize::from(sealed_len) != follows || follows < TAG_LEN {
            return Err(Reason::Length);
        }
        Ok(Self {
            kind,
            epoch,
            sealed_len,
            seq,
        })
    }

    /// Writes the header in `form`, in datagram form for the end that `peer_id` names. Its bytes are the AAD of the
    /// frame.
    pub fn emit(&self, form: Form, peer_id: u32, writer: &mut Writer<'_>) {
        writer
            .u8(self.kind.code())
            .u8(self.epoch)
            .u16(self.sealed_len);
        if form == Form::Datagram {
            writer.u32(peer_id);
        }
        writer.u32(self.seq);
    }
}
