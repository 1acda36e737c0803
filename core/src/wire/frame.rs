//! The header of a frame in stream form: `type u8 | epoch u8 | len u16 | seq u32` (PROTOCOL.md §5.1).

use crate::crypto::TAG_LEN;
use crate::reason::Reason;
use crate::wire::Reader;

/// Length of a header in bytes.
pub const FRAME_HEADER_LEN: usize = 8;

/// Bytes that a frame adds to its payload.
pub const FRAME_OVERHEAD: usize = FRAME_HEADER_LEN + TAG_LEN;

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
    /// Reads the header of `frame`.
    ///
    /// # Errors
    ///
    /// [`Reason::UnknownType`], or [`Reason::Length`] unless exactly as many bytes follow as the header counts, a
    /// tag at least.
    pub fn parse(frame: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(frame);
        let kind = FrameType::from_code(reader.u8()?).ok_or(Reason::UnknownType)?;
        let epoch = reader.u8()?;
        let sealed_len = reader.u16()?;
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

    /// Returns the bytes of the header, which are the AAD of the frame.
    #[must_use]
    pub fn emit(&self) -> [u8; FRAME_HEADER_LEN] {
        let [len_high, len_low] = self.sealed_len.to_be_bytes();
        let [seq_0, seq_1, seq_2, seq_3] = self.seq.to_be_bytes();
        [
            self.kind.code(),
            self.epoch,
            len_high,
            len_low,
            seq_0,
            seq_1,
            seq_2,
            seq_3,
        ]
    }
}
