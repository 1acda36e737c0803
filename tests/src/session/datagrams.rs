//! Frames in datagram form: their header, and what is dropped (PROTOCOL.md §5.1, §5.2).

use moorline_core::limits::MIN_WINDOW;
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::Reason;

use super::bench::{
    ALERT, APPLICATION, Bench, CONTROL, DATAGRAM_IDS, ENVELOPE, MAX_PAYLOAD, Made, PING, PONG,
    control,
};
use crate::pair::{Message, copy};
use crate::reference::{datagram, frame};
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a datagram is header with the receiver's id, ciphertext and tag as the layout has them",
        "PROTOCOL.md §5.1",
        layout,
    ),
    case(
        "a datagram that names another end, or its sender, is dropped",
        "PROTOCOL.md §5.1",
        other_ids,
    ),
    case(
        "every flipped bit of a datagram has it dropped, and the session goes on",
        "PROTOCOL.md §5.2",
        flips,
    ),
    case(
        "every truncation and every extension of a datagram is dropped",
        "PROTOCOL.md §5.2",
        lengths,
    ),
    case(
        "a frame in stream form is no datagram",
        "PROTOCOL.md §5.1",
        stream_form,
    ),
    case(
        "datagrams are taken in any order within the window, each of them once",
        "PROTOCOL.md §5.2",
        any_order,
    ),
    case(
        "a datagram left of the window is dropped, and a forged one does not move it",
        "PROTOCOL.md §5.2",
        window,
    ),
    case(
        "a datagram of an epoch whose keys are not held, too long, or beyond the hard limit is dropped",
        "PROTOCOL.md §5.2",
        out_of_limits,
    ),
    case(
        "alerts, envelopes, pings and messages are taken when they overtake each other",
        "PROTOCOL.md §5.2",
        overtaken,
    ),
    case(
        "a datagram that opens and says what nobody may say ends the session",
        "PROTOCOL.md §5.2",
        authentic,
    ),
];

/// What a datagram that does not hold comes to.
fn dropped(reason: Reason) -> Result<(Option<Message>, Made), Reason> {
    Ok((None, Made::Dropped(reason)))
}

fn layout() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let [to_initiator, to_responder] = DATAGRAM_IDS;
    for (seq, text) in (0u32..).zip([&b""[..], b"x", b"a longer text"]) {
        let step = text.len();
        let said = bench.initiator.say(text)?;
        let secret = &bench.initiator.secret;
        let expected = datagram(secret, APPLICATION, 0, to_responder, seq, text);
        ensure!(said == expected && said.len() == text.len() + 28, step);
        let made = bench.responder.hand(&said, 0);
        ensure!(made == Ok((None, Made::Application(copy(text)))), step);
        let said = bench.responder.say(text)?;
        let secret = &bench.responder.secret;
        let expected = datagram(secret, APPLICATION, 0, to_initiator, seq, text);
        ensure!(said == expected, step);
        let made = bench.initiator.hand(&said, 0);
        ensure!(made == Ok((None, Made::Application(copy(text)))), step);
    }
    Ok(())
}

fn other_ids() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let own = DATAGRAM_IDS[1];
    let others = (0..32).map(|bit| own ^ (1 << bit));
    for (step, id) in others.chain([0, DATAGRAM_IDS[0]]).enumerate() {
        let frame = datagram(&bench.initiator.secret, APPLICATION, 0, id, 0, b"hello");
        let made = bench.responder.hand(&frame, 0);
        ensure!(made == dropped(Reason::ConnectionId), step);
    }
    let said = bench.initiator.say(b"hello")?;
    ensure!(bench.initiator.hand(&said, 0) == dropped(Reason::ConnectionId));
    // Its id made right, it does not open: the id is under the seal, and each direction has its key.
    let mut back = said.clone();
    back[4..8].copy_from_slice(&DATAGRAM_IDS[0].to_be_bytes());
    ensure!(bench.initiator.hand(&back, 0) == dropped(Reason::Unsealed));
    let made = bench.responder.hand(&said, 0);
    ensure!(made == Ok((None, Made::Application(copy(b"hello")))));
    Ok(())
}

fn flips() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let frame = bench.initiator.say(b"twelve bytes")?;
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok((None, Made::Dropped(reason))) = bench.responder.hand(&flipped, 0) else {
            ensure!(false, bit);
            continue;
        };
        let expected = match bit / 8 {
            0 => matches!(reason, Reason::UnknownType | Reason::Unsealed),
            1 => reason == Reason::Epoch,
            2 | 3 => reason == Reason::Length,
            4..8 => reason == Reason::ConnectionId,
            // A number of 2^24 or more.
            8 => reason == Reason::Sequence,
            _ => reason == Reason::Unsealed,
        };
        ensure!(expected, bit);
    }
    let taken = bench.responder.hand(&frame, 0);
    ensure!(taken == Ok((None, Made::Application(copy(b"twelve bytes")))));
    Ok(())
}

fn lengths() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let frame = bench.initiator.say(b"twelve bytes")?;
    for len in 0..frame.len() {
        let made = bench.responder.hand(&frame[..len], 0);
        ensure!(made == dropped(Reason::Length), len);
        // With a length that matches, the seal tells.
        if len >= 12 {
            let mut shorter = copy(&frame[..len]);
            shorter[3] = u8::try_from(len - 12).unwrap_or(0);
            let reason = if len < 28 {
                Reason::Length
            } else {
                Reason::Unsealed
            };
            ensure!(bench.responder.hand(&shorter, 0) == dropped(reason), len);
        }
    }
    let mut longer = frame.clone();
    ensure!(longer.push(0).is_ok());
    ensure!(bench.responder.hand(&longer, 0) == dropped(Reason::Length));
    longer[3] += 1;
    ensure!(bench.responder.hand(&longer, 0) == dropped(Reason::Unsealed));
    ensure!(bench.responder.hand(&frame, 0).is_ok());
    Ok(())
}

fn stream_form() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let stream = frame(&bench.initiator.secret, APPLICATION, 0, 0, b"hello");
    let made = bench.responder.hand(&stream, 0);
    ensure!(made == dropped(Reason::ConnectionId));
    // Its number happens to be the receiver's id, and what would be the number is ciphertext.
    let id = DATAGRAM_IDS[1];
    let stream = frame(&bench.initiator.secret, APPLICATION, 0, id, b"hello");
    let made = bench.responder.hand(&stream, 0);
    ensure!(made == dropped(Reason::Length));
    let mut on_stream = Bench::new()?;
    let said = datagram(&bench.initiator.secret, APPLICATION, 0, id, 0, b"hello");
    ensure!(on_stream.responder.refusal(&said) == Some(Reason::Length));
    Ok(())
}

fn any_order() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    // Of 64 frames, all are within the window of the last; 29 and 64 have no common factor.
    let width = u32::from(MIN_WINDOW);
    for round in 0..3 {
        for repeat in [false, true] {
            for step in 0..width {
                let seq = round * width + (step * 29 + 63) % width;
                let frame = bench.initiator.forge(APPLICATION, seq, &seq.to_be_bytes());
                let made = bench.responder.hand(&frame, 0);
                let expected = if repeat {
                    dropped(Reason::Replayed)
                } else {
                    Ok((None, Made::Application(copy(&seq.to_be_bytes()))))
                };
                ensure!(made == expected, usize::try_from(seq).unwrap_or(0));
            }
        }
    }
    Ok(())
}

fn window() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let width = u32::from(MIN_WINDOW);
    let sent = |bench: &Bench, seq| bench.initiator.forge(APPLICATION, seq, b"");
    let taken = Ok((None, Made::Application(Message::new())));
    let first = sent(&bench, 1);
    // Somebody who has no key claims to be far ahead.
    let mut forged = sent(&bench, 100_000);
    forged[12] ^= 1;
    for _ in 0..3 {
        ensure!(bench.responder.hand(&forged, 0) == dropped(Reason::Unsealed));
    }
    ensure!(bench.responder.hand(&first, 0) == taken);
    let newest = sent(&bench, 1000);
    ensure!(bench.responder.hand(&newest, 0) == taken);
    for seq in [0, 1, 2, 1000 - width] {
        let late = sent(&bench, seq);
        let made = bench.responder.hand(&late, 0);
        ensure!(
            made == dropped(Reason::TooOld),
            usize::try_from(seq).unwrap_or(0)
        );
    }
    for seq in [1000 - width + 1, 999, 1001] {
        let late = sent(&bench, seq);
        let made = bench.responder.hand(&late, 0);
        ensure!(made == taken, usize::try_from(seq).unwrap_or(0));
    }
    Ok(())
}

fn out_of_limits() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let secret = bench.initiator.secret;
    for epoch in [1, 2, 127, 128, 255] {
        let frame = bench
            .initiator
            .forge_in(epoch, &secret, APPLICATION, 0, b"");
        let made = bench.responder.hand(&frame, 0);
        ensure!(made == dropped(Reason::Epoch), usize::from(epoch));
    }
    for seq in [1 << 24, u32::MAX] {
        let frame = bench.initiator.forge(APPLICATION, seq, b"");
        let made = bench.responder.hand(&frame, 0);
        ensure!(made == dropped(Reason::Sequence));
    }
    let long = [7; MAX_PAYLOAD + 1];
    let frame = bench.initiator.forge(APPLICATION, 0, &long);
    ensure!(bench.responder.hand(&frame, 0) == dropped(Reason::TooLong));
    let said = bench.initiator.say(&long[1..])?;
    ensure!(bench.responder.hand(&said, 0).is_ok());
    Ok(())
}

fn overtaken() -> Result<(), Failure> {
    let mut bench = Bench::over_datagrams()?;
    let alert = Alert {
        code: AlertCode::GoingAway,
        argument: 258,
    };
    let frames: [(u8, &[u8], Made); 4] = [
        (ALERT, &[8, 0, 0, 1, 2], Made::Alert(alert)),
        (ENVELOPE, b"carried", Made::Envelope(copy(b"carried"))),
        (CONTROL, &[PONG, 9], Made::Pong(9)),
        (APPLICATION, b"text", Made::Application(copy(b"text"))),
    ];
    for (seq, (kind, payload, made)) in [40, 12, 30, 0].into_iter().zip(frames) {
        let frame = bench.initiator.forge(kind, seq, payload);
        let handled = bench.responder.hand(&frame, 0);
        ensure!(handled == Ok((None, made)), usize::from(kind));
    }
    let ping = bench.initiator.forge(CONTROL, 7, &control(PING, 300));
    let pong = bench.responder.forge(CONTROL, 0, &control(PONG, 300));
    ensure!(bench.responder.hand(&ping, 0) == Ok((Some(pong), Made::Nothing)));
    Ok(())
}

fn authentic() -> Result<(), Failure> {
    let frames: [(u8, &[u8], Reason); 5] = [
        (CONTROL, b"", Reason::Malformed),
        (CONTROL, &[0xFF], Reason::Malformed),
        (CONTROL, &[PING, 0x81, 0], Reason::Malformed),
        (ALERT, &[6, 0, 0, 0, 0], Reason::Malformed),
        (ALERT, &[0, 0, 0, 0], Reason::Length),
    ];
    let mut bench = Bench::over_datagrams()?;
    for (seq, (kind, payload, reason)) in (0u32..).zip(frames) {
        let frame = bench.initiator.forge(kind, seq, payload);
        ensure!(
            bench.responder.refusal(&frame) == Some(reason),
            usize::try_from(seq).unwrap_or(0)
        );
    }
    Ok(())
}
