//! The serial line as a stream for a task, whose reads end in time.

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};

use crate::board::AsyncUart;
use crate::stream::{DRAIN_MS, Line, LineError, QUIET_MS, READ_MS};

impl Line<'_, AsyncUart> {
    /// Reads and drops what arrives until nothing does for `QUIET_MS`, or `DRAIN_MS` have passed; returns how
    /// many bytes were dropped.
    ///
    /// What is on its way belongs to a connection that is over.
    pub async fn drain(&mut self) -> usize {
        let mut dropped = 0;
        let mut bytes = [0; 64];
        let give_up = self.clock.milliseconds() + DRAIN_MS;
        loop {
            let now = self.clock.milliseconds();
            let len = self.read_for(&mut bytes, QUIET_MS).await.unwrap_or(0);
            dropped += len;
            if len == 0 || now >= give_up {
                return dropped;
            }
        }
    }

    /// Reads what has arrived, waiting for the first byte for `millis` milliseconds.
    async fn read_for(&mut self, bytes: &mut [u8], millis: u64) -> Result<usize, LineError> {
        let read = with_timeout(Duration::from_millis(millis), self.uart.read(bytes));
        let read = read.await.map_err(|_| LineError::TimedOut)?;
        read.map_err(LineError::from)
    }
}

impl Read for Line<'_, AsyncUart> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, LineError> {
        self.read_for(bytes, READ_MS).await
    }
}

impl Write for Line<'_, AsyncUart> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        self.uart.write(bytes).await.map_err(LineError::from)
    }

    async fn flush(&mut self) -> Result<(), LineError> {
        self.uart.flush().await.map_err(LineError::from)
    }
}
