//! A memory-mapped register.

use core::ptr;

/// One 32-bit register of the board.
#[derive(Clone, Copy)]
pub(super) struct Register {
    address: usize,
}

impl Register {
    /// Names the register at `address`.
    ///
    /// # Safety
    ///
    /// `address` is that of a 32-bit register of this board, of which reads and writes touch no memory that Rust
    /// code uses.
    pub(super) const unsafe fn at(address: usize) -> Self {
        Self { address }
    }

    /// Reads the register.
    pub(super) fn read(self) -> u32 {
        let pointer = ptr::with_exposed_provenance::<u32>(self.address);
        // SAFETY: the address is that of a register, by the contract of `at`.
        unsafe { pointer.read_volatile() }
    }

    /// Writes the register.
    pub(super) fn write(self, value: u32) {
        let pointer = ptr::with_exposed_provenance_mut::<u32>(self.address);
        // SAFETY: the address is that of a register, by the contract of `at`.
        unsafe { pointer.write_volatile(value) }
    }
}
