//! A code, or a key alone, in place of a token (PROTOCOL.md §2.9).

use crate::crypto::{Hash, PUBLIC_KEY_LEN, PublicKey};
use crate::reason::Reason;
use crate::wire::{Reader, Writer};

/// Shortest code in bytes.
pub const MIN_CODE_LEN: usize = 8;

/// Longest code in bytes.
pub const MAX_CODE_LEN: usize = 32;

/// What a newcomer shows: a code that the hub gave out, and the key that it has made. Who comes back shows the key alone.
#[derive(Debug, Clone, Copy)]
pub struct Enrolment<'a> {
    /// The code, a secret until it is used; nothing when the hub knows the key.
    pub code: Option<EnrolmentCode<'a>>,
    /// The peer's key as it was written; [`Enrolment::public_key`] reads it.
    pub key: [u8; PUBLIC_KEY_LEN],
}

/// A code that is good for one enrolment.
#[derive(Clone, Copy)]
pub struct EnrolmentCode<'a>(&'a [u8]);

impl<'a> EnrolmentCode<'a> {
    /// Returns `bytes` as a code; nothing when they are fewer than 8 or more than 32.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (MIN_CODE_LEN..=MAX_CODE_LEN)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn expose(&self) -> &'a [u8] {
        self.0
    }
}

impl core::fmt::Debug for EnrolmentCode<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("EnrolmentCode")
    }
}

impl<'a> Enrolment<'a> {
    /// Reads the peer's key.
    ///
    /// # Errors
    ///
    /// [`Reason::PublicKey`] when it is not a point of the curve.
    pub fn public_key(&self) -> Result<PublicKey, Reason> {
        PublicKey::from_bytes(&self.key).ok_or(Reason::PublicKey)
    }

    /// Returns how many bytes it has in M3.
    pub(crate) fn wire_len(&self) -> usize {
        1 + self.code().len() + PUBLIC_KEY_LEN
    }

    /// Returns the hash that stands for it in the transcript.
    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&[&[self.code_len()], self.code(), &self.key])
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        writer
            .u8(self.code_len())
            .bytes(self.code())
            .bytes(&self.key);
    }

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, Reason> {
        let len = usize::from(reader.u8()?);
        let code = match reader.bytes(len)? {
            [] => None,
            bytes => Some(EnrolmentCode::new(bytes).ok_or(Reason::Length)?),
        };
        let key = *reader.array()?;
        Ok(Self { code, key })
    }

    fn code(&self) -> &'a [u8] {
        self.code.map_or(&[], |code| code.0)
    }

    fn code_len(&self) -> u8 {
        u8::try_from(self.code().len()).unwrap_or(u8::MAX)
    }
}
