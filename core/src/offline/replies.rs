//! The replies to the last commands, kept as they were sent (PROTOCOL.md §12.6).

use heapless::Vec;

use super::layout::FRAME_NAME_LEN;
use crate::crypto::Hash;

/// Longest reply that is kept, in bytes. A longer one is sent once; after that it is lost.
pub const MAX_CACHED_REPLY_LEN: usize = 256;

/// How many replies are kept, unless an agent is built for another number. The oldest gives way: the answer to its
/// command is then that it is lost.
pub const REPLY_COUNT: usize = 4;

/// The replies to the last commands. They are sealed: what is kept gives nothing away.
#[derive(Debug)]
pub(super) struct Replies<const N: usize>(Vec<KeptReply, N>);

#[derive(Debug)]
struct KeptReply {
    frame: [u8; FRAME_NAME_LEN],
    reply: Vec<u8, MAX_CACHED_REPLY_LEN>,
}

impl<const N: usize> Replies<N> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps `reply` to `frame`, if it is not too long.
    pub(super) fn keep(&mut self, frame: &Hash, reply: &[u8]) {
        let Ok(reply) = Vec::from_slice(reply) else {
            return;
        };
        if N == 0 {
            return;
        }
        if self.0.is_full() {
            self.0.remove(0);
        }
        let kept = KeptReply {
            frame: frame.prefix(),
            reply,
        };
        let full = self.0.push(kept).is_err();
        debug_assert!(!full, "the oldest gave way");
    }

    /// Returns the reply to `frame`.
    pub(super) fn find(&self, frame: &Hash) -> Option<&[u8]> {
        let kept = self.0.iter().find(|kept| kept.frame == frame.prefix())?;
        Some(&kept.reply)
    }
}
