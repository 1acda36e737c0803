//! What a statement about a hub's key and one about an issuer's have in common: layout and signature (PROTOCOL.md §7.1, §7.5).

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
    /// That of the key before.
    Current,
}

impl Signer {
    fn code(self) -> u8 {
        match self {
            Self::Root => 0,
            Self::Current => 1,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Root),
            1 => Some(Self::Current),
            _ => None,
        }
    }
}

/// What is signed: whose word it is, which key follows, and the name of another key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Following {
    pub(super) signer: Signer,
    pub(super) counter: u32,
    pub(super) key: PublicKey,
    pub(super) name: KeyName,
}

impl Following {
    /// Returns the statement, signed by `by` under `label`. `hedge` is 32 random bytes.
    pub(super) fn sign(&self, by: &SigningKey, label: Label, hedge: &[u8]) -> [u8; STATEMENT_LEN] {
        let mut bytes = [0; STATEMENT_LEN];
        let mut writer = Writer::new(&mut bytes);
        writer
            .u8(self.signer.code())
            .u32(self.counter)
            .bytes(&self.key.to_bytes())
            .bytes(&self.name)
            .zeros(SIGNATURE_LEN);
        debug_assert!(writer.finish().is_ok());
        if let Some((signed, place)) = bytes.split_last_chunk_mut::<SIGNATURE_LEN>() {
            *place = sign(by, label, &Hash::of(&[signed]), hedge).0;
        }
        bytes
    }

    /// Reads a statement. `may_count` says which counters a signer may have.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`] unless it has [`STATEMENT_LEN`] bytes; [`Reason::Malformed`] for an unknown signer, or a counter
    /// that it may not have; [`Reason::PublicKey`] when the key is none.
    pub(super) fn parse(
        bytes: &[u8],
        may_count: fn(Signer, u32) -> bool,
    ) -> Result<(Self, Proof), Reason> {
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or(Reason::Length)?;
        let mut reader = Reader::new(signed);
        let signer = reader.u8()?;
        let counter = reader.u32()?;
        let key = reader.array()?;
        let name = *reader.array()?;
        reader.finish()?;
        let signer = Signer::from_code(signer)
            .filter(|signer| may_count(*signer, counter))
            .ok_or(Reason::Malformed)?;
        let says = Self {
            signer,
            counter,
            key: PublicKey::from_bytes(key).ok_or(Reason::PublicKey)?,
            name,
        };
        let proof = Proof {
            signed: Hash::of(&[signed]),
            signature: Signature(*signature),
        };
        Ok((says, proof))
    }
}

/// The signature of a statement, which nobody has looked at yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof {
    /// The hash of what is signed.
    signed: Hash,
    signature: Signature,
}

impl Proof {
    /// Checks that it is that of `key` under `label`.
    ///
    /// # Errors
    ///
    /// [`Reason::RotationSignature`].
    pub(super) fn verify(&self, key: &PublicKey, label: Label) -> Result<(), Reason> {
        verify(key, label, &self.signed, &self.signature).map_err(|_| Reason::RotationSignature)
    }
}
