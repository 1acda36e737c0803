//! What an agent says on a channel: answers, and what it reports by itself (PROTOCOL.md §10.3).

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::codec;
use super::command::{Field, MAX_FIELDS, Response};
use crate::reason::Reason;
use crate::wire::TooSmall;

/// What an agent says to a commander.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent<'a> {
    /// The answer to a request.
    Response(#[serde(borrow)] Response<'a>),
    /// Something that the agent noticed, for who subscribed to that.
    Event(#[serde(borrow)] Event<'a>),
    /// A piece of the agent's log, for who subscribed to that.
    Log(#[serde(borrow)] Log<'a>),
}

/// What an agent noticed, such as a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation<'a> {
    /// What it is called, such as `temperature`.
    pub name: &'a str,
    /// What there is to say about it.
    #[serde(borrow)]
    pub fields: Vec<Field<'a>, MAX_FIELDS>,
}

/// An observation on its way to a commander.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Its number; the agent counts from 0 at its start.
    pub number: u64,
    /// How many events right before it this commander missed, because the agent had no room to keep them.
    pub lost: u64,
    /// Milliseconds from the observation to this message.
    pub age_ms: u64,
    /// What was noticed.
    #[serde(borrow)]
    pub observation: Observation<'a>,
}

/// A piece of an agent's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log<'a> {
    /// The number of the first line in it; the agent counts from 0 at its start.
    pub number: u64,
    /// How many lines right before it this commander missed, because the agent had no room to keep them.
    pub lost: u64,
    /// Whole lines, each as the agent's logger encodes it. Who has the agent's program can read them.
    pub lines: &'a [u8],
}

impl<'a> Observation<'a> {
    /// Returns the observation called `name` that says nothing more.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            fields: Vec::new(),
        }
    }

    /// Decodes what [`Observation::encode`] gave.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        codec::decode(bytes)
    }

    /// Encodes the observation, to be kept until it is sent.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        codec::encode(self, out)
    }
}

impl<'a> FromAgent<'a> {
    /// Decodes what an agent says.
    ///
    /// # Errors
    ///
    /// [`Reason::MessageVersion`], [`Reason::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Reason> {
        codec::decode_versioned(bytes)
    }

    /// Encodes what the agent says.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        codec::encode_versioned(self, out)
    }
}
