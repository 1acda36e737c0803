//! What stands before a part of a payload that is too long for one frame (PROTOCOL.md §5.8).

use crate::reason::Reason;
use crate::wire::{FrameType, Reader};

/// Length of what stands before a part, in bytes.
pub const PART_HEADER_LEN: usize = 4;

/// What stands before a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartHeader {
    /// What the whole is; no alert, and not itself a part.
    pub kind: FrameType,
    /// The whole's number among those that its sender split, modulo 256.
    pub message: u8,
    /// The part's number in the whole, from 0.
    pub index: u8,
    /// Whether no part follows.
    pub is_last: bool,
}

impl PartHeader {
    /// Reads what stands before a part, and returns the part with it, which is not empty.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`].
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), Reason> {
        let mut reader = Reader::new(payload);
        let [kind, message, index, last] = *reader
            .array::<PART_HEADER_LEN>()
            .map_err(|_| Reason::Malformed)?;
        let kind = FrameType::from_code(kind)
            .filter(|kind| !matches!(kind, FrameType::Alert | FrameType::Part))
            .ok_or(Reason::Malformed)?;
        let part = reader.rest();
        if last > 1 || part.is_empty() {
            return Err(Reason::Malformed);
        }
        let header = Self {
            kind,
            message,
            index,
            is_last: last == 1,
        };
        Ok((header, part))
    }

    /// Returns its bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; PART_HEADER_LEN] {
        [
            self.kind.code(),
            self.message,
            self.index,
            u8::from(self.is_last),
        ]
    }
}
