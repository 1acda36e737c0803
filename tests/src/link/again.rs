//! What is said again over datagrams, where it may be lost.

use moorline_core::handshake::{Initiator, Shown};
use moorline_core::link::MAX_SPLIT_LEN;
use moorline_core::message::Enrolled;
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{EnrolmentCode, datagrams};

use super::bench::{Agent, MTU, Peer, Short, failure, on_short_link, sent};
use super::parts::open;
use super::site::{finish, initiator, responder};
use crate::channel::loss::on_channel;
use crate::fixture::{World, signing_key};
use crate::handshake::enrolment::{CODE, door};
use crate::pair::{Seen, copy};
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a newcomer on datagrams hears its token again, and drops it once it has shown it",
        "PROTOCOL.md §6.3",
        enrolled,
    ),
    case(
        "a message on a channel that is sent again byte for byte is taken once",
        "PROTOCOL.md §6.3",
        taken_once,
    ),
    case(
        "datagrams that are written one after the other say where they end, each within the mtu",
        "PROTOCOL.md §9.3",
        apart,
    ),
];

fn enrolled() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let code = EnrolmentCode::new(CODE).ok_or_else(|| failure("the code is one"))?;
    let mut newcomer = Initiator {
        shows: Shown::Code(code),
        ..initiator(&world, token)
    };
    newcomer.offer.mtu = MTU;
    let (mut agent, m1) = Agent::start(newcomer, None)?;
    let mut hub = Peer::hub(responder(&world));
    hub.door = door();
    open(&mut agent, &mut hub, &m1)?;
    let key = signing_key("issuer")?.public_key().to_bytes();
    let says = Enrolled {
        token: token.as_bytes(),
        issuer_keys: &key,
        group: None,
    };
    let mut out = [0; MAX_SPLIT_LEN + 128];
    let mut give = |hub: &mut Peer<'_, 1024>| {
        let given = hub.link.connection_mut().enrol(&says, &mut out);
        sent(Some(given.map_err(|_| failure("it can be sealed"))?))
    };
    // The first one is lost, two come, and one more is overtaken by what ends it.
    give(&mut hub)?;
    for _ in 0..2 {
        let (_, seen) = agent.hand_all(&give(&mut hub)?, 10)?;
        ensure!(seen == Seen::Enrolled(copy(token.as_bytes())));
    }
    let late = give(&mut hub)?;
    let new = moorline_core::connection::NewToken { token, key: None };
    let mut out = [0; MAX_SPLIT_LEN];
    let shown = agent
        .link
        .connection_mut()
        .renew(&new, &mut agent.entropy, &mut out);
    let shown = sent(Some(shown.map_err(|_| failure("the token can be shown"))?))?;
    let (answer, seen) = hub.hand_all(&shown, 20)?;
    ensure!(seen == Seen::Renewed);
    let (_, seen) = agent.hand_all(&answer, 20)?;
    ensure!(seen == Seen::Renewed);
    let (none, seen) = agent.hand_all(&late, 30)?;
    ensure!(none.is_empty() && seen == Seen::Dropped(Reason::OutOfPlace));
    let hello = agent.say(b"hello")?;
    ensure!(hub.hand_all(&hello, 40)?.1 == Seen::Application(copy(b"hello")));
    Ok(())
}

fn taken_once() -> Result<(), Failure> {
    on_channel(&mut |commander, agent, m1| {
        finish(commander, agent, m1);
        let question = commander.say(b"led on")?;
        let (_, seen) = agent.hand(&question, 10);
        ensure!(seen == Seen::Application(copy(b"led on")));
        let answer = agent.say(b"lit")?;
        for step in 0..3 {
            let (none, seen) = agent.hand(&question, 1_000);
            ensure!(
                none.is_none() && seen == Seen::Dropped(Reason::Replayed),
                step
            );
            let (_, seen) = commander.hand(&answer, 1_000);
            let first = Seen::Application(copy(b"lit"));
            let again = Seen::Dropped(Reason::Replayed);
            ensure!(seen == if step == 0 { first } else { again }, step);
        }
        Ok(())
    })
}

fn apart() -> Result<(), Failure> {
    on_short_link(&mut |agent, hub, m1| {
        let (m2, _) = hub.hand(&m1, 0)?;
        let (m3, _) = agent.hand_all(&m2, 0)?;
        ensure!(m3.len() > 1);
        let (m4, _) = hub.hand_all(&m3, 0)?;
        agent.hand_all(&m4, 0)?;
        let parts = agent.say(&[7; 600])?;
        ensure!(parts.len() > 1);
        for written in [m2, m3, m4, parts] {
            let mut all = heapless::Vec::<u8, 2048>::new();
            for datagram in &written {
                ensure!(datagram.len() <= usize::from(MTU));
                ensure!(all.extend_from_slice(datagram).is_ok());
            }
            let mut found = datagrams(&all);
            let same = |datagram: &Short| found.next() == Some(&datagram[..]);
            ensure!(written.iter().all(same) && found.next().is_none());
        }
        // What says nothing, or more than there is, is one datagram.
        for bytes in [&[0x20][..], &[0x20, 0, 0xFF, 0xFF], &[0x01, 1, 0xFF]] {
            ensure!(datagrams(bytes).eq([bytes]), bytes.len());
        }
        ensure!(datagrams(&[]).next().is_none());
        Ok(())
    })
}
