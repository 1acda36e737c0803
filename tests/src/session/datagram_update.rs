//! Key updates over datagrams: lost, repeated, overtaken, colliding or broken (PROTOCOL.md §5.4).

use moorline_core::limits::{
    EPOCH_MILLIS, MAX_UPDATE_SENDS, MIN_EPOCH_MILLIS, OLD_EPOCH_FRAMES, OLD_EPOCH_MILLIS,
    SETTLED_MILLIS, UPDATE_REPEAT_MILLIS,
};
use moorline_core::reason::Reason;

use super::bench::{
    APPLICATION, Bench, CONTROL, End, KEY_ACK, KEY_DONE, KEY_UPDATE, Made, PING, PONG, control,
    key_message,
};
use crate::pair::{Message, copy};
use crate::reference::{Block, Step};
use crate::vectors::ephemeral;
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §5.4",
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a key update over datagrams goes on in the next epoch under the derived secrets",
        derived,
    ),
    case(
        "a key update settles when each of its messages is lost up to twice",
        || disturbed(false),
    ),
    case(
        "a key update settles when each of its messages is lost up to twice and the others come twice",
        || disturbed(true),
    ),
    case(
        "any frame of the new epoch switches its receiver, and KeyDone may come later or never",
        any_first,
    ),
    case(
        "KeyDone is repeated every second by who started, and answered by who followed",
        repeated_done,
    ),
    case(
        "the count in the KeyDone of a datagram refuses nothing",
        any_count,
    ),
    case(
        "when both ends start at once and any one question is lost, both have the same keys",
        collide,
    ),
    case(
        "datagrams of both epochs are taken at the seam, in both directions",
        seam,
    ),
    case(
        "the epoch before ends after 64 frames of the new one, or 5 seconds",
        old_epoch_ends,
    ),
    case(
        "a KeyUpdate or KeyAck that comes after the switch is passed over",
        late,
    ),
    case(
        "a KeyUpdate that says another thing for the same epoch ends the session",
        other_question,
    ),
    case(
        "a KeyAck that says another thing for the same epoch ends the session",
        other_answer,
    ),
    case(
        "a key message that no honest peer sends ends the session",
        dishonest,
    ),
    case(
        "a question in datagrams without an answer is sent five times, and then the session ends",
        unanswered,
    ),
    case(
        "the clock of one hour starts a key update over datagrams",
        hourly,
    ),
];

/// The initiator's first update begins then.
const START: u64 = 3000;

/// Hands `frame` to `end`, requires that it is taken, and returns what `end` sends.
macro_rules! sends {
    ($end:expr, $frame:expr, $now:expr) => {{
        let handled = $end.hand(&$frame, $now);
        ensure!(!matches!(handled, Err(_) | Ok((_, Made::Dropped(_)))));
        handled.ok().and_then(|(sent, _)| sent)
    }};
}

/// Hands `frame` to `end`, requires that it is answered, and returns the answer.
macro_rules! answers {
    ($end:expr, $frame:expr, $now:expr) => {{
        let sent = sends!($end, $frame, $now);
        ensure!(sent.is_some());
        sent.unwrap_or_default()
    }};
}

/// Returns what follows `secret` in epoch 1 without fresh shares.
fn second(secret: &Block) -> Block {
    Step::new(1, &[0; 32], &[0; 32], [0; 32]).next(secret)
}

/// Returns what `end` sends in epoch 1 as its frame `seq`, after an update without fresh shares.
fn in_second(end: &End, kind: u8, seq: u32, payload: &[u8]) -> Message {
    end.forge_in(1, &second(&end.secret), kind, seq, payload)
}

/// Sends a message each way and checks that both arrive.
fn exchange(bench: &mut Bench, now: u64) -> Result<(), Failure> {
    let said = bench.initiator.say(b"to the hub")?;
    let made = bench.responder.hand(&said, now);
    ensure!(made == Ok((None, Made::Application(copy(b"to the hub")))));
    let said = bench.responder.say(b"to the agent")?;
    let made = bench.initiator.hand(&said, now);
    ensure!(made == Ok((None, Made::Application(copy(b"to the agent")))));
    Ok(())
}

/// Returns a bench whose initiator has asked and switched, and its KeyDone.
fn switched(fresh: bool) -> Result<(Bench, Message), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let asked = bench.initiator.ask(fresh, START).unwrap_or_default();
    let ack = answers!(bench.responder, asked, START);
    let done = answers!(bench.initiator, ack, START);
    Ok((bench, done))
}

fn derived() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    bench.update(false, START)?;
    for (first, end) in [(1, &mut bench.initiator), (1, &mut bench.responder)] {
        let expected = in_second(end, APPLICATION, first, b"hello");
        ensure!(end.say(b"hello")? == expected);
    }
    bench.update(true, START + SETTLED_MILLIS)?;
    ensure!(bench.initiator.session.epoch() == 2 && bench.responder.session.epoch() == 2);
    exchange(&mut bench, START + SETTLED_MILLIS)
}

/// What is lost of each message of one update: the starter's question, the answer, the starter's KeyDone, the other's.
type Losses = [u8; 4];

/// The place of a message in [`Losses`]: a question and an answer are longer than KeyDone.
fn place(from_starter: bool, frame: &Message) -> usize {
    let is_done = frame.len() < 28 + 3;
    match (from_starter, is_done) {
        (true, false) => 0,
        (false, false) => 1,
        (true, true) => 2,
        (false, true) => 3,
    }
}

/// Carries `frame` of `starter`, and all that it leads to, until nobody answers or a message is lost.
fn carry(
    [starter, other]: [&mut End; 2],
    frame: Message,
    losses: &mut Losses,
    twice: bool,
    now: u64,
) -> Result<(), Failure> {
    let mut message = frame;
    for turn in 0..8 {
        let from_starter = turn % 2 == 0;
        let loss = losses.get_mut(place(from_starter, &message));
        if let Some(left @ 1..) = loss {
            *left -= 1;
            return Ok(());
        }
        let to = if from_starter {
            &mut *other
        } else {
            &mut *starter
        };
        let sent = sends!(to, message, now);
        if twice {
            let again = to.hand(&message, now);
            ensure!(again == Ok((None, Made::Dropped(Reason::Replayed))), turn);
        }
        let Some(answer) = sent else {
            return Ok(());
        };
        message = answer;
    }
    ensure!(false);
    Ok(())
}

fn disturbed(twice: bool) -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let mut now = START;
    let mut epoch = 0;
    for losses in 0..81u8 {
        let step = usize::from(losses);
        let mut losses = [losses % 3, losses / 3 % 3, losses / 9 % 3, losses / 27];
        let fresh = step.is_multiple_of(2);
        let Bench {
            initiator,
            responder,
        } = &mut bench;
        let (starter, other) = if step.is_multiple_of(3) {
            (responder, initiator)
        } else {
            (initiator, responder)
        };
        let mut frame = starter.ask(fresh, now).ok();
        ensure!(frame.is_some(), step);
        epoch += 1;
        for _ in 0..10 {
            if let Some(frame) = frame.take() {
                carry([starter, other], frame, &mut losses, twice, now)?;
            }
            now += UPDATE_REPEAT_MILLIS;
            let waited = starter.wait(fresh, now);
            ensure!(waited.is_ok(), step);
            frame = waited.ok().flatten();
            ensure!(other.wait(fresh, now) == Ok(None), step);
        }
        ensure!(losses == [0; 4], step);
        ensure!(frame.is_none(), step);
        ensure!(starter.session.epoch() == epoch, step);
        ensure!(other.session.epoch() == epoch, step);
        exchange(&mut bench, now)?;
    }
    Ok(())
}

fn any_first() -> Result<(), Failure> {
    let (mut bench, done) = switched(false)?;
    // An application message overtakes KeyDone; the answer to it is the responder's KeyDone.
    let early = bench.initiator.say(b"early")?;
    let made = bench.responder.hand(&early, START);
    let done_too = in_second(&bench.responder, CONTROL, 0, &control(KEY_DONE, 1));
    let early = Made::Application(copy(b"early"));
    ensure!(made == Ok((Some(done_too.clone()), early)));
    ensure!(bench.responder.session.epoch() == 1);
    let said = bench.responder.say(b"reply")?;
    ensure!(sends!(bench.initiator, said, START).is_none());
    // Both KeyDone come at last, and then nothing more.
    let again = answers!(bench.responder, done, START);
    ensure!(sends!(bench.initiator, done_too, START).is_none());
    ensure!(sends!(bench.initiator, again, START).is_none());
    ensure!(bench.initiator.wait(false, START + 1000) == Ok(None));
    exchange(&mut bench, START + 1000)?;
    // A ping is first: its answer, in the new epoch, is enough. The number of the first frame is any.
    let (mut bench, _) = switched(false)?;
    let ping = in_second(&bench.initiator, CONTROL, 500, &control(PING, 9));
    let pong = in_second(&bench.responder, CONTROL, 0, &control(PONG, 9));
    ensure!(bench.responder.hand(&ping, START) == Ok((Some(pong.clone()), Made::Nothing)));
    ensure!(bench.initiator.hand(&pong, START) == Ok((None, Made::Pong(9))));
    ensure!(bench.initiator.wait(false, START + 1000) == Ok(None));
    // A frame that claims the new epoch and does not open switches nobody.
    let (mut bench, done) = switched(true)?;
    let mut forged = done.clone();
    forged[20] ^= 1;
    let made = bench.responder.hand(&forged, START);
    ensure!(made == Ok((None, Made::Dropped(Reason::Unsealed))));
    ensure!(bench.responder.session.epoch() == 0);
    let done_too = answers!(bench.responder, done, START);
    ensure!(sends!(bench.initiator, done_too, START).is_none());
    exchange(&mut bench, START)
}

fn repeated_done() -> Result<(), Failure> {
    let (mut bench, done) = switched(false)?;
    let payload = control(KEY_DONE, 1);
    ensure!(done == in_second(&bench.initiator, CONTROL, 0, &payload));
    let mut now = START;
    for seq in 1..20 {
        ensure!(bench.initiator.wait(false, now + 999) == Ok(None));
        now += UPDATE_REPEAT_MILLIS;
        ensure!(bench.initiator.session.deadline().0 == now);
        let again = in_second(&bench.initiator, CONTROL, seq, &payload);
        ensure!(bench.initiator.wait(false, now) == Ok(Some(again.clone())));
        let done_too = in_second(&bench.responder, CONTROL, seq - 1, &payload);
        ensure!(answers!(bench.responder, again, now) == done_too);
    }
    // The last of them arrives, and ends it: an end that started does not answer.
    let done_too = in_second(&bench.responder, CONTROL, 18, &payload);
    ensure!(sends!(bench.initiator, done_too, now).is_none());
    ensure!(bench.initiator.wait(false, now + 1000) == Ok(None));
    let late = in_second(&bench.responder, CONTROL, 17, &payload);
    ensure!(sends!(bench.initiator, late, now).is_none());
    exchange(&mut bench, now)
}

fn any_count() -> Result<(), Failure> {
    for count in [0, 1, 2, u32::MAX] {
        let (mut bench, _) = switched(false)?;
        let done = in_second(&bench.initiator, CONTROL, 0, &control(KEY_DONE, count));
        ensure!(sends!(bench.responder, done, START).is_some());
        ensure!(bench.responder.session.epoch() == 1);
    }
    Ok(())
}

fn collide() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let mut now = START;
    for round in 0..16 {
        let bit = |place: u32| (round >> place) & 1 == 1;
        let (fresh, lost, other_first) = (bit(0), [bit(1), bit(2)], bit(3));
        let by_initiator = bench.initiator.ask(fresh, now).unwrap_or_default();
        let by_responder = bench.responder.ask(!fresh, now).unwrap_or_default();
        let mut ack = None;
        for to_responder in [!other_first, other_first] {
            if to_responder && !lost[0] {
                ack = sends!(bench.responder, by_initiator, now);
                ensure!(ack.is_some());
            }
            if !to_responder && !lost[1] {
                ensure!(sends!(bench.initiator, by_responder, now).is_none());
            }
        }
        // The responder's own question is repeated as long as it has none to answer.
        now += UPDATE_REPEAT_MILLIS;
        let again = bench.responder.wait(!fresh, now);
        ensure!(again.is_ok_and(|again| again.is_some() == lost[0]));
        if lost[0] {
            let again = bench.initiator.wait(fresh, now).ok().flatten();
            ensure!(again.is_some());
            ack = sends!(bench.responder, again.unwrap_or_default(), now);
        }
        let done = answers!(bench.initiator, ack.unwrap_or_default(), now);
        let done_too = answers!(bench.responder, done, now);
        ensure!(sends!(bench.initiator, done_too, now).is_none());
        ensure!(bench.initiator.session.epoch() == round + 1);
        ensure!(bench.responder.session.epoch() == round + 1);
        exchange(&mut bench, now)?;
        now += SETTLED_MILLIS;
    }
    Ok(())
}

fn seam() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let old = [bench.initiator.say(b"old")?, bench.responder.say(b"old")?];
    let asked = bench.initiator.ask(true, START).unwrap_or_default();
    let ack = answers!(bench.responder, asked, START);
    let older = bench.responder.say(b"older")?;
    let done = answers!(bench.initiator, ack, START);
    let new = bench.initiator.say(b"new")?;
    // The initiator sends in the new epoch and takes the old one; the responder takes both.
    let application = |text: &[u8]| Ok((None, Made::Application(copy(text))));
    ensure!(bench.initiator.hand(&older, START) == application(b"older"));
    let done_too = answers!(bench.responder, done, START);
    ensure!(bench.responder.hand(&old[0], START) == application(b"old"));
    ensure!(bench.responder.hand(&new, START) == application(b"new"));
    let dropped = Ok((None, Made::Dropped(Reason::Replayed)));
    ensure!(bench.responder.hand(&old[0], START) == dropped);
    let new = bench.responder.say(b"new")?;
    ensure!(bench.initiator.hand(&new, START) == application(b"new"));
    ensure!(bench.initiator.hand(&old[1], START) == application(b"old"));
    ensure!(bench.initiator.hand(&old[1], START) == dropped);
    ensure!(bench.initiator.hand(&older, START) == dropped);
    ensure!(sends!(bench.initiator, done_too, START).is_none());
    exchange(&mut bench, START)
}

fn old_epoch_ends() -> Result<(), Failure> {
    let gone = Ok((None, Made::Dropped(Reason::Epoch)));
    let old = |bench: &Bench, seq| bench.initiator.forge(APPLICATION, seq, b"");
    let taken = Ok((None, Made::Application(Message::new())));
    let mut bench = Bench::over_datagrams()?;
    bench.update(false, START)?;
    let until = START + OLD_EPOCH_MILLIS;
    for end in [&mut bench.initiator, &mut bench.responder] {
        ensure!(end.session.deadline().0 == until);
    }
    let frame = old(&bench, 1);
    ensure!(bench.responder.hand(&frame, until - 1) == taken);
    let frame = old(&bench, 2);
    ensure!(bench.responder.hand(&frame, until) == gone);
    // An end that hears nothing wipes it too.
    ensure!(bench.initiator.wait(false, until) == Ok(None));
    ensure!(bench.initiator.session.deadline().0 == START + EPOCH_MILLIS);
    let mut bench = Bench::over_datagrams()?;
    bench.update(false, START)?;
    for seq in 2..u32::from(OLD_EPOCH_FRAMES) {
        let frame = in_second(&bench.initiator, APPLICATION, seq, b"");
        ensure!(bench.responder.hand(&frame, START) == taken);
    }
    // KeyDone and 62 more.
    let frame = old(&bench, 1);
    ensure!(bench.responder.hand(&frame, START) == taken);
    let frame = in_second(&bench.initiator, APPLICATION, 1, b"");
    ensure!(bench.responder.hand(&frame, START) == taken);
    let frame = old(&bench, 2);
    ensure!(bench.responder.hand(&frame, START) == gone);
    Ok(())
}

fn late() -> Result<(), Failure> {
    let nothing = Ok((None, Made::Nothing));
    for fresh in [false, true] {
        let mut bench = Bench::over_datagrams()?;
        let lost = bench.initiator.ask(fresh, START).unwrap_or_default();
        let waited = bench.initiator.wait(fresh, START + 1000);
        let asked = waited.ok().flatten().unwrap_or_default();
        let again = bench.initiator.wait(fresh, START + 2000);
        let again = again.ok().flatten().unwrap_or_default();
        let ack = answers!(bench.responder, asked, START + 2000);
        let second_ack = answers!(bench.responder, again, START + 2000);
        let done = answers!(bench.initiator, ack, START + 2000);
        // The second answer comes while the initiator has switched, the first question when the responder has.
        ensure!(bench.initiator.hand(&second_ack, START + 2000) == nothing);
        let done_too = answers!(bench.responder, done, START + 2000);
        ensure!(bench.responder.hand(&lost, START + 2000) == nothing);
        ensure!(sends!(bench.initiator, done_too, START + 2000).is_none());
        // And an answer that the initiator never asked for again.
        let dh = fresh.then(|| ephemeral(&[7; 32]).share().0);
        let payload = key_message(KEY_ACK, 1, dh.as_ref());
        let ack = bench.responder.forge(CONTROL, 2, &payload);
        ensure!(bench.initiator.hand(&ack, START + 2000) == nothing);
        ensure!(bench.initiator.session.epoch() == 1 && bench.responder.session.epoch() == 1);
        exchange(&mut bench, START + 2000)?;
        // Nor does one in the epoch before answer the question of this one.
        ensure!(bench.initiator.ask(false, START + 4000).is_ok());
        let ack = bench
            .responder
            .forge(CONTROL, 3, &key_message(KEY_ACK, 2, None));
        ensure!(bench.initiator.hand(&ack, START + 4000) == nothing);
        ensure!(bench.initiator.session.epoch() == 1);
    }
    Ok(())
}

fn other_question() -> Result<(), Failure> {
    let shares = [7, 8].map(|byte| ephemeral(&[byte; 32]).share().0);
    let [share, other] = [&shares[0], &shares[1]];
    let contents = [
        (None, Some(share)),
        (Some(share), None),
        (Some(share), Some(other)),
    ];
    for (step, (first, second)) in contents.into_iter().enumerate() {
        let mut bench = Bench::over_datagrams()?;
        let question = key_message(KEY_UPDATE, 1, first);
        // The numbers say nothing of the order in which they come.
        let asked = bench.initiator.forge(CONTROL, 5, &question);
        ensure!(sends!(bench.responder, asked, START).is_some(), step);
        let asked = bench.initiator.forge(CONTROL, 1, &question);
        ensure!(sends!(bench.responder, asked, START).is_some(), step);
        let question = key_message(KEY_UPDATE, 1, second);
        let asked = bench.initiator.forge(CONTROL, 2, &question);
        let reason = bench.responder.hand(&asked, START).err();
        ensure!(reason == Some(Reason::KeyUpdate), step);
    }
    Ok(())
}

fn other_answer() -> Result<(), Failure> {
    let share = ephemeral(&[7; 32]).share().0;
    for (step, (fresh, dh)) in [(false, Some(&share)), (true, None), (true, Some(&share))]
        .into_iter()
        .enumerate()
    {
        let answer = key_message(KEY_ACK, 1, dh);
        // Before any other answer: it has a share if and only if the question had one.
        if fresh != dh.is_some() {
            let mut bench = Bench::over_datagrams()?;
            ensure!(bench.initiator.ask(fresh, START).is_ok());
            let ack = bench.responder.forge(CONTROL, 9, &answer);
            let reason = bench.initiator.hand(&ack, START).err();
            ensure!(reason == Some(Reason::KeyUpdate), step);
        }
        let (mut bench, _) = switched(fresh)?;
        let ack = bench.responder.forge(CONTROL, 9, &answer);
        let reason = bench.initiator.hand(&ack, START).err();
        ensure!(reason == Some(Reason::KeyUpdate), step);
    }
    Ok(())
}

fn dishonest() -> Result<(), Failure> {
    let refuses = |bench: &mut Bench, frame: &Message, now| bench.responder.hand(frame, now).err();
    let reason = Some(Reason::KeyUpdate);
    let mut bench = Bench::over_datagrams()?;
    for (seq, next) in [(1, 2), (2, 256), (3, u32::MAX)] {
        let payload = key_message(KEY_UPDATE, next, None);
        let asked = bench.initiator.forge(CONTROL, seq, &payload);
        ensure!(refuses(&mut bench, &asked, START) == reason);
    }
    // Nobody came into the first epoch by an update.
    let done = bench.initiator.forge(CONTROL, 0, &control(KEY_DONE, 0));
    ensure!(refuses(&mut bench, &done, START) == reason);
    // In the epoch that is left nobody asks for the one after the next.
    let mut bench = Bench::over_datagrams()?;
    bench.update(false, START)?;
    let payload = key_message(KEY_UPDATE, 2, None);
    let asked = bench.initiator.forge(CONTROL, 9, &payload);
    ensure!(refuses(&mut bench, &asked, START + 4000) == reason);
    // Nobody asks within a second.
    let mut bench = Bench::over_datagrams()?;
    bench.update(false, START)?;
    let asked = in_second(&bench.initiator, CONTROL, 9, &payload);
    let too_soon = START + MIN_EPOCH_MILLIS - 1;
    ensure!(refuses(&mut bench, &asked, too_soon) == Some(Reason::KeyUpdateRate));
    let mut bench = Bench::over_datagrams()?;
    bench.update(false, START)?;
    ensure!(sends!(bench.responder, asked, too_soon + 1).is_some());
    Ok(())
}

fn unanswered() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let question = key_message(KEY_UPDATE, 1, None);
    let asked = bench.initiator.ask(false, START);
    ensure!(asked == Ok(bench.initiator.forge(CONTROL, 0, &question)));
    let mut now = START;
    for seq in 1..u32::from(MAX_UPDATE_SENDS) {
        now += UPDATE_REPEAT_MILLIS;
        ensure!(bench.initiator.wait(false, now - 1) == Ok(None));
        let again = bench.initiator.forge(CONTROL, seq, &question);
        ensure!(bench.initiator.wait(false, now) == Ok(Some(again)));
    }
    now += UPDATE_REPEAT_MILLIS;
    ensure!(bench.initiator.wait(false, now - 1) == Ok(None));
    ensure!(bench.initiator.wait(false, now) == Err(Reason::KeyUpdateTimeout));
    // An end whose peer has answered and is not seen in the new epoch goes on for an hour.
    let (mut bench, _) = switched(false)?;
    let until = START + EPOCH_MILLIS;
    for end in [&mut bench.initiator, &mut bench.responder] {
        ensure!(end.wait(false, until - 1).is_ok());
        ensure!(end.wait(false, until) == Err(Reason::KeyUpdateTimeout));
    }
    Ok(())
}

fn hourly() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    ensure!(bench.initiator.session.deadline().0 == EPOCH_MILLIS);
    ensure!(bench.initiator.wait(true, EPOCH_MILLIS - 1) == Ok(None));
    let asked = bench.initiator.wait(true, EPOCH_MILLIS).ok().flatten();
    ensure!(asked.is_some());
    bench.settle(asked, EPOCH_MILLIS)?;
    ensure!(bench.initiator.session.epoch() == 1 && bench.responder.session.epoch() == 1);
    // The keys of the old epoch go first, then the new ones are an hour old.
    let until = EPOCH_MILLIS + OLD_EPOCH_MILLIS;
    ensure!(bench.initiator.session.deadline().0 == until);
    ensure!(bench.initiator.wait(true, until) == Ok(None));
    ensure!(bench.initiator.session.deadline().0 == 2 * EPOCH_MILLIS);
    Ok(())
}
