//! The client's side of a WebSocket (RFC 6455, PROTOCOL.md §9.2).

use moorline_core::framing::{
    Framing, FramingError, MAX_CLIENT_HEADER_LEN, Progress, WebSocketClient,
};

use crate::fixture::FixedEntropy;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §9.2";
const RFC: &str = "RFC 6455 §5.7";

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a binary message in one frame and in fragments comes back whole",
        RFC,
        || {
            ensure!(takes(&[0x82, 5, b'H', b'e', b'l', b'l', b'o'], b"Hello"));
            // The fragments of the standard, as binary.
            ensure!(takes(
                &[0x02, 3, b'H', b'e', b'l', 0x80, 2, b'l', b'o'],
                b"Hello"
            ));
            ensure!(takes(
                &[0x02, 0, 0x00, 2, b'H', b'e', 0x00, 0, 0x80, 0],
                b"He"
            ));
            ensure!(takes(&[0x82, 0], b""));
            Ok(())
        },
    ),
    case(
        "a text message is refused, as the standard's first example is",
        RFC,
        || {
            let text = [0x81, 5, b'H', b'e', b'l', b'l', b'o'];
            ensure!(error(&text) == Some(FramingError::NotBinary));
            ensure!(error(&[0x01, 3]) == Some(FramingError::NotBinary));
            Ok(())
        },
    ),
    case("a masked frame of a server is refused", RFC, || {
        let masked = [
            0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        ensure!(error(&masked) == Some(FramingError::Masked));
        ensure!(error(&[0x89, 0x80, 0, 0, 0, 0]) == Some(FramingError::Masked));
        Ok(())
    }),
    case(
        "lengths of 256 bytes and of 64 KiB are read in their own forms",
        RFC,
        || {
            let mut frame = [7; 260];
            frame[..4].copy_from_slice(&[0x82, 0x7E, 0x01, 0x00]);
            ensure!(takes(&frame, &[7; 256]));
            // Longer than the buffer, in the longest form.
            let frame = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0];
            ensure!(error(&frame) == Some(FramingError::TooLong));
            let frame = [0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0];
            ensure!(error(&frame) == Some(FramingError::TooLong));
            Ok(())
        },
    ),
    case(
        "a length in a longer form than it needs is refused",
        CLAUSE,
        || {
            let frames: [&[u8]; 5] = [
                &[0x82, 126, 0, 0],
                &[0x82, 126, 0, 125],
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5],
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 1, 0],
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
            ];
            for (step, frame) in frames.into_iter().enumerate() {
                ensure!(error(frame) == Some(FramingError::BadFrame), step);
            }
            Ok(())
        },
    ),
    case("reserved bits and opcodes are refused", CLAUSE, || {
        for bit in [0x10, 0x20, 0x40] {
            ensure!(error(&[0x82 | bit, 0]) == Some(FramingError::BadFrame));
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            let step = usize::from(opcode);
            ensure!(
                error(&[0x80 | opcode, 0]) == Some(FramingError::BadFrame),
                step
            );
        }
        Ok(())
    }),
    case("fragments out of place are refused", CLAUSE, || {
        // A last one without a first, and a new message in the midst of one.
        ensure!(error(&[0x80, 1, 7]) == Some(FramingError::BadFrame));
        ensure!(error(&[0x00, 1, 7]) == Some(FramingError::BadFrame));
        ensure!(error(&[0x02, 1, 7, 0x82, 1, 7]) == Some(FramingError::BadFrame));
        ensure!(error(&[0x82, 1, 7, 0x80, 1, 7]) == Some(FramingError::BadFrame));
        Ok(())
    }),
    case(
        "a ping between fragments is answered, and the message goes on",
        CLAUSE,
        ping_between,
    ),
    case(
        "a ping is answered with a masked pong of the same payload",
        RFC,
        || {
            let mut buffer = [0; 64];
            let mut socket = WebSocketClient::new(&mut buffer);
            let ping = [0x89, 5, b'H', b'e', b'l', b'l', b'o'];
            let absorbed = socket.absorb(&ping);
            ensure!(absorbed.is_ok_and(|absorbed| absorbed.progress == Progress::Answer));
            let mut out = [0; 64];
            let mut entropy = FixedEntropy::new("mask");
            let pong = socket.emit_answer(&mut entropy, &mut out);
            ensure!(pong.is_ok_and(|pong| unmasked(pong, 0x8A) == Some((*b"Hello\0\0\0", 5))));
            // It is answered once.
            ensure!(
                socket
                    .emit_answer(&mut entropy, &mut out)
                    .is_ok_and(<[u8]>::is_empty)
            );
            Ok(())
        },
    ),
    case(
        "a pong that nobody asked for is passed over",
        CLAUSE,
        || {
            ensure!(takes(&[0x8A, 2, 1, 2, 0x8A, 0, 0x82, 1, 9], &[9]));
            Ok(())
        },
    ),
    case(
        "a close is answered with a close and ends the stream",
        CLAUSE,
        || {
            let mut buffer = [0; 64];
            let mut socket = WebSocketClient::new(&mut buffer);
            let absorbed = socket.absorb(&[0x88, 2, 0x03, 0xE8]);
            ensure!(absorbed.is_ok_and(|absorbed| absorbed.progress == Progress::Ended));
            let mut out = [0; 64];
            let close = socket.emit_answer(&mut FixedEntropy::new("mask"), &mut out);
            let expected = Some(([0x03, 0xE8, 0, 0, 0, 0, 0, 0], 2));
            ensure!(close.is_ok_and(|close| unmasked(close, 0x88) == expected));
            Ok(())
        },
    ),
    case(
        "a control frame in fragments or over 125 bytes is refused",
        CLAUSE,
        || {
            for opcode in [0x8, 0x9, 0xA] {
                let step = usize::from(opcode);
                ensure!(error(&[opcode, 0]) == Some(FramingError::BadFrame), step);
                let long = [0x80 | opcode, 126, 0, 126];
                ensure!(error(&long) == Some(FramingError::BadFrame), step);
            }
            Ok(())
        },
    ),
    case(
        "a message as long as the buffer is taken, one longer is refused, whole or in fragments",
        CLAUSE,
        || {
            let mut frame = [7; 68];
            frame[..2].copy_from_slice(&[0x82, 64]);
            ensure!(takes_in::<64>(&frame[..66], &[7; 64]));
            frame[1] = 65;
            ensure!(error_in::<64>(&frame[..67]) == Some(FramingError::TooLong));
            let mut fragments = [7; 69];
            fragments[..2].copy_from_slice(&[0x02, 64]);
            fragments[66..].copy_from_slice(&[0x80, 1, 7]);
            ensure!(error_in::<64>(&fragments) == Some(FramingError::TooLong));
            Ok(())
        },
    ),
    case(
        "a stream split at every byte gives the same messages",
        CLAUSE,
        || {
            let stream = [0x02, 2, b'H', b'e', 0x8A, 1, 7, 0x80, 3, b'l', b'l', b'o'];
            for at in 0..=stream.len() {
                let mut buffer = [0; 64];
                let mut socket = WebSocketClient::new(&mut buffer);
                let (front, back) = stream.split_at(at);
                let first = socket.absorb(front);
                ensure!(first.is_ok(), at);
                let last = if at == stream.len() {
                    first
                } else {
                    socket.absorb(back)
                };
                ensure!(
                    last.is_ok_and(|absorbed| absorbed.progress == Progress::Message),
                    at
                );
                ensure!(socket.message() == b"Hello", at);
            }
            Ok(())
        },
    ),
    case(
        "what the client sends is final, binary and masked, with the shortest length",
        CLAUSE,
        || {
            let mut buffer = [0; 4];
            let mut socket = WebSocketClient::new(&mut buffer);
            let mut entropy = FixedEntropy::new("mask");
            let message = [0x5A; 400];
            for (len, header) in [(0, 6), (125, 6), (126, 8), (400, 8)] {
                let mut out = [0; 400 + MAX_CLIENT_HEADER_LEN];
                let frame = socket.emit(&message[..len], &mut entropy, &mut out);
                ensure!(frame.is_ok(), len);
                let frame = frame.unwrap_or_default();
                ensure!(frame.len() == header + len && frame[0] == 0x82, len);
                ensure!(frame[1] & 0x80 != 0, len);
                let mask = &frame[header - 4..header];
                let clear = frame[header..].iter().zip(mask.iter().cycle());
                ensure!(
                    clear
                        .map(|(byte, mask)| byte ^ mask)
                        .eq(message[..len].iter().copied()),
                    len
                );
                let mut short = [0; 400 + MAX_CLIENT_HEADER_LEN];
                let short = &mut short[..header + len - 1];
                ensure!(
                    socket.emit(&message[..len], &mut entropy, short).is_err(),
                    len
                );
            }
            // Each frame has a mask of its own (RFC 6455 §5.3).
            let (mut one, mut two) = ([0; 16], [0; 16]);
            ensure!(socket.emit(b"same", &mut entropy, &mut one).is_ok());
            ensure!(socket.emit(b"same", &mut entropy, &mut two).is_ok());
            ensure!(one[2..6] != two[2..6]);
            Ok(())
        },
    ),
];

fn takes(stream: &[u8], message: &[u8]) -> bool {
    takes_in::<300>(stream, message)
}

/// Returns whether `stream` is `message` and nothing more.
fn takes_in<const N: usize>(stream: &[u8], message: &[u8]) -> bool {
    let mut buffer = [0; N];
    let mut socket = WebSocketClient::new(&mut buffer);
    let whole = socket.absorb(stream).is_ok_and(|absorbed| {
        absorbed.taken == stream.len() && absorbed.progress == Progress::Message
    });
    whole && socket.message() == message
}

fn error(stream: &[u8]) -> Option<FramingError> {
    error_in::<300>(stream)
}

/// Returns why `stream` cannot be followed, after however many messages.
fn error_in<const N: usize>(stream: &[u8]) -> Option<FramingError> {
    let mut buffer = [0; N];
    let mut socket = WebSocketClient::new(&mut buffer);
    let mut at = 0;
    while at < stream.len() {
        match socket.absorb(&stream[at..]) {
            Ok(absorbed) => at += absorbed.taken,
            Err(error) => return Some(error),
        }
    }
    None
}

/// Returns the payload of a short masked `frame` with the first byte `first`, and its length.
fn unmasked(frame: &[u8], first: u8) -> Option<([u8; 8], usize)> {
    let ([start, len], rest) = frame.split_first_chunk()?;
    let (mask, payload) = rest.split_first_chunk::<4>()?;
    let expected = *start == first && usize::from(len & 0x7F) == payload.len() && len & 0x80 != 0;
    let mut clear = [0; 8];
    for (to, (byte, mask)) in clear
        .iter_mut()
        .zip(payload.iter().zip(mask.iter().cycle()))
    {
        *to = byte ^ mask;
    }
    expected.then_some((clear, payload.len()))
}

fn ping_between() -> Result<(), Failure> {
    let mut buffer = [0; 64];
    let mut socket = WebSocketClient::new(&mut buffer);
    let stream = [
        0x02, 2, b'H', b'e', 0x89, 1, b'?', 0x80, 3, b'l', b'l', b'o',
    ];
    let ping = socket.absorb(&stream);
    ensure!(
        ping.is_ok_and(|absorbed| absorbed.taken == 7 && absorbed.progress == Progress::Answer)
    );
    let mut out = [0; 16];
    let pong = socket.emit_answer(&mut FixedEntropy::new("mask"), &mut out);
    ensure!(pong.is_ok_and(|pong| pong.len() == 7));
    let rest = socket.absorb(&stream[7..]);
    ensure!(rest.is_ok_and(|absorbed| absorbed.progress == Progress::Message));
    ensure!(socket.message() == b"Hello");
    Ok(())
}
