//! The system's generator.

use moorline_core::entropy::{Entropy, EntropyError};

/// The system's generator, which blocks until it is seeded.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}

/// Returns `N` unpredictable bytes.
///
/// # Errors
///
/// [`EntropyError`] when the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    SystemEntropy.fill(&mut bytes)?;
    Ok(bytes)
}
