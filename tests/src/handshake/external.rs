//! External keys (PROTOCOL.md §2.12).

use moorline_core::connection::{Closure, NewToken};
use moorline_core::handshake::{ExternalKey, Initiator, Shown, Wanted, WantedAgent};
use moorline_core::limits::EXTERNAL_MILLIS;
use moorline_core::message::Envelope;
use moorline_core::reason::{Error, Reason};
use moorline_core::time::{Instant, Now};
use moorline_core::token::{MAX_UNPACKED_LEN, Permissions};
use moorline_core::trust::TrustStore;
use moorline_core::wire::{Form, M1_PRESHARED_LEN, M2_PRESHARED_LEN, M3_PRESHARED_LEN};

use crate::fixture::{Door, FixedEntropy, HUB, World, agent_id, at, ephemeral_key, secret};
use crate::pair::{LINE_LEN, Pair, Seen, copy};
use crate::session::ending::PATIENT;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §2.12";

pub(crate) static CASES: &[Case] = &[
    case(
        "a key that both ends have opens a session without a signature or a token",
        opens,
    ),
    case(
        "who came with an external key takes up a token for a key that it proves",
        takes_up_a_token,
    ),
    case(
        "an external key that is wrong, not known, over or without a time is refused without an answer",
        refused,
    ),
    case(
        "an external key is bound to the hub's own, so that it opens nothing at another",
        bound,
    ),
    case(
        "an external key that is withdrawn before M3 is refused, and so is one that the gate does not admit",
        withdrawn,
    ),
    case(
        "nothing takes the place of an external key: neither signatures nor a ticket",
        no_way_around,
    ),
    case(
        "every flipped bit of M1 with an external key is refused without an answer",
        tampered,
    ),
    case(
        "a session on an external key carries no envelopes and ends after an hour, or with the key",
        limits,
    ),
    case(
        "external keys are for links, and for initiators that take 1,024 bytes",
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

const IDENTITY: [u8; 16] = *b"factory-line-3-7";

fn key() -> ExternalKey {
    ExternalKey {
        identity: IDENTITY,
        secret: secret("external key"),
    }
}

/// A hub that has the key, for two hours.
fn door() -> Door {
    Door {
        external: Some((IDENTITY, "external key")),
        external_until: 2 * EXTERNAL_MILLIS,
        renews: true,
        ..Door::default()
    }
}

fn holder<'k>(world: &'k World, trust: &'k TrustStore, key: &'k ExternalKey) -> Initiator<'k> {
    Initiator {
        key: &world.agent,
        shows: Shown::ExternalKey(key),
        wanted: Wanted::Hub(trust, Form::Stream),
        offer: world.offer(),
    }
}

/// Both ends before the first message is delivered.
fn pair<'k>(world: &'k World, key: &'k ExternalKey, door: Door) -> Result<Pair<'k>, Failure> {
    let holder = holder(world, &world.trust, key);
    Pair::between(holder, None, world.responder(), door, PATIENT, 0)
}

fn closed(reason: Reason) -> Seen {
    Seen::Closed(Closure::Refused(reason))
}

fn opens() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    let mut pair = pair(&world, &key, door())?;
    ensure!(pair.m1.len() == M1_PRESHARED_LEN && pair.m1.get(9) == Some(&3));
    let [m2, m3, _] = pair.finish(0)?;
    ensure!(m2.len() == M2_PRESHARED_LEN && m2.get(5) == Some(&3));
    ensure!(m3.len() == M3_PRESHARED_LEN);
    for end in [&pair.initiator, &pair.responder] {
        let facts = end.connection.facts();
        ensure!(facts.is_some_and(|facts| facts.permissions == Permissions::ENROL));
    }
    ensure!(pair.initiator.connection.take_ticket().is_none());
    let said = pair.initiator.say(b"hello")?;
    ensure!(matches!(
        pair.responder.hand(&said, 1).1,
        Seen::Application(_)
    ));
    Ok(())
}

fn takes_up_a_token() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    let mut pair = pair(&world, &key, door())?;
    pair.finish(0)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut out = [0; LINE_LEN];
    let mut seen = [const { None }; 2];
    // No key is proved yet: a token alone is nobody's.
    for (at, key) in [None, Some(&world.agent)].into_iter().enumerate() {
        let end = &mut pair.initiator;
        let new = NewToken { token, key };
        let shown = end.connection.renew(&new, &mut end.entropy, &mut out);
        ensure!(shown.is_ok());
        let frame = shown.map(copy).unwrap_or_default();
        let millis = 1000 * u64::try_from(at).unwrap_or(0);
        let (answer, at_responder) = pair.responder.hand(&frame, millis);
        let (_, _) = pair.initiator.hand(&answer.unwrap_or_default(), millis);
        seen[at] = Some(at_responder);
    }
    ensure!(seen[0] == Some(Seen::RenewalRefused(Reason::KeyProof)));
    ensure!(seen[1] == Some(Seen::Renewed));
    Ok(())
}

/// Returns what the responder makes of the M1 of `key`, and that it is not answered.
fn refusal(world: &World, key: &ExternalKey, door: Door, now: Now) -> Result<Seen, Failure> {
    let mut pair = pair(world, key, door)?;
    let (answer, seen) = pair.responder.hand_at(&pair.m1, now);
    ensure!(answer.is_none());
    Ok(seen)
}

fn refused() -> Result<(), Failure> {
    let (world, good) = (World::new()?, key());
    let wrong = ExternalKey {
        identity: IDENTITY,
        secret: secret("another key"),
    };
    let unknown = ExternalKey {
        identity: [7; 16],
        secret: secret("external key"),
    };
    let not_known = closed(Reason::ExternalKey);
    ensure!(refusal(&world, &wrong, door(), at(0))? == closed(Reason::Binder));
    ensure!(refusal(&world, &unknown, door(), at(0))? == not_known);
    ensure!(refusal(&world, &good, Door::default(), at(0))? == not_known);
    let over = Door {
        external_until: 0,
        ..door()
    };
    ensure!(refusal(&world, &good, over, at(0))? == not_known);
    let no_time = Now::without_clock(Instant(0));
    ensure!(refusal(&world, &good, door(), no_time)? == not_known);
    Ok(())
}

fn bound() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    // The holder means another hub, to which somebody in between does not lead it.
    let mut other = World::new()?;
    other.expect_hub("another hub")?;
    let meant = holder(&world, &other.trust, &key);
    let mut pair = Pair::between(meant, None, world.responder(), door(), PATIENT, 0)?;
    let (answer, seen) = pair.responder.hand(&pair.m1, 0);
    ensure!(answer.is_none() && seen == closed(Reason::Binder));
    Ok(())
}

fn withdrawn() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    for (step, reason) in [Reason::ExternalKey, Reason::NotAdmitted]
        .into_iter()
        .enumerate()
    {
        let mut pair = pair(&world, &key, door())?;
        let (m2, _) = pair.responder.hand(&pair.m1, 0);
        let (m3, _) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
        match reason {
            Reason::ExternalKey => pair.responder.door.external = None,
            _ => pair.responder.door.full = true,
        }
        let (refuse, seen) = pair.responder.hand(&m3.unwrap_or_default(), 0);
        ensure!(seen == closed(reason), step);
        let (_, seen) = pair.initiator.hand(&refuse.unwrap_or_default(), 0);
        ensure!(
            matches!(
                seen,
                Seen::Closed(Closure::Refused(
                    Reason::RefusedCredential | Reason::RefusedOverload
                ))
            ),
            step
        );
    }
    Ok(())
}

fn no_way_around() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    // In M2: a full handshake and a resumption, where neither was offered.
    for mode in [0, 1] {
        let mut pair = pair(&world, &key, door())?;
        let (m2, _) = pair.responder.hand(&pair.m1, 0);
        let mut m2 = m2.unwrap_or_default();
        if let Some(place) = m2.get_mut(5) {
            *place = mode;
        }
        let (answer, seen) = pair.initiator.hand(&m2, 0);
        ensure!(
            answer.is_none() && seen == closed(Reason::Mode),
            usize::from(mode)
        );
    }
    // In M1: an external key is no ticket.
    let mut pair = pair(&world, &key, door())?;
    let mut m1 = pair.m1.clone();
    if let Some(place) = m1.get_mut(9) {
        *place = 1;
    }
    let (m2, _) = pair.responder.hand(&m1, 0);
    // No such ticket is known: M2 is a full handshake's, over another M1 than was sent.
    let (answer, seen) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
    ensure!(answer.is_none() && seen == closed(Reason::Mode));
    Ok(())
}

fn tampered() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    let whole = pair(&world, &key, door())?.m1;
    for bit in 0..8 * whole.len() {
        let byte = bit / 8;
        let mut m1 = whole.clone();
        if let Some(byte) = m1.get_mut(byte) {
            *byte ^= 1 << (bit % 8);
        }
        // A mode that is another one is a handshake of that mode, which this key does not open.
        let other_mode = byte == 9 && matches!(m1.get(9), Some(1));
        let mut end = pair_responder(&world);
        let (answer, seen) = end.hand(&m1, 0);
        let version = byte == 1;
        ensure!(other_mode || version || answer.is_none(), bit);
        ensure!(other_mode || matches!(seen, Seen::Closed(_)), bit);
    }
    Ok(())
}

fn pair_responder(world: &World) -> crate::pair::End<'_> {
    crate::pair::End {
        connection: moorline_core::connection::Connection::respond(
            Form::Stream,
            None,
            PATIENT,
            Instant(0),
        ),
        responder: Some(world.responder()),
        entropy: FixedEntropy::new("responder"),
        door: door(),
    }
}

fn limits() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    for (step, (until, end)) in [
        (2 * EXTERNAL_MILLIS, EXTERNAL_MILLIS),
        (EXTERNAL_MILLIS / 2, EXTERNAL_MILLIS / 2),
    ]
    .into_iter()
    .enumerate()
    {
        let door = Door {
            external_until: until,
            ..door()
        };
        let mut pair = pair(&world, &key, door)?;
        pair.finish(0)?;
        ensure!(pair.responder.wait(end).1 == closed(Reason::Expired), step);
        ensure!(pair.initiator.wait(end).1 == closed(Reason::Expired), step);
    }
    let mut pair = pair(&world, &key, door())?;
    pair.finish(0)?;
    let envelope = Envelope {
        route: [1; 16],
        channel: 0,
        inner: b"x",
    };
    let mut out = [0; LINE_LEN];
    let frame = pair.initiator.connection.send_envelope(&envelope, &mut out);
    let frame = frame.map(copy).unwrap_or_default();
    ensure!(pair.responder.hand(&frame, 0).1 == closed(Reason::OutOfPlace));
    Ok(())
}

fn links_alone() -> Result<(), Failure> {
    let (world, key) = (World::new()?, key());
    let start = |initiator: Initiator<'_>| {
        let mut out = [0; LINE_LEN];
        let started = moorline_core::connection::Connection::initiate(
            initiator,
            ephemeral_key("initiator ephemeral"),
            PATIENT,
            &at(0),
            &mut FixedEntropy::new("holder"),
            &mut out,
        );
        started.err()
    };
    let mut to_agent = holder(&world, &world.trust, &key);
    to_agent.wanted = Wanted::Agent(WantedAgent {
        id: agent_id(),
        anchors: &world.anchors,
        audience: HUB,
    });
    ensure!(start(to_agent) == Some(Error::NotALink));
    let mut small = holder(&world, &world.trust, &key);
    small.offer.max_payload_len = 1023;
    ensure!(start(small) == Some(Error::PayloadTooLong { limit: 1024 }));
    Ok(())
}
