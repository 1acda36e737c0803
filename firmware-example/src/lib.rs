//! A Moorline agent for a Cortex-M, without a heap.
//!
//! The images are in `src/bin/`; what they share is here. [`board`] is the only module that knows the hardware
//! and the only one with `unsafe` in it: to bring the agent to another board, replace that module.

#![no_std]
#![deny(unsafe_code)]

#[expect(
    unsafe_code,
    reason = "registers, linker symbols and handlers are reached here and nowhere else"
)]
pub mod board;
