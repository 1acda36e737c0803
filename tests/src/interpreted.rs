//! Which cases Miri runs, and why the others not.

use crate::{
    Case, framing, jws, message, message_mac, session, storage, time_floor, token, vectors,
    websocket,
};

/// The tables that are interpreted, but for [`LONG`]: what is parsed, framed, counted and derived.
const TABLES: &[&[Case]] = &[
    framing::CASES,
    websocket::CASES,
    message::CASES,
    message::link::CASES,
    message_mac::CASES,
    time_floor::CASES,
    session::window::CASES,
    storage::record::CASES,
    storage::counter::CASES,
    token::accepted::CASES,
    token::header::CASES,
    token::kid::CASES,
    token::json::CASES,
    token::numbers::CASES,
    token::encoding::CASES,
    token::mint::CASES,
    jws::CASES,
    vectors::LABELS,
];

/// The names of the cases of these tables that are left out: each goes through every length, every bit, or thousands of steps.
pub const LONG: &[&str] = &[
    "messages of every length and content come back as they were",
    "after garbage of every kind the next message is whole again",
    "every flipped bit of a message is dropped and counted, or splits it",
    "a prekey, command, reply or bundle of a length that none has is refused",
    "a window of 64 agrees with a list of all numbers over 100,000 steps",
    "a window of 1,024 agrees with a list of all numbers over 100,000 steps",
    "a window of 2,048 agrees with a list of all numbers over 100,000 steps",
    "every truncation of the compact form is refused",
    "a buffer that is too short is the caller's fault and named so",
    "claims that we do not know are ignored",
    "the generic layer ignores header parameters that it does not know",
    "writes erase as many sectors as the formula says, and the sectors take turns",
    "a kept value comes back at once and after a reset, of every length and in flash of every unit",
    "a write clears no bit of a place that was written, unless the record wipes",
    "of a record that wipes no older value is left in flash",
    "the numbers of a record end, and its value stays",
    "bytes that are no version of the record are no value, and are written over",
    "a counter counts from zero, goes on after a reset and writes once a step",
    "a counter that loses power at any step never repeats and never goes back",
    "a counter ends before it would begin again",
];

/// Iterates over the cases that are interpreted, in the order in which they run.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let tables = TABLES.iter().copied().flatten();
    tables.filter(|case| !LONG.contains(&case.name))
}

/// Returns how many cases are left out, for each reason.
#[must_use]
pub fn left_out() -> [(usize, &'static str); 2] {
    let table_len: usize = TABLES.iter().map(|table| table.len()).sum();
    [
        (
            LONG.len(),
            "every length, every bit or 100,000 steps, which take minutes each",
        ),
        (
            crate::cases().count() - table_len,
            "claim by claim, the primitives alone, power lost at every step, and whole connections, which seal and hash for minutes each",
        ),
    ]
}
