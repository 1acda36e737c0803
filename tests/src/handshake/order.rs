//! Every message at every state of both roles (PROTOCOL.md §6.1).

use moorline_core::connection::{Closure, Connection, Settings};
use moorline_core::reason::Reason;
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::wire::Form;

use crate::fixture::{Door, FixedEntropy, World, at, ephemeral_key};
use crate::pair::{End, Message, Pair, Seen, copy};
use crate::vectors::Run;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a responder that waits for M1 closes at every other message, and only a version is answered",
        clause: "PROTOCOL.md §6.1",
        run: || every(Place::AwaitM1),
    },
    Case {
        name: "an initiator that waits for M2 closes at every other message without an answer",
        clause: "PROTOCOL.md §6.1",
        run: || every(Place::AwaitM2),
    },
    Case {
        name: "a responder that waits for M3 closes at every other message without an answer",
        clause: "PROTOCOL.md §6.1",
        run: || every(Place::AwaitM3),
    },
    Case {
        name: "an initiator that waits for M4 closes at every other message without an answer",
        clause: "PROTOCOL.md §6.1",
        run: || every(Place::AwaitM4),
    },
    Case {
        name: "an open initiator closes at every handshake message with one sealed alert",
        clause: "PROTOCOL.md §6.1",
        run: || every(Place::OpenInitiator),
    },
    Case {
        name: "an open responder closes at every handshake message with one sealed alert",
        clause: "PROTOCOL.md §6.1",
        run: || every(Place::OpenResponder),
    },
    Case {
        name: "a closed connection takes and sends nothing and has no deadline",
        clause: "PROTOCOL.md §6.1",
        run: closed,
    },
    Case {
        name: "a message of another version is answered with REJECT version before M1 and never after",
        clause: "PROTOCOL.md §2.6",
        run: versions,
    },
    Case {
        name: "a REJECT ends a handshake that waits for M2 and changes nothing in the next one",
        clause: "PROTOCOL.md §2.6",
        run: reject,
    },
    Case {
        name: "a handshake that takes longer than its time is over at both ends",
        clause: "PROTOCOL.md §6.1",
        run: timeouts,
    },
    Case {
        name: "a handshake message that comes after the time is refused, whoever missed the deadline",
        clause: "PROTOCOL.md §6.1",
        run: late,
    },
    Case {
        name: "nothing can be sent before a connection is open",
        clause: "PROTOCOL.md §6.1",
        run: not_open,
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    AwaitM1,
    AwaitM2,
    AwaitM3,
    AwaitM4,
    OpenInitiator,
    OpenResponder,
}

/// Returns a connection at `place` of the published run.
fn end_at<'k>(
    place: Place,
    world: &'k World,
    token: UnpackedToken<'k>,
    run: &Run,
) -> Result<End<'k>, Failure> {
    let mut out = [0; 64];
    let start = at(0).instant;
    let is_initiator = matches!(
        place,
        Place::AwaitM2 | Place::AwaitM4 | Place::OpenInitiator
    );
    let settings = Settings::default();
    let mut end = if is_initiator {
        let ephemeral = ephemeral_key("initiator ephemeral");
        let started = Connection::initiate(
            world.initiator(token),
            ephemeral,
            settings,
            &at(0),
            &mut FixedEntropy::new("initiator"),
            &mut out,
        );
        let (connection, _) = started.map_err(|_| NOT_REACHED)?;
        End {
            connection,
            responder: None,
            entropy: FixedEntropy::new("initiator"),
            door: Door::default(),
        }
    } else {
        End {
            connection: Connection::respond(Form::Stream, None, settings, start),
            responder: Some(world.responder()),
            entropy: FixedEntropy::new("responder"),
            door: Door::default(),
        }
    };
    let before: &[&Message] = match place {
        Place::AwaitM1 | Place::AwaitM2 => &[],
        Place::AwaitM3 => &[&run.m1],
        Place::AwaitM4 => &[&run.answered.message],
        Place::OpenInitiator => &[&run.answered.message, &run.m4],
        Place::OpenResponder => &[&run.m1, &run.proved.message],
    };
    for message in before {
        let (_, seen) = end.hand(message, 0);
        ensure!(!matches!(seen, Seen::Closed(_)));
    }
    Ok(end)
}

/// Returns why an end at `place` refuses a message that begins with `kind`; nothing for the message it waits for.
fn refusal(place: Place, kind: Option<u8>) -> Option<Reason> {
    let Some(kind) = kind else {
        return Some(Reason::Length);
    };
    let (wanted, is_open) = match place {
        Place::AwaitM1 => (0x01, false),
        Place::AwaitM2 => (0x02, false),
        Place::AwaitM3 => (0x03, false),
        Place::AwaitM4 => (0x04, false),
        Place::OpenInitiator | Place::OpenResponder => (0x20, true),
    };
    match kind {
        _ if kind == wanted => None,
        0x08 if place == Place::AwaitM2 => Some(Reason::Rejected),
        0x07 if place == Place::AwaitM4 => Some(Reason::RefusedCredential),
        0x01..=0x04 | 0x07 | 0x08 if !is_open => Some(Reason::OutOfPlace),
        // The published frames are of epoch 0; an initiator's have no place at an initiator.
        0x20..=0x23 if is_open => None,
        _ => Some(Reason::UnknownType),
    }
}

fn every(place: Place) -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let messages: [&Message; 5] = [
        &run.m1,
        &run.answered.message,
        &run.proved.message,
        &run.m4,
        &run.refuse,
    ];
    let reject = copy(&[0x08, 1, 0, 6, 0, 0, 0, 0, 1, 5]);
    for (step, message) in messages.into_iter().chain([&reject]).enumerate() {
        check(place, &world, token, &run, message, step)?;
    }
    check(place, &world, token, &run, &Message::new(), 99)?;
    // One message stands for each kind of unknown byte: reserved for handshakes, for frames, and never given.
    for kind in [0x00, 0x05, 0x06, 0x09, 0x0F, 0x10, 0x20, 0x24, 0x7F, 0xFF] {
        let mut message = copy(&run.frames[0].2);
        message[0] = kind;
        check(place, &world, token, &run, &message, usize::from(kind))?;
    }
    Ok(())
}

fn check(
    place: Place,
    world: &World,
    token: UnpackedToken<'_>,
    run: &Run,
    message: &Message,
    step: usize,
) -> Result<(), Failure> {
    let Some(reason) = refusal(place, message.first().copied()) else {
        return Ok(());
    };
    let mut end = end_at(place, world, token, run)?;
    let was_open = end.connection.is_open();
    let (sent, seen) = end.hand(message, 1);
    ensure!(seen == Seen::Closed(Closure::Refused(reason)), step);
    if was_open {
        // Protocol, no argument; the first frame of this end.
        let secret = run.epoch_0[usize::from(place == Place::OpenResponder)];
        let alert = crate::reference::frame(&secret, 0x22, 0, 0, &[4, 0, 0, 0, 0]);
        ensure!(sent.is_some_and(|sent| sent == alert), step);
    } else {
        ensure!(sent.is_none(), step);
    }
    is_over(&mut end, step)
}

/// Checks that `end` is wiped: it takes nothing, sends nothing and waits for nothing.
fn is_over(end: &mut End<'_>, step: usize) -> Result<(), Failure> {
    ensure!(!end.connection.is_open(), step);
    ensure!(end.connection.session().is_none(), step);
    ensure!(end.connection.deadline().is_none(), step);
    ensure!(end.say(b"too late").is_err(), step);
    let (sent, seen) = end.hand(&[0x01], 2);
    let refused = Seen::Closed(Closure::Refused(Reason::OutOfPlace));
    ensure!(sent.is_none() && seen == refused, step);
    let (sent, seen) = end.wait(1_000_000);
    ensure!(sent.is_none() && seen == Seen::Nothing, step);
    Ok(())
}

fn closed() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut end = end_at(Place::OpenInitiator, &world, token, &run)?;
    let mut out = [0; 64];
    let alert = moorline_core::message::Alert::new(moorline_core::message::AlertCode::Close);
    ensure!(end.connection.close(alert, &mut out).is_some());
    ensure!(end.connection.close(alert, &mut out).is_none());
    for (_, _, frame) in &run.frames {
        let (sent, seen) = end.hand(frame, 1);
        let refused = Seen::Closed(Closure::Refused(Reason::OutOfPlace));
        ensure!(sent.is_none() && seen == refused);
    }
    is_over(&mut end, 0)
}

fn versions() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let refused = Seen::Closed(Closure::Refused(Reason::Version));
    for version in [0, 2, 255] {
        let step = usize::from(version);
        let mut m1 = run.m1.clone();
        m1[1] = version;
        let mut end = end_at(Place::AwaitM1, &world, token, &run)?;
        let (sent, seen) = end.hand(&m1, 0);
        ensure!(seen == refused, step);
        ensure!(
            sent.is_some_and(|sent| *sent == [8, 1, 0, 6, 0, 0, 0, 0, 2, 0]),
            step
        );
        is_over(&mut end, step)?;
        let mut m2 = run.answered.message.clone();
        m2[1] = version;
        let mut end = end_at(Place::AwaitM2, &world, token, &run)?;
        let (sent, seen) = end.hand(&m2, 0);
        ensure!(seen == refused && sent.is_none(), step);
    }
    Ok(())
}

fn reject() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let good = [8, 1, 0, 6, 0, 0, 0, 0, 1, 5];
    let changed = |at: usize, byte: u8| {
        let mut message = good;
        message[at] = byte;
        message
    };
    for (step, (message, reason)) in [
        (good, Reason::Rejected),
        (changed(8, 2), Reason::Rejected),
        // Again in mode 0: nothing else was offered.
        (changed(8, 3), Reason::Malformed),
        (changed(8, 0), Reason::Malformed),
        (changed(1, 2), Reason::Version),
        (changed(3, 5), Reason::Length),
        (changed(7, 1), Reason::ConnectionId),
    ]
    .into_iter()
    .enumerate()
    {
        let mut end = end_at(Place::AwaitM2, &world, token, &run)?;
        let (sent, seen) = end.hand(&message, 0);
        ensure!(sent.is_none(), step);
        ensure!(seen == Seen::Closed(Closure::Refused(reason)), step);
        is_over(&mut end, step)?;
    }
    // Nobody vouches for it: the next attempt offers the same again.
    let pair = Pair::start(&world, token, Settings::default())?;
    ensure!(pair.m1 == run.m1);
    Ok(())
}

fn timeouts() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    for (step, place) in [
        Place::AwaitM1,
        Place::AwaitM2,
        Place::AwaitM3,
        Place::AwaitM4,
    ]
    .into_iter()
    .enumerate()
    {
        let mut end = end_at(place, &world, token, &run)?;
        ensure!(end.connection.deadline() == Some(at(15_000).instant), step);
        let (sent, seen) = end.wait(14_999);
        ensure!(sent.is_none() && seen == Seen::Nothing, step);
        let (sent, seen) = end.wait(15_000);
        let refused = Seen::Closed(Closure::Refused(Reason::HandshakeTimeout));
        ensure!(sent.is_none() && seen == refused, step);
        is_over(&mut end, step)?;
    }
    Ok(())
}

fn late() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    for (step, (place, message)) in [
        (Place::AwaitM1, &run.m1),
        (Place::AwaitM2, &run.answered.message),
        (Place::AwaitM3, &run.proved.message),
        (Place::AwaitM4, &run.m4),
    ]
    .into_iter()
    .enumerate()
    {
        let mut end = end_at(place, &world, token, &run)?;
        let (sent, seen) = end.hand(message, 15_000);
        let refused = Seen::Closed(Closure::Refused(Reason::HandshakeTimeout));
        ensure!(sent.is_none() && seen == refused, step);
        ensure!(end.door.admitted == 0, step);
        is_over(&mut end, step)?;
    }
    Ok(())
}

fn not_open() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    for (step, place) in [
        Place::AwaitM1,
        Place::AwaitM2,
        Place::AwaitM3,
        Place::AwaitM4,
    ]
    .into_iter()
    .enumerate()
    {
        let mut end = end_at(place, &world, token, &run)?;
        ensure!(end.say(b"early").is_err(), step);
        ensure!(end.update(5_000).is_err(), step);
        ensure!(end.connection.facts().is_none(), step);
        let mut out = [0; 64];
        let alert = moorline_core::message::Alert::new(moorline_core::message::AlertCode::Close);
        ensure!(end.connection.close(alert, &mut out).is_none(), step);
    }
    Ok(())
}

const NOT_REACHED: Failure = Failure {
    condition: "the place is reached",
    file: file!(),
    line: line!(),
    step: 0,
};
