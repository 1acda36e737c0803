//! The sending direction of a session in one epoch: its key, its sequence and its limits (PROTOCOL.md §5.2, §5.3).

use core::ops::Range;

use super::Shape;
use super::frame_keys::frame_key;
use crate::crypto::{AeadKey, Secret, Suite, TAG_LEN};
use crate::limits::{HARD_SEALS, MAX_EPOCH, MAX_PAYLOAD_LEN, SOFT_BYTES, SOFT_SEALS};
use crate::reason::Error;
use crate::time::Instant;
use crate::wire::{FrameHeader, FrameType, TooSmall, Writer};

/// Seals what this end sends.
#[derive(Debug)]
pub(super) struct Sealer {
    suite: Suite,
    secret: Secret<32>,
    key: AeadKey,
    epoch: u32,
    seq: u32,
    sealed_bytes: u64,
    since: Instant,
}

impl Sealer {
    pub(super) fn new(suite: Suite, secret: Secret<32>, epoch: u32, now: Instant) -> Self {
        let key = frame_key(suite, &secret);
        Self {
            suite,
            secret,
            key,
            epoch,
            seq: 0,
            sealed_bytes: 0,
            since: now,
        }
    }

    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn secret(&self) -> &Secret<32> {
        &self.secret
    }

    /// Returns when the key came into use.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Returns the number of frames sealed in this epoch.
    pub(super) fn sealed_count(&self) -> u32 {
        self.seq
    }

    /// Returns whether the key has sealed so much that it is to be replaced.
    pub(super) fn is_worn(&self) -> bool {
        self.seq >= SOFT_SEALS || self.sealed_bytes >= SOFT_BYTES
    }

    /// Makes the key look as if it had sealed `count` frames.
    #[cfg(test)]
    pub(super) fn wear(&mut self, count: u32) {
        self.seq = count;
    }

    /// Returns whether no epoch comes after this one.
    pub(super) fn is_last_epoch(&self) -> bool {
        self.epoch >= MAX_EPOCH
    }

    pub(super) fn seal<'o>(
        &mut self,
        kind: FrameType,
        parts: &[&[u8]],
        shape: Shape,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let len = parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        self.seal_window(kind, &[], parts, 0..len, shape, out)
    }

    /// Seals `header` and then the bytes of `parts`, one after the other, from `window.start` to `window.end`.
    pub(super) fn seal_part<'o>(
        &mut self,
        header: &[u8],
        parts: &[&[u8]],
        window: Range<usize>,
        shape: Shape,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.seal_window(FrameType::Part, header, parts, window, shape, out)
    }

    fn seal_window<'o>(
        &mut self,
        kind: FrameType,
        before: &[u8],
        parts: &[&[u8]],
        window: Range<usize>,
        shape: Shape,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        if self.seq >= HARD_SEALS {
            return Err(Error::KeyExhausted);
        }
        let limit = MAX_PAYLOAD_LEN;
        let len = before.len().saturating_add(window.len());
        let sealed_len = u16::try_from(len.saturating_add(TAG_LEN))
            .map_err(|_| Error::PayloadTooLong { limit })?;
        let [epoch, ..] = self.epoch.to_le_bytes();
        let header = FrameHeader {
            kind,
            epoch,
            sealed_len,
            seq: self.seq,
        };
        let mut writer = Writer::new(out);
        header.emit(shape.form, shape.ids.peer, &mut writer);
        writer.bytes(before);
        let mut start = 0usize;
        for part in parts {
            let from = window.start.saturating_sub(start).min(part.len());
            let to = window.end.saturating_sub(start).min(part.len());
            writer.bytes(part.get(from..to).unwrap_or_default());
            start = start.saturating_add(part.len());
        }
        writer.zeros(TAG_LEN);
        let frame = writer.finish()?;
        let needed = frame.len();
        let (aad, body) = frame
            .split_at_mut_checked(shape.form.frame_header_len())
            .ok_or(TooSmall { needed })?;
        let (plaintext, tag) = body
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(TooSmall { needed })?;
        *tag = self
            .key
            .seal_in_place(u64::from(self.seq), aad, plaintext)
            .ok_or(Error::PayloadTooLong { limit })?
            .0;
        self.seq += 1;
        self.sealed_bytes += u64::from(sealed_len);
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Suite = Suite::ChaCha20Poly1305;

    fn secret() -> Secret<32> {
        Secret::new([7; 32])
    }

    fn sealer_at(seq: u32) -> Sealer {
        Sealer {
            seq,
            ..Sealer::new(SUITE, secret(), 0, Instant(0))
        }
    }

    #[test]
    fn a_key_seals_up_to_its_hard_limit_and_no_more() {
        let mut sealer = sealer_at(HARD_SEALS - 1);
        let mut out = [0; 64];
        let last = sealer.seal(FrameType::Alert, &[&[0; 5]], Shape::STREAM, &mut out);
        assert!(last.is_ok());
        let after = sealer.seal(FrameType::Alert, &[&[0; 5]], Shape::STREAM, &mut out);
        assert_eq!(after, Err(Error::KeyExhausted));
        assert_eq!(sealer.sealed_count(), HARD_SEALS);
    }

    #[test]
    fn a_key_is_worn_after_so_many_frames_or_bytes() {
        assert!(!sealer_at(SOFT_SEALS - 1).is_worn());
        assert!(sealer_at(SOFT_SEALS).is_worn());
        let mut sealer = sealer_at(0);
        sealer.sealed_bytes = SOFT_BYTES - 21;
        assert!(!sealer.is_worn());
        let mut out = [0; 64];
        let sealed = sealer.seal(FrameType::Alert, &[&[0; 5]], Shape::STREAM, &mut out);
        assert!(sealed.is_ok());
        assert!(sealer.is_worn());
    }
}
