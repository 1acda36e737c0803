//! What the hub carries between a commander and an agent: `route 16 | channel u32 | inner` (PROTOCOL.md §10.2).
//!
//! Between commander and hub the route is the agent's id and the channel the commander's own number. Between hub and
//! agent the route is random, the hub's own, and the channel 0. The hub finds the asker by its own table alone.

use crate::reason::Reason;
use crate::wire::{FrameType, Reader, is_handshake};

/// Length of what stands before the inner message, in bytes.
pub const ENVELOPE_HEADER_LEN: usize = 20;

/// An envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Whom it is for, or whom it is from.
    pub route: [u8; 16],
    /// The commander's number for this conversation.
    pub channel: u32,
    /// What is carried.
    pub inner: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads an envelope.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`] when the header is not whole or nothing is carried.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(payload);
        let route = *reader.array()?;
        let channel = reader.u32()?;
        let inner = reader.rest();
        if inner.is_empty() {
            return Err(Reason::Length);
        }
        Ok(Self {
            route,
            channel,
            inner,
        })
    }

    /// Returns the bytes that stand before the inner message.
    #[must_use]
    pub fn header(&self) -> [u8; ENVELOPE_HEADER_LEN] {
        let mut header = [0; ENVELOPE_HEADER_LEN];
        let fields = self.route.into_iter().chain(self.channel.to_be_bytes());
        for (to, from) in header.iter_mut().zip(fields) {
            *to = from;
        }
        header
    }
}

/// Returns whether `inner` is of a kind that travels between a commander and an agent: a message of their handshake or
/// a frame. A hub knows no more of it.
#[must_use]
pub fn is_carried(inner: &[u8]) -> bool {
    is_handshake(inner)
        || inner
            .first()
            .and_then(|kind| FrameType::from_code(*kind))
            .is_some_and(|kind| kind != FrameType::Part)
}
