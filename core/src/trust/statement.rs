//! Statements of a hub's keys about the key that follows (PROTOCOL.md §7.1).

use super::{KEY_NAME_LEN, KeyName};
use crate::crypto::{Hash, PUBLIC_KEY_LEN, PublicKey, SIGNATURE_LEN, Signature, SigningKey};
use crate::handshake::{Label, sign, verify};
use crate::reason::Reason;
use crate::wire::{Reader, Writer};

/// Length of a statement in bytes.
pub const STATEMENT_LEN: usize = SIGNED_LEN + SIGNATURE_LEN;

/// Length of what is signed.
const SIGNED_LEN: usize = 1 + 4 + PUBLIC_KEY_LEN + KEY_NAME_LEN;

/// Whose word a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Signer {
    /// The root key's, which is kept offline.
    Root,
    /// That of the hub's identity key before.
    Current,
}

impl Signer {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Root => 0,
            Self::Current => 1,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Root),
            1 => Some(Self::Current),
            _ => None,
        }
    }
}

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
        let mut bytes = [0; STATEMENT_LEN];
        let mut writer = Writer::new(&mut bytes);
        writer
            .u8(self.signer.code())
            .u32(self.counter)
            .bytes(&self.key.to_bytes())
            .bytes(&self.revoked.unwrap_or_default())
            .zeros(SIGNATURE_LEN);
        debug_assert!(writer.finish().is_ok());
        if let Some((signed, place)) = bytes.split_last_chunk_mut::<SIGNATURE_LEN>() {
            *place = sign(key, Label::Rotation, &Hash::of(&[signed]), hedge).0;
        }
        Ok(bytes)
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
    /// The hash of what is signed.
    signed: Hash,
    signature: Signature,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`] unless it has [`STATEMENT_LEN`] bytes; [`Reason::Malformed`] for an unknown signer and as
    /// [`Rotation::sign`]; [`Reason::PublicKey`] when the key is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or(Reason::Length)?;
        let mut reader = Reader::new(signed);
        let signer = reader.u8()?;
        let counter = reader.u32()?;
        let key = reader.array()?;
        let revoked = *reader.array()?;
        reader.finish()?;
        let rotation = Rotation {
            signer: Signer::from_code(signer).ok_or(Reason::Malformed)?,
            counter,
            key: PublicKey::from_bytes(key).ok_or(Reason::PublicKey)?,
            revoked: (revoked != [0; KEY_NAME_LEN]).then_some(revoked),
        };
        rotation.check()?;
        Ok(Self {
            rotation,
            signed: Hash::of(&[signed]),
            signature: Signature(*signature),
        })
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
        verify(key, Label::Rotation, &self.signed, &self.signature)
            .map_err(|_| Reason::RotationSignature)
    }
}
