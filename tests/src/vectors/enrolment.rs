//! The published enrolment: another M3 to the M2 of the example, and the M4 that answers it (PROTOCOL.md §2.9).

use moorline_core::crypto::Hash;

use super::{Run, m3_signed};
use crate::fixture::{NOW, SESSION_ID, World};
use crate::handshake::enrolment::CODE;
use crate::pair::Message;
use crate::reference::{Block, Proved, extend, m4_facts};

/// What an enrolment has of its own.
pub(crate) struct Enrolment {
    /// What stands in the place of a token: the code and the newcomer's key.
    pub(crate) credential: Message,
    /// The hash of it, which stands for the token hash.
    pub(crate) hash: Block,
    /// The plaintext of M3 before the signature.
    pub(crate) m3_signed: Message,
    /// What M3 leads to.
    pub(crate) proved: Proved,
    /// M4, which grants nothing for 60 seconds.
    pub(crate) m4: Message,
}

impl Enrolment {
    /// Derives the enrolment of the agent of `world`, as a newcomer, after the M2 of `run`.
    pub(crate) fn new(world: &World, run: &Run) -> Self {
        let key = world.agent.public_key().to_bytes();
        let mut credential = Message::new();
        extend(&mut credential, &[u8::try_from(CODE.len()).unwrap_or(0)]);
        extend(&mut credential, CODE);
        extend(&mut credential, &key);
        let hash = Hash::of(&[&credential]).0;
        let m3_signed = m3_signed(1024, 2, &credential);
        let answered = &run.answered;
        let proved = answered.m3(&m3_signed, &hash, &key, &world.agent, &run.hedges[1]);
        let m4 = proved.m4(&proved.fin(), &m4_facts(&SESSION_ID, NOW.0 + 60_000, 0));
        Self {
            credential,
            hash,
            m3_signed,
            proved,
            m4,
        }
    }
}
