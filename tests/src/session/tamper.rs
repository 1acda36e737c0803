//! Every flipped bit and every other length of a frame.

use moorline_core::reason::Reason;

use super::bench::{APPLICATION, Bench, CONTROL, ENVELOPE, Made, PING, control};
use crate::pair::copy;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "every flipped bit of a frame is refused, in its sealed part because it does not open",
        clause: "PROTOCOL.md §5.1",
        run: flips,
    },
    Case {
        name: "every truncation and every extension of a frame is refused",
        clause: "PROTOCOL.md §5.1",
        run: lengths,
    },
    Case {
        name: "a frame of one type is not opened as another",
        clause: "PROTOCOL.md §5.1",
        run: types,
    },
    Case {
        name: "a frame that is refused leaves the session as it was",
        clause: "PROTOCOL.md §5.2",
        run: unchanged,
    },
    Case {
        name: "no frame of the handshake's keys or of another session opens",
        clause: "PROTOCOL.md §5.1",
        run: foreign,
    },
];

fn flips() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let frame = bench.initiator.say(b"twelve bytes")?;
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let reason = bench.responder.refusal(&flipped);
        let expected = reason.is_some_and(|reason| match bit / 8 {
            0 => matches!(reason, Reason::UnknownType | Reason::Unsealed),
            1 => reason == Reason::Epoch,
            2 | 3 => reason == Reason::Length,
            4..8 => reason == Reason::Sequence,
            _ => reason == Reason::Unsealed,
        });
        ensure!(expected, bit);
    }
    let taken = bench.responder.hand(&frame, 0);
    ensure!(taken == Ok((None, Made::Application(copy(b"twelve bytes")))));
    Ok(())
}

fn lengths() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let frame = bench.initiator.say(b"twelve bytes")?;
    for len in 0..frame.len() {
        let reason = bench.responder.refusal(&frame[..len]);
        ensure!(reason == Some(Reason::Length), len);
        // With a length that matches, the seal tells.
        if len >= 8 {
            let mut shorter = copy(&frame[..len]);
            shorter[3] = u8::try_from(len - 8).unwrap_or(0);
            let reason = bench.responder.refusal(&shorter);
            let expected = if len < 24 {
                Reason::Length
            } else {
                Reason::Unsealed
            };
            ensure!(reason == Some(expected), len);
        }
    }
    let mut longer = frame.clone();
    ensure!(longer.push(0).is_ok());
    ensure!(bench.responder.refusal(&longer) == Some(Reason::Length));
    longer[3] += 1;
    ensure!(bench.responder.refusal(&longer) == Some(Reason::Unsealed));
    ensure!(bench.responder.hand(&frame, 0).is_ok());
    Ok(())
}

fn types() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let ping = bench.initiator.forge(CONTROL, 0, &control(PING, 7));
    for kind in [APPLICATION, ENVELOPE, 0x22] {
        let mut other = ping.clone();
        other[0] = kind;
        let reason = bench.responder.refusal(&other);
        ensure!(reason == Some(Reason::Unsealed), usize::from(kind));
    }
    ensure!(bench.responder.hand(&ping, 0).is_ok());
    Ok(())
}

fn unchanged() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let garbled = {
        let mut frame = bench.initiator.forge(APPLICATION, 0, b"first");
        frame[10] ^= 1;
        frame
    };
    for _ in 0..3 {
        ensure!(bench.responder.refusal(&garbled) == Some(Reason::Unsealed));
    }
    for (step, text) in [b"first", b"later"].into_iter().enumerate() {
        let frame = bench.initiator.say(text)?;
        let made = bench.responder.hand(&frame, 0);
        ensure!(made == Ok((None, Made::Application(copy(text)))), step);
    }
    Ok(())
}

fn foreign() -> Result<(), Failure> {
    let mut bench = Bench::new()?;
    let secrets = [
        [0; 32],
        bench.responder.secret,
        crate::reference::label(&bench.initiator.secret, "key", b""),
    ];
    for (step, secret) in secrets.iter().enumerate() {
        let frame = crate::reference::frame(secret, APPLICATION, 0, 0, b"hello");
        let reason = bench.responder.refusal(&frame);
        ensure!(reason == Some(Reason::Unsealed), step);
    }
    Ok(())
}
