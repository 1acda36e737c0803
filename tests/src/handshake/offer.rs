//! What a responder takes of M1 (PROTOCOL.md §2.2).

use moorline_core::crypto::{SigningKey, Suite};
use moorline_core::entropy::Entropy;
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{Flags, Line, M1, M2_LEN, Mode, SuiteList};

use super::stages::{Stages, answer};
use crate::fixture::{Door, FixedEntropy, World, at, ephemeral_key, signing_key};
use crate::pair::{Message, copy};
use crate::reference::{Agreed, m2_clear};
use crate::vectors::{announcement, m1};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §2.2";

/// Where the fields of M1 stand.
const SUITES_AT: usize = 4;
const MODE_AT: usize = 9;
const FLAGS_AT: usize = 10;
const MTU_AT: usize = 11;
const CONNECTION_ID_AT: usize = 13;
const HINT_AT: usize = 17;
const COOKIE_LEN_AT: usize = 53;

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a list of suites that is empty, too long, repeats one or is not padded is refused",
        || {
            let lists = [
                [0, 0, 0, 0, 0],
                [0, 1, 0, 0, 0],
                [5, 1, 2, 3, 4],
                [255, 1, 2, 3, 4],
                [2, 1, 1, 0, 0],
                [4, 2, 3, 4, 2],
                [2, 1, 0, 0, 0],
                [2, 0, 1, 0, 0],
                [1, 1, 2, 0, 0],
                [1, 1, 0, 0, 9],
                [3, 1, 2, 3, 1],
            ];
            each(&lists, SUITES_AT, |_| Some(Reason::SuiteList))
        },
    ),
    case(
        "a list of suites that the responder has none of is refused",
        || {
            let lists = [[1, 3, 0, 0, 0], [4, 5, 3, 4, 255]];
            each(&lists, SUITES_AT, |_| Some(Reason::Suite))
        },
    ),
    case(
        "the first suite offered that the responder allows is taken",
        || {
            let world = World::new()?;
            let offers = [
                ([1, 2, 0, 0, 0], 2),
                ([2, 2, 1, 0, 0], 2),
                ([2, 1, 2, 0, 0], 1),
                ([3, 9, 2, 1, 0], 2),
            ];
            for (step, (list, taken)) in offers.into_iter().enumerate() {
                let mut offer = offer(&world);
                offer[SUITES_AT..MODE_AT].copy_from_slice(&list);
                let m2 = answer(&world, &offer);
                ensure!(m2.is_ok_and(|(_, m2)| m2.get(4) == Some(&taken)), step);
            }
            Ok(())
        },
    ),
    case(
        "a suite that the responder has and does not allow is passed over",
        || {
            let world = World::new()?;
            for (step, (list, taken)) in [([1, 2, 0, 0, 0], None), ([2, 2, 1, 0, 0], Some(1))]
                .into_iter()
                .enumerate()
            {
                let mut offer = offer(&world);
                offer[SUITES_AT..MODE_AT].copy_from_slice(&list);
                let parsed = M1::parse(&offer, Line::Stream);
                let chosen = parsed.map(|offer| offer.suites.choose(&SuiteList::DEFAULT));
                ensure!(chosen == Ok(taken.and_then(Suite::from_number)), step);
            }
            Ok(())
        },
    ),
    case(
        "suites that the responder does not have are passed over",
        || {
            let lists = [[2, 7, 1, 0, 0], [4, 255, 254, 6, 1], [4, 1, 9, 3, 4]];
            each(&lists, SUITES_AT, |_| None)?;
            let world = World::new()?;
            let mut offer = offer(&world);
            offer[SUITES_AT..MODE_AT].copy_from_slice(&[3, 7, 9, 1, 0]);
            let parsed = M1::parse(&offer, Line::Stream);
            ensure!(parsed.is_ok_and(
                |offer| offer.suites.choose(&SuiteList::AES_FIRST) == Some(Suite::Aes256Gcm)
            ));
            ensure!(parsed.is_ok_and(|offer| offer.suites.iter().eq([7, 9, 1])));
            let m2 = answer(&world, &offer);
            ensure!(m2.is_ok_and(|(_, m2)| m2.get(4) == Some(&1)));
            Ok(())
        },
    ),
    case(
        "mode 2 and unknown ones are refused, and mode 3 without a key",
        || {
            let modes = [[2], [4], [0x80], [0xFF]];
            each(&modes, MODE_AT, |_| Some(Reason::Mode))?;
            each(&[[3]], MODE_AT, |_| Some(Reason::Length))
        },
    ),
    case(
        "an offer of mode 1 is answered in mode 0, its ticket and binder in the transcript",
        resume,
    ),
    case(
        "an offer of mode 1 without ticket or binder, and one of mode 0 with them, is refused",
        || {
            let world = World::new()?;
            for extra in [0, 1, 16, 47, 49] {
                let reason = answer(&world, &resuming(&world, extra)).err();
                ensure!(reason == Some(Reason::Length), extra);
            }
            let mut offer = resuming(&world, 48);
            offer[MODE_AT] = 0;
            ensure!(answer(&world, &offer).err() == Some(Reason::Length));
            Ok(())
        },
    ),
    case("an offer in datagram form is refused on a stream", || {
        each(&[[0x11], [0x13], [0x17]], FLAGS_AT, |_| Some(Reason::Form))
    }),
    case("the reserved flag is refused", || {
        each(&[[0x18], [0x1A], [0x1F]], FLAGS_AT, |_| {
            Some(Reason::Reserved)
        })
    }),
    case(
        "a highest version under the head's is refused, a higher one is none of ours and taken",
        || {
            each(&[[0x00], [0x02]], FLAGS_AT, |_| Some(Reason::Downgrade))?;
            each(&[[0x20], [0xF2]], FLAGS_AT, |_| None)
        },
    ),
    case(
        "the flags without a clock and wanting a ticket are read and change nothing",
        || {
            let world = World::new()?;
            for (code, no_clock, wants_ticket) in [
                (0x10, false, false),
                (0x12, true, false),
                (0x14, false, true),
                (0x16, true, true),
            ] {
                let mut offer = offer(&world);
                offer[FLAGS_AT] = code;
                let flags = Flags {
                    no_clock,
                    wants_ticket,
                };
                let step = usize::from(code);
                ensure!(
                    M1::parse(&offer, Line::Stream).is_ok_and(|offer| offer.flags == flags),
                    step
                );
                ensure!(
                    answer(&world, &offer).is_ok_and(|(_, m2)| m2.len() == M2_LEN),
                    step
                );
            }
            Ok(())
        },
    ),
    case("a transport unit under 160 is refused", || {
        let units = [[0, 0], [0, 159], [0, 160], [0xFF, 0xFF]];
        each(&units, MTU_AT, |unit| {
            (u16::from_be_bytes(*unit) < 160).then_some(Reason::Mtu)
        })
    }),
    case("a connection id on a stream is refused", || {
        let ids = [[1, 0, 0, 0], [0, 0, 0, 1]];
        each(&ids, CONNECTION_ID_AT, |_| Some(Reason::ConnectionId))
    }),
    case("a cookie on a stream is refused", || {
        each(&[[1], [20], [0xFF]], COOKIE_LEN_AT, |_| Some(Reason::Form))?;
        let world = World::new()?;
        let mut offer = offer(&world);
        offer[3] += 20;
        offer[COOKIE_LEN_AT] = 20;
        ensure!(offer.extend_from_slice(&[7; 20]).is_ok());
        ensure!(answer(&world, &offer).err() == Some(Reason::Form));
        Ok(())
    }),
    case(
        "the hint chooses among the responder's keys, and an unknown one the current key",
        hint,
    ),
    case(
        "what an initiator offers is read back as it was meant",
        || {
            let world = World::new()?;
            let mut buffer = [0; MAX_UNPACKED_LEN];
            let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
            let read = M1::parse(&stages.m1, Line::Stream);
            ensure!(read.is_ok_and(|offer| {
                offer.mode == Mode::Full
                    && offer.mtu == 1500
                    && offer.flags.no_clock
                    && !offer.flags.wants_ticket
                    && offer.share == ephemeral_key("initiator ephemeral").share()
            }));
            let mut out = [0; 54];
            ensure!(read.is_ok_and(|offer| offer.emit(Line::Stream, &mut out).is_ok()));
            ensure!(out == *stages.m1.as_slice());
            Ok(())
        },
    ),
];

fn offer(world: &World) -> Message {
    m1(world, &ephemeral_key("initiator ephemeral").share())
}

/// Puts each of `values` at `at` of a good offer, and checks that it is refused for the reason, or answered.
fn each<const N: usize>(
    values: &[[u8; N]],
    at: usize,
    reason: fn(&[u8; N]) -> Option<Reason>,
) -> Result<(), Failure> {
    let world = World::new()?;
    for (step, value) in values.iter().enumerate() {
        let mut offer = offer(&world);
        offer[at..at + N].copy_from_slice(value);
        ensure!(answer(&world, &offer).err() == reason(value), step);
    }
    Ok(())
}

/// Returns an offer of mode 1 with `extra` bytes after the cookie's length.
fn resuming(world: &World, extra: usize) -> Message {
    let mut offer = offer(world);
    offer[MODE_AT] = 1;
    for at in 0..extra {
        let _ = offer.push(u8::try_from(at).unwrap_or(0));
    }
    offer[3] = u8::try_from(offer.len() - 4).unwrap_or(0);
    offer
}

fn resume() -> Result<(), Failure> {
    let world = World::new()?;
    let offer = resuming(&world, 48);
    let m2 = answer(&world, &offer);
    ensure!(m2.is_ok_and(|(_, m2)| m2.len() == M2_LEN && m2[..6] == [2, 1, 0, 156, 1, 0]));
    // The binder is in the transcript: with another one the answer is sealed under another key.
    let sealed = |offer: &Message| {
        answer(&world, offer).map_or([0; 16], |(_, m2)| {
            let mut first = [0; 16];
            first.copy_from_slice(&m2[46..62]);
            first
        })
    };
    let mut other = offer.clone();
    other[101] ^= 1;
    ensure!(sealed(&offer) != sealed(&other));
    Ok(())
}

fn hint() -> Result<(), Failure> {
    let world = World::new()?;
    let keys = [signing_key("hub")?, signing_key("older hub")?];
    let own = ephemeral_key("initiator ephemeral");
    let share = ephemeral_key("responder ephemeral").share();
    let names = [0, 1].map(|at: usize| keys[at].public_key().hash());
    let hints = [(names[0].prefix(), 0), (names[1].prefix(), 1), ([0; 4], 0)];
    for (step, (hint, chosen)) in hints.into_iter().enumerate() {
        let mut offer = offer(&world);
        offer[HINT_AT..HINT_AT + 4].copy_from_slice(&hint);
        let m2 = answer_with(&world, &keys, &offer);
        // What the chosen key's answer must be, by the second derivation.
        let agreed = Agreed::new(&offer, &m2_clear(1, 0, &share), &own, &share);
        let mut says = announcement(&world);
        says.key_id = names[chosen].prefix();
        let named = keys[chosen].public_key().to_bytes();
        let hedge = first_draw();
        let expected = agreed.map(|agreed| {
            agreed
                .m2(&says.bytes(), &named, &keys[chosen], &hedge)
                .message
        });
        ensure!(expected.is_some() && expected == m2.ok(), step);
    }
    let none = answer_with(&world, &[], &offer(&world));
    ensure!(none == Err(Reason::NotPinned));
    Ok(())
}

/// Returns what a responder with `keys` answers.
fn answer_with(world: &World, keys: &[SigningKey], m1: &Message) -> Result<Message, Reason> {
    let mut responder = world.responder();
    responder.keys = keys;
    let mut out = [0; M2_LEN];
    let own = ephemeral_key("responder ephemeral");
    let mut entropy = FixedEntropy::new("responder");
    let (_, m2) = responder.handle_m1(
        m1,
        &at(0),
        &mut Some(own),
        &Door::default(),
        &mut entropy,
        &mut out,
    )?;
    Ok(copy(m2))
}

/// Returns what the responder's signature is hedged with.
fn first_draw() -> [u8; 32] {
    let mut hedge = [0; 32];
    // Fixed entropy always answers.
    let _ = FixedEntropy::new("responder").fill(&mut hedge);
    hedge
}
