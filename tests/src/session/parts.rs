//! Payloads that are too long for one frame, as a session seals and opens their parts.

use moorline_core::reason::{Error, Reason};
use moorline_core::wire::{FrameType, datagrams};

use super::bench::{APPLICATION, Bench, CONTROL, DATAGRAM_IDS, ENVELOPE, Made};
use crate::pair::{Message, copy};
use crate::reference::{datagram, extend};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.8";

/// The type of a frame with a part in it.
const PART: u8 = 0x24;

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a payload that fits the mtu is one frame, and one byte more makes parts, each sealed alone",
        layout,
    ),
    case(
        "a part that says what no part may say ends the session",
        malformed,
    ),
    case(
        "on a stream a part is no frame, and nothing is sent in parts",
        on_stream,
    ),
    case(
        "a payload that does not fit the buffer, the peer or 4,096 bytes is not sealed",
        too_long,
    ),
];

fn layout() -> Result<(), Failure> {
    let text = [b'x'; 600];
    for len in [0, 227, 228, 229, 448, 449, 600] {
        let mut bench = Bench::over_short_datagrams(256)?;
        let text = text.get(..len).unwrap_or_default();
        // Two in a row: the second has the next number.
        for (message, first) in [
            (0u8, 0u32),
            (1, u32::try_from(len.div_ceil(224)).unwrap_or(0)),
        ] {
            let said = bench.initiator.say(text)?;
            let secret = &bench.initiator.secret;
            let mut expected = Message::new();
            if len <= 228 {
                let seq = u32::from(message);
                let frame = datagram(secret, APPLICATION, 0, DATAGRAM_IDS[1], seq, text);
                extend(&mut expected, &frame);
            } else {
                let last = (len - 1) / 224;
                for (index, part) in text.chunks(224).enumerate() {
                    let number = u8::try_from(index).unwrap_or(0);
                    let mut payload =
                        copy(&[APPLICATION, message, number, u8::from(index == last)]);
                    extend(&mut payload, part);
                    let seq = first + u32::from(number);
                    let frame = datagram(secret, PART, 0, DATAGRAM_IDS[1], seq, &payload);
                    extend(&mut expected, &frame);
                }
            }
            ensure!(said == expected, len);
            ensure!(datagrams(&said).all(|datagram| datagram.len() <= 256), len);
            for frame in datagrams(&said) {
                let made = bench.responder.hand(frame, 0);
                let whole = Made::Application(copy(text));
                let expected = if len <= 228 { whole } else { Made::Part };
                ensure!(made == Ok((None, expected)), len);
                let again = bench.responder.hand(frame, 0);
                ensure!(again == Ok((None, Made::Dropped(Reason::Replayed))), len);
            }
        }
    }
    Ok(())
}

fn malformed() -> Result<(), Failure> {
    let payloads: [&[u8]; 9] = [
        &[],
        &[APPLICATION, 0, 0],
        // Without a byte of the payload.
        &[APPLICATION, 0, 0, 1],
        &[APPLICATION, 0, 0, 2, 7],
        &[APPLICATION, 0, 0, 0xFF, 7],
        // An alert, a part, and what is no frame.
        &[0x22, 0, 0, 1, 7],
        &[PART, 0, 0, 1, 7],
        &[0x1F, 0, 0, 1, 7],
        &[0x25, 0, 0, 1, 7],
    ];
    for (step, payload) in payloads.into_iter().enumerate() {
        let mut bench = Bench::over_short_datagrams(256)?;
        let frame = bench.initiator.forge(PART, 0, payload);
        ensure!(
            bench.responder.refusal(&frame) == Some(Reason::Malformed),
            step
        );
    }
    for kind in [APPLICATION, CONTROL, ENVELOPE] {
        let mut bench = Bench::over_short_datagrams(256)?;
        let frame = bench.initiator.forge(PART, 0, &[kind, 9, 3, 0, 7]);
        ensure!(bench.responder.hand(&frame, 0) == Ok((None, Made::Part)));
    }
    Ok(())
}

fn on_stream() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let frame = bench.initiator.forge(PART, 0, &[APPLICATION, 0, 0, 1, 7]);
    ensure!(bench.responder.refusal(&frame) == Some(Reason::UnknownType));
    let said = bench.initiator.say(&[7; 1024])?;
    ensure!(said[0] == APPLICATION && said.len() == 1024 + 24);
    Ok(())
}

fn too_long() -> Result<(), Failure> {
    let mut bench = Bench::over_short_datagrams(256)?;
    let session = &mut bench.initiator.session;
    let mut out = [0; 1100];
    let long = session.seal(FrameType::Application, &[&[0; 1025]], &mut out);
    ensure!(long == Err(Error::PayloadTooLong { limit: 1024 }));
    // 1,024 bytes are five parts with 32 bytes each around them.
    let all = session.seal(FrameType::Application, &[&[0; 1024]], &mut out);
    ensure!(matches!(all, Err(Error::OutputTooSmall(small)) if small.needed == 1024 + 160));
    // Nothing was used up by that.
    let said = bench.initiator.say(b"first")?;
    let secret = &bench.initiator.secret;
    ensure!(said == datagram(secret, APPLICATION, 0, DATAGRAM_IDS[1], 0, b"first"));
    Ok(())
}
