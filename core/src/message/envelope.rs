//! What the hub carries between a commander and an agent: `route 16 | channel u32 | inner` (PROTOCOL.md §10.2).
//!
//! Between commander and hub the route is the agent's id and the channel the commander's own number. Between hub and
//! agent the route is random, the hub's own, and the channel 0. The hub finds the asker by its own table alone.

use crate::reason::Reason;
use crate::wire::{Reader, TooSmall, Writer};

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

/// The byte that an inner message in clear begins with.
const KIND_CLEAR: u8 = 0x30;

/// What an envelope carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inner<'a> {
    /// A message that is sealed on both links and clear to the hub between them (PROTOCOL.md §10.2).
    Clear(&'a [u8]),
}

impl<'a> Inner<'a> {
    /// Reads what an envelope carries.
    ///
    /// # Errors
    ///
    /// [`Reason::UnknownType`].
    pub fn parse(inner: &'a [u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(inner);
        match reader.u8()? {
            KIND_CLEAR => Ok(Self::Clear(reader.rest())),
            _ => Err(Reason::UnknownType),
        }
    }

    /// Writes what an envelope carries.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let Self::Clear(bytes) = self;
        let mut writer = Writer::new(out);
        writer.u8(KIND_CLEAR).bytes(bytes);
        writer.finish()
    }
}
