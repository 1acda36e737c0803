//! Frames, their order and their payloads (PROTOCOL.md §5.1, §5.2).

use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::{Error, Reason};
use moorline_core::session::Session;
use moorline_core::wire::FrameType;

use super::bench::{
    ALERT, APPLICATION, Bench, CONTROL, ENVELOPE, MAX_PAYLOAD, Made, PING, PONG, control,
};
use crate::pair::{LINE_LEN, Message, copy};
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a frame is header, ciphertext and tag as the layout has them",
        "PROTOCOL.md §5.1",
        || {
            let mut bench = Bench::new()?;
            for (seq, text) in [&b""[..], b"x", b"a longer text"].into_iter().enumerate() {
                let frame = bench.initiator.say(text)?;
                let seq32 = u32::try_from(seq).unwrap_or(0);
                ensure!(
                    frame == bench.initiator.forge(APPLICATION, seq32, text),
                    seq
                );
                ensure!(frame.len() == text.len() + 24, seq);
            }
            Ok(())
        },
    ),
    case(
        "payloads of every type reach who they are for, empty ones too",
        "PROTOCOL.md §5.1",
        || {
            let mut bench = Bench::new()?;
            let alert = Alert {
                code: AlertCode::GoingAway,
                argument: 258,
            };
            let frames: [(u8, &[u8], Made); 5] = [
                (APPLICATION, b"", Made::Application(Message::new())),
                (APPLICATION, b"text", Made::Application(copy(b"text"))),
                (ENVELOPE, b"", Made::Envelope(Message::new())),
                (ENVELOPE, b"carried", Made::Envelope(copy(b"carried"))),
                (ALERT, &[8, 0, 0, 1, 2], Made::Alert(alert)),
            ];
            for (seq, (kind, payload, made)) in (0u32..).zip(frames) {
                let frame = bench.initiator.forge(kind, seq, payload);
                let handled = bench.responder.hand(&frame, 0);
                ensure!(handled == Ok((None, made)), usize::from(kind));
            }
            Ok(())
        },
    ),
    case(
        "a frame replayed, left out or overtaken is refused",
        "PROTOCOL.md §5.2",
        order,
    ),
    case(
        "a frame sent back to its sender does not open",
        "PROTOCOL.md §5.2",
        || {
            let mut bench = Bench::new()?;
            let frame = bench.initiator.say(b"to the hub")?;
            ensure!(bench.initiator.refusal(&frame) == Some(Reason::Unsealed));
            ensure!(bench.responder.hand(&frame, 0).is_ok());
            Ok(())
        },
    ),
    case(
        "a sequence number beyond the hard limit is refused whatever is sealed under it",
        "PROTOCOL.md §5.3",
        || {
            let mut bench = Bench::new()?;
            for seq in [1 << 24, u32::MAX] {
                let frame = bench.initiator.forge(APPLICATION, seq, b"");
                ensure!(bench.responder.refusal(&frame) == Some(Reason::Sequence));
            }
            Ok(())
        },
    ),
    case(
        "a frame of an epoch whose keys are not held is refused",
        "PROTOCOL.md §5.1",
        || {
            let mut bench = Bench::new()?;
            let secret = bench.initiator.secret;
            for epoch in [1, 2, 127, 128, 255] {
                let frame = crate::reference::frame(&secret, APPLICATION, epoch, 0, b"");
                let reason = bench.responder.refusal(&frame);
                ensure!(reason == Some(Reason::Epoch), usize::from(epoch));
            }
            Ok(())
        },
    ),
    case(
        "a payload as long as the peer announced is taken, a longer one is neither sent nor taken",
        "PROTOCOL.md §5.1",
        longest,
    ),
    case(
        "a frame is not written to a buffer too small for it, and its number is not used up",
        "PROTOCOL.md §5.2",
        || {
            let mut bench = Bench::new()?;
            let mut out = [0; 28];
            let session: &mut Session = &mut bench.initiator.session;
            for len in 0..out.len() {
                let short = &mut out[..len];
                let error = session
                    .seal(FrameType::Application, &[b"hello"], short)
                    .err();
                let needed = 29;
                let too_small = moorline_core::wire::TooSmall { needed };
                ensure!(error == Some(Error::OutputTooSmall(too_small)), len);
            }
            ensure!(
                bench.initiator.say(b"hello")? == bench.initiator.forge(APPLICATION, 0, b"hello")
            );
            Ok(())
        },
    ),
    case(
        "a control message that is malformed, not canonical or unknown is refused",
        "PROTOCOL.md §5.6",
        malformed,
    ),
    case(
        "an alert of an unknown code or another length is refused",
        "PROTOCOL.md §5.5",
        || {
            let mut bench = Bench::new()?;
            let alerts: [&[u8]; 8] = [
                &[6, 0, 0, 0, 0],
                &[10, 0, 0, 0, 0],
                &[11, 0, 0, 0, 0],
                &[255, 0, 0, 0, 0],
                &[],
                &[0],
                &[0; 4],
                &[0; 6],
            ];
            // What opened has used its number, whatever it says.
            for (seq, payload) in (0u32..).zip(alerts) {
                let frame = bench.initiator.forge(ALERT, seq, payload);
                let expected = if payload.len() == 5 {
                    Reason::Malformed
                } else {
                    Reason::Length
                };
                ensure!(
                    bench.responder.refusal(&frame) == Some(expected),
                    payload.len()
                );
            }
            Ok(())
        },
    ),
    case(
        "a ping is answered with a pong of the same number",
        "PROTOCOL.md §5.6",
        || {
            let mut bench = Bench::new()?;
            for (seq, number) in (0u32..).zip([0, 1, 127, 128, u32::MAX]) {
                let ping = bench.initiator.forge(CONTROL, seq, &control(PING, number));
                let handled = bench.responder.hand(&ping, 0);
                let pong = bench.responder.forge(CONTROL, seq, &control(PONG, number));
                ensure!(
                    handled == Ok((Some(pong.clone()), Made::Nothing)),
                    usize::try_from(seq).unwrap_or(0)
                );
                let handled = bench.initiator.hand(&pong, 0);
                ensure!(handled == Ok((None, Made::Pong(number))));
            }
            Ok(())
        },
    ),
];

fn order() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let first = bench.initiator.say(b"first")?;
    let second = bench.initiator.say(b"second")?;
    let third = bench.initiator.say(b"third")?;
    ensure!(bench.responder.refusal(&second) == Some(Reason::Sequence));
    ensure!(bench.responder.hand(&first, 0).is_ok());
    ensure!(bench.responder.refusal(&first) == Some(Reason::Replayed));
    ensure!(bench.responder.refusal(&third) == Some(Reason::Sequence));
    ensure!(bench.responder.hand(&second, 0).is_ok());
    ensure!(bench.responder.refusal(&first) == Some(Reason::Replayed));
    ensure!(bench.responder.refusal(&second) == Some(Reason::Replayed));
    ensure!(bench.responder.hand(&third, 0).is_ok());
    Ok(())
}

fn longest() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let long = [7; MAX_PAYLOAD + 1];
    let mut out = [0; LINE_LEN];
    let session = &mut bench.initiator.session;
    ensure!(session.max_payload_len() == MAX_PAYLOAD);
    let limit = MAX_PAYLOAD;
    let error = session
        .seal(FrameType::Envelope, &[&long, b""], &mut out)
        .err();
    ensure!(error == Some(Error::PayloadTooLong { limit }));
    let error = session
        .seal(FrameType::Envelope, &[&long[1..], b"x"], &mut out)
        .err();
    ensure!(error == Some(Error::PayloadTooLong { limit }));
    let frame = bench.initiator.forge(APPLICATION, 0, &long);
    ensure!(bench.responder.refusal(&frame) == Some(Reason::TooLong));
    let frame = bench.initiator.say(&long[1..])?;
    let made = bench.responder.hand(&frame, 0);
    ensure!(made.is_ok_and(|(_, made)| made == Made::Application(copy(&long[1..]))));
    Ok(())
}

fn malformed() -> Result<(), Failure> {
    let payloads: [&[u8]; 14] = [
        b"",
        // An unknown number, and known ones in two bytes.
        &[5, 0],
        &[0x83, 0x00, 1],
        &[0xFF; 6],
        // A ping without a number, with more behind it, and with one in more bytes than needed.
        &[3],
        &[3, 1, 0],
        &[3, 0x81, 0x00],
        &[3, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F],
        // A key update whose option is neither absent nor present, or cut off.
        &[0, 1, 2],
        &[0, 1],
        &[0, 1, 1, 9],
        &[0, 1, 0, 0],
        &[1, 1, 0x80, 0x00],
        &[2],
    ];
    let mut bench = Bench::new()?;
    for (seq, payload) in (0u32..).zip(payloads) {
        let frame = bench.initiator.forge(CONTROL, seq, payload);
        let reason = bench.responder.refusal(&frame);
        ensure!(reason == Some(Reason::Malformed), payload.len());
    }
    Ok(())
}
