//! Lines that end as they have to.
//!
//! A line of a request ends with CR and LF (RFC 9112 §2.2). A recipient may take LF alone for the end too, and where one does and
//! a proxy in front of it does not, a request hides in another. Here it ends the connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::screened::{Screen, Screened};

/// A stream of requests without bodies, every LF of which follows a CR, until there are requests no more.
pub(super) type Lines<S> = Screened<S, LineEnds>;

/// Looks at the ends of lines.
#[derive(Debug)]
pub(super) struct LineEnds {
    last: u8,
    is_over: Arc<AtomicBool>,
}

impl LineEnds {
    /// Looks until `is_over` is set.
    pub(super) fn new(is_over: Arc<AtomicBool>) -> Self {
        Self { last: 0, is_over }
    }
}

impl Screen for LineEnds {
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_over.load(Ordering::Acquire) {
            return Ok(());
        }
        if !are_whole(self.last, bytes) {
            let error = "a line ends without CR";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        Ok(())
    }
}

/// Returns whether every LF of `bytes`, which follow `last`, has a CR before it.
fn are_whole(last: u8, bytes: &[u8]) -> bool {
    let before = std::iter::once(&last).chain(bytes);
    let mut pairs = before.zip(bytes);
    pairs.all(|(before, byte)| *byte != b'\n' || *before == b'\r')
}

#[cfg(test)]
mod tests {
    use super::are_whole;

    #[test]
    fn every_line_end_has_both_its_bytes_wherever_it_is_cut() {
        assert!(are_whole(0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(are_whole(b'\r', b"\nHost: a") && are_whole(b'x', b""));
        assert!(!are_whole(0, b"\n") && !are_whole(b'x', b"\nHost: a"));
        assert!(!are_whole(0, b"GET / HTTP/1.1\r\nHost: a\n\r\n"));
        assert!(!are_whole(0, b"\r\n\n"));
    }
}
