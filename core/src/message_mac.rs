//! A second proof for one message outside a session (PROTOCOL.md §13): HMAC over the message, a time and a nonce.

use heapless::Vec;

use crate::crypto::{MAC_LEN, Mac, Secret};
use crate::entropy::{Entropy, EntropyError, draw};
use crate::limits::TIME_LEEWAY_SECONDS;
use crate::reason::{Error, Reason};
use crate::time::{Now, TimeQuality, UnixMillis};

/// Length of a nonce in bytes.
pub const NONCE_LEN: usize = 16;

/// Milliseconds by which the time of a message may be off, both ways.
const LEEWAY_MILLIS: u64 = TIME_LEEWAY_SECONDS * 1000;

/// What makes one message unlike any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When it was made.
    pub time: UnixMillis,
    /// Random, for this message alone.
    pub nonce: [u8; NONCE_LEN],
}

impl Stamp {
    /// Returns the stamp of a message that is made at `time`.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the source does not answer.
    pub fn new(time: UnixMillis, entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self {
            time,
            nonce: *draw(entropy)?,
        })
    }
}

/// Returns the code of `message` under `key`. `context` says what the message is for, such as `POST /messages`.
///
/// # Errors
///
/// [`Error::PayloadTooLong`] when the context is over 65,535 bytes or the message over 2^32 - 1.
pub fn message_mac(
    key: &Secret<32>,
    stamp: &Stamp,
    context: &[u8],
    message: &[u8],
) -> Result<Mac, Error> {
    let too_long = |limit| Error::PayloadTooLong { limit };
    let context_len = u16::try_from(context.len()).map_err(|_| too_long(usize::from(u16::MAX)))?;
    let message_len = u32::try_from(message.len()).map_err(|_| too_long(usize::MAX))?;
    Ok(Mac::of(
        key.expose(),
        &[
            b"ML1 mac\0",
            &stamp.time.0.to_be_bytes(),
            &stamp.nonce,
            &context_len.to_be_bytes(),
            context,
            &message_len.to_be_bytes(),
            message,
        ],
    ))
}

/// The nonces of the messages that were taken, at most `N` at a time, each for as long as its time would be taken.
#[derive(Debug, Default)]
pub struct NonceCache<const N: usize>(Vec<Stamp, N>);

impl<const N: usize> NonceCache<N> {
    /// Returns a cache in which nothing is remembered.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes `message` if `mac` is its code, its time is within 60 seconds, and it was not taken before.
    ///
    /// # Errors
    ///
    /// [`Reason::NoTime`], [`Reason::Stale`], [`Reason::MessageMac`], [`Reason::Replayed`], in this order; and
    /// [`Reason::NotAdmitted`] when there is no room to remember another: then it is not taken.
    pub fn verify(
        &mut self,
        key: &Secret<32>,
        stamp: &Stamp,
        context: &[u8],
        message: &[u8],
        mac: &[u8; MAC_LEN],
        now: &Now,
    ) -> Result<(), Reason> {
        if now.quality == TimeQuality::Unknown {
            return Err(Reason::NoTime);
        }
        if now.unix.0.abs_diff(stamp.time.0) > LEEWAY_MILLIS {
            return Err(Reason::Stale);
        }
        let right = message_mac(key, stamp, context, message).map_err(|_| Reason::Length)?;
        if !right.verifies(mac) {
            return Err(Reason::MessageMac);
        }
        // Only what was made with the key is remembered: a stranger fills nothing.
        self.0
            .retain(|seen| now.unix.0 <= seen.time.plus(LEEWAY_MILLIS).0);
        if self.0.iter().any(|seen| seen.nonce == stamp.nonce) {
            return Err(Reason::Replayed);
        }
        self.0.push(*stamp).map_err(|_| Reason::NotAdmitted)
    }
}
