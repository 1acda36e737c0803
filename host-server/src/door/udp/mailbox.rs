//! Datagrams that wait for one peer's session to take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::door::meter::Meter;

/// Most datagrams that wait: the parts of one of the longest payloads at the least mtu, and as many more.
const MAX_COUNT: usize = 64;

/// Most bytes of them: two of the longest payloads, in parts.
const MAX_LEN: usize = 16 * 1024;

/// The end that the door has.
#[derive(Debug)]
pub(super) struct Mailbox {
    sender: async_channel::Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    meter: Arc<Meter>,
}

/// The end that the session has.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: async_channel::Receiver<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

/// Returns both ends of an empty mailbox of the peer whose bytes `meter` counts.
pub(super) fn mailbox(meter: Arc<Meter>) -> (Mailbox, Inbox) {
    let (sender, receiver) = async_channel::bounded(MAX_COUNT);
    let waiting = Arc::new(AtomicUsize::new(0));
    let mailbox = Mailbox {
        sender,
        waiting: Arc::clone(&waiting),
        meter,
    };
    (mailbox, Inbox { receiver, waiting })
}

impl Mailbox {
    /// Puts a datagram in. It is dropped, as a line may drop it, where there is no room, or where a stranger has sent as
    /// much as is read of one. Returns whether it was put in.
    pub(super) fn put(&self, datagram: &[u8]) -> bool {
        let len = datagram.len();
        // The door alone adds.
        let has_room = self.waiting.load(Ordering::Acquire) + len <= MAX_LEN;
        if !has_room || self.sender.is_full() || !self.meter.takes(len) {
            return false;
        }
        self.waiting.fetch_add(len, Ordering::AcqRel);
        self.sender.try_send(datagram.to_vec()).is_ok()
    }
}

impl Inbox {
    /// Waits for the next datagram; nothing when the door is shut.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        let datagram = self.receiver.recv().await.ok()?;
        self.waiting.fetch_sub(datagram.len(), Ordering::AcqRel);
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future;

    use super::{MAX_COUNT, MAX_LEN, mailbox};
    use crate::door::meter::Meter;

    fn peer() -> Arc<Meter> {
        let meter = Meter::of_a_stranger(4_096);
        meter.settle();
        Arc::new(meter)
    }

    #[test]
    fn datagrams_wait_up_to_their_count_and_their_bytes_and_no_further() {
        let (mailbox, inbox) = mailbox(peer());
        assert!((0..MAX_COUNT).all(|_| mailbox.put(&[0; 8])));
        assert!(!mailbox.put(&[0; 8]), "one too many");
        for _ in 0..MAX_COUNT {
            assert!(future::block_on(inbox.next()).is_some());
        }
        let long = [0; 1_024];
        assert!((0..MAX_LEN / long.len()).all(|_| mailbox.put(&long)));
        assert!(!mailbox.put(&[0; 8]), "eight bytes too many");
        assert!(future::block_on(inbox.next()).is_some());
        assert!(mailbox.put(&[0; 8]), "there is room again");
    }

    #[test]
    fn a_stranger_is_listened_to_for_so_many_bytes_and_a_peer_for_ever() {
        let (stranger, heard) = mailbox(Arc::new(Meter::of_a_stranger(4_096)));
        let (known, also_heard) = mailbox(peer());
        let mut taken = 0;
        for _ in 0..1_000 {
            if stranger.put(&[0; 1_000]) {
                taken += 1;
                assert!(future::block_on(heard.next()).is_some());
            }
            assert!(known.put(&[0; 1_000]));
            assert!(future::block_on(also_heard.next()).is_some());
        }
        assert!((3..40).contains(&taken), "{taken}");
    }
}
