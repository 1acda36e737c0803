//! A whole handshake, a session, a resumption and a key update over datagrams.

use moorline_core::reason::Reason;

use super::site::{finish, on_link, on_resumed_link};
use crate::channel::loss::{flipped, gives_up, lost, repeated};
use crate::channel::site::Side;
use crate::pair::{Message, Seen, copy};
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "over datagrams any one handshake message of a link may be lost, and the link opens",
        "PROTOCOL.md §6.3",
        || lost(on_link),
    ),
    case(
        "a handshake message of a datagram link that comes twice is answered twice alike",
        "PROTOCOL.md §6.3",
        || repeated(on_link),
    ),
    case(
        "over datagrams an agent that its hub does not answer asks four times and gives up in time",
        "PROTOCOL.md §6.3",
        || gives_up(on_link),
    ),
    case(
        "a flipped bit in a handshake message of a datagram link is dropped, and the true one still opens",
        "PROTOCOL.md §6.3",
        || flipped(on_link),
    ),
    case(
        "over datagrams a ticket opens the next link, whichever message is lost or comes twice",
        "PROTOCOL.md §6.3",
        resumed,
    ),
    case(
        "both ends of a datagram link have the same keys, in the session and after a key update that loses a message",
        "PROTOCOL.md §5.4",
        updated,
    ),
    case(
        "messages of a datagram link that overtake each other or go back to their sender are dropped or taken once",
        "PROTOCOL.md §6.3",
        reordered,
    ),
];

/// Sends a message each way and ensures that it arrives, once.
fn speak(agent: &mut Side<'_>, hub: &mut Side<'_>, millis: u64) -> Result<(), Failure> {
    let there = agent.say(b"there")?;
    let back = hub.say(b"back")?;
    let (_, seen) = hub.hand(&there, millis);
    ensure!(seen == Seen::Application(copy(b"there")));
    let (_, seen) = hub.hand(&there, millis);
    ensure!(seen == Seen::Dropped(Reason::Replayed));
    let (_, seen) = agent.hand(&back, millis);
    ensure!(seen == Seen::Application(copy(b"back")));
    Ok(())
}

fn resumed() -> Result<(), Failure> {
    // Which of M1, M2, M3 and Welcome the line loses the first time; it repeats the others.
    for which in 0..4 {
        on_resumed_link(&mut |agent, hub, m1| {
            let mut now = 0;
            let mut count = 0;
            let mut to_hub: Option<Message> = Some(m1);
            for _ in 0..8 {
                let Some(message) = to_hub.take() else {
                    now += 1_300;
                    (to_hub, _) = agent.wait(now);
                    continue;
                };
                count += 1;
                if count == which + 1 {
                    continue;
                }
                let (first, _) = hub.hand(&message, now);
                let (answer, _) = hub.hand(&message, now);
                ensure!(first == answer, which);
                count += 1;
                let Some(answer) = answer.filter(|_| count != which + 1) else {
                    continue;
                };
                (to_hub, _) = agent.hand(&answer, now);
                let (again, _) = agent.hand(&answer, now);
                ensure!(again == to_hub, which);
                if agent.datagram.connection().is_open() {
                    break;
                }
            }
            let view = agent.view();
            ensure!(view.as_ref().is_some_and(|view| view.resumed), which);
            ensure!(view == hub.view(), which);
            // The ticket is used up, and the session left another.
            ensure!(hub.door.tickets.len() == 1, which);
            ensure!(agent.datagram.take_ticket().is_some(), which);
            speak(agent, hub, now)
        })?;
    }
    Ok(())
}

fn updated() -> Result<(), Failure> {
    // Which of KeyUpdate, KeyAck and the starter's KeyDone the line loses the first time; 3: none.
    for which in 0..4 {
        for hub_starts in [false, true] {
            on_link(&mut |agent, hub, m1| {
                finish(agent, hub, m1);
                ensure!(agent.view().is_some() && agent.view() == hub.view(), which);
                speak(agent, hub, 10)?;
                let (starter, other) = if hub_starts {
                    (&mut *hub, &mut *agent)
                } else {
                    (&mut *agent, &mut *hub)
                };
                let mut now = 3_000;
                let mut message = Some(starter.update(now)?);
                let mut count = 0;
                for _ in 0..8 {
                    let Some(sent) = message.take() else {
                        now += 1_000;
                        (message, _) = starter.wait(now);
                        continue;
                    };
                    count += 1;
                    if count == which + 1 {
                        continue;
                    }
                    let (answer, _) = other.hand(&sent, now);
                    count += 1;
                    if let Some(answer) = answer.filter(|_| count != which + 1) {
                        (message, _) = starter.hand(&answer, now);
                    }
                }
                let epoch = |side: &Side<'_>| {
                    side.datagram
                        .connection()
                        .session()
                        .map(|session| session.epoch())
                };
                ensure!(epoch(agent) == Some(1) && epoch(hub) == Some(1), which);
                speak(agent, hub, now)
            })?;
        }
    }
    Ok(())
}

fn reordered() -> Result<(), Failure> {
    on_link(&mut |agent, hub, m1| {
        let (m2, _) = hub.hand(&m1, 0);
        let m2 = m2.unwrap_or_default();
        // Each end's own message comes back to it.
        let (none, seen) = agent.hand(&m1, 0);
        ensure!(none.is_none() && seen == Seen::Dropped(Reason::OutOfPlace));
        let (none, seen) = hub.hand(&m2, 0);
        ensure!(none.is_none() && seen == Seen::Dropped(Reason::OutOfPlace));
        let (m3, _) = agent.hand(&m2, 0);
        let m3 = m3.unwrap_or_default();
        let (m4, _) = hub.hand(&m3, 0);
        // The hub may speak at once, and what it says may overtake M4.
        let early = hub.say(b"early")?;
        let (none, seen) = agent.hand(&early, 0);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        let (_, seen) = agent.hand(&m4.unwrap_or_default(), 0);
        ensure!(seen == Seen::Open);
        // An M1 that was under way for long means nothing to an open link.
        let (_, seen) = hub.hand(&m1, 31_000);
        ensure!(matches!(seen, Seen::Dropped(_)));
        let one = agent.say(b"one")?;
        let two = agent.say(b"two")?;
        let (_, seen) = hub.hand(&two, 0);
        ensure!(seen == Seen::Application(copy(b"two")));
        let (_, seen) = hub.hand(&one, 0);
        ensure!(seen == Seen::Application(copy(b"one")));
        ensure!(hub.door.admitted == 1);
        speak(agent, hub, 0)
    })
}
