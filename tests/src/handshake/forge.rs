//! Messages that are sealed and signed as they should be, and say what they should not.

use moorline_core::crypto::SigningKey;

use super::stages::Stages;
use crate::Failure;
use crate::fixture::World;
use crate::pair::Message;
use crate::reference::{Announcement, Answered};
use crate::vectors::{Run, announcement, m3_signed};

/// The forger: it knows every secret of the run that [`Stages`] goes through.
pub(super) struct Forger<'k> {
    pub(super) world: &'k World,
    pub(super) run: Run,
}

impl<'k> Forger<'k> {
    pub(super) fn new(world: &'k World) -> Result<Self, Failure> {
        let run = Run::new(world)?;
        Ok(Self { world, run })
    }

    /// Returns the hub's M2 with `change` made to what it says.
    pub(super) fn m2(&self, change: impl FnOnce(&mut Announcement)) -> Message {
        let mut says = announcement(self.world);
        change(&mut says);
        let hub = &self.world.hub[0];
        let named = hub.public_key().to_bytes();
        let hedge = &self.run.hedges[0];
        self.run
            .agreed
            .m2(&says.bytes(), &named, hub, hedge)
            .message
    }

    /// Returns the agent's M3 that says `signed`, with the hash of `token` in the transcript and signed by `signer`,
    /// whose key is in the transcript.
    pub(super) fn m3(&self, signed: &[u8], token: &[u8], signer: &SigningKey) -> Message {
        let hash = moorline_core::crypto::Hash::of(&[token]).0;
        let named = signer.public_key().to_bytes();
        let hedge = &self.run.hedges[1];
        self.run
            .answered
            .m3(signed, &hash, &named, signer, hedge)
            .message
    }

    /// Returns an M3 that presents `token` and is otherwise as it should be.
    pub(super) fn presenting(&self, token: &[u8]) -> Message {
        self.m3(&m3_signed(1024, 0, token), token, &self.world.agent)
    }

    pub(super) fn answered(&self) -> &Answered {
        &self.run.answered
    }
}

/// Returns whether the initiator of `stages` sends M3 for `m2`.
pub(super) fn is_taken(stages: &Stages<'_>, m2: &Message) -> bool {
    stages.refusal_of_m2(m2).is_none()
}
