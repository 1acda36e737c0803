//! A cursor over a buffer that the caller lends.

/// The caller's buffer is too small; `needed` bytes would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooSmall {
    /// The least length in bytes.
    pub needed: usize,
}

/// Writes a layout to the front of a slice.
///
/// Writing past the end is remembered and reported once, by [`Writer::finish`].
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    written: usize,
}

impl<'a> Writer<'a> {
    /// Returns a cursor at the first of `buffer`.
    #[must_use]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, written: 0 }
    }

    /// Writes `bytes`.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let rest = self.buffer.get_mut(self.written..).unwrap_or_default();
        if let Some(place) = rest.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.written = self.written.saturating_add(bytes.len());
        self
    }

    /// Writes `count` zeros.
    pub fn zeros(&mut self, count: usize) -> &mut Self {
        let end = self.written.saturating_add(count);
        if let Some(place) = self.buffer.get_mut(self.written..end) {
            place.fill(0);
        }
        self.written = end;
        self
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Writes a 16-bit integer.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes a 32-bit integer.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes a 64-bit integer.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Returns what was written.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when the buffer did not take all of it.
    pub fn finish(self) -> Result<&'a mut [u8], TooSmall> {
        self.buffer.get_mut(..self.written).ok_or(TooSmall {
            needed: self.written,
        })
    }
}
