//! Fragments of handshake messages.

use moorline_core::connection::Closure;
use moorline_core::limits::FRAGMENT_MILLIS;
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;

use super::bench::{Agent, MTU, Peer, Sent, Short, on_short_link};
use super::site::{initiator, responder};
use crate::channel::loss::on_channel;
use crate::fixture::World;
use crate::pair::{Message, Pair, Seen, copy};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §2.11";

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "M3 travels in fragments no longer than either end's mtu, and the link opens",
        opens,
    ),
    case(
        "fragments are head, number, length, id, total and offset as the layout has them",
        layout,
    ),
    case(
        "fragments are taken in any order, each of them once",
        any_order,
    ),
    case(
        "any one fragment may be lost: the same one comes again, and is enough",
        lost,
    ),
    case(
        "a fragment that is malformed, for another end or does not fit is dropped, and the true ones open the link",
        dropped,
    ),
    case(
        "when the whole does not open, all of it is forgotten, and what comes again opens the link",
        forged,
    ),
    case(
        "fragments that never become whole give way after a second",
        gives_way,
    ),
    case(
        "M1 is not taken in fragments, nor is anything before it, or on a stream or a channel",
        misplaced,
    ),
    case(
        "a refusal is said again to an M3 that comes again in fragments",
        refused_again,
    ),
];

/// A hub's end.
type Hub<'k> = Peer<'k, 1024>;

/// Hands M1 and M2 over and returns the fragments of M3.
fn fragments(agent: &mut Agent<'_>, hub: &mut Hub<'_>, m1: &Short) -> Result<Sent, Failure> {
    let (m2, _) = hub.hand(m1, 0)?;
    ensure!(m2.len() == 1);
    let (m3, _) = agent.hand_all(&m2, 0)?;
    Ok(m3)
}

/// Returns `fragment` with other bytes from `at` on.
fn with(fragment: &Short, at: usize, bytes: &[u8]) -> Short {
    let mut other = fragment.clone();
    other[at..at + bytes.len()].copy_from_slice(bytes);
    other
}

fn opens() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    for (own, peer, count) in [(256, 1500, 2..=3), (1500, 256, 2..=3), (160, 160, 4..=5)] {
        let step = usize::from(own);
        let mut short = initiator(&world, token);
        short.offer.mtu = own;
        let mut answering = responder(&world);
        answering.limits.mtu = peer;
        let (mut agent, m1) = Agent::start(short, None)?;
        let mut hub = Hub::hub(answering);
        let m3 = fragments(&mut agent, &mut hub, &m1)?;
        let mtu = usize::from(own.min(peer));
        ensure!(count.contains(&m3.len()), step);
        ensure!(m3.iter().all(|part| part.len() <= mtu), step);
        let (m4, seen) = hub.hand_all(&m3, 0)?;
        ensure!(seen == Seen::Open && m4.len() == 1, step);
        let (none, seen) = agent.hand_all(&m4, 0)?;
        ensure!(seen == Seen::Open && none.is_empty(), step);
        ensure!(agent.view().is_some() && agent.view() == hub.view(), step);
    }
    Ok(())
}

fn layout() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        let (m2, _) = hub.hand(&m1, 0)?;
        let (m3, _) = agent.hand_all(&m2, 0)?;
        let mut whole = Message::new();
        for (step, part) in m3.iter().enumerate() {
            let len = part.len();
            // M3 is the second message of the initiator.
            ensure!(part[..2] == [0x0F, 1], step);
            ensure!(
                part[2..4] == u16::try_from(len - 4).unwrap_or(0).to_be_bytes(),
                step
            );
            ensure!(part[4..8] == m2[0][10..14], step);
            ensure!(part[8..10] == m3[0][8..10], step);
            let offset = u16::try_from(whole.len()).unwrap_or(1);
            ensure!(
                part[10..12] == offset.to_be_bytes() && offset % 4 == 0,
                step
            );
            ensure!(len == usize::from(MTU) || step + 1 == m3.len(), step);
            let _ = whole.extend_from_slice(&part[12..]);
        }
        let total = u16::try_from(whole.len()).unwrap_or(0);
        ensure!(m3[0][8..10] == total.to_be_bytes());
        ensure!(whole[..2] == [3, 1] && whole[2..4] == (total - 4).to_be_bytes());
        Ok(())
    })
}

fn any_order() -> Result<(), Failure> {
    let orders: [&[usize]; 5] = [
        &[0, 1, 2],
        &[2, 1, 0],
        &[0, 0, 2, 1],
        &[1, 1, 1, 2, 2, 0],
        &[1, 0, 1, 2, 0, 1, 2],
    ];
    for (step, order) in orders.into_iter().enumerate() {
        on_short_link(&mut |agent, hub, m1| {
            let m3 = fragments(agent, hub, &m1)?;
            ensure!(m3.len() == 3, step);
            let mut m4 = Sent::new();
            for (place, index) in order.iter().enumerate() {
                let is_again = order[..place].contains(index) && m4.is_empty();
                let (sent, seen) = hub.hand(&m3[*index], 0)?;
                ensure!((seen == Seen::Dropped(Reason::Replayed)) == is_again, step);
                if !sent.is_empty() {
                    // What comes once more after M4 has the same answer.
                    ensure!(m4.is_empty() || m4 == sent, step);
                    m4 = sent;
                }
            }
            ensure!(hub.door.admitted == 1, step);
            let (_, seen) = agent.hand_all(&m4, 0)?;
            ensure!(seen == Seen::Open, step);
            Ok(())
        })?;
    }
    Ok(())
}

fn lost() -> Result<(), Failure> {
    for which in 0..3 {
        on_short_link(&mut |agent, hub, m1| {
            let m3 = fragments(agent, hub, &m1)?;
            for other in (0..3).filter(|other| *other != which) {
                let (none, seen) = hub.hand(&m3[other], 0)?;
                ensure!(none.is_empty() && seen == Seen::Nothing, which);
            }
            let due = agent.link.deadline().map_or(0, |due| due.0);
            let (again, _) = agent.wait(due)?;
            ensure!(again == m3, which);
            let (m4, seen) = hub.hand(&again[which], due)?;
            ensure!(seen == Seen::Open, which);
            let (_, seen) = agent.hand_all(&m4, due)?;
            ensure!(seen == Seen::Open, which);
            Ok(())
        })?;
    }
    Ok(())
}

fn dropped() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        let m3 = fragments(agent, hub, &m1)?;
        let (one, two) = (&m3[0], &m3[1]);
        let malformed = [
            // Another end's id, and no end's.
            (with(one, 4, &[one[4] ^ 1]), Reason::ConnectionId),
            (with(one, 4, &[0; 4]), Reason::ConnectionId),
            // A total over the limit, of nothing, and less than what is there.
            (with(one, 8, &1025u16.to_be_bytes()), Reason::Fragment),
            (with(one, 8, &[0, 0]), Reason::Fragment),
            (with(one, 8, &200u16.to_be_bytes()), Reason::Fragment),
            // An offset that is no multiple of 4, and one beyond the end.
            (with(one, 10, &2u16.to_be_bytes()), Reason::Fragment),
            (with(one, 10, &0xFFFCu16.to_be_bytes()), Reason::Fragment),
            // A length that is not that of the datagram.
            (with(one, 3, &[one[3] - 1]), Reason::Length),
        ];
        let check = |hub: &mut Hub<'_>, part: &[u8], reason, step| {
            let (none, seen) = hub.hand(part, 0)?;
            ensure!(none.is_empty() && seen == Seen::Dropped(reason), step);
            Ok(())
        };
        for (step, (part, reason)) in malformed.iter().enumerate() {
            check(hub, part, *reason, step)?;
        }
        for len in 0..12 {
            check(hub, &one[..len], Reason::Length, len).or_else(|failure| {
                // Of nothing it cannot be said that it is a fragment.
                if len == 0 { Ok(()) } else { Err(failure) }
            })?;
        }
        // No bytes, and a part in the middle that ends within a cell.
        let cut = |len: usize| {
            let mut part = one.clone();
            part.truncate(len);
            let counted = u16::try_from(len - 4).unwrap_or(0).to_be_bytes();
            with(&part, 2, &counted)
        };
        check(hub, &cut(12), Reason::Fragment, 20)?;
        check(hub, &cut(13), Reason::Fragment, 21)?;
        check(hub, &cut(one.len() - 1), Reason::Fragment, 22)?;
        // Nothing of that was kept: the first true one begins.
        let (_, seen) = hub.hand(one, 0)?;
        ensure!(seen == Seen::Nothing);
        check(hub, one, Reason::Replayed, 30)?;
        check(hub, &cut(16), Reason::Replayed, 31)?;
        let other_total = with(two, 8, &1000u16.to_be_bytes());
        check(hub, &other_total, Reason::Fragment, 32)?;
        check(hub, &with(two, 1, &[2]), Reason::Fragment, 33)?;
        // It begins in what has come and ends in what has not.
        let overlapping = with(one, 10, &4u16.to_be_bytes());
        check(hub, &overlapping, Reason::Fragment, 34)?;
        let (m4, seen) = hub.hand_all(&m3[1..], 0)?;
        ensure!(seen == Seen::Open);
        let (_, seen) = agent.hand_all(&m4, 0)?;
        ensure!(seen == Seen::Open);
        Ok(())
    })
}

fn forged() -> Result<(), Failure> {
    for which in 0..3 {
        on_short_link(&mut |agent, hub, m1| {
            let mut m3 = fragments(agent, hub, &m1)?;
            m3[which][20] ^= 1;
            let (none, seen) = hub.hand_all(&m3, 0)?;
            ensure!(
                none.is_empty() && seen == Seen::Dropped(Reason::Unsealed),
                which
            );
            ensure!(hub.door.admitted == 0, which);
            let due = agent.link.deadline().map_or(0, |due| due.0);
            let (again, _) = agent.wait(due)?;
            let (m4, seen) = hub.hand_all(&again, due)?;
            ensure!(seen == Seen::Open, which);
            let (_, seen) = agent.hand_all(&m4, due)?;
            ensure!(seen == Seen::Open && agent.view() == hub.view(), which);
            Ok(())
        })?;
    }
    Ok(())
}

fn gives_way() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        let m3 = fragments(agent, hub, &m1)?;
        // Somebody who saw the id begins a message that nobody ends.
        let poison = with(&m3[0], 8, &1024u16.to_be_bytes());
        let (_, seen) = hub.hand(&poison, 0)?;
        ensure!(seen == Seen::Nothing);
        for (step, part) in m3.iter().enumerate() {
            let (none, seen) = hub.hand(part, FRAGMENT_MILLIS - 1)?;
            ensure!(
                none.is_empty() && seen == Seen::Dropped(Reason::Fragment),
                step
            );
        }
        let (m4, seen) = hub.hand_all(&m3, FRAGMENT_MILLIS)?;
        ensure!(seen == Seen::Open);
        let (_, seen) = agent.hand_all(&m4, FRAGMENT_MILLIS)?;
        ensure!(seen == Seen::Open);
        Ok(())
    })
}

/// Returns a fragment for the connection `id` with all of `message` in it.
fn in_one(message: &[u8], id: &[u8]) -> Short {
    let total = u16::try_from(message.len()).unwrap_or(0);
    let mut part = Short::new();
    let counted = (total + 8).to_be_bytes();
    for bytes in [
        &[0x0F, 0],
        &counted,
        id,
        &total.to_be_bytes(),
        &[0, 0],
        message,
    ] {
        let _ = part.extend_from_slice(bytes);
    }
    part
}

fn misplaced() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        for id in [[0; 4], [7; 4]] {
            let (none, seen) = hub.hand(&in_one(&m1, &id), 0)?;
            ensure!(none.is_empty() && seen == Seen::Dropped(Reason::OutOfPlace));
        }
        let (m2, _) = hub.hand(&m1, 0)?;
        let (none, seen) = hub.hand(&in_one(&m1, &m2[0][10..14]), 0)?;
        ensure!(none.is_empty() && seen == Seen::Dropped(Reason::Fragment));
        let id = &m1[13..17];
        let (none, seen) = agent.hand(&in_one(&m1, id), 0)?;
        ensure!(none.is_empty() && seen == Seen::Dropped(Reason::Fragment));
        // An initiator has room for an M2 with a statement and for nothing longer.
        for (total, reason) in [(310_u16, None), (311, Some(Reason::NoRoom))] {
            let mut part = in_one(&m2[0], id);
            part[8..10].copy_from_slice(&total.to_be_bytes());
            let (none, seen) = agent.hand(&part, 0)?;
            let expected = reason.map_or(Seen::Nothing, Seen::Dropped);
            ensure!(none.is_empty() && seen == expected, usize::from(total));
        }
        let (m3, _) = agent.hand_all(&m2, 0)?;
        let (again, _) = agent.hand(&in_one(&m2[0], id), FRAGMENT_MILLIS)?;
        ensure!(again == m3);
        let (_, seen) = hub.hand_all(&m3, 0)?;
        ensure!(seen == Seen::Open);
        Ok(())
    })?;
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut pair = Pair::start(&world, token, moorline_core::connection::Settings::DEFAULT)?;
    let part = in_one(&pair.m1, &[0; 4]);
    let (none, seen) = pair.responder.hand(&part, 0);
    let unknown = Closure::Refused(Reason::UnknownType);
    ensure!(none.is_none() && seen == Seen::Closed(unknown));
    on_channel(&mut |_, agent, m1| {
        let (m2, _) = agent.hand(&m1, 0);
        let m2 = m2.unwrap_or_default();
        let (none, seen) = agent.hand(&in_one(&m1, &m2[10..14]), 0);
        ensure!(none.is_none() && seen == Seen::Dropped(Reason::UnknownType));
        Ok(())
    })
}

fn refused_again() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        hub.door.full = true;
        let m3 = fragments(agent, hub, &m1)?;
        let (refuse, seen) = hub.hand_all(&m3, 0)?;
        let not_admitted = Closure::Refused(Reason::NotAdmitted);
        ensure!(seen == Seen::Closed(not_admitted) && refuse.len() == 1);
        let (again, seen) = hub.hand_all(&m3, 500)?;
        ensure!(seen == Seen::Nothing && again == refuse);
        let (_, seen) = agent.hand_all(&again, 500)?;
        let refused = Closure::Refused(Reason::RefusedOverload);
        ensure!(seen == Seen::Closed(refused) && agent.ended == Some(refused));
        Ok(())
    })
}

/// Returns the fragments of an M3.
pub(super) fn seeds() -> heapless::Vec<Message, 4> {
    let mut seeds = heapless::Vec::new();
    let _ = on_short_link(&mut |agent, hub, m1| {
        let parts = fragments(agent, hub, &m1)?;
        seeds.extend(parts.iter().take(4).map(|part| copy(part)));
        Ok(())
    });
    seeds
}
