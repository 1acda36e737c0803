//! Key updates out of order, repeated, colliding or broken (PROTOCOL.md §5.4).

use moorline_core::limits::{MAX_UPDATE_SENDS, MIN_EPOCH_MILLIS};
use moorline_core::reason::Reason;

use super::bench::{Bench, CONTROL, KEY_ACK, KEY_UPDATE, Made, key_message};
use crate::handshake::shares::LOW_ORDER;
use crate::pair::Message;
use crate::vectors::ephemeral;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.4";

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "when both ends start at once, the update of the handshake's initiator stands",
        both_start,
    ),
    case(
        "when both ends start at once with fresh shares, both have the same keys",
        both_start_fresh,
    ),
    case(
        "a key update repeated with the same content is answered with the same content",
        repeated,
    ),
    case(
        "a key update repeated with another content is refused",
        changed,
    ),
    case(
        "an update to an epoch that has come is passed over, one too far ahead is refused",
        too_far,
    ),
    case("an answer to nothing asked is passed over", unasked),
    case(
        "an answer with a share to a question without one is refused, and the reverse",
        shares_differ,
    ),
    case(
        "a share of low order in a key update or its answer is refused",
        low_order,
    ),
    case(
        "a peer that asks within a second of the last switch is refused",
        too_soon,
    ),
    case(
        "a question that a stalled line brings together with the switch before it is answered",
        stalled,
    ),
    case(
        "a question without an answer is sent five times, a second apart, and then the session ends",
        unanswered,
    ),
    case(
        "an answer that comes after the question was repeated is taken once",
        late_answer,
    ),
];

/// Hands `frame` to `end` and returns what it sends.
macro_rules! sends {
    ($end:expr, $frame:expr, $now:expr) => {{
        let handled = $end.hand($frame, $now);
        ensure!(handled.is_ok());
        handled.ok().and_then(|(sent, _)| sent)
    }};
}

fn collide(fresh: bool) -> Result<Bench, Failure> {
    let mut bench = Bench::new()?;
    let from_initiator = bench.initiator.ask(fresh, 3000).unwrap_or_default();
    let from_responder = bench.responder.ask(fresh, 3000).unwrap_or_default();
    ensure!(sends!(bench.initiator, &from_responder, 3000).is_none());
    let ack = sends!(bench.responder, &from_initiator, 3000);
    ensure!(ack.is_some());
    let done = sends!(bench.initiator, &ack.unwrap_or_default(), 3000);
    bench.settle(done, 3000)?;
    ensure!(bench.initiator.session.epoch() == 1 && bench.responder.session.epoch() == 1);
    Ok(bench)
}

fn talk(bench: &mut Bench, now: u64) -> Result<(), Failure> {
    let said = bench.initiator.say(b"to the hub")?;
    ensure!(bench.responder.hand(&said, now).is_ok());
    let said = bench.responder.say(b"to the agent")?;
    ensure!(bench.initiator.hand(&said, now).is_ok());
    Ok(())
}

fn both_start() -> Result<(), Failure> {
    let mut bench = collide(false)?;
    talk(&mut bench, 3000)?;
    // The responder's update is dropped for good: nothing of it comes later.
    ensure!(bench.responder.wait(false, 3000 + 60_000) == Ok(None));
    Ok(())
}

fn both_start_fresh() -> Result<(), Failure> {
    talk(&mut collide(true)?, 3000)
}

fn repeated() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let share = ephemeral(&[7; 32]).share().0;
    let question = key_message(KEY_UPDATE, 1, Some(&share));
    let mut payloads = [Message::new(), Message::new(), Message::new()];
    for (seq, payload) in (0u32..).zip(payloads.iter_mut()) {
        let asked = bench.initiator.forge(CONTROL, seq, &question);
        let sent = sends!(bench.responder, &asked, 3000).unwrap_or_default();
        ensure!(sent.len() == 24 + 35);
        // The share is fresh once: the same payload is sealed anew, under the next number.
        *payload = opened(&bench, seq, &sent);
    }
    ensure!(payloads[0].first() == Some(&KEY_ACK));
    ensure!(payloads[0] == payloads[1] && payloads[1] == payloads[2]);
    Ok(())
}

/// Returns the payload of the responder's frame `sent` of epoch 0.
fn opened(bench: &Bench, seq: u32, sent: &Message) -> Message {
    use moorline_core::crypto::{AeadKey, Secret, Suite};
    let keys = crate::reference::frame_keys(&bench.responder.secret);
    let key = AeadKey::new(
        Suite::Aes256Gcm,
        &Secret::new(keys.key),
        Secret::new(keys.iv),
    );
    let (header, sealed) = sent.split_at(8);
    let (ciphertext, tag) = sealed.split_at(sealed.len() - 16);
    let mut payload = crate::pair::copy(ciphertext);
    let tag = tag.first_chunk().copied().unwrap_or_default();
    if key.open_in_place(seq.into(), header, &mut payload, &tag) {
        payload
    } else {
        Message::new()
    }
}

fn changed() -> Result<(), Failure> {
    let share = ephemeral(&[7; 32]).share().0;
    let other = ephemeral(&[8; 32]).share().0;
    for (step, (first, second)) in [
        (None, Some(&share)),
        (Some(&share), None),
        (Some(&share), Some(&other)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bench = Bench::new()?;
        let asked = bench
            .initiator
            .forge(CONTROL, 0, &key_message(KEY_UPDATE, 1, first));
        ensure!(bench.responder.hand(&asked, 3000).is_ok(), step);
        let asked = bench
            .initiator
            .forge(CONTROL, 1, &key_message(KEY_UPDATE, 1, second));
        ensure!(
            bench.responder.refusal(&asked) == Some(Reason::KeyUpdate),
            step
        );
    }
    Ok(())
}

fn too_far() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let asked = bench
        .initiator
        .forge(CONTROL, 0, &key_message(KEY_UPDATE, 0, None));
    ensure!(bench.responder.hand(&asked, 3000) == Ok((None, Made::Nothing)));
    for (seq, next) in [(1, 2), (2, 256), (3, u32::MAX)] {
        let asked = bench
            .initiator
            .forge(CONTROL, seq, &key_message(KEY_UPDATE, next, None));
        ensure!(bench.responder.refusal(&asked) == Some(Reason::KeyUpdate));
    }
    Ok(())
}

fn unasked() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let share = ephemeral(&[7; 32]).share().0;
    for (seq, (next, dh)) in (0u32..).zip([
        (0, None),
        (1, None),
        (1, Some(&share)),
        (2, None),
        (u32::MAX, None),
    ]) {
        let answer = bench
            .responder
            .forge(CONTROL, seq, &key_message(KEY_ACK, next, dh));
        ensure!(bench.initiator.hand(&answer, 3000) == Ok((None, Made::Nothing)));
    }
    // Nor is one of another epoch taken while a question is open.
    let question = bench.initiator.ask(false, 3000);
    ensure!(question.is_ok());
    for (seq, next) in [(5, 0), (6, 2)] {
        let answer = bench
            .responder
            .forge(CONTROL, seq, &key_message(KEY_ACK, next, None));
        ensure!(bench.initiator.hand(&answer, 3000) == Ok((None, Made::Nothing)));
    }
    ensure!(bench.initiator.session.epoch() == 0);
    Ok(())
}

fn shares_differ() -> Result<(), Failure> {
    let share = ephemeral(&[7; 32]).share().0;
    for (step, (fresh, dh)) in [(false, Some(&share)), (true, None)]
        .into_iter()
        .enumerate()
    {
        let mut bench = Bench::new()?;
        ensure!(bench.initiator.ask(fresh, 3000).is_ok());
        let answer = bench
            .responder
            .forge(CONTROL, 0, &key_message(KEY_ACK, 1, dh));
        ensure!(
            bench.initiator.refusal(&answer) == Some(Reason::KeyUpdate),
            step
        );
    }
    Ok(())
}

fn low_order() -> Result<(), Failure> {
    let mut asking = Bench::new()?;
    ensure!(asking.initiator.ask(true, 3000).is_ok());
    let mut asked = Bench::new()?;
    for (seq, share) in (0u32..).zip(&LOW_ORDER) {
        let zero = Some(Reason::ZeroSharedSecret);
        let question = key_message(KEY_UPDATE, 1, Some(share));
        let question = asked.initiator.forge(CONTROL, seq, &question);
        ensure!(asked.responder.refusal(&question) == zero);
        let answer = key_message(KEY_ACK, 1, Some(share));
        let answer = asking.responder.forge(CONTROL, seq, &answer);
        ensure!(asking.initiator.refusal(&answer) == zero);
    }
    Ok(())
}

/// Returns a frame of the initiator's in epoch 1 that asks for epoch 2, after an update at 3000 without fresh shares.
fn second_question(bench: &Bench) -> Message {
    let step = crate::reference::Step::new(1, &[0; 32], &[0; 32], [0; 32]);
    let secret = step.next(&bench.initiator.secret);
    crate::reference::frame(&secret, CONTROL, 1, 1, &key_message(KEY_UPDATE, 2, None))
}

fn too_soon() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    bench.update(false, 3000)?;
    let question = second_question(&bench);
    let handled = bench.responder.hand(&question, 3000 + MIN_EPOCH_MILLIS - 1);
    ensure!(handled.err() == Some(Reason::KeyUpdateRate));
    let mut bench = Bench::new()?;
    bench.update(false, 3000)?;
    ensure!(
        bench
            .responder
            .hand(&question, 3000 + MIN_EPOCH_MILLIS)
            .is_ok()
    );
    Ok(())
}

fn stalled() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let asked = bench.initiator.ask(false, 3000).unwrap_or_default();
    let ack = sends!(bench.responder, &asked, 3000).unwrap_or_default();
    let done = sends!(bench.initiator, &ack, 3000).unwrap_or_default();
    let done_too = sends!(bench.responder, &done, 3000).unwrap_or_default();
    // The responder is settled at 3000 and asks at 5000; the line holds both back until 9000.
    let question = bench.responder.ask(false, 5000).unwrap_or_default();
    ensure!(sends!(bench.initiator, &done_too, 9000).is_none());
    let ack = sends!(bench.initiator, &question, 9000);
    ensure!(ack.is_some());
    let done = sends!(bench.responder, &ack.unwrap_or_default(), 9000);
    let done_too = sends!(bench.initiator, &done.unwrap_or_default(), 9000);
    ensure!(sends!(bench.responder, &done_too.unwrap_or_default(), 9000).is_none());
    talk(&mut bench, 9000)
}

fn unanswered() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let asked = bench.initiator.ask(false, 3000);
    let question = key_message(KEY_UPDATE, 1, None);
    ensure!(asked == Ok(bench.initiator.forge(CONTROL, 0, &question)));
    let mut now = 3000;
    for seq in 1..u32::from(MAX_UPDATE_SENDS) {
        ensure!(bench.initiator.wait(false, now + 999) == Ok(None));
        now += 1000;
        let again = bench.initiator.forge(CONTROL, seq, &question);
        ensure!(bench.initiator.wait(false, now) == Ok(Some(again)));
    }
    ensure!(bench.initiator.wait(false, now + 999) == Ok(None));
    ensure!(bench.initiator.wait(false, now + 1000) == Err(Reason::KeyUpdateTimeout));
    Ok(())
}

fn late_answer() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let first = bench.initiator.ask(true, 3000).unwrap_or_default();
    let second = bench
        .initiator
        .wait(true, 4000)
        .ok()
        .flatten()
        .unwrap_or_default();
    let ack = sends!(bench.responder, &first, 4500).unwrap_or_default();
    let ack_again = sends!(bench.responder, &second, 4500).unwrap_or_default();
    let done = sends!(bench.initiator, &ack, 4600);
    ensure!(done.is_some());
    // The second answer is to a question that is settled.
    ensure!(sends!(bench.initiator, &ack_again, 4600).is_none());
    bench.settle(done, 4600)?;
    talk(&mut bench, 4700)
}
