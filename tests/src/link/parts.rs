//! Payloads that are longer than the mtu of a datagram link.

use moorline_core::connection::{Closure, NewToken};
use moorline_core::link::MAX_SPLIT_LEN;
use moorline_core::message::Envelope;
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;

use super::bench::{Agent, MTU, Peer, Sent, Short, failure, on_short_link, sent};
use super::site::{initiator, responder};
use crate::fixture::World;
use crate::pair::{Seen, copy};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.8";

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a message and an envelope of 1 KiB pass a link with datagrams of 256 bytes, either way",
        passes,
    ),
    case(
        "of a payload with a part that is lost or overtaken nothing is taken, and the next one is",
        lost,
    ),
    case(
        "a part of an earlier payload does not get into a later one, nor keep it out",
        mixed,
    ),
    case(
        "a token is shown in parts, and what it leads to comes back",
        token,
    ),
    case(
        "a payload that comes to more than was announced ends the session",
        too_long,
    ),
];

/// A hub's end.
type Hub<'k> = Peer<'k, 1024>;

/// Returns 1,024 bytes that differ, from `first` on.
fn kibibyte(first: u8) -> [u8; 1024] {
    let mut bytes = [first; 1024];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte ^= u8::try_from(place / 7 % 256).unwrap_or(0);
    }
    bytes
}

/// Runs the handshake, undisturbed, at the time 0.
pub(super) fn open(agent: &mut Agent<'_>, hub: &mut Hub<'_>, m1: &Short) -> Result<(), Failure> {
    let (m2, _) = hub.hand(m1, 0)?;
    let (m3, _) = agent.hand_all(&m2, 0)?;
    let (m4, _) = hub.hand_all(&m3, 0)?;
    agent.hand_all(&m4, 0)?;
    ensure!(agent.view().is_some() && agent.view() == hub.view());
    Ok(())
}

fn passes() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        open(agent, hub, &m1)?;
        let text = kibibyte(1);
        for step in 0..3 {
            let there = agent.say(&text)?;
            ensure!(there.len() == 5, step);
            ensure!(
                there.iter().all(|part| part.len() <= usize::from(MTU)),
                step
            );
            for part in &there[..4] {
                ensure!(hub.hand(part, 10)? == (Sent::new(), Seen::Nothing), step);
            }
            let (_, seen) = hub.hand(&there[4], 10)?;
            ensure!(seen == Seen::Application(copy(&text)), step);
            let mut out = [0; MAX_SPLIT_LEN + 128];
            let envelope = Envelope {
                route: [9; 16],
                channel: 3,
                inner: &text[..1004],
            };
            let back = hub.link.send_envelope(&envelope, &mut out);
            let back = sent(Some(back.map_err(|_| failure("it can be sealed"))?))?;
            let (_, seen) = agent.hand_all(&back, 10)?;
            let Seen::Envelope(carried) = seen else {
                return Err(failure("an envelope comes"));
            };
            ensure!(
                carried.len() == 1024 && Envelope::parse(&carried) == Ok(envelope),
                step
            );
        }
        Ok(())
    })
}

fn lost() -> Result<(), Failure> {
    for which in 0..5 {
        on_short_link(&mut |agent, hub, m1| {
            open(agent, hub, &m1)?;
            let text = kibibyte(2);
            let mut parts = agent.say(&text)?;
            parts.remove(which);
            for part in &parts {
                let (none, seen) = hub.hand(part, 10)?;
                let dropped = Seen::Dropped(Reason::Fragment);
                ensure!(
                    none.is_empty() && (seen == Seen::Nothing || seen == dropped),
                    which
                );
            }
            let mut parts = agent.say(&text)?;
            parts.swap(which, (which + 1) % 5);
            for part in &parts {
                let (_, seen) = hub.hand(part, 10)?;
                ensure!(!matches!(seen, Seen::Application(_)), which);
            }
            let next = kibibyte(3);
            let parts = agent.say(&next)?;
            let (_, seen) = hub.hand_all(&parts, 10)?;
            ensure!(seen == Seen::Application(copy(&next)), which);
            Ok(())
        })?;
    }
    Ok(())
}

fn mixed() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        open(agent, hub, &m1)?;
        let one = agent.say(&kibibyte(4))?;
        let two = agent.say(&kibibyte(5))?;
        // The first part of one and the rest of the other.
        hub.hand(&one[0], 10)?;
        for part in &two[1..] {
            let (_, seen) = hub.hand(part, 10)?;
            ensure!(seen == Seen::Dropped(Reason::Fragment));
        }
        // The rest of the first is still good.
        let (_, seen) = hub.hand_all(&one[1..4], 10)?;
        ensure!(seen == Seen::Nothing);
        let three = agent.say(&kibibyte(6))?;
        hub.hand_all(&three[..2], 10)?;
        let (_, seen) = hub.hand(&one[4], 10)?;
        ensure!(seen == Seen::Dropped(Reason::Fragment));
        let (_, seen) = hub.hand_all(&three[2..], 10)?;
        ensure!(seen == Seen::Application(copy(&kibibyte(6))));
        // Another frame between two parts changes nothing at the receiver.
        let four = agent.say(&kibibyte(7))?;
        let short = agent.say(b"short")?;
        hub.hand_all(&four[..3], 10)?;
        let (_, seen) = hub.hand_all(&short, 10)?;
        ensure!(seen == Seen::Application(copy(b"short")));
        let (_, seen) = hub.hand_all(&four[3..], 10)?;
        ensure!(seen == Seen::Application(copy(&kibibyte(7))));
        // 256 payloads later a number comes again: what was begun under it is not gone on with.
        let first = agent.say(&kibibyte(8))?;
        hub.hand(&first[0], 10)?;
        for _ in 0..255 {
            agent.say(&kibibyte(9))?;
        }
        let same_number = agent.say(&kibibyte(10))?;
        for part in &same_number[1..] {
            let (_, seen) = hub.hand(part, 10)?;
            ensure!(seen == Seen::Dropped(Reason::Fragment));
        }
        Ok(())
    })
}

fn token() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut short = initiator(&world, token);
    short.offer.mtu = MTU;
    let (mut agent, m1) = Agent::start(short, None)?;
    let mut hub = Hub::hub(responder(&world));
    open(&mut agent, &mut hub, &m1)?;
    let mut out = [0; MAX_SPLIT_LEN];
    let new = NewToken { token, key: None };
    let link = agent.link.connection_mut();
    let shown = link.renew(&new, &mut agent.entropy, &mut out);
    let shown = sent(Some(shown.map_err(|_| failure("the token can be shown"))?))?;
    ensure!(shown.len() >= 2);
    let (answer, seen) = hub.hand_all(&shown, 2_000)?;
    ensure!(answer.len() == 1 && !matches!(seen, Seen::Closed(_) | Seen::Dropped(_)));
    let (_, seen) = agent.hand_all(&answer, 2_000)?;
    ensure!(seen == Seen::Renewed);
    Ok(())
}

fn too_long() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut short = initiator(&world, token);
    short.offer.mtu = MTU;
    let (mut agent, m1) = Agent::start(short, None)?;
    let mut answering = responder(&world);
    // It says more than it takes.
    answering.limits.max_payload_len = 1100;
    let mut hub = Hub::hub(answering);
    open(&mut agent, &mut hub, &m1)?;
    let mut out = [0; MAX_SPLIT_LEN + 256];
    let parts = agent.link.send_application(&[7; 1025], &mut out);
    let parts = sent(Some(parts.map_err(|_| failure("it can be sealed"))?))?;
    let (alert, seen) = hub.hand_all(&parts, 10)?;
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::TooLong)) && alert.len() == 1);
    let (_, seen) = agent.hand_all(&alert, 10)?;
    ensure!(matches!(seen, Seen::Closed(Closure::ByPeer(_))));
    Ok(())
}
