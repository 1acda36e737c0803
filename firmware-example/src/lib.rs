//! A Moorline agent for a Cortex-M.
#![no_std]
