//! The published example, the second derivation and core say the same.

use moorline_core::connection::{NewToken, Settings};
use moorline_core::crypto::expand_label;
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::Reason;
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};

use super::enrolment::Enrolment;
use super::refused::At;
use super::renewal::{LATER, Renewal, new_key, newer_token};
use super::resumption::{Resumption, between, ticket};
use super::writer::is_published;
use super::{EXPORT_CONTEXT, PUBLISHED, Run, refused, write};
use crate::fixture::{Door, World, secret};
use crate::handshake::enrolment::{CODE, door, pair as newcomers};
use crate::handshake::stages::{Stages, Verdict, answer};
use crate::pair::{End, LINE_LEN, Pair, Seen};
use crate::reference::label;
use crate::session::ending::PATIENT;
use crate::{Case, Failure, ensure};

/// The case that needs no example.
pub(crate) static LABELS: &[Case] = &[Case {
    name: "a labelled expansion is HKDF-Expand over its length, its label and its context",
    clause: "PROTOCOL.md §3.1",
    run: labels,
}];

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the published example is what the second derivation gives",
        clause: "PROTOCOL.md §3.4",
        run: published,
    },
    Case {
        name: "core sends every message of the published handshake, byte for byte",
        clause: "PROTOCOL.md §3.4",
        run: handshake,
    },
    Case {
        name: "core sends every frame of the published session and key update, byte for byte",
        clause: "PROTOCOL.md §5.4",
        run: session,
    },
    Case {
        name: "core sends both messages of the published enrolment, byte for byte",
        clause: "PROTOCOL.md §2.9",
        run: enrolment,
    },
    Case {
        name: "core sends every message of the published resumption, byte for byte",
        clause: "PROTOCOL.md §2.8",
        run: resumption,
    },
    Case {
        name: "core sends both frames of the published renewal, byte for byte",
        clause: "PROTOCOL.md §5.7",
        run: renewal,
    },
    Case {
        name: "a proof that was made in another session is refused in this one",
        clause: "PROTOCOL.md §5.7",
        run: proof_of_another_session,
    },
    Case {
        name: "core exports the published secret at both ends",
        clause: "PROTOCOL.md §3.5",
        run: exporter,
    },
    Case {
        name: "core refuses every published message that must be refused, for its reason",
        clause: "PROTOCOL.md §2.7",
        run: refusals,
    },
];

fn labels() -> Result<(), Failure> {
    let secret = secret("any");
    let contexts: [&[u8]; 4] = [b"", b"c", &[7; 32], &[7; 64]];
    for (step, context) in contexts.into_iter().enumerate() {
        let by_hand = label::<32>(secret.expose(), "key", context);
        let core = expand_label::<32>(&secret, "key", context);
        ensure!(*core.expose() == by_hand, step);
        // A shorter output is another one, not the front of a longer one.
        let by_hand = label::<12>(secret.expose(), "key", context);
        let core = expand_label::<12>(&secret, "key", context);
        ensure!(*core.expose() == by_hand, step);
        ensure!(
            label::<32>(secret.expose(), "key", context)[..12] != by_hand,
            step
        );
        // More than one block of the construction.
        let by_hand = label::<77>(secret.expose(), "a label of twenty-eight byte", context);
        let core = expand_label::<77>(&secret, "a label of twenty-eight byte", context);
        ensure!(*core.expose() == by_hand, step);
    }
    ensure!(label::<32>(secret.expose(), "ab", b"c") != label::<32>(secret.expose(), "a", b"bc"));
    Ok(())
}

fn published() -> Result<(), Failure> {
    is_published(PUBLISHED, write)
}

fn enrolment() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let newcomer = Enrolment::new(&world, &run);
    let mut pair = newcomers(&world, CODE, door())?;
    ensure!(pair.m1 == run.m1);
    let (m2, _) = pair.responder.hand(&run.m1, 0);
    ensure!(m2.is_some_and(|m2| m2 == run.answered.message));
    let (m3, _) = pair.initiator.hand(&run.answered.message, 0);
    ensure!(m3.is_some_and(|m3| m3 == newcomer.proved.message));
    let (m4, _) = pair.responder.hand(&newcomer.proved.message, 0);
    ensure!(m4.is_some_and(|m4| m4 == newcomer.m4));
    let (_, seen) = pair.initiator.hand(&newcomer.m4, 0);
    ensure!(seen == Seen::Open);
    Ok(())
}

fn resumption() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = ticket(&world, token)?;
    let published = Resumption::new(&world, &ticket)?;
    let mut pair = between(&world, token, Some(&ticket), door)?;
    ensure!(pair.m1 == published.m1);
    let (m2, _) = pair.responder.hand(&published.m1, 0);
    ensure!(m2.is_some_and(|m2| m2 == published.m2));
    let (m3, _) = pair.initiator.hand(&published.m2, 0);
    ensure!(m3.is_some_and(|m3| m3 == published.m3));
    let (welcome, seen) = pair.responder.hand(&published.m3, 0);
    ensure!(seen == Seen::Open);
    ensure!(welcome.is_some_and(|frame| frame == published.frame));
    let (_, seen) = pair.initiator.hand(&published.frame, 0);
    ensure!(seen == Seen::Open);
    Ok(())
}

/// Hands `run` a session of the example at a hub that renews, the newer token and the example's run.
fn with_newer_token(
    play: fn(Pair<'_>, UnpackedToken<'_>, &World, &Run) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let (mut first, mut second) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let token = world.agent_token(&mut first)?;
    let newer = newer_token(&world, &mut second)?;
    let mut pair = Pair::start(&world, token, PATIENT)?;
    pair.responder.door.renews = true;
    pair.finish(0)?;
    play(pair, newer, &world, &run)
}

fn renewal() -> Result<(), Failure> {
    with_newer_token(|mut pair, newer, _, run| {
        let published = Renewal::new(run, &newer, run)?;
        let key = new_key()?;
        let new = NewToken {
            token: newer,
            key: Some(&key),
        };
        let mut out = [0; LINE_LEN];
        let End {
            connection,
            entropy,
            ..
        } = &mut pair.initiator;
        let update = connection.renew(&new, entropy, &mut out);
        ensure!(update.is_ok_and(|update| *update == *published.update));
        let (result, seen) = pair.responder.hand(&published.update, LATER * 1000);
        ensure!(seen == Seen::Renewed);
        ensure!(result.is_some_and(|result| result == published.result));
        let (_, seen) = pair.initiator.hand(&published.result, LATER * 1000);
        ensure!(seen == Seen::Renewed);
        Ok(())
    })
}

fn proof_of_another_session() -> Result<(), Failure> {
    with_newer_token(|mut pair, newer, world, run| {
        // The same ends in the same order, and another session.
        let mut other = run.clone();
        let hash = other.token_hash;
        other.proved = other.answered.m3(
            &other.m3_signed,
            &hash,
            &world.agent.public_key().to_bytes(),
            &world.agent,
            b"another hedge",
        );
        let forged = Renewal::new(run, &newer, &other)?;
        let (answer, seen) = pair.responder.hand(&forged.update, LATER * 1000);
        ensure!(seen == Seen::RenewalRefused(Reason::KeyProof));
        ensure!(answer.is_some());
        Ok(())
    })
}

fn handshake() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut pair = Pair::start(&world, token, Settings::default())?;
    ensure!(pair.m1 == run.m1);
    let (m2, _) = pair.responder.hand(&run.m1, 0);
    ensure!(m2.is_some_and(|m2| m2 == run.answered.message));
    let (m3, _) = pair.initiator.hand(&run.answered.message, 0);
    ensure!(m3.is_some_and(|m3| m3 == run.proved.message));
    let (m4, _) = pair.responder.hand(&run.proved.message, 0);
    ensure!(m4.is_some_and(|m4| m4 == run.m4));
    let (_, seen) = pair.initiator.hand(&run.m4, 0);
    ensure!(seen == Seen::Open);

    let mut pair = Pair::start(&world, token, Settings::default())?;
    pair.responder.door.revoked = true;
    pair.responder.hand(&run.m1, 0);
    let (refuse, _) = pair.responder.hand(&run.proved.message, 0);
    ensure!(refuse.is_some_and(|refuse| refuse == run.refuse));
    Ok(())
}

fn session() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let settings = Settings {
        fresh_updates: true,
        ..Settings::default()
    };
    let mut pair = Pair::open(&world, token, settings)?;
    let frame = |at: usize| &run.frames[at].2;
    for round in [0, 6] {
        let said = pair.initiator.say(super::QUESTION)?;
        ensure!(&said == frame(round), round);
        pair.responder.hand(&said, 3000);
        let said = pair.responder.say(super::ANSWER)?;
        ensure!(&said == frame(round + 1), round);
        pair.initiator.hand(&said, 3000);
        if round == 0 {
            ensure!(&pair.initiator.update(3000)? == frame(2));
            let (ack, _) = pair.responder.hand(frame(2), 3000);
            ensure!(ack.is_some_and(|ack| ack == *frame(3)));
            let (done, _) = pair.initiator.hand(frame(3), 3000);
            ensure!(done.is_some_and(|done| done == *frame(4)));
            let (done, _) = pair.responder.hand(frame(4), 3000);
            ensure!(done.is_some_and(|done| done == *frame(5)));
            let (none, _) = pair.initiator.hand(frame(5), 3000);
            ensure!(none.is_none());
        }
    }
    let mut out = [0; LINE_LEN];
    let alert = Alert::new(AlertCode::Close);
    let close = pair.initiator.connection.close(alert, &mut out);
    ensure!(close.is_some_and(|close| close == &**frame(8)));
    Ok(())
}

fn exporter() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let pair = Pair::open(&world, token, Settings::default())?;
    let expected = run.proved.export("example", EXPORT_CONTEXT);
    for end in [&pair.initiator, &pair.responder] {
        let session = end.connection.session();
        let exported = session.map(|session| session.exporter().export("example", EXPORT_CONTEXT));
        ensure!(exported.is_some_and(|secret| *secret.expose() == expected));
        let other = session.map(|session| session.exporter().export("another", EXPORT_CONTEXT));
        ensure!(other.is_some_and(|secret| *secret.expose() != expected));
    }
    Ok(())
}

fn refusals() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    for (step, example) in refused(&world, &run)?.iter().enumerate() {
        let reason = match example.at {
            At::AwaitM1 => answer(&world, &example.message).err(),
            At::AwaitM2 => stages.refusal_of_m2(&example.message),
            At::AwaitM3 => match stages.verdict_on_m3(&example.message, &mut Door::default()) {
                Verdict::Open => None,
                Verdict::Refused(refuse, reason) => {
                    let told = stages.refusal_of_m4(&refuse);
                    ensure!(told == Some(Reason::RefusedCredential), step);
                    Some(reason)
                }
                Verdict::Dropped(reason) => Some(reason),
            },
            At::AwaitM4 => stages.refusal_of_m4(&example.message),
        };
        ensure!(reason == Some(example.reason), step);
    }
    Ok(())
}
