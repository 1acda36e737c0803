//! The last word of an end (PROTOCOL.md §5.5): `code u8 | argument u32`.

use crate::reason::Reason;
use crate::wire::Reader;

/// Why an end leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AlertCode {
    /// It is done.
    Close,
    /// The token of the session has expired.
    Expired,
    /// The peer is revoked.
    Revoked,
    /// The peer went over a limit.
    Limit,
    /// The peer broke the protocol.
    Protocol,
    /// It has too much to do; the argument is the milliseconds after which to come back.
    Overload,
    /// The peer's credential is refused.
    BadCredential,
    /// It goes away; the argument is the milliseconds after which to come back.
    GoingAway,
    /// A newer session of the same peer takes its place.
    Superseded,
}

impl AlertCode {
    const ALL: [Self; 9] = [
        Self::Close,
        Self::Expired,
        Self::Revoked,
        Self::Limit,
        Self::Protocol,
        Self::Overload,
        Self::BadCredential,
        Self::GoingAway,
        Self::Superseded,
    ];

    /// Returns the number of this code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Close => 0,
            Self::Expired => 1,
            Self::Revoked => 2,
            Self::Limit => 3,
            Self::Protocol => 4,
            Self::Overload => 5,
            Self::BadCredential => 7,
            Self::GoingAway => 8,
            Self::Superseded => 9,
        }
    }

    /// Returns the code that `code` numbers.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }
}

/// An alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Alert {
    /// Why.
    pub code: AlertCode,
    /// The code's argument; 0 where it has none.
    pub argument: u32,
}

impl Alert {
    /// Length of an alert in bytes.
    pub const LEN: usize = 5;

    /// Returns the alert of `code` without an argument.
    #[must_use]
    pub fn new(code: AlertCode) -> Self {
        Self { code, argument: 0 }
    }

    /// Returns the one alert that a peer sees for `reason`.
    #[must_use]
    pub fn for_reason(reason: Reason) -> Self {
        Self::new(match reason {
            Reason::Expired | Reason::SessionExpired => AlertCode::Expired,
            Reason::Revoked => AlertCode::Revoked,
            Reason::TooLong
            | Reason::Forgeries
            | Reason::KeyUpdateRate
            | Reason::KeyUpdateTimeout
            | Reason::LastEpoch => AlertCode::Limit,
            Reason::Silent | Reason::Entropy => AlertCode::GoingAway,
            _ => AlertCode::Protocol,
        })
    }

    /// Reads an alert.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`], or [`Reason::Malformed`] for a code that does not exist.
    pub fn parse(payload: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(payload);
        let code = AlertCode::from_code(reader.u8()?).ok_or(Reason::Malformed)?;
        let argument = reader.u32()?;
        reader.finish()?;
        Ok(Self { code, argument })
    }

    /// Returns the bytes of the alert.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.argument.to_be_bytes();
        [self.code.code(), a, b, c, d]
    }
}
