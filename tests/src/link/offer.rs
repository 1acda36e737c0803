//! M1 on a datagram link: its padding.

use moorline_core::reason::Reason;
use moorline_core::token::AgentId;
use moorline_core::wire::{COOKIE_LEN, Line, M0, M1, MAX_M1_LEN, Mode, Starred};

use super::site::{on_link, on_resumed_link};
use crate::pair::{Message, copy};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[Case {
    name: "M1 on a datagram link is 112 bytes, with zeros where a stream has none, and the binder last",
    clause: "PROTOCOL.md §2.2",
    run: || {
        on_link(&mut |_, _, m1| padded(&m1, Mode::Full, 54..112))?;
        on_resumed_link(&mut |_, _, m1| padded(&m1, Mode::Resume, 70..80))
    },
}];

/// Ensures that `m1`, in `mode`, has its padding in `pad`, and that no other padding is taken.
fn padded(m1: &Message, mode: Mode, pad: core::ops::Range<usize>) -> Result<(), Failure> {
    ensure!(m1.len() == 112);
    ensure!(m1[..4] == [1, 1, 0, 108] && m1[10] & 1 == 1);
    ensure!(m1[pad.clone()].iter().all(|byte| *byte == 0));
    let parsed = M1::parse(m1, Line::Datagram);
    ensure!(parsed.is_ok_and(|m1| m1.mode == mode && m1.id != 0));
    if let (Mode::Resume, Ok(m1_parsed)) = (mode, parsed) {
        let last = m1.last_chunk::<32>();
        ensure!(m1_parsed.preshared.map(|preshared| preshared.binder) == last.copied());
    }
    for at in pad.clone() {
        let mut broken = m1.clone();
        broken[at] ^= 1 << (at % 8);
        ensure!(
            M1::parse(&broken, Line::Datagram) == Err(Reason::Padding),
            at
        );
    }
    // A byte of padding more or less, and none.
    for len in [pad.len() - 1, pad.len() + 1, 0] {
        let mut other = Message::new();
        let (before, after) = (&m1[..pad.start], &m1[pad.end..]);
        for part in [before, &[0; 64][..len], after] {
            let _ = other.extend_from_slice(part);
        }
        other[3] = u8::try_from(other.len() - 4).unwrap_or(0);
        let refused = M1::parse(&other, Line::Datagram);
        ensure!(
            matches!(refused, Err(Reason::Length | Reason::Padding)),
            len
        );
        // What has none is an M1 elsewhere: nothing of one line is anything on another.
        ensure!(
            (len == 0) == M1::parse(&hintless(other), Line::Channel(AgentId([7; 16]))).is_ok(),
            len
        );
    }
    ensure!(M1::parse(m1, Line::Stream) == Err(Reason::Form));
    Ok(())
}

/// Returns an M1 that names no key, as on a channel.
fn hintless(mut m1: Message) -> Message {
    m1[17..21].fill(0);
    m1
}

/// Returns an M1 with a cookie, one without, and an M0.
pub(super) fn seeds() -> heapless::Vec<Message, 3> {
    let mut seeds = heapless::Vec::new();
    let mut out = [0; MAX_M1_LEN];
    let _ = on_link(&mut |_, _, m1| {
        let id = M1::parse(&m1, Line::Datagram).map_or(0, |m1| m1.id);
        let with_cookie = Starred::of(&m1).emit_with(&[7; COOKIE_LEN], &mut out);
        let _ = seeds.push(with_cookie.map(|m1| copy(m1)).unwrap_or_default());
        let m0 = M0 {
            cookie: [7; COOKIE_LEN],
        };
        let m0 = m0.emit(id, &mut out).map(|m0| copy(m0));
        let _ = seeds.push(m0.unwrap_or_default());
        let _ = seeds.push(m1);
        Ok(())
    });
    seeds
}
