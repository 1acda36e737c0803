//! REFUSE and REJECT, the responder's ways to say no (PROTOCOL.md §2.6).

use crate::crypto::TAG_LEN;
use crate::reason::Reason;
use crate::wire::{M4_PREFIX_LEN, MessageType, Reader, TooSmall, Writer, emit_head, parse_head};

/// Length of a REFUSE in bytes.
pub const REFUSE_LEN: usize = 29;

/// Length of a REJECT in bytes.
pub const REJECT_LEN: usize = 10;

/// Why an authenticated responder refuses an initiator that it has heard out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RefuseCode {
    /// One code for every fault of token, signature and policy.
    BadCredential,
    /// Come back after the argument's milliseconds.
    Overload,
    /// On a channel: the agent does not know the time, and cannot judge a token without it.
    NoTime,
}

impl RefuseCode {
    fn code(self) -> u8 {
        match self {
            Self::BadCredential => 7,
            Self::Overload => 5,
            Self::NoTime => 10,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::BadCredential, Self::Overload, Self::NoTime]
            .into_iter()
            .find(|known| known.code() == code)
    }
}

/// The plaintext of a REFUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refuse {
    /// The cause.
    pub code: RefuseCode,
    /// The cause's argument.
    pub argument: u32,
}

impl Refuse {
    /// Length of the plaintext in bytes.
    pub const LEN: usize = REFUSE_LEN - M4_PREFIX_LEN - TAG_LEN;

    /// Checks what is not sealed of the REFUSE in `message`, which is for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn check_prefix(message: &[u8], id: u32) -> Result<(), Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::Refuse {
            return Err(Reason::OutOfPlace);
        }
        if reader.u32()? != id {
            return Err(Reason::ConnectionId);
        }
        if message.len() == REFUSE_LEN {
            Ok(())
        } else {
            Err(Reason::Length)
        }
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`], or [`Reason::Malformed`] for a code that does not exist.
    pub fn parse(plaintext: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(plaintext);
        let code = RefuseCode::from_code(reader.u8()?).ok_or(Reason::Malformed)?;
        let argument = reader.u32()?;
        reader.finish()?;
        Ok(Self { code, argument })
    }

    /// Writes head and connection id.
    pub fn emit_prefix(id: u32, writer: &mut Writer<'_>) {
        emit_head(writer, MessageType::Refuse, REFUSE_LEN);
        writer.u32(id);
    }

    /// Writes the plaintext, [`Refuse::LEN`] bytes.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer.u8(self.code.code()).u32(self.argument);
    }
}

/// Why a responder does not take a handshake. Anyone could have sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RejectCode {
    /// Come back after the argument's seconds.
    Overload,
    /// The version is not spoken.
    Version,
}

impl RejectCode {
    fn code(self) -> u8 {
        match self {
            Self::Overload => 1,
            Self::Version => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Overload, Self::Version]
            .into_iter()
            .find(|known| known.code() == code)
    }
}

/// A REJECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The cause.
    pub code: RejectCode,
    /// The cause's argument.
    pub argument: u8,
}

impl Reject {
    /// Reads a REJECT for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8], id: u32) -> Result<Self, Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::Reject {
            return Err(Reason::OutOfPlace);
        }
        if reader.u32()? != id {
            return Err(Reason::ConnectionId);
        }
        let code = RejectCode::from_code(reader.u8()?).ok_or(Reason::Malformed)?;
        let argument = reader.u8()?;
        reader.finish()?;
        Ok(Self { code, argument })
    }

    /// Writes a REJECT for the connection `id`, [`REJECT_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, id: u32, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let mut writer = Writer::new(out);
        emit_head(&mut writer, MessageType::Reject, REJECT_LEN);
        writer.u32(id).u8(self.code.code()).u8(self.argument);
        writer.finish()
    }
}
