//! Where randomness comes from.

use zeroize::Zeroizing;

/// A source of unpredictable bytes.
///
/// An implementation is a cryptographic generator: the system's on a host, a hardware generator or a seeded
/// generator on a device. It refuses rather than return bytes that it does not vouch for.
pub trait Entropy {
    /// Fills `bytes` with unpredictable bytes.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the source is not seeded or fails; `bytes` is then not to be used.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

/// The source of entropy is not seeded, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EntropyError;

/// Draws `N` bytes that are wiped when dropped.
pub(crate) fn draw<const N: usize>(
    entropy: &mut dyn Entropy,
) -> Result<Zeroizing<[u8; N]>, EntropyError> {
    let mut bytes = Zeroizing::new([0; N]);
    entropy.fill(&mut *bytes)?;
    // A generator that is stuck at zero is the commonest failure of all.
    if N >= 16 && bytes.iter().all(|byte| *byte == 0) {
        return Err(EntropyError);
    }
    Ok(bytes)
}
