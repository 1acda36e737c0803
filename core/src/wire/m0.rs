//! M0, a responder's request to prove an address (PROTOCOL.md §2.10).

use crate::limits::VERSION;
use crate::reason::Reason;
use crate::wire::{COOKIE_LEN, HEAD_LEN, Reader, TooSmall, Writer};

/// The byte that M0 begins with. It names a message on datagram links alone, and nothing elsewhere.
const TYPE: u8 = 0x00;

/// Length of M0 in bytes.
pub const M0_LEN: usize = 28;

/// What the head counts.
const LEN_AFTER_HEAD: u16 = 24;

const _: () = assert!(M0_LEN == HEAD_LEN + 4 + COOKIE_LEN);

/// Returns whether `message` begins as an M0.
pub(crate) fn is_m0(message: &[u8]) -> bool {
    message.first() == Some(&TYPE)
}

/// M0. Nobody vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct M0 {
    /// What M1 is to carry; it means nothing to the initiator.
    pub cookie: [u8; COOKIE_LEN],
}

impl M0 {
    /// Reads an M0 for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8], id: u32) -> Result<Self, Reason> {
        let mut reader = Reader::new(message);
        if reader.u8()? != TYPE {
            return Err(Reason::OutOfPlace);
        }
        if reader.u8()? != VERSION {
            return Err(Reason::Version);
        }
        if reader.u16()? != LEN_AFTER_HEAD || message.len() != M0_LEN {
            return Err(Reason::Length);
        }
        if reader.u32()? != id {
            return Err(Reason::ConnectionId);
        }
        let cookie = *reader.array()?;
        reader.finish()?;
        Ok(Self { cookie })
    }

    /// Writes an M0 for the connection `id`, [`M0_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, id: u32, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let mut writer = Writer::new(out);
        writer
            .u8(TYPE)
            .u8(VERSION)
            .u16(LEN_AFTER_HEAD)
            .u32(id)
            .bytes(&self.cookie);
        writer.finish()
    }
}
