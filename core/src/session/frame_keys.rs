//! From the secret of one epoch to its frame key, and to the secrets of the next epoch (PROTOCOL.md §5.4).

use crate::crypto::{
    AeadKey, EphemeralKey, Hash, Secret, Share, Suite, expand_hash, expand_label, extract,
};
use crate::handshake::ResumptionSecret;
use crate::reason::Reason;

/// Returns the key that frames of the epoch of `secret` are sealed under.
pub(super) fn frame_key(suite: Suite, secret: &Secret<32>) -> AeadKey {
    AeadKey::new(
        suite,
        &expand_label(secret, "key", b""),
        expand_label(secret, "iv", b""),
    )
}

/// The secrets of the epoch that is left.
pub(super) struct EpochSecrets<'s> {
    pub(super) send: &'s Secret<32>,
    pub(super) receive: &'s Secret<32>,
    pub(super) resumption: &'s ResumptionSecret,
}

/// The secrets of the epoch that is entered.
#[derive(Debug)]
pub(super) struct NextEpoch {
    pub(super) send: Secret<32>,
    pub(super) receive: Secret<32>,
    pub(super) resumption: ResumptionSecret,
}

/// What both ends put into the next epoch: the shares as they were sent, and what they agree on.
pub(super) struct Contribution<'s> {
    pub(super) asked: Option<[u8; 32]>,
    pub(super) answered: Option<[u8; 32]>,
    pub(super) own: Option<&'s EphemeralKey>,
    pub(super) peer: Option<[u8; 32]>,
}

impl EpochSecrets<'_> {
    /// Returns the secrets of epoch `epoch`.
    pub(super) fn next(
        &self,
        epoch: u32,
        contribution: &Contribution<'_>,
    ) -> Result<NextEpoch, Reason> {
        let none = [0; 32];
        let t = Hash::of(&[
            b"ML1 rekey",
            &epoch.to_be_bytes(),
            contribution.asked.as_ref().unwrap_or(&none),
            contribution.answered.as_ref().unwrap_or(&none),
        ]);
        let shared = match (contribution.own, contribution.peer) {
            (Some(own), Some(peer)) => own.agree(&Share(peer)).ok_or(Reason::ZeroSharedSecret)?,
            (None, None) => Secret::new(none),
            // An answer has a share if and only if the question had one.
            _ => return Err(Reason::KeyUpdate),
        };
        let step = |secret: &Secret<32>| {
            extract(expand_hash(secret, "next", &t).expose(), shared.expose())
        };
        Ok(NextEpoch {
            send: step(self.send),
            receive: step(self.receive),
            resumption: ResumptionSecret(step(&self.resumption.0)),
        })
    }
}
