//! Messages on bare byte streams (PROTOCOL.md §9.1).

use heapless::Vec;
use moorline_core::framing::{Absorbed, Delimited, Framing, Progress, delimited_len};

use crate::fixture::FixedEntropy;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §9.1";

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

/// Longest message of the cases; three COBS blocks.
const MAX_LEN: usize = 600;

type Unit = Vec<u8, 700>;

pub(crate) static CASES: &[Case] = &[
    case(
        "a message is delimiter, COBS of message and CRC, delimiter",
        || {
            // The check value of CRC-32/ISO-HDLC: cbf43926.
            let unit = packed(b"123456789");
            ensure!(*unit == *b"\x00\x0e123456789\xcb\xf4\x39\x26\x00");
            let unit = packed(&[0, 1, 0]);
            ensure!(unit.first() == Some(&0) && unit.last() == Some(&0));
            ensure!(unit[1..4] == [1, 2, 1]);
            Ok(())
        },
    ),
    case(
        "messages of every length and content come back as they were",
        round_trips,
    ),
    case("a message split at every byte comes back whole", || {
        let unit = packed(b"split me\0anywhere");
        for at in 0..=unit.len() {
            let mut framing = Delimited::new([0; 64]);
            let (front, back) = unit.split_at(at);
            let first = framing.absorb(front);
            let last = if at == unit.len() {
                first
            } else {
                framing.absorb(back)
            };
            ensure!(
                last.is_ok_and(|absorbed| absorbed.progress == Progress::Message),
                at
            );
            ensure!(framing.message() == b"split me\0anywhere", at);
        }
        Ok(())
    }),
    case("messages one after another are taken one at a time", || {
        let mut stream = packed(b"one");
        ensure!(stream.extend_from_slice(&packed(b"two")).is_ok());
        let mut framing = Delimited::new([0; 64]);
        let one = framing.absorb(&stream);
        ensure!(one.is_ok_and(|absorbed| absorbed
            == Absorbed {
                taken: 10,
                progress: Progress::Message,
            }));
        ensure!(framing.message() == b"one");
        let two = framing.absorb(&stream[10..]);
        ensure!(two.is_ok_and(|absorbed| absorbed.progress == Progress::Message));
        ensure!(framing.message() == b"two");
        // One delimiter between two messages is enough.
        let unit = packed(b"three");
        let mut framing = Delimited::new([0; 64]);
        ensure!(
            framing
                .absorb(&unit[1..])
                .is_ok_and(|absorbed| absorbed.progress == Progress::Message)
        );
        Ok(())
    }),
    case(
        "after garbage of every kind the next message is whole again",
        garbage,
    ),
    case(
        "every flipped bit of a message is dropped and counted, or splits it",
        flips,
    ),
    case(
        "a message longer than the buffer is dropped and counted, one as long is taken",
        || {
            let message = [7; 40];
            let unit = packed(&message);
            let encoded = unit.len() - 2;
            for len in 0..encoded + 2 {
                let mut buffer = [0; 64];
                let mut framing = Delimited::new(&mut buffer[..len]);
                let taken = framing
                    .absorb(&unit)
                    .is_ok_and(|absorbed| absorbed.progress == Progress::Message);
                ensure!(taken == (len >= encoded), len);
                ensure!(framing.dropped() == u32::from(len < encoded), len);
            }
            Ok(())
        },
    ),
    case(
        "zeros between messages are nothing, and an empty message is none",
        || {
            let mut framing = Delimited::new([0; 64]);
            ensure!(
                framing
                    .absorb(&[0; 50])
                    .is_ok_and(|absorbed| absorbed.progress == Progress::Pending)
            );
            ensure!(framing.dropped() == 0);
            let unit = packed(b"");
            ensure!(
                framing
                    .absorb(&unit)
                    .is_ok_and(|absorbed| absorbed.progress == Progress::Pending)
            );
            ensure!(framing.dropped() == 1 && framing.message().is_empty());
            Ok(())
        },
    ),
    case(
        "a message is not written to a buffer too small for it",
        || {
            let mut framing = Delimited::new([0; 64]);
            let mut entropy = FixedEntropy::new("framing");
            let mut out = [0; 32];
            for len in 0..delimited_len(9) {
                let written = framing.emit(b"123456789", &mut entropy, &mut out[..len]);
                ensure!(written.is_err(), len);
            }
            let written = framing.emit(b"123456789", &mut entropy, &mut out[..delimited_len(9)]);
            ensure!(written.is_ok());
            Ok(())
        },
    ),
];

fn packed(message: &[u8]) -> Unit {
    let mut out = [0; 700];
    let mut framing = Delimited::new([0; 0]);
    let unit = framing.emit(message, &mut FixedEntropy::new("framing"), &mut out);
    unit.map_or(Unit::new(), |unit| unit.iter().copied().collect())
}

/// Takes in all of `stream`; returns how many messages came, and whether the last one is `expected`.
fn messages<const N: usize>(
    framing: &mut Delimited<[u8; N]>,
    stream: &[u8],
    expected: &[u8],
) -> (usize, bool) {
    let (mut count, mut last, mut at) = (0, false, 0);
    while at < stream.len() {
        let Ok(absorbed) = framing.absorb(&stream[at..]) else {
            return (count, false);
        };
        at += absorbed.taken;
        if absorbed.progress == Progress::Message {
            count += 1;
            last = framing.message() == expected;
        }
    }
    (count, last)
}

fn round_trips() -> Result<(), Failure> {
    let mut framing = Delimited::new([0; 700]);
    let mut message = [0; MAX_LEN];
    let fills: [fn(usize) -> u8; 4] = [
        |_| 0,
        |_| 255,
        |at| u8::try_from(at % 255 + 1).unwrap_or(1),
        |at| u8::from(at % 254 != 253),
    ];
    for fill in fills {
        for (at, byte) in message.iter_mut().enumerate() {
            *byte = fill(at);
        }
        // Every length around the blocks of COBS, with the CRC of four bytes behind the message.
        for len in (1..12).chain(244..264).chain(500..516).chain([MAX_LEN]) {
            let message = &message[..len];
            let unit = packed(message);
            ensure!(unit.len() <= delimited_len(len) && !unit.is_empty(), len);
            ensure!(!unit[1..unit.len() - 1].contains(&0), len);
            ensure!(messages(&mut framing, &unit, message) == (1, true), len);
        }
    }
    ensure!(framing.dropped() == 0);
    Ok(())
}

fn garbage() -> Result<(), Failure> {
    let message = b"after the noise";
    let unit = packed(message);
    let mut framing = Delimited::new([0; 64]);
    // Half a message, at every place.
    for len in 0..unit.len() - 1 {
        ensure!(messages(&mut framing, &unit[..len], message).0 == 0, len);
        ensure!(messages(&mut framing, &unit, message) == (1, true), len);
    }
    // The second half of one, the lone length bytes of COBS, and more than the buffer takes.
    for len in 1..unit.len() - 1 {
        let (count, _) = messages(&mut framing, &unit[unit.len() - len..], message);
        ensure!(count == 0, len);
        ensure!(messages(&mut framing, &unit, message) == (1, true), len);
    }
    for byte in 0..=255 {
        for len in [1, 63, 64, 65, 200] {
            ensure!(
                messages(&mut framing, &[byte; 200][..len], message).0 == 0,
                len
            );
            ensure!(
                messages(&mut framing, &unit, message) == (1, true),
                usize::from(byte)
            );
        }
    }
    // Random bytes, zeros among them.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for step in 0..2000 {
        let mut noise = [0; 24];
        for byte in &mut noise {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_be_bytes()[0];
        }
        ensure!(messages(&mut framing, &noise, message).0 == 0, step);
        ensure!(messages(&mut framing, &unit, message) == (1, true), step);
    }
    Ok(())
}

fn flips() -> Result<(), Failure> {
    let message = b"every bit of this\0is under the CRC";
    let unit = packed(message);
    for bit in 8..(unit.len() - 1) * 8 {
        let mut flipped = unit.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut framing = Delimited::new([0; 64]);
        ensure!(messages(&mut framing, &flipped, message).0 == 0, bit);
        ensure!(framing.dropped() > 0, bit);
        ensure!(messages(&mut framing, &unit, message) == (1, true), bit);
    }
    Ok(())
}
