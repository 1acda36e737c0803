//! Shares that give a shared secret of zero (RFC 7748 §6.1).

use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;

use super::stages::{Stages, answer};
use crate::fixture::World;
use crate::hex::hex;
use crate::{Case, Failure, ensure};

/// Every share of low order: 0, 1, both of order 8, p - 1, and those written with p added.
pub(crate) const LOW_ORDER: [[u8; 32]; 7] = [
    hex("0000000000000000000000000000000000000000000000000000000000000000"),
    hex("0100000000000000000000000000000000000000000000000000000000000000"),
    hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a share of low order is refused at the responder, with its top bit set or not",
        clause: "PROTOCOL.md §3.4",
        run: at_responder,
    },
    Case {
        name: "a share of low order is refused at the initiator, with its top bit set or not",
        clause: "PROTOCOL.md §3.4",
        run: at_initiator,
    },
];

/// Iterates over the shares as they are, and with the bit set that is not looked at (RFC 7748 §5).
fn shares() -> impl Iterator<Item = [u8; 32]> {
    LOW_ORDER.into_iter().flat_map(|share| {
        let mut marked = share;
        marked[31] |= 0x80;
        [share, marked]
    })
}

fn at_responder() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    for (step, share) in shares().enumerate() {
        let mut m1 = stages.m1.clone();
        m1[21..53].copy_from_slice(&share);
        let reason = answer(&world, &m1).err();
        ensure!(reason == Some(Reason::ZeroSharedSecret), step);
    }
    Ok(())
}

fn at_initiator() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    for (step, share) in shares().enumerate() {
        let mut m2 = stages.m2.clone();
        m2[14..46].copy_from_slice(&share);
        let reason = stages.refusal_of_m2(&m2);
        ensure!(reason == Some(Reason::ZeroSharedSecret), step);
    }
    Ok(())
}
