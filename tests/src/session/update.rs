//! Key updates that go as they should (PROTOCOL.md §5.4).

use moorline_core::limits::{EPOCH_MILLIS, SETTLED_MILLIS};
use moorline_core::reason::{Error, Reason};

use super::bench::{
    APPLICATION, Bench, CONTROL, KEY_ACK, KEY_DONE, KEY_UPDATE, Made, control, key_message,
};
use crate::pair::copy;
use crate::reference::{Step, frame};
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
        "a key update without fresh shares goes on in the next epoch under the derived secrets",
        derived,
    ),
    case(
        "a key update with fresh shares goes on in the next epoch, asked for by either end",
        fresh,
    ),
    case(
        "messages flow in both directions at every step of a key update",
        flows,
    ),
    case(
        "a frame of the old epoch is refused once its sender has moved on",
        old_epoch,
    ),
    case(
        "a frame of the next epoch that is not KeyDone is refused",
        not_done_first,
    ),
    case(
        "a frame under the keys of the next epoch that names another one is refused",
        wrong_epoch,
    ),
    case(
        "a frame cut out before the switch is found by the count in KeyDone",
        cut,
    ),
    case(
        "a count in KeyDone that is one too high or too low is refused",
        counts,
    ),
    case(
        "a KeyDone that is not the first frame of its epoch is refused",
        done_later,
    ),
    case(
        "epochs go on beyond 255, and their low byte repeats without a doubt",
        many,
    ),
    case(
        "no key update starts within two seconds of the handshake or of the last one",
        too_early,
    ),
    case(
        "the clock of one hour starts a key update at whichever end it strikes",
        hourly,
    ),
    case(
        "an update that the peer asked for at the end of the hour is carried through",
        answered_late,
    ),
    case(
        "the far end is given up when it does not finish an update within an hour",
        given_up,
    ),
];

fn derived() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    bench.update(false, 3000)?;
    let step = Step::new(1, &[0; 32], &[0; 32], [0; 32]);
    let secrets = [&bench.initiator.secret, &bench.responder.secret].map(|old| step.next(old));
    let said = bench.initiator.say(b"to the hub")?;
    ensure!(said == frame(&secrets[0], APPLICATION, 1, 1, b"to the hub"));
    ensure!(bench.responder.hand(&said, 3000).is_ok());
    let said = bench.responder.say(b"to the agent")?;
    ensure!(said == frame(&secrets[1], APPLICATION, 1, 1, b"to the agent"));
    ensure!(bench.initiator.hand(&said, 3000).is_ok());
    Ok(())
}

fn fresh() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    bench.update(true, 3000)?;
    ensure!(bench.initiator.session.epoch() == 1 && bench.responder.session.epoch() == 1);
    // The responder asks; the bench carries its question to the initiator first.
    let asked = bench.responder.ask(true, 6000);
    ensure!(asked.is_ok());
    let answer = bench.initiator.hand(&asked.unwrap_or_default(), 6000);
    let answer = answer.ok().and_then(|(sent, _)| sent);
    ensure!(answer.is_some());
    bench.settle(answer, 6000)?;
    ensure!(bench.initiator.session.epoch() == 2 && bench.responder.session.epoch() == 2);
    let said = bench.initiator.say(b"hello")?;
    ensure!(bench.responder.hand(&said, 6000).is_ok());
    Ok(())
}

/// Sends a message each way and checks that both arrive.
fn exchange(bench: &mut Bench, step: usize) -> Result<(), Failure> {
    let said = bench.initiator.say(b"to the hub")?;
    let made = bench.responder.hand(&said, 3000);
    ensure!(
        made == Ok((None, Made::Application(copy(b"to the hub")))),
        step
    );
    let said = bench.responder.say(b"to the agent")?;
    let made = bench.initiator.hand(&said, 3000);
    ensure!(
        made == Ok((None, Made::Application(copy(b"to the agent")))),
        step
    );
    Ok(())
}

fn flows() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    exchange(&mut bench, 0)?;
    let asked = bench.initiator.ask(true, 3000).unwrap_or_default();
    let said = bench.responder.say(b"before the answer")?;
    ensure!(bench.initiator.hand(&said, 3000).is_ok());
    let (ack, _) = bench.responder.hand(&asked, 3000).map_err(|_| REFUSED)?;
    // In order on the line: the answer, then what the answerer still says in the old epoch.
    let said = bench.responder.say(b"after the answer")?;
    let (done, _) = bench
        .initiator
        .hand(&ack.unwrap_or_default(), 3000)
        .map_err(|_| REFUSED)?;
    ensure!(bench.initiator.hand(&said, 3000).is_ok());
    let early = bench.initiator.say(b"in the new epoch")?;
    let (done_too, _) = bench
        .responder
        .hand(&done.unwrap_or_default(), 3000)
        .map_err(|_| REFUSED)?;
    let made = bench.responder.hand(&early, 3000);
    ensure!(made == Ok((None, Made::Application(copy(b"in the new epoch")))));
    let (none, _) = bench
        .initiator
        .hand(&done_too.unwrap_or_default(), 3000)
        .map_err(|_| REFUSED)?;
    ensure!(none.is_none());
    exchange(&mut bench, 1)
}

/// Returns a bench on which the initiator has asked, the responder has answered and the initiator has switched, with
/// the initiator's KeyDone under way.
fn switched() -> Result<(Bench, crate::pair::Message), Failure> {
    let mut bench = Bench::new()?;
    let asked = bench.initiator.ask(false, 3000).unwrap_or_default();
    let (ack, _) = bench.responder.hand(&asked, 3000).map_err(|_| REFUSED)?;
    let (done, _) = bench
        .initiator
        .hand(&ack.unwrap_or_default(), 3000)
        .map_err(|_| REFUSED)?;
    Ok((bench, done.unwrap_or_default()))
}

/// Returns the secrets of epoch 1 after an update without fresh shares.
fn next_secrets(bench: &Bench) -> [[u8; 32]; 2] {
    let step = Step::new(1, &[0; 32], &[0; 32], [0; 32]);
    [&bench.initiator.secret, &bench.responder.secret].map(|old| step.next(old))
}

fn old_epoch() -> Result<(), Failure> {
    let (mut bench, done) = switched()?;
    let old = bench.initiator.forge(APPLICATION, 1, b"late");
    ensure!(bench.responder.hand(&done, 3000).is_ok());
    ensure!(bench.responder.refusal(&old) == Some(Reason::Epoch));
    Ok(())
}

fn not_done_first() -> Result<(), Failure> {
    let (mut bench, _) = switched()?;
    let [secret, _] = next_secrets(&bench);
    let first: [(u8, &[u8]); 5] = [
        (APPLICATION, b"hello"),
        (0x23, b"hello"),
        (0x22, &[0; 5]),
        (CONTROL, &[3, 1]),
        (CONTROL, &[0, 2, 0]),
    ];
    for (kind, payload) in first {
        let frame = frame(&secret, kind, 1, 0, payload);
        let reason = bench.responder.refusal(&frame);
        ensure!(reason == Some(Reason::KeyUpdate), usize::from(kind));
    }
    Ok(())
}

fn wrong_epoch() -> Result<(), Failure> {
    let (mut bench, done) = switched()?;
    let [secret, _] = next_secrets(&bench);
    for epoch in [2, 3, 255] {
        let frame = frame(&secret, CONTROL, epoch, 0, &control(KEY_DONE, 1));
        let reason = bench.responder.refusal(&frame);
        ensure!(reason == Some(Reason::Epoch), usize::from(epoch));
    }
    ensure!(bench.responder.hand(&done, 3000).is_ok());
    Ok(())
}

fn cut() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let asked = bench.initiator.ask(false, 3000).unwrap_or_default();
    // Said before the switch, and cut out on the line with nothing after it in its epoch.
    let (ack, _) = bench.responder.hand(&asked, 3000).map_err(|_| REFUSED)?;
    let _cut = bench.initiator.say(b"unheard")?;
    let (done, _) = bench
        .initiator
        .hand(&ack.unwrap_or_default(), 3000)
        .map_err(|_| REFUSED)?;
    let reason = bench.responder.refusal(&done.unwrap_or_default());
    ensure!(reason == Some(Reason::FrameCount));
    Ok(())
}

fn counts() -> Result<(), Failure> {
    for count in [0, 2, u32::MAX] {
        let (mut bench, _) = switched()?;
        let [secret, _] = next_secrets(&bench);
        let frame = frame(&secret, CONTROL, 1, 0, &control(KEY_DONE, count));
        ensure!(bench.responder.refusal(&frame) == Some(Reason::FrameCount));
    }
    // The starter counts the answerer's frames too.
    let (mut bench, done) = switched()?;
    ensure!(bench.responder.hand(&done, 3000).is_ok());
    let [_, secret] = next_secrets(&bench);
    let frame = frame(&secret, CONTROL, 1, 0, &control(KEY_DONE, 0));
    ensure!(bench.initiator.refusal(&frame) == Some(Reason::FrameCount));
    Ok(())
}

fn done_later() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let frame = bench.initiator.forge(CONTROL, 0, &control(KEY_DONE, 0));
    ensure!(bench.responder.refusal(&frame) == Some(Reason::KeyUpdate));
    Ok(())
}

fn many() -> Result<(), Failure> {
    const EPOCHS: u32 = 520;
    let mut bench = Bench::new()?;
    let mut secret = bench.initiator.secret;
    for epoch in 1..=EPOCHS {
        let step = usize::try_from(epoch).unwrap_or(0);
        bench.update(false, u64::from(epoch) * 3000)?;
        ensure!(bench.initiator.session.epoch() == epoch, step);
        ensure!(bench.responder.session.epoch() == epoch, step);
        secret = Step::new(epoch, &[0; 32], &[0; 32], [0; 32]).next(&secret);
        // 256 epochs ago the same byte stood in the header.
        if epoch % 256 == 0 {
            let [low, ..] = epoch.to_le_bytes();
            let old = frame(&bench.initiator.secret, APPLICATION, low, 1, b"old");
            ensure!(
                bench.responder.refusal(&old) == Some(Reason::Unsealed),
                step
            );
            let new = bench.initiator.say(b"new")?;
            ensure!(new == frame(&secret, APPLICATION, low, 1, b"new"), step);
            ensure!(
                bench.responder.hand(&new, u64::from(epoch) * 3000).is_ok(),
                step
            );
        }
    }
    Ok(())
}

fn too_early() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let early = Err(Error::NotSettled);
    ensure!(bench.initiator.ask(false, SETTLED_MILLIS - 1) == early);
    ensure!(bench.initiator.session.deadline().0 == EPOCH_MILLIS);
    bench.update(false, SETTLED_MILLIS)?;
    ensure!(bench.initiator.ask(false, 2 * SETTLED_MILLIS - 1) == early);
    ensure!(bench.responder.ask(false, 2 * SETTLED_MILLIS - 1) == early);
    ensure!(bench.responder.ask(false, 2 * SETTLED_MILLIS).is_ok());
    // Not while one is under way.
    ensure!(bench.responder.ask(false, 3 * SETTLED_MILLIS) == early);
    Ok(())
}

fn hourly() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let hour = EPOCH_MILLIS;
    ensure!(bench.responder.wait(false, hour - 1) == Ok(None));
    let asked = bench.responder.wait(false, hour).ok().flatten();
    let question = key_message(KEY_UPDATE, 1, None);
    ensure!(asked == Some(bench.responder.forge(CONTROL, 0, &question)));
    // It strikes at the initiator at the same moment; the initiator's update stands.
    let asked_too = bench.initiator.wait(false, hour).ok().flatten();
    ensure!(asked_too.is_some());
    let ignored = bench.initiator.hand(&asked.unwrap_or_default(), hour);
    ensure!(ignored == Ok((None, Made::Nothing)));
    let answer = bench.responder.hand(&asked_too.unwrap_or_default(), hour);
    let ack = answer.ok().and_then(|(sent, _)| sent);
    let expected = bench
        .responder
        .forge(CONTROL, 1, &key_message(KEY_ACK, 1, None));
    ensure!(ack.as_ref() == Some(&expected));
    // The responder has answered: its own hour is over, and it waits.
    ensure!(bench.responder.wait(false, hour) == Ok(None));
    ensure!(bench.responder.wait(false, hour + 1000) == Ok(None));
    let done = bench.initiator.hand(&ack.unwrap_or_default(), hour + 1000);
    bench.settle(done.ok().and_then(|(sent, _)| sent), hour + 1000)?;
    ensure!(bench.responder.session.epoch() == 1);
    ensure!(bench.responder.session.deadline().0 == 2 * hour + 1000);
    Ok(())
}

fn answered_late() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let hour = EPOCH_MILLIS;
    let asked = bench.initiator.wait(true, hour).ok().flatten();
    let answer = bench.responder.hand(&asked.unwrap_or_default(), hour);
    ensure!(answer.is_ok());
    // Between the answer and the peer's first frame the responder's own hour passes.
    ensure!(bench.responder.session.deadline().0 > hour);
    ensure!(bench.responder.wait(true, hour + 1) == Ok(None));
    let ack = answer.ok().and_then(|(sent, _)| sent);
    let done = bench.initiator.hand(&ack.unwrap_or_default(), hour + 2);
    ensure!(bench.initiator.session.deadline().0 > hour + 2);
    bench.settle(done.ok().and_then(|(sent, _)| sent), hour + 3)?;
    ensure!(bench.initiator.session.epoch() == 1 && bench.responder.session.epoch() == 1);
    Ok(())
}

fn given_up() -> Result<(), Failure> {
    let (mut bench, _) = switched()?;
    let until = 3000 + EPOCH_MILLIS;
    for end in [&mut bench.initiator, &mut bench.responder] {
        ensure!(end.session.deadline().0 == until);
        ensure!(end.wait(false, until - 1) == Ok(None));
        ensure!(end.wait(false, until) == Err(Reason::KeyUpdateTimeout));
    }
    Ok(())
}

const REFUSED: Failure = Failure {
    condition: "a frame of an undisturbed update is taken",
    file: file!(),
    line: line!(),
    step: 0,
};
