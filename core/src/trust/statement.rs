//! Statements of a hub's keys about the key that follows (PROTOCOL.md §7.1).

use super::following::{Following, Proof};
use super::{KEY_NAME_LEN, KeyName, STATEMENT_LEN, Signer};
use crate::crypto::{PublicKey, SigningKey};
use crate::handshake::Label;
use crate::reason::Reason;

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Whose word it is.
    pub signer: Signer,
    /// Above that of every statement of this signer before.
    pub counter: u32,
    /// The key that follows.
    pub key: PublicKey,
    /// The name of a key that is not to be trusted again; the root's word alone.
    pub revoked: Option<KeyName>,
}

impl Rotation {
    /// Returns the statement, signed by `key`. `hedge` is 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] for what no statement says: an identity key that revokes, a key that is named and revoked.
    pub fn sign(&self, key: &SigningKey, hedge: &[u8]) -> Result<[u8; STATEMENT_LEN], Reason> {
        self.check()?;
        let says = Following {
            signer: self.signer,
            counter: self.counter,
            key: self.key,
            name: self.revoked.unwrap_or_default(),
        };
        Ok(says.sign(key, Label::Rotation, hedge))
    }

    fn check(&self) -> Result<(), Reason> {
        match self.revoked {
            Some(_) if self.signer == Signer::Current => Err(Reason::Malformed),
            // Zeros stand for no key.
            Some(name) if name == [0; KEY_NAME_LEN] || name == self.key.hash().prefix() => {
                Err(Reason::Malformed)
            }
            _ => Ok(()),
        }
    }
}

/// A statement whose signature nobody has looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    rotation: Rotation,
    proof: Proof,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`] unless it has [`STATEMENT_LEN`] bytes; [`Reason::Malformed`] for an unknown signer and as
    /// [`Rotation::sign`]; [`Reason::PublicKey`] when the key is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let (says, proof) = Following::parse(bytes, |_, _| true)?;
        let rotation = Rotation {
            signer: says.signer,
            counter: says.counter,
            key: says.key,
            revoked: (says.name != [0; KEY_NAME_LEN]).then_some(says.name),
        };
        rotation.check()?;
        Ok(Self { rotation, proof })
    }

    /// Returns what it says. Nobody has vouched for it.
    #[must_use]
    pub fn says_unverified(&self) -> &Rotation {
        &self.rotation
    }

    /// Checks that it is signed by `key`.
    ///
    /// # Errors
    ///
    /// [`Reason::RotationSignature`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), Reason> {
        self.proof.verify(key, Label::Rotation)
    }
}
