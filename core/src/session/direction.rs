//! One direction of a session in one epoch: its key, its sequence and its limits (PROTOCOL.md §5.2, §5.3).

use super::frame_keys::frame_key;
use crate::crypto::{AeadKey, Secret, Suite, TAG_LEN};
use crate::limits::{HARD_SEALS, MAX_EPOCH, MAX_PAYLOAD_LEN, SOFT_BYTES, SOFT_SEALS};
use crate::reason::{Error, Reason};
use crate::time::Instant;
use crate::wire::{FRAME_HEADER_LEN, FrameHeader, FrameType, TooSmall, Writer};

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
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        if self.seq >= HARD_SEALS {
            return Err(Error::KeyExhausted);
        }
        let limit = MAX_PAYLOAD_LEN;
        let len = parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        let sealed_len = u16::try_from(len.saturating_add(TAG_LEN))
            .map_err(|_| Error::PayloadTooLong { limit })?;
        let [epoch, ..] = self.epoch.to_le_bytes();
        let header = FrameHeader {
            kind,
            epoch,
            sealed_len,
            seq: self.seq,
        }
        .emit();
        let mut writer = Writer::new(out);
        writer.bytes(&header);
        for part in parts {
            writer.bytes(part);
        }
        writer.zeros(TAG_LEN);
        let frame = writer.finish()?;
        let needed = frame.len();
        let (plaintext, tag) = frame
            .get_mut(FRAME_HEADER_LEN..)
            .and_then(<[u8]>::split_last_chunk_mut::<TAG_LEN>)
            .ok_or(TooSmall { needed })?;
        *tag = self
            .key
            .seal_in_place(u64::from(self.seq), &header, plaintext)
            .ok_or(Error::PayloadTooLong { limit })?
            .0;
        self.seq += 1;
        self.sealed_bytes += u64::from(sealed_len);
        Ok(frame)
    }
}

/// Opens what the peer sends.
#[derive(Debug)]
pub(super) struct Opener {
    suite: Suite,
    secret: Secret<32>,
    key: AeadKey,
    epoch: u32,
    seq: u32,
}

/// A frame that opened.
pub(super) struct Opened<'m> {
    pub(super) kind: FrameType,
    pub(super) payload: &'m mut [u8],
    /// Whether it is the first of the epoch that follows the opener's.
    pub(super) first_of_next_epoch: bool,
}

impl Opener {
    pub(super) fn new(suite: Suite, secret: Secret<32>, epoch: u32) -> Self {
        let key = frame_key(suite, &secret);
        Self {
            suite,
            secret,
            key,
            epoch,
            seq: 0,
        }
    }

    /// Returns the opener of an epoch whose first frame has been opened.
    pub(super) fn after_first(suite: Suite, secret: Secret<32>, epoch: u32) -> Self {
        Self {
            seq: 1,
            ..Self::new(suite, secret, epoch)
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn secret(&self) -> &Secret<32> {
        &self.secret
    }

    /// Returns the number of frames opened in this epoch.
    pub(super) fn opened_count(&self) -> u32 {
        self.seq
    }

    /// Opens `frame` where it stands, in this epoch or as the first of the next, whose secret is `next`.
    ///
    /// The checks come in the order of PROTOCOL.md §2.7; nothing changes unless all hold.
    pub(super) fn open<'m>(
        &mut self,
        frame: &'m mut [u8],
        next: Option<&Secret<32>>,
        max_payload_len: usize,
    ) -> Result<Opened<'m>, Reason> {
        let header = FrameHeader::parse(frame)?;
        let [this_epoch, ..] = self.epoch.to_le_bytes();
        let next_secret = match next {
            _ if header.epoch == this_epoch => None,
            Some(secret) if header.epoch == this_epoch.wrapping_add(1) => Some(secret),
            _ => return Err(Reason::Epoch),
        };
        if usize::from(header.sealed_len) > max_payload_len + TAG_LEN {
            return Err(Reason::TooLong);
        }
        let expected = if next_secret.is_some() { 0 } else { self.seq };
        if header.seq < expected {
            return Err(Reason::Replayed);
        }
        if header.seq != expected || header.seq >= HARD_SEALS {
            return Err(Reason::Sequence);
        }
        let (aad, sealed) = frame
            .split_first_chunk_mut::<FRAME_HEADER_LEN>()
            .ok_or(Reason::Length)?;
        let (payload, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Reason::Length)?;
        let seq = u64::from(header.seq);
        let opens = match next_secret {
            None => self.key.open_in_place(seq, aad, payload, tag),
            Some(secret) => frame_key(self.suite, secret).open_in_place(seq, aad, payload, tag),
        };
        if !opens {
            return Err(Reason::Unsealed);
        }
        let first_of_next_epoch = next_secret.is_some();
        if !first_of_next_epoch {
            self.seq += 1;
        }
        Ok(Opened {
            kind: header.kind,
            payload,
            first_of_next_epoch,
        })
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
        let last = sealer.seal(FrameType::Alert, &[&[0; 5]], &mut out);
        assert!(last.is_ok());
        let after = sealer.seal(FrameType::Alert, &[&[0; 5]], &mut out);
        assert_eq!(after, Err(Error::KeyExhausted));
        assert_eq!(sealer.sealed_count(), HARD_SEALS);
    }

    #[test]
    fn a_number_beyond_the_hard_limit_is_not_opened() {
        let mut sealer = sealer_at(HARD_SEALS - 1);
        let mut opener = Opener {
            seq: HARD_SEALS - 1,
            ..Opener::new(SUITE, secret(), 0)
        };
        let mut out = [0; 64];
        let mut frame = [0; 29];
        let last = sealer.seal(FrameType::Alert, &[&[0; 5]], &mut out);
        frame.copy_from_slice(last.expect("the last number is free"));
        assert!(opener.open(&mut frame, None, 1024).is_ok());
        sealer.seq = 0;
        let header = FrameHeader {
            kind: FrameType::Alert,
            epoch: 0,
            sealed_len: 21,
            seq: HARD_SEALS,
        };
        frame[..8].copy_from_slice(&header.emit());
        let opened = opener.open(&mut frame, None, 1024);
        assert_eq!(opened.err(), Some(Reason::Sequence));
    }

    #[test]
    fn a_key_is_worn_after_so_many_frames_or_bytes() {
        assert!(!sealer_at(SOFT_SEALS - 1).is_worn());
        assert!(sealer_at(SOFT_SEALS).is_worn());
        let mut sealer = sealer_at(0);
        sealer.sealed_bytes = SOFT_BYTES - 21;
        assert!(!sealer.is_worn());
        let mut out = [0; 64];
        let sealed = sealer.seal(FrameType::Alert, &[&[0; 5]], &mut out);
        assert!(sealed.is_ok());
        assert!(sealer.is_worn());
    }
}
