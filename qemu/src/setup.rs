//! Sees to the tools that device runs need: the emulator and the compiler's target.
