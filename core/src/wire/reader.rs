//! A cursor over hostile bytes. It cannot index and must be finished.

/// Fewer bytes are there than the layout asks for, or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

/// Reads a layout from the front of a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Returns a cursor at the first of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the number of bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Reads the next `len` bytes.
    ///
    /// # Errors
    ///
    /// [`Truncated`] when fewer are left; nothing is read then.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads the next `N` bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Truncated> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array().copied().map(u8::from_be_bytes)
    }

    /// Reads a 16-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().copied().map(u16::from_be_bytes)
    }

    /// Reads a 32-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().copied().map(u32::from_be_bytes)
    }

    /// Reads a 64-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().copied().map(u64::from_be_bytes)
    }

    /// Reads all that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Truncated`] when bytes are left over.
    pub fn finish(self) -> Result<(), Truncated> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Truncated)
        }
    }
}
