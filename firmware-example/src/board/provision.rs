//! What the device was provisioned with.

use core::slice;

/// Returns the provisioning region: the end of the code memory, which the linker leaves alone.
///
/// Reads as zeros where nothing was written. The bytes are not trusted to have a form; who parses them bounds
/// what is read.
pub fn provision() -> &'static [u8] {
    let start = &raw const _provision_start;
    let end = &raw const _provision_end;
    // SAFETY: the memory map names the region and keeps it out of the linker's hands, the board has memory there, and
    // nothing writes it while the device runs.
    unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) }
}

// Where the region begins and ends: `memory/`.
unsafe extern "C" {
    static _provision_start: u8;
    static _provision_end: u8;
}
