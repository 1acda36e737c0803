//! What the device was provisioned with.

use core::{ptr, slice};

/// Returns the provisioning region: the last MiB of the code memory, which the linker leaves alone.
///
/// Reads as zeros where nothing was written. The bytes are not trusted to have a form; who parses them bounds
/// what is read.
pub fn provision() -> &'static [u8] {
    let start = ptr::with_exposed_provenance::<u8>(START);
    // SAFETY: the memory map keeps the region out of the linker's hands, the board has memory there, and nothing
    // writes it while the device runs.
    unsafe { slice::from_raw_parts(start, LEN) }
}

const START: usize = 0x0030_0000;
const LEN: usize = 0x0010_0000;
