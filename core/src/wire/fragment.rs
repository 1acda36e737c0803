//! Fragments of handshake messages on datagram links (PROTOCOL.md §2.11).
//!
//! ```text
//! 0x0F | message u8 | len u16 | cid u32 | total u16 | offset u16 | bytes
//! ```

use crate::limits::MAX_HANDSHAKE_LEN;
use crate::reason::Reason;
use crate::wire::{HEAD_LEN, Reader, TooSmall, Writer};

/// Length of what stands before the bytes of a fragment.
pub const FRAGMENT_HEAD_LEN: usize = 12;

/// What fragments are made of, but for the end of the last one, in bytes.
pub const CELL_LEN: usize = 4;

/// The byte that a fragment begins with. It names a message on datagram links alone, and nothing elsewhere.
const TYPE: u8 = 0x0F;

/// Returns whether `message` begins as a fragment.
pub(crate) fn is_fragment(message: &[u8]) -> bool {
    message.first() == Some(&TYPE)
}

/// A fragment of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'m> {
    /// Which of its sender's messages it belongs to, counted from 0.
    pub message: u8,
    /// Length of the whole message in bytes, 1 to 1,024.
    pub total: u16,
    /// Where its bytes begin in the message; a multiple of 4.
    pub offset: u16,
    /// Its bytes: at least one, and a multiple of 4 unless they are the last.
    pub bytes: &'m [u8],
}

impl<'m> Fragment<'m> {
    /// Reads a fragment for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(datagram: &'m [u8], id: u32) -> Result<Self, Reason> {
        let mut reader = Reader::new(datagram);
        if reader.u8()? != TYPE {
            return Err(Reason::UnknownType);
        }
        let message = reader.u8()?;
        if usize::from(reader.u16()?) != reader.remaining() {
            return Err(Reason::Length);
        }
        if reader.u32()? != id {
            return Err(Reason::ConnectionId);
        }
        let total = reader.u16()?;
        let offset = reader.u16()?;
        let bytes = reader.rest();
        let end = usize::from(offset) + bytes.len();
        let is_last = end == usize::from(total);
        let is_whole = |len: usize| len.is_multiple_of(CELL_LEN);
        if bytes.is_empty()
            || usize::from(total) > MAX_HANDSHAKE_LEN
            || end > usize::from(total)
            || !is_whole(usize::from(offset))
            || !(is_last || is_whole(bytes.len()))
        {
            return Err(Reason::Fragment);
        }
        Ok(Self {
            message,
            total,
            offset,
            bytes,
        })
    }

    /// Writes what stands before `len` bytes of a fragment for the connection `id`.
    fn emit_head(message: u8, id: u32, total: u16, offset: u16, len: u16, writer: &mut Writer<'_>) {
        writer
            .u8(TYPE)
            .u8(message)
            .u16(len + FRAGMENT_REST_LEN)
            .u32(id)
            .u16(total)
            .u16(offset);
    }
}

/// What the length of a fragment counts besides its bytes.
const FRAGMENT_REST_LEN: u16 = 8;

const _: () = assert!(FRAGMENT_HEAD_LEN == HEAD_LEN + 8);

/// Splits the handshake message in the first `len` bytes of `buffer` where it stands, so that no datagram is longer than
/// `mtu` bytes: fragments for the connection `id` then stand one after the other. Returns their length in all, which is
/// `len` for a message that is short enough as it is.
///
/// # Errors
///
/// [`TooSmall`] when `buffer` does not take the fragments; nothing is changed then.
pub(crate) fn split_in_place(
    buffer: &mut [u8],
    len: usize,
    message: u8,
    id: u32,
    mtu: u16,
) -> Result<usize, TooSmall> {
    let mtu = usize::from(mtu);
    if len <= mtu {
        return Ok(len);
    }
    let most = mtu.saturating_sub(FRAGMENT_HEAD_LEN) / CELL_LEN * CELL_LEN;
    let most = most.max(CELL_LEN);
    let count = len.div_ceil(most);
    let needed = len + count * FRAGMENT_HEAD_LEN;
    let too_small = TooSmall { needed };
    let total = u16::try_from(len).map_err(|_| too_small)?;
    let buffer = buffer.get_mut(..needed).ok_or(too_small)?;
    // From the last one on, so that nothing is written over before it has moved.
    for index in (0..count).rev() {
        let from = index * most;
        let part_len = most.min(len - from);
        let to = from + index * FRAGMENT_HEAD_LEN;
        buffer.copy_within(from..from + part_len, to + FRAGMENT_HEAD_LEN);
        let place = buffer.get_mut(to..).ok_or(too_small)?;
        let offset = u16::try_from(from).map_err(|_| too_small)?;
        let part_len = u16::try_from(part_len).map_err(|_| too_small)?;
        let mut writer = Writer::new(place);
        Fragment::emit_head(message, id, total, offset, part_len, &mut writer);
    }
    Ok(needed)
}
