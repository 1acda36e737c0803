//! The key schedule (PROTOCOL.md §3.4). Each stage consumes the one before.
//!
//! ```text
//! 0^32 -Extract-> early -"derived"(th0)-+
//!                                       Extract(dh)-> hs -"derived"(th5)-+
//!                                        |  "r key"(th1)  M2             Extract(0^32)-> master
//!                                        |  "i key"(th3)  M3               |  "m4 key"(th5)  M4
//!                                                                          |  "fin"(th5)     FIN
//!                                                                          |  "i2r", "r2i"   traffic secrets
//!                                                                          |  "exp", "res"   exporter, resumption
//! ```

use super::transcript::{AfterM1, AfterM2, AfterM2Clear, AfterM3};
use crate::crypto::{
    AeadKey, EphemeralKey, Hash, Mac, Secret, Share, Suite, expand_hash, expand_label, extract,
};
use crate::reason::Reason;

/// The pre-shared key of a handshake that has none.
const NO_PSK: [u8; 32] = [0; 32];

/// The secret that both shares give.
#[derive(Debug)]
pub(super) struct HandshakeSecret(Secret<32>);

impl HandshakeSecret {
    /// Agrees with `peer` and mixes the result with the transcript.
    pub(super) fn agree(
        ephemeral: &EphemeralKey,
        peer: &Share,
        th0: &AfterM1,
    ) -> Result<Self, Reason> {
        let shared = ephemeral.agree(peer).ok_or(Reason::ZeroSharedSecret)?;
        let early = extract(&[0; 32], &NO_PSK);
        let salt = expand_hash(&early, "derived", &th0.0);
        Ok(Self(extract(salt.expose(), shared.expose())))
    }

    /// Returns the key of M2 and of a REFUSE.
    pub(super) fn responder_key(&self, th1: &AfterM2Clear) -> AeadKey {
        aead_key(&self.0, "r key", "r iv", &th1.0)
    }

    /// Returns the key of M3.
    pub(super) fn initiator_key(&self, th3: &AfterM2) -> AeadKey {
        aead_key(&self.0, "i key", "i iv", &th3.0)
    }

    /// Returns the secret that both proofs are under.
    pub(super) fn to_master(&self, th5: &AfterM3) -> Master {
        let salt = expand_hash(&self.0, "derived", &th5.0);
        Master {
            secret: extract(salt.expose(), &NO_PSK),
            th5: *th5,
        }
    }
}

/// The secret of a whole transcript.
#[derive(Debug)]
pub(super) struct Master {
    secret: Secret<32>,
    th5: AfterM3,
}

impl Master {
    /// Returns the key of M4.
    pub(super) fn m4_key(&self) -> AeadKey {
        aead_key(&self.secret, "m4 key", "m4 iv", &self.th5.0)
    }

    /// Returns the confirmation in M4.
    pub(super) fn fin(&self) -> Mac {
        let key = expand_hash(&self.secret, "fin", &self.th5.0);
        Mac::of(key.expose(), &[self.th5.0.as_bytes()])
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
            resumption: secret("res"),
            exporter: Exporter(secret("exp")),
        }
    }
}

/// The secrets of a session, by direction.
#[derive(Debug)]
pub struct TrafficSecrets {
    pub(crate) initiator_to_responder: Secret<32>,
    pub(crate) responder_to_initiator: Secret<32>,
    pub(crate) resumption: Secret<32>,
    pub(crate) exporter: Exporter,
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

fn aead_key(secret: &Secret<32>, key: &'static str, iv: &'static str, context: &Hash) -> AeadKey {
    AeadKey::new(
        Suite::Aes256Gcm,
        &expand_hash(secret, key, context),
        expand_label(secret, iv, context.as_bytes()),
    )
}
