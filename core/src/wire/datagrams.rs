//! Several datagrams in one buffer, one after the other: each says how long it is.

use crate::wire::{DATAGRAM_HEADER_LEN, HEAD_LEN};

/// Iterates over the datagrams of a link that stand one after the other in `bytes`, as a
/// [`DatagramLink`](crate::link::DatagramLink) writes them.
pub fn datagrams(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let (datagram, after) = rest.split_at_checked(len_of(rest)?)?;
        rest = after;
        Some(datagram)
    })
}

/// Returns the length of the first datagram of `bytes`; of all of them when it does not say.
fn len_of(bytes: &[u8]) -> Option<usize> {
    let kind = bytes.first()?;
    let before = if *kind < FIRST_FRAME {
        HEAD_LEN
    } else {
        DATAGRAM_HEADER_LEN
    };
    let len = bytes.get(LEN_AT..).and_then(|bytes| bytes.first_chunk());
    let len = len.map(|len| usize::from(u16::from_be_bytes(*len)));
    Some(len.map_or(bytes.len(), |len| (before + len).min(bytes.len())))
}

/// The least first byte of a frame.
const FIRST_FRAME: u8 = 0x10;

/// Where the length of a message and of a frame stands.
const LEN_AT: usize = 2;
