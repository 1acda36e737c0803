//! Messages of a session about itself (PROTOCOL.md §5.6). The order of the variants is their number: it only grows.

use serde::{Deserialize, Serialize};

use super::codec;
use crate::limits::MIN_PAYLOAD_LEN;
use crate::reason::Reason;

/// A control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Asks for the keys of epoch `next`.
    KeyUpdate {
        /// The epoch asked for.
        next: u32,
        /// A fresh share, when the update is to heal.
        dh: Option<[u8; 32]>,
    },
    /// Agrees to an update.
    KeyAck {
        /// The epoch agreed to.
        next: u32,
        /// A fresh share, when the question had one.
        dh: Option<[u8; 32]>,
    },
    /// The first frame of an epoch.
    KeyDone {
        /// How many frames its sender sent in the epoch before.
        count: u32,
    },
    /// Asks for a [`Control::Pong`] with the same number.
    Ping(u32),
    /// Answers a [`Control::Ping`].
    Pong(u32),
}

impl Control {
    /// Longest encoding in bytes: variant, varint of 32 bits, option, share.
    pub const MAX_LEN: usize = 1 + 5 + 1 + 32;

    const FITS: () = assert!(
        Self::MAX_LEN <= MIN_PAYLOAD_LEN,
        "every peer takes every control message"
    );

    /// Decodes the payload of a control frame.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`].
    pub fn decode(payload: &[u8]) -> Result<Self, Reason> {
        codec::decode(payload)
    }

    /// Encodes the payload of a control frame.
    pub(crate) fn encode<'o>(&self, out: &'o mut [u8; Self::MAX_LEN]) -> Result<&'o [u8], Reason> {
        let () = Self::FITS;
        codec::encode(self, out)
            .map(|bytes| &*bytes)
            .map_err(|_| Reason::Length)
    }
}
