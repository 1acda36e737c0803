//! What travels inside frames (PROTOCOL.md §10).

pub(crate) mod link;

use moorline_core::message::{
    Command, Envelope, Event, Field, FromAgent, FromHub, Log, MAX_ARGUMENTS, MAX_FIELDS,
    Observation, Reply, Request, Response, Status, ToHub, Value, is_carried,
};
use moorline_core::reason::Reason;

use crate::{Case, Failure, ensure};

const CODEC: &str = "PROTOCOL.md §10.1";
const ENVELOPES: &str = "PROTOCOL.md §10.2";
const COMMANDS: &str = "PROTOCOL.md §10.3";

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

/// A request `led on` with the number 300.
const REQUEST: &[u8] = b"\x01\xac\x02\x03led\x01\x02on";

pub(crate) static CASES: &[Case] = &[
    case(
        "a message of another version is refused for its version",
        CODEC,
        || {
            for version in [0, 2, 0x31, 255] {
                let mut bytes = [0; REQUEST.len()];
                bytes.copy_from_slice(REQUEST);
                bytes[0] = version;
                let step = usize::from(version);
                ensure!(Request::decode(&bytes) == Err(Reason::MessageVersion), step);
                ensure!(
                    FromAgent::decode(&bytes).err() == Some(Reason::MessageVersion),
                    step
                );
                ensure!(
                    ToHub::decode(&bytes).err() == Some(Reason::MessageVersion),
                    step
                );
                ensure!(
                    FromHub::decode(&bytes).err() == Some(Reason::MessageVersion),
                    step
                );
            }
            ensure!(Request::decode(&[]) == Err(Reason::Length));
            Ok(())
        },
    ),
    case(
        "a message that is cut off or has more behind it is refused",
        CODEC,
        || {
            for len in 1..REQUEST.len() {
                ensure!(
                    Request::decode(&REQUEST[..len]) == Err(Reason::Malformed),
                    len
                );
            }
            let mut longer = [0; REQUEST.len() + 1];
            longer[..REQUEST.len()].copy_from_slice(REQUEST);
            ensure!(Request::decode(&longer) == Err(Reason::Malformed));
            Ok(())
        },
    ),
    case(
        "a number or length in more bytes than it needs is refused",
        CODEC,
        || {
            let spellings: [&[u8]; 5] = [
                // The number 300 in three bytes, and in five.
                b"\x01\xac\x82\x00\x03led\x01\x02on",
                b"\x01\xac\x82\x80\x80\x00\x03led\x01\x02on",
                // The length 3, the count 1 and the length 2 in two.
                b"\x01\xac\x02\x83\x00led\x01\x02on",
                b"\x01\xac\x02\x03led\x81\x00\x02on",
                b"\x01\xac\x02\x03led\x01\x82\x00on",
            ];
            for (step, bytes) in spellings.into_iter().enumerate() {
                ensure!(Request::decode(bytes) == Err(Reason::Malformed), step);
            }
            // A number over 32 bits.
            let bytes = b"\x01\xff\xff\xff\xff\x10\x03led\x00";
            ensure!(Request::decode(bytes) == Err(Reason::Malformed));
            let bytes = b"\x01\xff\xff\xff\xff\x0f\x03led\x00";
            ensure!(Request::decode(bytes).is_ok_and(|request| request.id == u32::MAX));
            Ok(())
        },
    ),
    case(
        "an unknown variant and a truth value that is neither are refused",
        CODEC,
        || {
            let bytes: [&[u8]; 7] = [
                // A status, a value's kind and a truth value that do not exist.
                b"\x01\x00\x01\x05\x00",
                b"\x01\x00\x01\x00\x01\x01x\x04\x00",
                b"\x01\x00\x01\x00\x01\x01x\x00\x02",
                b"\x01\x00\x01\x85\x80\x80\x80\x00\x00",
                b"\x01\x00\x01\x00\x01\x01x\x84\x00",
                b"\x01\x00\x01\x00\x01\x01x\x00\xff",
                // A kind of message.
                b"\x01\x03\x00\x00\x00",
            ];
            for (step, bytes) in bytes.into_iter().enumerate() {
                ensure!(FromAgent::decode(bytes) == Err(Reason::Malformed), step);
            }
            ensure!(ToHub::decode(&[1, 1]).err() == Some(Reason::Malformed));
            ensure!(ToHub::decode(&[1, 0, 2]).err() == Some(Reason::Malformed));
            ensure!(ToHub::decode(&[1, 9]).err() == Some(Reason::Malformed));
            ensure!(FromHub::decode(&[1, 12]).err() == Some(Reason::Malformed));
            Ok(())
        },
    ),
    case(
        "a request is what its layout says, byte for byte",
        COMMANDS,
        || {
            let mut arguments = heapless::Vec::new();
            ensure!(arguments.push("on").is_ok());
            let command = Command {
                name: "led",
                arguments,
            };
            let request = Request { id: 300, command };
            let mut out = [0; 32];
            ensure!(request.encode(&mut out).is_ok_and(|bytes| bytes == REQUEST));
            ensure!(Request::decode(REQUEST) == Ok(request.clone()));
            for len in 0..REQUEST.len() {
                ensure!(request.encode(&mut out[..len]).is_err(), len);
            }
            Ok(())
        },
    ),
    case(
        "a response is what its layout says, with every kind of value",
        COMMANDS,
        || {
            let reply = Reply::bare(Status::Done)
                .with("on", Value::Bool(true))
                .with("degrees_mc", Value::Int(-300))
                .with("name", Value::Text("m\u{fc}hle"))
                .with("raw", Value::Bytes(&[0, 255]));
            let response = FromAgent::Response(Response { id: 1, reply });
            // -300 is 599 in zigzag.
            let expected = b"\x01\x00\x01\x00\x04\x02on\x00\x01\x0adegrees_mc\x01\xd7\x04\
            \x04name\x02\x06m\xc3\xbchle\x03raw\x03\x02\x00\xff";
            let mut out = [0; 64];
            ensure!(
                response
                    .encode(&mut out)
                    .is_ok_and(|bytes| bytes == expected)
            );
            ensure!(FromAgent::decode(expected) == Ok(response));
            for (number, status) in (0u8..).zip([
                Status::Done,
                Status::UnknownCommand,
                Status::BadArgument,
                Status::NotPermitted,
                Status::Failed,
            ]) {
                let bytes = [1, 0, 7, number, 0];
                let expected = FromAgent::Response(Response {
                    id: 7,
                    reply: Reply::bare(status),
                });
                ensure!(FromAgent::decode(&bytes) == Ok(expected));
            }
            Ok(())
        },
    ),
    case(
        "an event and a piece of a log are what their layouts say",
        COMMANDS,
        reports,
    ),
    case("text that is not UTF-8 is refused", COMMANDS, || {
        let texts: [&[u8]; 5] = [
            b"\x01\x01\x02\xff\xfe\x00",
            // Cut off, too long for its character, a surrogate; then in an argument.
            b"\x01\x01\x01\xc3\x00",
            b"\x01\x01\x02\xc0\xaf\x00",
            b"\x01\x01\x03\xed\xa0\x80\x00",
            b"\x01\x01\x01x\x01\x01\x80",
        ];
        for (step, bytes) in texts.into_iter().enumerate() {
            ensure!(Request::decode(bytes) == Err(Reason::Malformed), step);
        }
        Ok(())
    }),
    case(
        "eight arguments and twelve fields are taken, one more is refused",
        COMMANDS,
        counts,
    ),
    case(
        "a length beyond the message is refused and nothing is set aside for it",
        COMMANDS,
        || {
            let bytes: [&[u8]; 3] = [
                b"\x01\x01\xff\xff\xff\xff\x0fled",
                b"\x01\x01\x03led\xff\xff\xff\xff\x0f",
                b"\x01\x01\x03led\x01\xff\xff\xff\xff\x0f",
            ];
            for (step, bytes) in bytes.into_iter().enumerate() {
                ensure!(Request::decode(bytes) == Err(Reason::Malformed), step);
            }
            Ok(())
        },
    ),
    case(
        "an envelope is route, channel and what it carries, which is not nothing",
        ENVELOPES,
        || {
            let mut payload = [7; 24];
            payload[16..20].copy_from_slice(&[1, 2, 3, 4]);
            let envelope = Envelope::parse(&payload);
            ensure!(envelope.is_ok_and(|envelope| {
                envelope.route == [7; 16]
                    && envelope.channel == 0x0102_0304
                    && envelope.inner == [7; 4]
                    && envelope.header() == payload[..20]
            }));
            for len in 0..=20 {
                let envelope = Envelope::parse(&payload[..len]);
                ensure!(envelope == Err(Reason::Length), len);
            }
            Ok(())
        },
    ),
    case(
        "a hub carries handshake messages and frames between commanders and agents, and nothing in clear",
        ENVELOPES,
        || {
            let carried = |kind: u8| matches!(kind, 0x00..0x10 | 0x20..=0x23);
            for kind in 0..=255u8 {
                let inner = [kind, 1, 2, 3];
                ensure!(is_carried(&inner) == carried(kind), usize::from(kind));
            }
            ensure!(!is_carried(b""));
            Ok(())
        },
    ),
];

fn reports() -> Result<(), Failure> {
    let mut observation = Observation::new("temperature");
    let field = Field {
        name: "mc",
        value: Value::Int(-1),
    };
    ensure!(observation.fields.push(field).is_ok());
    let event = FromAgent::Event(Event {
        number: 300,
        lost: 2,
        age_ms: 128,
        observation,
    });
    let log = FromAgent::Log(Log {
        number: 1,
        lost: 0,
        lines: &[9, 8, 0],
    });
    let expected: [(&FromAgent<'_>, &[u8]); 2] = [
        (
            &event,
            b"\x01\x01\xac\x02\x02\x80\x01\x0btemperature\x01\x02mc\x01\x01",
        ),
        (&log, b"\x01\x02\x01\x00\x03\x09\x08\x00"),
    ];
    for (step, (message, expected)) in expected.into_iter().enumerate() {
        let mut out = [0; 64];
        ensure!(
            message
                .encode(&mut out)
                .is_ok_and(|bytes| bytes == expected),
            step
        );
        ensure!(FromAgent::decode(expected).as_ref() == Ok(message), step);
        for len in 1..expected.len() {
            ensure!(
                FromAgent::decode(&expected[..len]) == Err(Reason::Malformed),
                len
            );
        }
    }
    // An observation that waits is what stands in the event.
    let mut out = [0; 64];
    let FromAgent::Event(event) = event else {
        return Ok(());
    };
    let kept = event.observation.encode(&mut out);
    ensure!(kept.is_ok_and(|bytes| bytes == b"\x0btemperature\x01\x02mc\x01\x01"));
    ensure!(Observation::decode(b"\x0btemperature\x01\x02mc\x01\x01") == Ok(event.observation));
    ensure!(Observation::decode(b"\x0btemperature\x01\x02mc") == Err(Reason::Malformed));
    Ok(())
}

fn counts() -> Result<(), Failure> {
    // Empty arguments, and fields without a name that say no.
    for count in 0..=20 {
        let number = u8::try_from(count).unwrap_or(0);
        let mut request = [0; 25];
        request[..5].copy_from_slice(&[1, 1, 1, b'x', number]);
        let decoded = Request::decode(&request[..5 + count]).is_ok();
        ensure!(decoded == (count <= MAX_ARGUMENTS), count);
        let mut response = [0; 72];
        response[..5].copy_from_slice(&[1, 0, 1, 0, number]);
        let decoded = FromAgent::decode(&response[..5 + 3 * count]).is_ok();
        ensure!(decoded == (count <= MAX_FIELDS), count);
    }
    Ok(())
}
