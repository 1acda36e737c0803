//! Secret random bytes.
//!
//! The board has no generator of its own, so the bytes come from the host's `/dev/urandom` by semihosting. A
//! device that cannot get them is told so and must not go on: there is no fallback.

use embedded_io::ErrorKind;
use semihosting::fs::File;
use semihosting::io::Read;

/// The source of secret random bytes.
pub struct Entropy {
    private: (),
}

impl Entropy {
    pub(super) const fn new() -> Self {
        Self { private: () }
    }

    /// Fills `bytes` wholly, or fails and leaves them all zero.
    ///
    /// # Errors
    ///
    /// The host does not open the source, or it ends early.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let Self { private: () } = self;
        let filled = fill_from_host(bytes);
        if filled.is_err() {
            bytes.fill(0);
        }
        filled
    }

    /// Draws twice and compares: a source that repeats itself is broken.
    ///
    /// # Errors
    ///
    /// As [`Entropy::fill`], and [`EntropyError::Stuck`] when both draws are the same.
    pub fn check(&mut self) -> Result<(), EntropyError> {
        let mut first = [0; CHECK_LEN];
        let mut second = [0; CHECK_LEN];
        self.fill(&mut first)?;
        self.fill(&mut second)?;
        if first == second {
            return Err(EntropyError::Stuck);
        }
        Ok(())
    }
}

/// Why there are no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum EntropyError {
    /// The host refuses to open its source: run QEMU with semihosting enabled, on a host with `/dev/urandom`.
    Unavailable,
    /// The source ended before the bytes were filled.
    Short,
    /// The source gave the same bytes twice.
    Stuck,
}

impl core::fmt::Display for EntropyError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Unavailable => {
                "the host does not open /dev/urandom; run QEMU with semihosting enabled"
            }
            Self::Short => "the entropy source ended early",
            Self::Stuck => "the entropy source repeats itself",
        })
    }
}

impl core::error::Error for EntropyError {}

impl embedded_io::Error for EntropyError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

fn fill_from_host(bytes: &mut [u8]) -> Result<(), EntropyError> {
    let mut source = File::open(c"/dev/urandom").map_err(|_| EntropyError::Unavailable)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = source.read(rest).map_err(|_| EntropyError::Short)?;
        if count == 0 {
            return Err(EntropyError::Short);
        }
        rest = rest.get_mut(count..).ok_or(EntropyError::Short)?;
    }
    Ok(())
}

/// Two honest draws of 16 bytes agree once in 2^128.
const CHECK_LEN: usize = 16;
