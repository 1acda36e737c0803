//! Delimited messages on a bare byte stream (PROTOCOL.md §9.1).
//!
//! ```text
//! 0x00 | COBS(message | CRC-32 of the message, big-endian) | 0x00
//! ```
//!
//! The encoding is free of zeros, so a zero always ends what came before it: after garbage the next message is whole
//! again. The CRC keeps garbage from being taken for a message; a lost one is found by the sequence numbers.

use cobs::{CobsEncoder, decode_in_place};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use super::{Absorbed, Framing, FramingError, Progress};
use crate::entropy::Entropy;
use crate::reason::Error;
use crate::wire::TooSmall;

/// Without a table: 1 KiB of flash is more than the cycles are worth beside the AEAD.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Length of the CRC in bytes.
const CRC_LEN: usize = 4;

/// What stands between two messages.
const DELIMITER: u8 = 0;

/// Bytes that the delimiter adds to a message of up to 250 bytes; 1 more for each 254 beyond.
pub const DELIMITED_OVERHEAD: usize = 2 + CRC_LEN + 1;

/// Returns the most bytes that a message of `len` bytes takes on the stream.
#[must_use]
pub const fn delimited_len(len: usize) -> usize {
    len + DELIMITED_OVERHEAD + (len + CRC_LEN) / 254
}

/// The framing of a bare byte stream. Its buffer is lent on a device and owned on a host.
#[derive(Debug)]
pub struct Delimited<B> {
    buffer: B,
    len: usize,
    message_len: usize,
    dropped: u32,
}

impl<B: AsMut<[u8]>> Delimited<B> {
    /// Returns the framing that puts messages together in `buffer`, which takes [`delimited_len`] of the longest.
    #[must_use]
    pub fn new(buffer: B) -> Self {
        Self {
            buffer,
            len: 0,
            message_len: 0,
            dropped: 0,
        }
    }

    /// Returns how often something between two delimiters was no message. It saturates.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Takes one byte; returns whether it completed a message.
    fn push(&mut self, byte: u8) -> bool {
        let buffer = self.buffer.as_mut();
        if byte != DELIMITER {
            if let Some(place) = buffer.get_mut(self.len) {
                *place = byte;
            }
            // One more than the buffer takes stands for every longer one.
            self.len = self.len.saturating_add(1).min(buffer.len() + 1);
            return false;
        }
        let len = core::mem::take(&mut self.len);
        if len == 0 {
            return false;
        }
        match buffer.get_mut(..len).and_then(unpack) {
            Some(message_len) => {
                self.message_len = message_len;
                true
            }
            None => {
                self.dropped = self.dropped.saturating_add(1);
                false
            }
        }
    }
}

/// Decodes what stood between two delimiters where it stands, and returns the length of the message in front.
fn unpack(encoded: &mut [u8]) -> Option<usize> {
    let len = decode_in_place(encoded).ok()?;
    let (message, crc) = encoded.get(..len)?.split_last_chunk::<CRC_LEN>()?;
    let right = !message.is_empty() && CRC.checksum(message) == u32::from_be_bytes(*crc);
    right.then_some(message.len())
}

impl<B: AsMut<[u8]>> Framing for Delimited<B> {
    fn absorb(&mut self, bytes: &[u8]) -> Result<Absorbed, FramingError> {
        self.message_len = 0;
        for (place, byte) in bytes.iter().enumerate() {
            if self.push(*byte) {
                return Ok(Absorbed {
                    taken: place + 1,
                    progress: Progress::Message,
                });
            }
        }
        Ok(Absorbed {
            taken: bytes.len(),
            progress: Progress::Pending,
        })
    }

    fn message(&mut self) -> &mut [u8] {
        self.buffer
            .as_mut()
            .get_mut(..self.message_len)
            .unwrap_or_default()
    }

    fn emit_answer<'o>(&mut self, _: &mut dyn Entropy, _: &'o mut [u8]) -> Result<&'o [u8], Error> {
        Ok(&[])
    }

    fn emit<'o>(
        &mut self,
        message: &[u8],
        _: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let needed = delimited_len(message.len());
        let too_small = TooSmall { needed };
        let (unit, _) = out.split_at_mut_checked(needed).ok_or(too_small)?;
        let (first, rest) = unit.split_first_mut().ok_or(too_small)?;
        *first = DELIMITER;
        let crc = CRC.checksum(message).to_be_bytes();
        let mut encoder = CobsEncoder::new(rest);
        encoder.push(message).map_err(|_| too_small)?;
        encoder.push(&crc).map_err(|_| too_small)?;
        let encoded = encoder.finalize();
        *rest.get_mut(encoded).ok_or(too_small)? = DELIMITER;
        unit.get(..encoded + 2).ok_or(too_small.into())
    }
}
