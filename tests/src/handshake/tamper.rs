//! Every flipped bit, every truncation and every extension of every handshake message.

use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{M1_LEN, M2_CLEAR_LEN};

use super::stages::{Stages, Verdict, answer};
use crate::fixture::{Door, World};
use crate::pair::Message;
use crate::{Case, Failure, ensure};

/// Every so many bits of M1's share one is flipped and answered: an answer is 8 million instructions on a device.
/// It is prime, so that every position within a byte is met.
const SHARE_STRIDE: usize = 7;

/// Where M1's share stands.
const SHARE_AT: core::ops::Range<usize> = 21..53;

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "every flipped bit of M1 is refused or gives an M2 that does not open, one in 7 within the share",
        clause: "PROTOCOL.md §3.3",
        run: flips_of_m1,
    },
    Case {
        name: "every flipped bit of M2 is refused, in the sealed part because it does not open",
        clause: "PROTOCOL.md §2.3",
        run: flips_of_m2,
    },
    Case {
        name: "every flipped bit of M3 is refused without an answer",
        clause: "PROTOCOL.md §2.4",
        run: flips_of_m3,
    },
    Case {
        name: "every flipped bit of M4 is refused",
        clause: "PROTOCOL.md §2.5",
        run: flips_of_m4,
    },
    Case {
        name: "every flipped bit of a REFUSE is refused and not taken for one",
        clause: "PROTOCOL.md §2.6",
        run: flips_of_refuse,
    },
    Case {
        name: "every truncation and every extension by one byte of a handshake message is refused",
        clause: "PROTOCOL.md §2.1",
        run: lengths,
    },
    Case {
        name: "a message shortened or extended with its length to match is refused",
        clause: "PROTOCOL.md §2.1",
        run: matching_lengths,
    },
];

/// Returns `message` with one bit changed.
fn flipped(message: &Message, bit: usize) -> Message {
    let mut copy = message.clone();
    if let Some(byte) = copy.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    copy
}

/// Returns whether `reason` is one that a flipped bit of a head can have.
fn is_of_head(reason: Reason, byte: usize) -> bool {
    match byte {
        0 => matches!(reason, Reason::UnknownType | Reason::OutOfPlace),
        1 => reason == Reason::Version,
        2 | 3 => reason == Reason::Length,
        _ => false,
    }
}

fn flips_of_m1() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    let mut answered = 0;
    for bit in 0..M1_LEN * 8 {
        let byte = bit / 8;
        let last_of_share = bit == SHARE_AT.end * 8 - 1;
        if SHARE_AT.contains(&byte) && bit % SHARE_STRIDE != 0 && !last_of_share {
            continue;
        }
        match answer(&world, &flipped(&stages.m1, bit)) {
            Ok((_, m2)) => {
                ensure!(stages.refusal_of_m2(&m2) == Some(Reason::Unsealed), bit);
                answered += 1;
            }
            Err(reason) => {
                let expected = match byte {
                    4..9 => matches!(reason, Reason::SuiteList | Reason::Suite),
                    9 => matches!(reason, Reason::Mode | Reason::Length),
                    10 => matches!(reason, Reason::Form | Reason::Reserved | Reason::Downgrade),
                    11 | 12 => reason == Reason::Mtu,
                    13..17 => reason == Reason::ConnectionId,
                    53 => reason == Reason::Form,
                    _ => is_of_head(reason, byte),
                };
                ensure!(expected, bit);
            }
        }
    }
    // The hint, most of the mtu, the flags that ask for nothing, and the share.
    ensure!(answered > 80, answered);
    Ok(())
}

fn flips_of_m2() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    for bit in 0..stages.m2.len() * 8 {
        let byte = bit / 8;
        let reason = stages.refusal_of_m2(&flipped(&stages.m2, bit));
        let expected = reason.is_some_and(|reason| match byte {
            0..4 => is_of_head(reason, byte),
            4 => reason == Reason::Suite,
            5 => reason == Reason::Mode,
            6..14 => reason == Reason::ConnectionId,
            _ => reason == Reason::Unsealed,
        });
        ensure!(expected, bit);
    }
    ensure!(stages.refusal_of_m2(&stages.m2).is_none());
    Ok(())
}

fn flips_of_m3() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    let mut door = Door::default();
    for bit in 0..stages.m3.len() * 8 {
        let byte = bit / 8;
        let verdict = stages.verdict_on_m3(&flipped(&stages.m3, bit), &mut door);
        let Verdict::Dropped(reason) = verdict else {
            ensure!(false, bit);
            continue;
        };
        let expected = match byte {
            0..4 => is_of_head(reason, byte),
            4..8 => reason == Reason::ConnectionId,
            _ => reason == Reason::Unsealed,
        };
        ensure!(expected, bit);
    }
    ensure!(door.admitted == 0);
    ensure!(stages.verdict_on_m3(&stages.m3, &mut door) == Verdict::Open);
    Ok(())
}

fn flips_of_m4() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    flips_at_await_m4(&stages, &stages.m4)?;
    ensure!(stages.refusal_of_m4(&stages.m4).is_none());
    Ok(())
}

fn flips_of_refuse() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    let mut door = Door {
        revoked: true,
        ..Door::default()
    };
    let Verdict::Refused(refuse, Reason::Revoked) = stages.verdict_on_m3(&stages.m3, &mut door)
    else {
        ensure!(false);
        return Ok(());
    };
    flips_at_await_m4(&stages, &refuse)?;
    ensure!(stages.refusal_of_m4(&refuse) == Some(Reason::RefusedCredential));
    Ok(())
}

fn flips_at_await_m4(stages: &Stages<'_>, message: &Message) -> Result<(), Failure> {
    for bit in 0..message.len() * 8 {
        let byte = bit / 8;
        let reason = stages.refusal_of_m4(&flipped(message, bit));
        let expected = reason.is_some_and(|reason| match byte {
            // One bit lies between M4, REFUSE and other types; what is then read has another length.
            0 => matches!(
                reason,
                Reason::UnknownType | Reason::OutOfPlace | Reason::Length
            ),
            1..4 => is_of_head(reason, byte),
            4..8 => reason == Reason::ConnectionId,
            _ => reason == Reason::Unsealed,
        });
        ensure!(expected, bit);
    }
    Ok(())
}

fn lengths() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    let length = Some(Reason::Length);
    each_length(&stages.m1, |m1| answer(&world, m1).err() == length)?;
    each_length(&stages.m2, |m2| stages.refusal_of_m2(m2) == length)?;
    let dropped = Verdict::Dropped(Reason::Length);
    each_length(&stages.m3, |m3| {
        stages.verdict_on_m3(m3, &mut Door::default()) == dropped
    })?;
    each_length(&stages.m4, |m4| stages.refusal_of_m4(m4) == length)
}

/// Checks that `is_refused` holds for every truncation of `message` and for it with one more byte.
fn each_length(message: &Message, is_refused: impl Fn(&[u8]) -> bool) -> Result<(), Failure> {
    for len in 0..message.len() {
        ensure!(is_refused(message.get(..len).unwrap_or_default()), len);
    }
    let mut longer = message.clone();
    ensure!(longer.push(0).is_ok());
    ensure!(is_refused(&longer), longer.len());
    Ok(())
}

fn matching_lengths() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    let dropped = Verdict::Dropped(Reason::Length);
    for len in [0, 1, 45, M2_CLEAR_LEN, 91, 103, 105, 161, 1024] {
        let resized = |message: &Message| {
            let mut message = message.clone();
            let _ = message.resize(len.max(4), 0);
            let [high, low] = u16::try_from(message.len() - 4).unwrap_or(0).to_be_bytes();
            message[2..4].copy_from_slice(&[high, low]);
            message
        };
        ensure!(
            answer(&world, &resized(&stages.m1)).err() == Some(Reason::Length),
            len
        );
        let reason = stages.refusal_of_m2(&resized(&stages.m2));
        ensure!(reason == Some(Reason::Length), len);
        // M3 has no one length: from the least on, it is the seal that tells.
        let verdict = stages.verdict_on_m3(&resized(&stages.m3), &mut Door::default());
        let unsealed = len >= 92 && verdict == Verdict::Dropped(Reason::Unsealed);
        ensure!(verdict == dropped || unsealed, len);
        let reason = stages.refusal_of_m4(&resized(&stages.m4));
        ensure!(reason == Some(Reason::Length), len);
    }
    Ok(())
}
