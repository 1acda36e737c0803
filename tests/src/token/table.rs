//! The numbers that the profile is made of.

use core::fmt::Write;

use heapless::String;
use moorline_core::token::{
    AgentId, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, Permissions, TokenReason, TrustAnchor,
};

use super::encoding::{compact, valid_compact};
use super::forge::case;
use crate::fixture::signing_key;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §4";

pub(crate) static CASES: &[Case] = &[
    case("the permissions have the bits of the table", CLAUSE, bits),
    case(
        "what is in two sets is in both together once",
        CLAUSE,
        unions,
    ),
    case(
        "a token is as long as its parts may be, and no longer",
        CLAUSE,
        lengths,
    ),
    case(
        "a signature of one byte more is told from one that is malformed",
        CLAUSE,
        longer_signature,
    ),
    case(
        "the id of an agent is written as it is read",
        CLAUSE,
        written_id,
    ),
    case("an anchor has the kid that it was given", CLAUSE, kid),
];

/// The names of the permissions in the order of their bits.
const NAMES: [&str; 16] = [
    "agent.command.ping",
    "agent.command.echo",
    "agent.command.info",
    "agent.command.led",
    "agent.command.read",
    "agent.command.config",
    "agent.command.reboot",
    "agent.command.log",
    "agent.list",
    "agent.watch",
    "chat.send",
    "chat.broadcast",
    "hub.status",
    "hub.admin",
    "enrol",
    "agent.command.rekey",
];

fn bits() -> Result<(), Failure> {
    let mut all = 0;
    for (bit, name) in NAMES.into_iter().enumerate() {
        let own = 1_u32 << bit;
        ensure!(
            Permissions::from_name(name).map(Permissions::bits) == Some(own),
            bit
        );
        let set = Permissions::from_bits(own);
        ensure!(set.is_some_and(|set| set.names().eq([name])), bit);
        all |= own;
    }
    let count = Permissions::from_bits(all).map(|set| set.names().count());
    ensure!(count == Some(NAMES.len()));
    ensure!(Permissions::from_bits(all + 1).is_none());
    ensure!(Permissions::from_pattern("*").map(Permissions::bits) == Some(all));
    Ok(())
}

fn unions() -> Result<(), Failure> {
    let one = Permissions::AGENT_LIST.union(Permissions::AGENT_WATCH);
    let other = Permissions::AGENT_WATCH.union(Permissions::CHAT_SEND);
    let both = one.union(other);
    ensure!(both.contains(Permissions::AGENT_WATCH));
    ensure!(both.contains(one) && both.contains(other) && both.bits().count_ones() == 3);
    ensure!(one.union(one) == one);
    Ok(())
}

fn lengths() -> Result<(), Failure> {
    // Header 96, payload 512, signature 64; in base64url, with two dots.
    ensure!(MAX_UNPACKED_LEN == 675);
    ensure!(MAX_COMPACT_LEN == 128 + 683 + 86 + 2);
    Ok(())
}

fn longer_signature() -> Result<(), Failure> {
    let mut text = valid_compact();
    // 86 characters are 64 bytes, of which the last has 4 bits to spare; 87 are 65.
    if let Some(last) = text.last_mut() {
        *last = b'A';
    }
    for _ in 0..2 {
        let _ = text.push(b'A');
    }
    compact(&text, TokenReason::SignatureLength)
}

fn written_id() -> Result<(), Failure> {
    let id = AgentId([
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32,
        0x10,
    ]);
    let mut text = String::<40>::new();
    ensure!(write!(text, "{id}").is_ok());
    ensure!(text == "0123456789abcdeffedcba9876543210");
    ensure!(text.parse() == Ok(id));
    Ok(())
}

fn kid() -> Result<(), Failure> {
    let key = *signing_key("issuer")?.public_key();
    let anchor = TrustAnchor::new("https://issuer.example", "first", key);
    ensure!(anchor.is_ok_and(|anchor| anchor.kid() == "first"));
    Ok(())
}
