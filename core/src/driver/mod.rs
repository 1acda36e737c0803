//! Drivers of an initiator's [`Connection`](crate::connection::Connection) over byte streams.
//!
//! [`Pump`] is the driver without the stream: it says when to write and when to read. [`blocking`] and
//! [`nonblocking`] do just that, over `embedded-io` and `embedded-io-async`.
//!
//! A stream whose `read` returns [`embedded_io::ErrorKind::TimedOut`] now and then lets the driver attend to
//! deadlines: heartbeats, key updates, expiry. A stream that never does so blocks until the peer speaks.

pub mod blocking;
pub mod nonblocking;
mod pump;

pub use pump::{Buffers, Next, Pump};

use crate::connection::Closure;
use crate::framing::{FramingError, UpgradeError};
use crate::reason::Error;
use crate::time::Now;

/// The caller's clock.
pub trait Clock {
    /// Returns the time.
    fn now(&mut self) -> Now;
}

impl<C: FnMut() -> Now> Clock for C {
    fn now(&mut self) -> Now {
        self()
    }
}

/// Why a driver stopped. `E` is the stream's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DriverError<E> {
    /// The stream failed.
    Stream(E),
    /// The stream ended without a sealed last word: what was on its way may be missing.
    Truncated,
    /// The connection is over.
    Closed(Closure),
    /// The stream cannot be followed.
    Framing(FramingError),
    /// The WebSocket did not open.
    Upgrade(UpgradeError),
    /// The caller's fault, or its machine's.
    Own(Error),
}

impl<E> From<Error> for DriverError<E> {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// Why a [`Pump`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stop {
    /// The connection is over.
    Closed(Closure),
    /// The framing announced the end of the stream without a sealed last word.
    Truncated,
    /// The stream cannot be followed.
    Framing(FramingError),
    /// The caller's fault, or its machine's.
    Own(Error),
}

impl<E> From<Stop> for DriverError<E> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Closed(closure) => Self::Closed(closure),
            Stop::Truncated => Self::Truncated,
            Stop::Framing(error) => Self::Framing(error),
            Stop::Own(error) => Self::Own(error),
        }
    }
}
