//! Figures of the device.
