//! The key schedule (PROTOCOL.md §3.4). Each stage consumes the one before.
//!
//! ```text
//! psk or 0^32 -Extract-> early -"res binder"  binder in M1
//!                          |
//!                     "derived"(th0)-+
//!                                    Extract(dh)-> hs -"derived"(th5)-+
//!                                     |  "r key"(th1)  M2             Extract(0^32)-> master
//!                                     |  "i key"(th3)  M3               |  "m4 key"(th5)  M4
//!                                     |  "r fin"(th2), "i fin"(th4)     |  "fin"(th5)     FIN
//!                                     |     without signatures          |  "i2r", "r2i"   traffic secrets
//!                                                                       |  "exp", "res"   exporter, resumption
//! ```

use super::external::ExternalKey;
use super::transcript::{
    AfterM1, AfterM2, AfterM2Clear, AfterM3, AtInitiatorProof, AtResponderProof,
};
use crate::crypto::{
    AeadKey, EphemeralKey, HASH_LEN, Hash, Mac, Secret, Share, Suite, expand_hash, expand_label,
    extract,
};
use crate::reason::Reason;
use crate::wire::{Mode, TICKET_ID_LEN};

/// The pre-shared key of a handshake that has none.
const NO_PSK: [u8; 32] = [0; 32];

/// What a handshake without signatures rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestsOn {
    /// A ticket of an earlier session.
    Ticket,
    /// A key that both ends were given.
    ExternalKey,
}

impl RestsOn {
    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Ticket => Mode::Resume,
            Self::ExternalKey => Mode::External,
        }
    }
}

/// What there is before the shares.
#[derive(Debug)]
pub(super) struct Early(Secret<32>);

impl Early {
    /// Returns the stage of a handshake with signatures.
    pub(super) fn without_secret() -> Self {
        Self(extract(&[0; 32], &NO_PSK))
    }

    /// Returns the stage of a handshake that rests on a ticket's secret.
    pub(super) fn of_ticket(secret: &Secret<32>) -> Self {
        Self(extract(&[0; 32], secret.expose()))
    }

    /// Returns the stage of a handshake that rests on an external key. The key is bound to the responder's, so that one
    /// that a node has in both roles does not let it speak with itself (RFC 9257 §4.1).
    pub(super) fn of_external(key: &ExternalKey, responder: &Hash) -> Self {
        let extracted = extract(&[0; 32], key.secret.expose());
        let mut context = [0; TICKET_ID_LEN + HASH_LEN];
        let parts = key.identity.iter().chain(responder.as_bytes());
        for (to, from) in context.iter_mut().zip(parts) {
            *to = *from;
        }
        let psk = expand_label::<32>(&extracted, "ext psk", &context);
        Self(extract(&[0; 32], psk.expose()))
    }

    /// Returns the proof, over all of M1 before it, that the initiator has the secret.
    pub(super) fn binder(&self, rests_on: RestsOn, before_binder: &Hash) -> Mac {
        let label = match rests_on {
            RestsOn::Ticket => "res binder",
            RestsOn::ExternalKey => "ext binder",
        };
        let key = expand_label::<32>(&self.0, label, b"");
        Mac::of(key.expose(), &[before_binder.as_bytes()])
    }

    /// Agrees with `peer` and mixes the result with the transcript.
    pub(super) fn agree(
        &self,
        suite: Suite,
        ephemeral: &EphemeralKey,
        peer: &Share,
        th0: &AfterM1,
    ) -> Result<HandshakeSecret, Reason> {
        let shared = ephemeral.agree(peer).ok_or(Reason::ZeroSharedSecret)?;
        let salt = expand_hash(&self.0, "derived", &th0.0);
        let secret = extract(salt.expose(), shared.expose());
        Ok(HandshakeSecret { secret, suite })
    }
}

/// The secret that both shares give.
#[derive(Debug)]
pub(super) struct HandshakeSecret {
    secret: Secret<32>,
    suite: Suite,
}

impl HandshakeSecret {
    /// Returns the suite that was chosen.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns the key of M2 and of a REFUSE.
    pub(super) fn responder_key(&self, th1: &AfterM2Clear) -> AeadKey {
        aead_key(self.suite, &self.secret, "r key", "r iv", &th1.0)
    }

    /// Returns the key of M3.
    pub(super) fn initiator_key(&self, th3: &AfterM2) -> AeadKey {
        aead_key(self.suite, &self.secret, "i key", "i iv", &th3.0)
    }

    /// Returns the responder's confirmation in a handshake without signatures.
    pub(super) fn responder_fin(&self, th2: &AtResponderProof) -> Mac {
        confirmation(&self.secret, "r fin", &th2.0)
    }

    /// Returns the initiator's confirmation in a handshake without signatures.
    pub(super) fn initiator_fin(&self, th4: &AtInitiatorProof) -> Mac {
        confirmation(&self.secret, "i fin", &th4.0)
    }

    /// Returns the secret that both proofs are under.
    pub(super) fn to_master(&self, th5: &AfterM3) -> Master {
        let salt = expand_hash(&self.secret, "derived", &th5.0);
        Master {
            secret: extract(salt.expose(), &NO_PSK),
            suite: self.suite,
            th5: *th5,
        }
    }
}

/// The secret of a whole transcript.
#[derive(Debug)]
pub(super) struct Master {
    secret: Secret<32>,
    suite: Suite,
    th5: AfterM3,
}

impl Master {
    /// Returns the suite that was chosen.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns the key of M4.
    pub(super) fn m4_key(&self) -> AeadKey {
        aead_key(self.suite, &self.secret, "m4 key", "m4 iv", &self.th5.0)
    }

    /// Returns the confirmation in M4.
    pub(super) fn fin(&self) -> Mac {
        confirmation(&self.secret, "fin", &self.th5.0)
    }

    /// Returns the transcript that the secret is of.
    pub(super) fn transcript(&self) -> &AfterM3 {
        &self.th5
    }

    /// Returns what the session runs on.
    pub(super) fn traffic(&self) -> TrafficSecrets {
        let secret = |label| expand_hash(&self.secret, label, &self.th5.0);
        TrafficSecrets {
            initiator_to_responder: secret("i2r"),
            responder_to_initiator: secret("r2i"),
            resumption: ResumptionSecret(secret("res")),
            exporter: Exporter(secret("exp")),
        }
    }
}

/// The secrets of a session, by direction.
#[derive(Debug)]
pub struct TrafficSecrets {
    pub(crate) initiator_to_responder: Secret<32>,
    pub(crate) responder_to_initiator: Secret<32>,
    pub(crate) resumption: ResumptionSecret,
    pub(crate) exporter: Exporter,
}

/// What the tickets of a session are made of. It changes with every key update.
#[derive(Debug)]
pub(crate) struct ResumptionSecret(pub(crate) Secret<32>);

impl ResumptionSecret {
    /// Returns the secret of the ticket with this nonce.
    pub(crate) fn ticket(&self, nonce: &[u8]) -> Secret<32> {
        expand_label(&self.0, "ticket", nonce)
    }
}

/// Gives the application secrets that both ends of this one session share (PROTOCOL.md §3.5).
#[derive(Debug)]
pub struct Exporter(Secret<32>);

impl Exporter {
    /// Returns the exporter of `secret`.
    #[cfg(test)]
    pub(crate) fn of(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// Returns 32 bytes for the purpose `label`, at most 28 bytes long, and the context `context`.
    #[must_use]
    pub fn export(&self, label: &'static str, context: &[u8]) -> Secret<32> {
        let purpose = expand_label::<32>(&self.0, label, b"");
        expand_hash(&purpose, "exporter", &Hash::of(&[context]))
    }
}

/// Returns the code of `transcript` under the key that `label` names.
fn confirmation(secret: &Secret<32>, label: &'static str, transcript: &Hash) -> Mac {
    let key = expand_hash(secret, label, transcript);
    Mac::of(key.expose(), &[transcript.as_bytes()])
}

fn aead_key(
    suite: Suite,
    secret: &Secret<32>,
    key: &'static str,
    iv: &'static str,
    context: &Hash,
) -> AeadKey {
    AeadKey::new(
        suite,
        &expand_hash(secret, key, context),
        expand_label(secret, iv, context.as_bytes()),
    )
}
