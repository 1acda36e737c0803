//! Payloads that are too long for one frame of a datagram link (PROTOCOL.md §5.8).

use super::Session;
use crate::limits::{HARD_SEALS, MAX_SPLIT_PAYLOAD_LEN};
use crate::reason::{Error, Reason};
use crate::wire::{DATAGRAM_OVERHEAD, FrameType, PART_HEADER_LEN, PartHeader, TooSmall};

/// A part of a payload, which opened.
#[derive(Debug)]
pub struct Part<'m> {
    pub(super) header: PartHeader,
    /// The epoch and the sequence number of its frame.
    pub(super) epoch: u32,
    pub(super) seq: u32,
    pub(super) is_late: bool,
    pub(super) bytes: &'m [u8],
}

impl Part<'_> {
    /// Returns whether it came in the epoch before.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }
}

/// Where the parts of one payload are put together: a buffer of the caller's, as long as the payload that it announced.
///
/// One is lent to a link for as long as that lives; a reference to `FrameAssembly<[u8; N]>` is one to a
/// `FrameAssembly`.
#[derive(Debug)]
pub struct FrameAssembly<B: ?Sized = [u8]> {
    begun: Option<Begun>,
    len: usize,
    bytes: B,
}

/// A payload that has begun, and the part that comes next.
#[derive(Debug, PartialEq, Eq)]
struct Begun {
    kind: FrameType,
    message: u8,
    epoch: u32,
    seq: u32,
    index: u8,
}

/// What a part led to.
#[derive(Debug)]
pub(crate) enum Assembled<'m> {
    /// More parts are to come.
    Begun,
    /// The payload is whole.
    Whole(FrameType, &'m mut [u8]),
    /// The part is of no use, for this reason.
    Dropped(Reason),
}

impl<const N: usize> FrameAssembly<[u8; N]> {
    /// Returns room for payloads of up to `N` bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            begun: None,
            len: 0,
            bytes: [0; N],
        }
    }
}

impl<const N: usize> Default for FrameAssembly<[u8; N]> {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameAssembly {
    /// Takes in `part`. A first part begins a payload and ends the one before; another is taken when its frame follows
    /// that of the part before, so that two payloads are never mixed.
    ///
    /// # Errors
    ///
    /// [`Reason::TooLong`] for a payload over `max_len` bytes, which the peer was told.
    pub(crate) fn take(
        &mut self,
        part: &Part<'_>,
        max_len: usize,
    ) -> Result<Assembled<'_>, Reason> {
        let found = Begun {
            kind: part.header.kind,
            message: part.header.message,
            epoch: part.epoch,
            seq: part.seq,
            index: part.header.index,
        };
        if found.index == 0 {
            self.len = 0;
        } else if self.begun.as_ref() != Some(&found) {
            return Ok(Assembled::Dropped(Reason::Fragment));
        }
        self.begun = None;
        let end = self.len.saturating_add(part.bytes.len());
        if end > max_len {
            return Err(Reason::TooLong);
        }
        let Some(place) = self.bytes.get_mut(self.len..end) else {
            return Ok(Assembled::Dropped(Reason::NoRoom));
        };
        place.copy_from_slice(part.bytes);
        self.len = end;
        if part.header.is_last {
            let whole = self.bytes.get_mut(..end).unwrap_or_default();
            return Ok(Assembled::Whole(found.kind, whole));
        }
        self.begun = found.index.checked_add(1).map(|index| Begun {
            index,
            seq: found.seq.wrapping_add(1),
            ..found
        });
        Ok(Assembled::Begun)
    }
}

impl Session {
    /// Returns the longest payload that this end takes in parts, in bytes.
    pub(crate) fn max_whole_len(&self) -> usize {
        self.own_max_payload_len.min(MAX_SPLIT_PAYLOAD_LEN)
    }

    /// Returns how many bytes of a payload a frame of this session carries beside what stands before a part, when a
    /// payload of `len` bytes does not fit one.
    pub(super) fn part_len(&self, len: usize) -> Option<usize> {
        let room = usize::from(self.shape.mtu?).saturating_sub(DATAGRAM_OVERHEAD);
        (len > room).then(|| room.saturating_sub(PART_HEADER_LEN).max(1))
    }

    /// Seals `parts`, one after the other, as one payload of `len` bytes in frames of `most` bytes of it each, which
    /// stand one after the other in `out`.
    pub(super) fn seal_parts<'o>(
        &mut self,
        kind: FrameType,
        parts: &[&[u8]],
        (len, most): (usize, usize),
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let limit = MAX_SPLIT_PAYLOAD_LEN;
        let count = len.div_ceil(most);
        let last = u8::try_from(count.saturating_sub(1));
        let (Ok(last), true) = (last, len <= limit) else {
            return Err(Error::PayloadTooLong { limit });
        };
        let needed = len + count * (DATAGRAM_OVERHEAD + PART_HEADER_LEN);
        let too_small = TooSmall { needed };
        let out = out.get_mut(..needed).ok_or(too_small)?;
        if self.sealer.sealed_count() + u32::from(last) >= HARD_SEALS {
            return Err(Error::KeyExhausted);
        }
        let message = self.split_count;
        self.split_count = message.wrapping_add(1);
        let mut at = 0;
        for index in 0..=last {
            let header = PartHeader {
                kind,
                message,
                index,
                is_last: index == last,
            };
            let from = usize::from(index) * most;
            let place = out.get_mut(at..).ok_or(too_small)?;
            let window = from..len.min(from + most);
            let frame = self
                .sealer
                .seal_part(&header.emit(), parts, window, self.shape, place)?;
            at += frame.len();
        }
        Ok(out)
    }
}
