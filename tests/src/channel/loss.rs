//! What is lost, repeated or flipped on the way.

use moorline_core::connection::Closure;
use moorline_core::limits::HANDSHAKE_MILLIS;
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;

use super::site::{Side, Site};
use crate::pair::{Message, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "a handshake message that is lost is sent again, the same bytes, and the channel opens",
        "PROTOCOL.md §6.3",
        || lost(on_channel),
    ),
    case(
        "a handshake message that comes twice is answered twice alike",
        "PROTOCOL.md §6.3",
        || repeated(on_channel),
    ),
    case(
        "an initiator that nobody answers asks four times and gives up in time",
        "PROTOCOL.md §6.3",
        || gives_up(on_channel),
    ),
    case(
        "a flipped bit in any handshake message is dropped, and the true message still opens",
        "PROTOCOL.md §6.3",
        || flipped(on_channel),
    ),
    case(
        "a recorded handshake played again opens nothing",
        "PROTOCOL.md §6.3",
        replayed,
    ),
];

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

/// What is done with an initiator, a responder and the M1 of the first.
pub(crate) type Work<'w> =
    &'w mut dyn for<'k> FnMut(&mut Side<'k>, &mut Side<'k>, Message) -> Result<(), Failure>;

/// What makes both ends of a line for some work.
pub(crate) type Ends = fn(Work<'_>) -> Result<(), Failure>;

/// Both ends of a channel with their tokens, for `work`.
pub(crate) fn on_channel(work: Work<'_>) -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    work(&mut commander, &mut agent, m1)
}

pub(crate) fn lost(ends: Ends) -> Result<(), Failure> {
    // Which of M1, M2, M3, M4 the line loses the first time.
    for which in 1..=4 {
        ends(&mut |commander, agent, m1| {
            let mut now = 0;
            let mut to_agent = Some(m1);
            let mut has_lost = false;
            let mut first_sent = [None, None];
            for _ in 0..8 {
                let Some(message) = to_agent.take() else {
                    now += 1_300;
                    let (again, _) = commander.wait(now);
                    to_agent = again;
                    continue;
                };
                let kind = usize::from(message.first().copied().unwrap_or(0));
                let slot = &mut first_sent[kind / 2];
                ensure!(slot.as_ref().is_none_or(|first| *first == message), which);
                *slot = Some(message.clone());
                if kind == which && !has_lost {
                    has_lost = true;
                    continue;
                }
                let (answer, _) = agent.hand(&message, now);
                let Some(answer) = answer else { continue };
                if answer.first() == u8::try_from(which).ok().as_ref() && !has_lost {
                    has_lost = true;
                    continue;
                }
                let (next, seen) = commander.hand(&answer, now);
                to_agent = next;
                if seen == Seen::Open {
                    break;
                }
            }
            ensure!(has_lost, which);
            ensure!(commander.datagram.connection().is_open(), which);
            ensure!(agent.datagram.connection().is_open(), which);
            let frame = commander.say(b"ping")?;
            let (_, seen) = agent.hand(&frame, now);
            ensure!(matches!(seen, Seen::Application(_)), which);
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn repeated(ends: Ends) -> Result<(), Failure> {
    ends(&mut |commander, agent, m1| {
        let (m2, _) = agent.hand(&m1, 0);
        let (again, seen) = agent.hand(&m1, 500);
        ensure!(seen == Seen::Nothing && again == m2);
        let m2 = m2.unwrap_or_default();
        let (m3, _) = commander.hand(&m2, 500);
        let (again, _) = commander.hand(&m2, 600);
        ensure!(again == m3);
        let m3 = m3.unwrap_or_default();
        let (m4, seen) = agent.hand(&m3, 600);
        ensure!(seen == Seen::Open);
        let (again, seen) = agent.hand(&m3, 700);
        ensure!(seen == Seen::Nothing && again == m4);
        let m4 = m4.unwrap_or_default();
        let (_, seen) = commander.hand(&m4, 700);
        ensure!(seen == Seen::Open);
        let (none, seen) = commander.hand(&m4, 800);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        // Half a minute later nobody waits for it any more.
        let (none, seen) = agent.hand(&m3, 30_600);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        ensure!(agent.door.admitted == 1);
        Ok(())
    })
}

pub(crate) fn gives_up(ends: Ends) -> Result<(), Failure> {
    ends(&mut |commander, _, m1| {
        let mut sent = 1;
        let mut last = 0;
        while let Some(deadline) = commander.datagram.deadline() {
            ensure!(deadline.0 > last);
            last = deadline.0;
            let (again, seen) = commander.wait(last);
            if let Some(again) = again {
                ensure!(again == m1);
                sent += 1;
            } else {
                ensure!(seen == Seen::Closed(Closure::Refused(Reason::HandshakeTimeout)));
            }
        }
        ensure!(sent == 4 && last == HANDSHAKE_MILLIS);
        Ok(())
    })
}

pub(crate) fn flipped(ends: Ends) -> Result<(), Failure> {
    ends(&mut |commander, agent, m1| {
        // M1 is clear: what a flip changes there is found at M2. One byte in three is enough on a device.
        let (m2, _) = agent.hand(&m1, 0);
        let m2 = m2.unwrap_or_default();
        for at in (0..m2.len()).step_by(3) {
            let mut broken = m2.clone();
            broken[at] ^= 1 << (at % 8);
            let (none, seen) = commander.hand(&broken, 0);
            ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)), at);
        }
        let (m3, _) = commander.hand(&m2, 0);
        let m3 = m3.unwrap_or_default();
        for at in (0..m3.len()).step_by(3) {
            let mut broken = m3.clone();
            broken[at] ^= 1 << (at % 8);
            let (none, seen) = agent.hand(&broken, 0);
            ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)), at);
        }
        let (m4, seen) = agent.hand(&m3, 0);
        ensure!(seen == Seen::Open);
        let m4 = m4.unwrap_or_default();
        for at in 0..m4.len() {
            let mut broken = m4.clone();
            broken[at] ^= 1 << (at % 8);
            let (none, seen) = commander.hand(&broken, 0);
            ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)), at);
        }
        let (_, seen) = commander.hand(&m4, 0);
        ensure!(seen == Seen::Open);
        Ok(())
    })
}

fn replayed() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, _) = commander.hand(&m2.unwrap_or_default(), 0);
    let m3 = m3.unwrap_or_default();
    let (_, seen) = agent.hand(&m3, 0);
    ensure!(seen == Seen::Open);
    let frame = {
        let (m4, _) = agent.hand(&m3, 0);
        let _ = commander.hand(&m4.unwrap_or_default(), 0);
        commander.say(b"open the valve")?
    };
    // The hub plays all of it to the agent again, on a route of its own.
    let mut again = Side::agent(site.responder(agent_token), "agent, later");
    let (m2, _) = again.hand(&m1, 0);
    ensure!(m2.is_some());
    // The agent has another connection id; a hub that writes that in gets no further.
    let id = m2.unwrap_or_default();
    let mut m3 = m3;
    m3[4..8].copy_from_slice(&id[10..14]);
    let (none, seen) = again.hand(&m3, 0);
    ensure!(none.is_none() && seen == Seen::Dropped(Reason::Unsealed));
    let (_, seen) = again.hand(&frame, 0);
    ensure!(matches!(seen, Seen::Dropped(_)));
    ensure!(again.door.admitted == 0);
    Ok(())
}
