//! Secret random bytes.
//!
//! The board has no generator of its own, so the bytes come from the host's `/dev/urandom` by semihosting. A
//! device that cannot get them is told so and must not go on: there is no fallback.
//!
//! For tests the source can be made worse, and not better: by the semihosting command line `dry=N` it gives bytes `N` times
//! and never again, and by `stuck=1` it gives the same bytes each time.

use embedded_io::ErrorKind;
use semihosting::fs::File;
use semihosting::io::Read;

use super::arguments::Arguments;

/// The source of secret random bytes.
pub struct Entropy {
    /// How often it gives bytes; nothing for a source that does not run dry.
    draws_left: Option<u32>,
    /// What a source gives that repeats itself, once it has given something.
    repeated: Option<[u8; CHECK_LEN]>,
    is_stuck: bool,
}

impl Entropy {
    pub(super) fn new() -> Self {
        let arguments = Arguments::read();
        Self {
            draws_left: arguments.number("dry="),
            repeated: None,
            is_stuck: arguments.number("stuck=") == Some(1),
        }
    }

    /// Fills `bytes` wholly, or fails and leaves them all zero.
    ///
    /// # Errors
    ///
    /// The host does not open the source, or it ends early.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let filled = self.draw(bytes);
        if filled.is_err() {
            bytes.fill(0);
        }
        filled
    }

    fn draw(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if let Some(left) = &mut self.draws_left {
            *left = left.checked_sub(1).ok_or(EntropyError::Short)?;
        }
        fill_from_host(bytes)?;
        if self.is_stuck {
            let mut first = [0; CHECK_LEN];
            for (to, from) in first.iter_mut().zip(&*bytes) {
                *to = *from;
            }
            let repeated = self.repeated.get_or_insert(first);
            for (to, from) in bytes.iter_mut().zip(repeated.iter().cycle()) {
                *to = *from;
            }
        }
        Ok(())
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
