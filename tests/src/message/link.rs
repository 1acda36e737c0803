//! What a peer and its hub say to each other (PROTOCOL.md §10.4).

use moorline_core::crypto::PUBLIC_KEY_LEN;
use moorline_core::limits::{MAX_OFFLINE_COMMAND_LEN, MAX_OFFLINE_REPLY_LEN};
use moorline_core::message::{AgentEntry, FromHub, OfflineRefusal, RouteRefusal, ToHub};
use moorline_core::offline::{MIN_COMMAND_LEN, MIN_REPLY_LEN, SIGNED_PREKEY_LEN};
use moorline_core::reason::Reason;
use moorline_core::revocation::MAX_REVOKE_LIST_LEN;
use moorline_core::token::MAX_UNPACKED_LEN;

use super::case;
use crate::{Case, Failure, ensure};

const LINK: &str = "PROTOCOL.md §10.4";

pub(crate) static CASES: &[Case] = &[
    case(
        "the messages between a peer and the hub are what their layouts say",
        LINK,
        || {
            let mut out = [0; 64];
            let ask = ToHub::ListAgents { after: None };
            ensure!(ask.encode(&mut out).is_ok_and(|bytes| bytes == [1, 0, 0]));
            let mut after = [9; 19];
            after[..3].copy_from_slice(&[1, 0, 1]);
            let ask = ToHub::ListAgents {
                after: Some([9; 16]),
            };
            ensure!(ask.encode(&mut out).is_ok_and(|bytes| bytes == after));
            ensure!(ToHub::decode(&after) == Ok(ask));
            let mut entries = heapless::Vec::new();
            let entry = AgentEntry {
                id: [5; 16],
                name: "crane-7",
                online: true,
            };
            ensure!(entries.push(entry).is_ok());
            let answer = FromHub::Agents {
                entries,
                more: false,
            };
            let mut expected = [5; 29];
            expected[..3].copy_from_slice(&[1, 0, 1]);
            expected[19..].copy_from_slice(b"\x07crane-7\x01\x00");
            ensure!(answer.encode(&mut out).is_ok_and(|bytes| bytes == expected));
            ensure!(FromHub::decode(&expected) == Ok(answer));
            ensure!(FromHub::decode(&[1, 2]) == Ok(FromHub::NotPermitted));
            Ok(())
        },
    ),
    case(
        "every refusal to carry an envelope has its number",
        LINK,
        || {
            let refusals = [
                RouteRefusal::UnknownAgent,
                RouteRefusal::Offline,
                RouteRefusal::NotPermitted,
                RouteRefusal::BadMessage,
                RouteRefusal::Busy,
            ];
            for (number, refusal) in (0u8..).zip(refusals) {
                let bytes = [1, 1, 0x80, 0x01, number];
                let channel = 128;
                let refused = FromHub::RouteRefused { channel, refusal };
                ensure!(FromHub::decode(&bytes) == Ok(refused), usize::from(number));
            }
            ensure!(FromHub::decode(&[1, 1, 0, 6]).is_err());
            Ok(())
        },
    ),
    case(
        "what is said to the hub about offline commands is what its layout says",
        LINK,
        offline_to_hub,
    ),
    case(
        "what the hub says about offline commands is what its layout says",
        LINK,
        offline_from_hub,
    ),
    case(
        "asking for a newer token, and getting it, has one encoding",
        "PROTOCOL.md §10.4",
        renewal,
    ),
    case(
        "a prekey, command, reply or bundle of a length that none has is refused",
        LINK,
        offline_lengths,
    ),
    case(
        "every refusal of an offline command has its number",
        LINK,
        || {
            let refusals = [
                OfflineRefusal::UnknownAgent,
                OfflineRefusal::NotPermitted,
                OfflineRefusal::NoPrekey,
                OfflineRefusal::Full,
                OfflineRefusal::TooLong,
                OfflineRefusal::NotAfter,
                OfflineRefusal::BadMessage,
                OfflineRefusal::NotStored,
            ];
            let mut bytes = [6; 19];
            bytes[..2].copy_from_slice(&[1, 5]);
            for (number, refusal) in (0u8..).zip(refusals) {
                bytes[18] = number;
                let refused = FromHub::OfflineRefused {
                    about: [6; 16],
                    refusal,
                };
                ensure!(FromHub::decode(&bytes) == Ok(refused), usize::from(number));
            }
            bytes[18] = 8;
            ensure!(FromHub::decode(&bytes) == Err(Reason::Malformed));
            Ok(())
        },
    ),
];

/// The longest message of an offline command, with what stands before it.
const LONGEST: usize = MAX_OFFLINE_COMMAND_LEN + 8;

/// Returns a message: its number, then the length of what it carries, and as many bytes.
fn carrying(number: u8, len: usize, buffer: &mut [u8; LONGEST]) -> &[u8] {
    *buffer = [7; LONGEST];
    let low = u8::try_from(len % 128).unwrap_or_default();
    let high = u8::try_from(len / 128).unwrap_or_default();
    let front: &[u8] = if len < 128 {
        &[1, number, low]
    } else {
        &[1, number, low | 0x80, high]
    };
    buffer[..front.len()].copy_from_slice(front);
    &buffer[..front.len() + len]
}

fn offline_to_hub() -> Result<(), Failure> {
    let mut out = [0; LONGEST];
    let mut bytes = [7; 131];
    bytes[..3].copy_from_slice(&[1, 1, 126]);
    // 300 in two bytes.
    bytes[129..].copy_from_slice(&[0xac, 2]);
    let publish = ToHub::PublishPrekey {
        prekey: &[7; 126],
        max_command_len: 300,
    };
    ensure!(publish.encode(&mut out).is_ok_and(|out| out == bytes));
    ensure!(ToHub::decode(&bytes) == Ok(publish));
    let mut named = [9; 19];
    let agent = [9; 16];
    for (step, front, message) in [
        (2, &[1, 2][..], ToHub::FetchBundle { agent }),
        (4, &[1, 4, 1], ToHub::NextCommand { taken: Some(agent) }),
        (7, &[1, 7], ToHub::TakenReply { frame: agent }),
    ] {
        named[..front.len()].copy_from_slice(front);
        let bytes = &named[..front.len() + 16];
        named_is(&message, bytes, &mut out, step)?;
        named = [9; 19];
    }
    let none = ToHub::NextCommand { taken: None };
    ensure!(none.encode(&mut out).is_ok_and(|bytes| bytes == [1, 4, 0]));
    for wait in [false, true] {
        let mut bytes = [9; 19];
        bytes[..2].copy_from_slice(&[1, 6]);
        bytes[18] = u8::from(wait);
        let fetch = ToHub::FetchReply { frame: agent, wait };
        named_is(&fetch, &bytes, &mut out, 6)?;
    }
    let mut buffer = [0; LONGEST];
    let give = carrying(3, MIN_COMMAND_LEN, &mut buffer);
    let frame = &[7; MIN_COMMAND_LEN];
    named_is(&ToHub::GiveCommand { frame }, give, &mut out, 3)?;
    let give = carrying(5, MIN_REPLY_LEN, &mut buffer);
    let reply = &[7; MIN_REPLY_LEN];
    named_is(&ToHub::GiveReply { reply }, give, &mut out, 5)
}

fn named_is(message: &ToHub<'_>, bytes: &[u8], out: &mut [u8], step: usize) -> Result<(), Failure> {
    ensure!(message.encode(out).is_ok_and(|out| out == bytes), step);
    ensure!(ToHub::decode(bytes).as_ref() == Ok(message), step);
    for len in 2..bytes.len() {
        ensure!(ToHub::decode(&bytes[..len]).is_err(), step);
    }
    Ok(())
}

fn offline_from_hub() -> Result<(), Failure> {
    let mut out = [0; LONGEST];
    let mut buffer = [0; LONGEST];
    let bundle = &[7; SIGNED_PREKEY_LEN + 200];
    let frame = &[7; MIN_COMMAND_LEN];
    let reply = &[7; MIN_REPLY_LEN];
    for (number, len, message) in [
        (3, bundle.len(), FromHub::Bundle { bundle }),
        (6, frame.len(), FromHub::Command { frame }),
        (7, reply.len(), FromHub::Reply { reply }),
    ] {
        let bytes = carrying(number, len, &mut buffer);
        let step = usize::from(number);
        ensure!(message.encode(&mut out).is_ok_and(|out| out == bytes), step);
        ensure!(FromHub::decode(bytes) == Ok(message), step);
    }
    let mut kept = [9; 18];
    kept[..2].copy_from_slice(&[1, 4]);
    let message = FromHub::CommandKept { frame: [9; 16] };
    ensure!(message.encode(&mut out).is_ok_and(|bytes| bytes == kept));
    ensure!(FromHub::decode(&kept) == Ok(message));
    let mut none = [9; 19];
    none[..2].copy_from_slice(&[1, 8]);
    for waits in [false, true] {
        none[18] = u8::from(waits);
        let frame = [9; 16];
        let message = FromHub::NoReply { frame, waits };
        ensure!(message.encode(&mut out).is_ok_and(|bytes| bytes == none));
        ensure!(FromHub::decode(&none) == Ok(message));
    }
    Ok(())
}

fn renewal() -> Result<(), Failure> {
    let mut out = [0; LONGEST];
    let key = [4; PUBLIC_KEY_LEN];
    let mut asked = [4; 4 + PUBLIC_KEY_LEN];
    asked[..4].copy_from_slice(&[1, 8, 1, 65]);
    named_is(&ToHub::RenewToken { key: Some(&key) }, &asked, &mut out, 0)?;
    named_is(&ToHub::RenewToken { key: None }, &[1, 8, 0], &mut out, 1)?;
    for len in [0, 64, 66] {
        asked[3] = len;
        let len = usize::from(len);
        let mut bytes = [4; 4 + 66];
        bytes[..4].copy_from_slice(&asked[..4]);
        ensure!(
            ToHub::decode(&bytes[..4 + len]).err() == Some(Reason::Length),
            len
        );
    }
    let token = [7; 3];
    let given = [1, 9, 3, 7, 7, 7];
    let message = FromHub::Token { token: &token };
    ensure!(message.encode(&mut out).is_ok_and(|bytes| bytes == given));
    ensure!(FromHub::decode(&given) == Ok(message));
    ensure!(FromHub::decode(&[1, 9, 0]).err() == Some(Reason::Length));
    ensure!(FromHub::decode(&[1, 10]) == Ok(FromHub::TokenRefused));
    let message = FromHub::Revoked { list: &token };
    let said = [1, 11, 3, 7, 7, 7];
    ensure!(message.encode(&mut out).is_ok_and(|bytes| bytes == said));
    ensure!(FromHub::decode(&said) == Ok(message));
    Ok(())
}

fn offline_lengths() -> Result<(), Failure> {
    let mut buffer = [0; LONGEST];
    let refused = Some(Reason::Length);
    let mut to_hub = |number, len| ToHub::decode(carrying(number, len, &mut buffer)).err();
    for (number, least, most) in [
        (3, MIN_COMMAND_LEN, MAX_OFFLINE_COMMAND_LEN),
        (5, MIN_REPLY_LEN, MAX_OFFLINE_REPLY_LEN),
    ] {
        let step = usize::from(number);
        ensure!(to_hub(number, least).is_none(), step);
        ensure!(to_hub(number, most).is_none(), step);
        ensure!(to_hub(number, least - 1) == refused, step);
        ensure!(to_hub(number, most + 1) == refused, step);
        ensure!(to_hub(number, 0) == refused, step);
    }
    let mut from_hub = |number, len| FromHub::decode(carrying(number, len, &mut buffer)).err();
    for (number, least, most) in [
        (
            3,
            SIGNED_PREKEY_LEN + 1,
            SIGNED_PREKEY_LEN + MAX_UNPACKED_LEN,
        ),
        (6, MIN_COMMAND_LEN, MAX_OFFLINE_COMMAND_LEN),
        (7, MIN_REPLY_LEN, MAX_OFFLINE_REPLY_LEN),
        (9, 1, MAX_UNPACKED_LEN),
        (11, 1, MAX_REVOKE_LIST_LEN),
    ] {
        let step = usize::from(number);
        ensure!(from_hub(number, least).is_none(), step);
        ensure!(from_hub(number, most).is_none(), step);
        ensure!(from_hub(number, least - 1) == refused, step);
        ensure!(from_hub(number, most + 1) == refused, step);
        ensure!(from_hub(number, 0) == refused, step);
    }
    // A prekey has one length.
    for len in [0, SIGNED_PREKEY_LEN - 1, SIGNED_PREKEY_LEN + 1] {
        let mut bytes = [7; SIGNED_PREKEY_LEN + 5];
        bytes[..3].copy_from_slice(&[1, 1, u8::try_from(len).unwrap_or_default()]);
        // The limit on commands: one byte.
        let bytes = &bytes[..3 + len + 1];
        ensure!(ToHub::decode(bytes).err() == refused, len);
    }
    Ok(())
}
