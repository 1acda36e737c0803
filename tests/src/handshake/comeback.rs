//! A peer whose token is over comes back by the key that its hub knows (PROTOCOL.md §2.9).

use moorline_core::connection::{Closure, Connection};
use moorline_core::crypto::{PUBLIC_KEY_LEN, PublicKey};
use moorline_core::handshake::{Initiator, Shown, Wanted, WantedAgent};
use moorline_core::limits::ENROLMENT_MILLIS;
use moorline_core::reason::{Error, Reason};
use moorline_core::time::{Instant, Now};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{Form, M3_MIN_LEN};

use super::enrolment::{at_m3, closed, ends_in, give, show};
use super::stages::Verdict;
use crate::fixture::{Door, FixedEntropy, World, agent_id, at, ephemeral_key, signing_key};
use crate::pair::{LINE_LEN, Message, Pair, Seen, copy};
use crate::session::ending::PATIENT;
use crate::vectors::m3_signed;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §2.9";

pub(crate) static CASES: &[Case] = &[
    case(
        "a peer whose token is over gets another by the key that its hub knows",
        comes_back,
    ),
    case(
        "a key that the hub does not know is refused as a bad token is",
        unknown,
    ),
    case(
        "a known key with a signature of another is refused, and nobody is let in",
        not_proved,
    ),
    case(
        "a peer that is revoked between the look at its key and its proof is refused",
        revoked_meanwhile,
    ),
    case(
        "a key alone says nothing else until it has shown a token, and is gone after a minute",
        is_bound,
    ),
    case(
        "a key alone opens links alone, and to a hub that knows the time",
        links_alone,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

/// Who comes back: the agent, with its key alone.
fn who(world: &World) -> Result<Initiator<'_>, Failure> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let offer = world.initiator(world.agent_token(&mut buffer)?).offer;
    Ok(Initiator {
        key: &world.agent,
        shows: Shown::Key,
        wanted: Wanted::Hub(&world.trust, Form::Stream),
        offer,
    })
}

/// What the hub knows `key` by.
fn name(key: &PublicKey) -> Option<u8> {
    key.hash().0.first().copied()
}

/// A hub that knows the agent's key.
fn door(world: &World) -> Door {
    Door {
        knows: name(world.agent.public_key()),
        renews: true,
        ..Door::default()
    }
}

fn pair(world: &World, door: Door) -> Result<Pair<'_>, Failure> {
    Pair::between(who(world)?, None, world.responder(), door, PATIENT, 0)
}

fn comes_back() -> Result<(), Failure> {
    let world = World::new()?;
    let mut pair = pair(&world, door(&world))?;
    pair.finish(0)?;
    ensure!(pair.responder.door.readmitted && pair.responder.door.admitted == 0);
    ensure!(pair.responder.door.enrolled.is_none());
    let facts = pair.responder.connection.facts();
    ensure!(facts.is_some_and(|facts| facts.permissions.is_empty()));
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let frame = give(&mut pair, token)?;
    let (none, seen) = pair.initiator.hand(&frame, 10);
    ensure!(none.is_none() && seen == Seen::Enrolled(copy(token.as_bytes())));
    ensure!(show(&mut pair, token, None)? == (Seen::Renewed, Seen::Renewed));
    let said = pair.initiator.say(b"hello")?;
    let (_, seen) = pair.responder.hand(&said, ENROLMENT_MILLIS + 1);
    ensure!(matches!(seen, Seen::Application(_)));
    Ok(())
}

fn unknown() -> Result<(), Failure> {
    let world = World::new()?;
    let refused = (
        closed(Reason::UnknownKey),
        closed(Reason::RefusedCredential),
    );
    let other = name(signing_key("another key")?.public_key());
    ensure!(other != name(world.agent.public_key()));
    for (step, knows) in [None, other].into_iter().enumerate() {
        let door = Door {
            knows,
            // A code that was given out is not for who shows none.
            code: Some(super::enrolment::CODE),
            ..Door::default()
        };
        let mut pair = pair(&world, door)?;
        ensure!(ends_in(&mut pair) == refused, step);
        ensure!(!pair.responder.door.readmitted, step);
        ensure!(pair.responder.door.code.is_some(), step);
    }
    Ok(())
}

fn not_proved() -> Result<(), Failure> {
    at_m3(|stages, forger| {
        let mut credential = Message::new();
        let _ = credential.push(0);
        let _ = credential.extend_from_slice(&forger.world.agent.public_key().to_bytes());
        let signed = m3_signed(1024, 2, &credential);
        let other = signing_key("another key")?;
        let mut door = door(forger.world);
        let forged = forger.m3(&signed, &credential, &other);
        ensure!(forged.len() == M3_MIN_LEN + 1 + PUBLIC_KEY_LEN);
        let verdict = stages.verdict_on_m3(&forged, &mut door);
        ensure!(matches!(
            verdict,
            Verdict::Refused(_, Reason::InitiatorSignature)
        ));
        ensure!(!door.readmitted);
        let m3 = forger.m3(&signed, &credential, &forger.world.agent);
        let verdict = stages.verdict_on_m3(&m3, &mut door);
        ensure!(matches!(verdict, Verdict::Open));
        ensure!(door.readmitted);
        Ok(())
    })
}

fn revoked_meanwhile() -> Result<(), Failure> {
    let world = World::new()?;
    let mut pair = pair(&world, door(&world))?;
    pair.responder.door.full = true;
    let (at_responder, at_initiator) = ends_in(&mut pair);
    ensure!(at_responder == closed(Reason::NotAdmitted));
    ensure!(at_initiator == closed(Reason::RefusedCredential));
    Ok(())
}

fn is_bound() -> Result<(), Failure> {
    let world = World::new()?;
    let mut first = pair(&world, door(&world))?;
    first.finish(0)?;
    let said = first.initiator.say(b"hello")?;
    let (_, seen) = first.responder.hand(&said, 10);
    ensure!(matches!(seen, Seen::Closed(Closure::Refused(_))));
    let mut second = pair(&world, door(&world))?;
    second.finish(0)?;
    ensure!(second.responder.wait(ENROLMENT_MILLIS - 1).1 == Seen::Nothing);
    ensure!(second.responder.wait(ENROLMENT_MILLIS).1 == closed(Reason::Expired));
    Ok(())
}

fn links_alone() -> Result<(), Failure> {
    let world = World::new()?;
    let mut initiator = who(&world)?;
    initiator.wanted = Wanted::Agent(WantedAgent {
        id: agent_id(),
        anchors: &world.anchors,
        audience: crate::fixture::ISSUER,
    });
    let mut out = [0; LINE_LEN];
    let started = Connection::initiate(
        initiator,
        ephemeral_key("initiator ephemeral"),
        PATIENT,
        &at(0),
        &mut FixedEntropy::new("newcomer"),
        &mut out,
    );
    ensure!(matches!(started, Err(Error::NotALink)));
    let mut pair = pair(&world, door(&world))?;
    let (m2, _) = pair.responder.hand(&pair.m1, 0);
    let (m3, _) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
    let without = Now::without_clock(Instant(0));
    let (_, seen) = pair.responder.hand_at(&m3.unwrap_or_default(), without);
    ensure!(seen == closed(Reason::UnknownKey));
    Ok(())
}
