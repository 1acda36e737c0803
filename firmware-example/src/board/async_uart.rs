//! The serial line for tasks of an executor: whoever waits for it is woken by its interrupts.

use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;

use embassy_sync::waitqueue::AtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};

use super::hardware::uart;
use super::uart::{Uart, is_idle, queue, take_received};

/// The serial line, for one task.
///
/// A future of its that is dropped loses nothing: it takes bytes, or gives them away, when it is ready and not before.
pub struct AsyncUart {
    _uart: Uart,
}

impl From<Uart> for AsyncUart {
    fn from(uart: Uart) -> Self {
        uart::start_waking();
        Self { _uart: uart }
    }
}

impl ErrorType for AsyncUart {
    type Error = Infallible;
}

impl Read for AsyncUart {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            // First, so that a byte that comes after the look wakes it.
            RECEIVED.register(context.waker());
            match take_received(bytes) {
                0 => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            }
        })
        .await
    }
}

impl Write for AsyncUart {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            TRANSMITTED.register(context.waker());
            match critical_section::with(|section| queue(section, bytes)) {
                0 => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        poll_fn(|context| {
            TRANSMITTED.register(context.waker());
            match critical_section::with(is_idle) {
                false => Poll::Pending,
                true => Poll::Ready(Ok(())),
            }
        })
        .await
    }
}

/// Moves what the UART has received into the ring, and wakes who waits for it.
pub(super) fn handle_receive() {
    super::uart::handle_receive();
    RECEIVED.wake();
}

/// Hands the UART what is queued, and wakes who waits for room.
pub(super) fn handle_transmit() {
    super::uart::handle_transmit();
    TRANSMITTED.wake();
}

static RECEIVED: AtomicWaker = AtomicWaker::new();
static TRANSMITTED: AtomicWaker = AtomicWaker::new();
