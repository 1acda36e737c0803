//! Resumption: tickets, and handshakes that rest on them.

use moorline_core::connection::{Closure, Settings};
use moorline_core::crypto::{Secret, Suite};
use moorline_core::handshake::{
    Initiator, MAX_TICKET_RECORD_LEN, TICKET_LEN, Ticket, TicketRecord, Wanted,
};
use moorline_core::reason::Reason;
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::wire::{
    Form, M1_PRESHARED_LEN, M2_LEN, M2_PRESHARED_LEN, M3_PRESHARED_LEN, SuiteList,
};

use crate::fixture::{Door, NOW, World};
use crate::pair::{Message, Pair, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "a ticket opens the next session with the same facts, without a signature or a token",
        "PROTOCOL.md §2.8",
        opens_the_next,
    ),
    case(
        "a resumed session gives the ticket of the next one",
        "PROTOCOL.md §2.8",
        goes_on,
    ),
    case(
        "a chain of tickets ends after 64",
        "PROTOCOL.md §2.8",
        chain_ends,
    ),
    case(
        "a ticket that is used up leads to a full handshake in the same trip",
        "PROTOCOL.md §2.2",
        used_up,
    ),
    case(
        "a ticket that is over, of a retired key, or of a suite not allowed leads to a full handshake",
        "PROTOCOL.md §2.8",
        falls_back,
    ),
    case(
        "of two handshakes on one ticket the first to confirm opens and the other is refused",
        "PROTOCOL.md §2.8",
        first_wins,
    ),
    case(
        "a holder that is revoked while it resumes is refused",
        "PROTOCOL.md §2.8",
        revoked_meanwhile,
    ),
    case(
        "every flipped bit of M1, M2, M3 or Welcome of a resumption opens nothing",
        "PROTOCOL.md §2.8",
        tampered,
    ),
    case(
        "a wrong binder is refused and the ticket stays",
        "PROTOCOL.md §2.7",
        wrong_binder,
    ),
    case(
        "an initiator passes over a ticket that is over, of another hub or for a longer payload",
        "PROTOCOL.md §2.8",
        passed_over,
    ),
    case(
        "an update with fresh shares replaces the ticket, one without leaves it",
        "PROTOCOL.md §2.8",
        replaced,
    ),
    case(
        "a responder that keeps no tickets gives none",
        "PROTOCOL.md §2.5",
        none_given,
    ),
    case(
        "tickets and their records come back from storage as they were, and nothing else does",
        "PROTOCOL.md §2.8",
        stored,
    ),
];

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

/// A door that gives tickets.
fn door() -> Door {
    Door {
        gives_tickets: true,
        ..Door::default()
    }
}

/// Returns the initiator of `token`, which wants a ticket.
fn wanting<'k>(world: &'k World, token: UnpackedToken<'k>) -> Initiator<'k> {
    let mut initiator = world.initiator(token);
    initiator.offer.wants_ticket = true;
    initiator.offer.suites = SuiteList::CHACHA_FIRST;
    initiator
}

/// Runs a full handshake and returns the initiator's ticket and the door with its record.
fn first(world: &World, token: UnpackedToken<'_>) -> Result<(Ticket, Door), Failure> {
    let mut pair = Pair::between(
        wanting(world, token),
        None,
        world.responder(),
        door(),
        Settings::default(),
        0,
    )?;
    pair.finish(0)?;
    let ticket = pair.initiator.connection.take_ticket();
    ensure!(pair.initiator.connection.take_ticket().is_none());
    Ok((given(ticket)?, pair.responder.door))
}

fn given<T>(value: Option<T>) -> Result<T, Failure> {
    value.ok_or(Failure {
        condition: "there is one",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

/// Returns both ends of a handshake that offers `ticket`, at `millis`.
fn resuming<'k>(
    world: &'k World,
    token: UnpackedToken<'k>,
    ticket: &Ticket,
    door: Door,
    millis: u64,
) -> Result<Pair<'k>, Failure> {
    let initiator = wanting(world, token);
    let settings = Settings::default();
    Pair::between(
        initiator,
        Some(ticket),
        world.responder(),
        door,
        settings,
        millis,
    )
}

fn opens_the_next() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let mut pair = resuming(&world, token, &ticket, door, 60_000)?;
    ensure!(pair.m1.len() == M1_PRESHARED_LEN);
    let [m2, m3, welcome] = pair.finish(60_000)?;
    ensure!(m2.len() == M2_PRESHARED_LEN && m3.len() == M3_PRESHARED_LEN);
    // A control frame, epoch 0, the first.
    ensure!(welcome.first() == Some(&0x21) && welcome.get(4..8) == Some(&[0; 4]));
    let ours = given(pair.initiator.connection.facts().copied())?;
    let theirs = given(pair.responder.connection.facts().copied())?;
    ensure!(ours.session_id == theirs.session_id);
    ensure!(ours.expires == theirs.expires && ours.expires.0 == NOW.0 + 3_600_000);
    ensure!(ours.permissions == theirs.permissions);
    ensure!(pair.responder.door.admitted == 2);
    let frame = pair.initiator.say(b"again")?;
    let (_, seen) = pair.responder.hand(&frame, 60_001);
    ensure!(matches!(seen, Seen::Application(payload) if &*payload == b"again"));
    let frame = pair.responder.say(b"welcome back")?;
    let (_, seen) = pair.initiator.hand(&frame, 60_001);
    ensure!(matches!(seen, Seen::Application(payload) if &*payload == b"welcome back"));
    Ok(())
}

fn goes_on() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (mut ticket, mut door) = first(&world, token)?;
    for step in 0..3 {
        ensure!(door.tickets.len() == 1, step);
        let mut pair = resuming(&world, token, &ticket, door, 1_000)?;
        let [m2, ..] = pair.finish(1_000)?;
        ensure!(m2.len() == M2_PRESHARED_LEN, step);
        let next = given(pair.initiator.connection.take_ticket())?;
        door = pair.responder.door.clone();
        drop(pair);
        ensure!(!next.to_bytes().same_as(&ticket.to_bytes()), step);
        ticket = next;
    }
    Ok(())
}

fn chain_ends() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let record = given(door.tickets.first())?;
    let mut bytes = [0; MAX_TICKET_RECORD_LEN];
    let len = record.emit(&mut bytes).map_or(0, |bytes| bytes.len());
    // What is left of the chain stands after id, secret, suite, two hashes and the expiry.
    let left_at = 16 + 32 + 1 + 32 + 32 + 8;
    ensure!(bytes.get(left_at) == Some(&64));
    bytes[left_at] = 0;
    let last = given(
        bytes
            .get(..len)
            .and_then(|bytes| TicketRecord::parse(bytes).ok()),
    )?;
    let mut door = self::door();
    ensure!(door.tickets.push(last).is_ok());
    let mut pair = resuming(&world, token, &ticket, door, 0)?;
    let [m2, ..] = pair.finish(0)?;
    ensure!(m2.len() == M2_PRESHARED_LEN);
    ensure!(pair.initiator.connection.take_ticket().is_none());
    ensure!(pair.responder.door.tickets.is_empty());
    Ok(())
}

fn used_up() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let mut pair = resuming(&world, token, &ticket, door, 0)?;
    pair.finish(0)?;
    let door = pair.responder.door.clone();
    let mut pair = resuming(&world, token, &ticket, door, 0)?;
    ensure!(pair.m1.len() == M1_PRESHARED_LEN);
    let [m2, ..] = pair.finish(0)?;
    ensure!(m2.len() == M2_LEN && m2.get(5) == Some(&0));
    // It comes with a ticket of its own, which is good.
    let ticket = given(pair.initiator.connection.take_ticket())?;
    let door = pair.responder.door.clone();
    let mut pair = resuming(&world, token, &ticket, door, 0)?;
    let [m2, ..] = pair.finish(0)?;
    ensure!(m2.len() == M2_PRESHARED_LEN);
    Ok(())
}

fn falls_back() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let record = given(door.tickets.first())?;
    let mut bytes = [0; MAX_TICKET_RECORD_LEN];
    let len = record.emit(&mut bytes).map_or(0, |bytes| bytes.len());
    let (suite_at, responder_at, expires_at) = (48, 49, 49 + 64);
    ensure!(bytes.get(suite_at) == Some(&Suite::ChaCha20Poly1305.number()));
    let mut over = bytes;
    over[expires_at..expires_at + 8].copy_from_slice(&NOW.0.to_be_bytes());
    let mut retired = bytes;
    retired[responder_at] ^= 1;
    for (step, changed) in [over, retired].into_iter().enumerate() {
        let record = given(
            changed
                .get(..len)
                .and_then(|bytes| TicketRecord::parse(bytes).ok()),
        )?;
        let mut door = self::door();
        ensure!(door.tickets.push(record).is_ok(), step);
        let mut pair = resuming(&world, token, &ticket, door, 0)?;
        let [m2, ..] = pair.finish(0)?;
        ensure!(m2.len() == M2_LEN, step);
    }
    let mut responder = world.responder();
    responder.suites = SuiteList::DEFAULT;
    let initiator = wanting(&world, token);
    let mut pair = Pair::between(
        initiator,
        Some(&ticket),
        responder,
        door,
        Settings::default(),
        0,
    )?;
    let [m2, ..] = pair.finish(0)?;
    ensure!(m2.len() == M2_LEN && m2.get(4) == Some(&1));
    Ok(())
}

fn first_wins() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let mut one = resuming(&world, token, &ticket, door.clone(), 0)?;
    let mut two = resuming(&world, token, &ticket, door, 0)?;
    let (m2, _) = two.responder.hand(&two.m1, 0);
    let (m3, _) = two.initiator.hand(&m2.unwrap_or_default(), 0);
    one.finish(0)?;
    // Both are at one hub.
    two.responder.door = one.responder.door.clone();
    let (refuse, seen) = two.responder.hand(&m3.unwrap_or_default(), 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::TicketGone)));
    let (_, seen) = two.initiator.hand(&refuse.unwrap_or_default(), 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::RefusedCredential)));
    Ok(())
}

fn revoked_meanwhile() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, mut door) = first(&world, token)?;
    door.revoked = true;
    let mut pair = resuming(&world, token, &ticket, door, 0)?;
    let (m2, _) = pair.responder.hand(&pair.m1, 0);
    let (m3, _) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
    let (refuse, seen) = pair.responder.hand(&m3.unwrap_or_default(), 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Revoked)));
    let (_, seen) = pair.initiator.hand(&refuse.unwrap_or_default(), 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::RefusedCredential)));
    ensure!(pair.responder.door.tickets.is_empty());
    Ok(())
}

/// Returns every message of an undisturbed resumption.
fn messages(
    world: &World,
    token: UnpackedToken<'_>,
    ticket: &Ticket,
    door: &Door,
) -> Result<[Message; 4], Failure> {
    let mut pair = resuming(world, token, ticket, door.clone(), 0)?;
    let m1 = pair.m1.clone();
    let [m2, m3, welcome] = pair.finish(0)?;
    Ok([m1, m2, m3, welcome])
}

fn tampered() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let [m1, m2, m3, welcome] = messages(&world, token, &ticket, &door)?;
    // One bit of each byte on the way to the responder; the share's top bit is not looked at but hashed.
    for at in 0..m1.len() {
        let mut pair = resuming(&world, token, &ticket, door.clone(), 0)?;
        let mut broken = m1.clone();
        broken[at] ^= 1 << (at % 8);
        let (answer, _) = pair.responder.hand(&broken, 0);
        if let Some(answer) = answer {
            let (m3, seen) = pair.initiator.hand(&answer, 0);
            ensure!(m3.is_none() && matches!(seen, Seen::Closed(_)), at);
        }
        ensure!(pair.responder.door.tickets.len() == 1, at);
    }
    for bit in 0..m2.len() * 8 {
        let mut pair = resuming(&world, token, &ticket, door.clone(), 0)?;
        let mut broken = m2.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let (m3, seen) = pair.initiator.hand(&broken, 0);
        ensure!(m3.is_none() && matches!(seen, Seen::Closed(_)), bit);
    }
    for bit in 0..m3.len() * 8 {
        let mut pair = resuming(&world, token, &ticket, door.clone(), 0)?;
        let _ = pair.responder.hand(&m1, 0);
        let mut broken = m3.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let (answer, seen) = pair.responder.hand(&broken, 0);
        ensure!(answer.is_none() && matches!(seen, Seen::Closed(_)), bit);
        ensure!(pair.responder.door.tickets.len() == 1, bit);
    }
    for bit in 0..welcome.len() * 8 {
        let mut pair = resuming(&world, token, &ticket, door.clone(), 0)?;
        let _ = pair.initiator.hand(&m2, 0);
        let mut broken = welcome.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let (_, seen) = pair.initiator.hand(&broken, 0);
        ensure!(matches!(seen, Seen::Closed(_)), bit);
    }
    Ok(())
}

fn wrong_binder() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let mut pair = resuming(&world, token, &ticket, door, 0)?;
    let last = pair.m1.len() - 1;
    pair.m1[last] ^= 1;
    let (answer, seen) = pair.responder.hand(&pair.m1.clone(), 0);
    ensure!(answer.is_none());
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Binder)));
    ensure!(pair.responder.door.tickets.len() == 1);
    Ok(())
}

fn passed_over() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let life = 3_600_000;
    for (step, (millis, offered)) in [(life - 1, true), (life, false)].into_iter().enumerate() {
        let pair = resuming(&world, token, &ticket, door.clone(), millis)?;
        ensure!((pair.m1.len() == M1_PRESHARED_LEN) == offered, step);
    }
    let mut other = World::new()?;
    other.expect_hub("another hub")?;
    let mut elsewhere = wanting(&world, token);
    elsewhere.wanted = Wanted::Hub(&other.trust, Form::Stream);
    let mut shorter = wanting(&world, token);
    shorter.offer.max_payload_len = 1023;
    let mut without = wanting(&world, token);
    without.offer.suites = SuiteList::DEFAULT;
    for (step, initiator) in [elsewhere, shorter, without].into_iter().enumerate() {
        let settings = Settings::default();
        let pair = Pair::between(
            initiator,
            Some(&ticket),
            world.responder(),
            door.clone(),
            settings,
            0,
        )?;
        ensure!(pair.m1.len() == 54, step);
    }
    Ok(())
}

fn replaced() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    for (step, fresh) in [false, true].into_iter().enumerate() {
        let settings = Settings {
            fresh_updates: fresh,
            ..Settings::default()
        };
        let initiator = wanting(&world, token);
        let mut pair = Pair::between(initiator, None, world.responder(), door(), settings, 0)?;
        pair.finish(0)?;
        let before = given(pair.initiator.connection.take_ticket())?;
        let update = pair.initiator.update(3_000)?;
        let (ack, _) = pair.responder.hand(&update, 3_000);
        let (done, _) = pair.initiator.hand(&ack.unwrap_or_default(), 3_000);
        let (done, _) = pair.responder.hand(&done.unwrap_or_default(), 3_000);
        let _ = pair.initiator.hand(&done.unwrap_or_default(), 3_000);
        let (told, _) = pair.responder.wait(3_000);
        ensure!(told.is_some() == fresh, step);
        if let Some(told) = told {
            let (_, seen) = pair.initiator.hand(&told, 3_000);
            ensure!(seen == Seen::Nothing, step);
        }
        let after = pair.initiator.connection.take_ticket();
        ensure!(after.is_some() == fresh, step);
        let door = pair.responder.door.clone();
        ensure!(door.tickets.len() == 1, step);
        let good = after.as_ref().unwrap_or(&before);
        let mut next = resuming(&world, token, good, door.clone(), 4_000)?;
        let [m2, ..] = next.finish(4_000)?;
        ensure!(m2.len() == M2_PRESHARED_LEN, step);
        if fresh {
            let mut next = resuming(&world, token, &before, door, 4_000)?;
            let [m2, ..] = next.finish(4_000)?;
            ensure!(m2.len() == M2_LEN, step);
        }
    }
    Ok(())
}

fn none_given() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let initiator = wanting(&world, token);
    let settings = Settings::default();
    let mut pair = Pair::between(
        initiator,
        None,
        world.responder(),
        Door::default(),
        settings,
        0,
    )?;
    pair.finish(0)?;
    ensure!(pair.initiator.connection.take_ticket().is_none());
    // Nor is one given that was not asked for.
    let mut pair = Pair::between(
        world.initiator(token),
        None,
        world.responder(),
        door(),
        settings,
        0,
    )?;
    pair.finish(0)?;
    ensure!(pair.initiator.connection.take_ticket().is_none());
    ensure!(pair.responder.door.tickets.is_empty());
    Ok(())
}

fn stored() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = first(&world, token)?;
    let bytes = ticket.to_bytes();
    let read = Ticket::from_bytes(&bytes).map(|ticket| ticket.to_bytes());
    ensure!(read.is_ok_and(|read| read.same_as(&bytes)));
    for (step, (at, byte)) in [(0, 2), (49, 0), (49, 3)].into_iter().enumerate() {
        let mut changed: [u8; TICKET_LEN] = *bytes.expose();
        changed[at] = byte;
        let read = Ticket::from_bytes(&Secret::new(changed));
        ensure!(read.err() == Some(Reason::Malformed), step);
    }
    let record = given(door.tickets.first())?;
    let mut first = [0; MAX_TICKET_RECORD_LEN];
    let first = record.emit(&mut first);
    ensure!(first.is_ok());
    let first = first.unwrap_or_default();
    let read = TicketRecord::parse(first);
    let mut second = [0; MAX_TICKET_RECORD_LEN];
    let second = read.map(|read| read.emit(&mut second).is_ok_and(|second| second == first));
    ensure!(second == Ok(true));
    for len in 0..first.len() {
        ensure!(TicketRecord::parse(&first[..len]).is_err(), len);
    }
    Ok(())
}
