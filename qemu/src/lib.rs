//! Boots Moorline device images in QEMU and judges what they did.
#![forbid(unsafe_code)]
