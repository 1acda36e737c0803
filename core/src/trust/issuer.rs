//! The keys of the issuer that bears the hub's name, and how they follow one another (PROTOCOL.md §7.5).

use heapless::Vec;

use super::following::{Following, Proof};
use super::{KeyName, STATEMENT_LEN, Signer};
use crate::crypto::{PUBLIC_KEY_LEN, PublicKey, SigningKey};
use crate::handshake::Label;
use crate::reason::Reason;
use crate::token::{TrustAnchor, TrustAnchors};
use crate::wire::{Reader, Truncated, Writer};

/// Most keys of the issuer that count at once: the one before, the one that signs, and the next one.
pub const MAX_ISSUER_KEYS: usize = 3;

/// Length of [`IssuerKeys`] in storage in bytes.
pub const ISSUER_KEYS_LEN: usize = 1 + 4 + MAX_ISSUER_KEYS * PUBLIC_KEY_LEN;

/// Most statements in one message of a hub.
pub const MAX_ISSUER_STATEMENTS: usize = 4;

/// What the keys begin with in storage.
const VERSION: u8 = 1;

/// A statement about the issuer's next key, whose signature nobody has looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct IssuerStatement {
    /// The name in it is that of the key that signs.
    says: Following,
    proof: Proof,
}

impl IssuerStatement {
    /// Returns the word of the issuer's newest key, `by`, that `next` follows it. `hedge` is 32 random bytes.
    #[must_use]
    pub fn by_issuer(by: &SigningKey, next: &PublicKey, hedge: &[u8]) -> [u8; STATEMENT_LEN] {
        Self::sign(Signer::Current, 0, by, next, hedge)
    }

    /// Returns the word of the hub's root key that `key` is the issuer's, and none of those before. `counter` is above that
    /// of every such statement before; `hedge` is 32 random bytes.
    #[must_use]
    pub fn by_root(
        root: &SigningKey,
        counter: u32,
        key: &PublicKey,
        hedge: &[u8],
    ) -> [u8; STATEMENT_LEN] {
        Self::sign(Signer::Root, counter, root, key, hedge)
    }

    fn sign(
        signer: Signer,
        counter: u32,
        by: &SigningKey,
        key: &PublicKey,
        hedge: &[u8],
    ) -> [u8; STATEMENT_LEN] {
        let says = Following {
            signer,
            counter,
            key: *key,
            name: by.public_key().hash().prefix(),
        };
        says.sign(by, Label::Issuer, hedge)
    }

    /// Reads a statement.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`] unless it has [`STATEMENT_LEN`] bytes; [`Reason::Malformed`] for an unknown signer, and for a
    /// counter of the issuer's, which counts nothing; [`Reason::PublicKey`] when the key is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let may_count = |signer, counter| signer == Signer::Root || counter == 0;
        let (says, proof) = Following::parse(bytes, may_count)?;
        Ok(Self { says, proof })
    }

    /// Returns whose word it says it is. Nobody has vouched for it.
    #[must_use]
    pub fn signer_unverified(&self) -> Signer {
        self.says.signer
    }

    /// Returns the name of the key that it says it is signed by. Nobody has vouched for it.
    #[must_use]
    pub fn by_unverified(&self) -> &KeyName {
        &self.says.name
    }

    /// Returns the key that it names. Nobody has vouched for it.
    #[must_use]
    pub fn key_unverified(&self) -> &PublicKey {
        &self.says.key
    }

    fn verify(&self, key: &PublicKey) -> Result<(), Reason> {
        self.proof.verify(key, Label::Issuer)
    }
}

/// The keys of the issuer that bears the hub's name, as someone knows them who follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKeys {
    /// The counter of the root's last statement.
    root_counter: u32,
    /// The newest last. It is never empty.
    keys: Vec<PublicKey, MAX_ISSUER_KEYS>,
}

impl IssuerKeys {
    /// Returns the keys of `issuer` among `anchors`, the last ones, in their order; nothing when it has none there.
    /// `root_counter` is that of the last statement of the root by then, whatever it was about.
    #[must_use]
    pub fn of(issuer: &str, anchors: &TrustAnchors, root_counter: u32) -> Option<Self> {
        let own = anchors.iter().filter(|anchor| anchor.issuer() == issuer);
        let surplus = own.clone().count().saturating_sub(MAX_ISSUER_KEYS);
        let mut keys = Vec::new();
        for anchor in own.skip(surplus) {
            // There are no more than there is room for.
            let _ = keys.push(*anchor.key());
        }
        (!keys.is_empty()).then_some(Self { root_counter, keys })
    }

    /// Returns the counter of the root's last statement.
    #[must_use]
    pub fn root_counter(&self) -> u32 {
        self.root_counter
    }

    /// Returns the name of the newest key: what came after it is asked for by that.
    #[must_use]
    pub fn newest(&self) -> KeyName {
        self.keys
            .last()
            .map(|key| key.hash().prefix())
            .unwrap_or_default()
    }

    /// Takes in a statement. `root` is the hub's root key.
    ///
    /// # Errors
    ///
    /// As [`IssuerStatement::parse`]; [`Reason::RotationKey`] when the key is known already, [`Reason::RotationOld`] for a word
    /// of the root that is not newer than its last one, [`Reason::RotationSigner`] when it is by another key than the
    /// newest, [`Reason::RotationSignature`]. Nothing has changed then.
    pub fn take(&mut self, statement: &[u8], root: &PublicKey) -> Result<(), Reason> {
        let statement = IssuerStatement::parse(statement)?;
        let says = statement.says;
        match says.signer {
            Signer::Root => {
                if says.counter <= self.root_counter {
                    return Err(Reason::RotationOld);
                }
                statement.verify(root)?;
                self.root_counter = says.counter;
                self.keys.clear();
            }
            Signer::Current => {
                if self.keys.contains(&says.key) {
                    return Err(Reason::RotationKey);
                }
                let newest = self.keys.last().filter(|_| says.name == self.newest());
                statement.verify(newest.ok_or(Reason::RotationSigner)?)?;
                self.make_room();
            }
        }
        // There is room now.
        let _ = self.keys.push(says.key);
        Ok(())
    }

    /// Forgets the oldest key when there is no room for another.
    fn make_room(&mut self) {
        if !self.keys.is_full() {
            return;
        }
        let mut rest = Vec::new();
        for key in self.keys.iter().skip(1) {
            let _ = rest.push(*key);
        }
        self.keys = rest;
    }

    /// Returns `anchors` with these keys in the place of those that `issuer` has there. A key that is there keeps its kid;
    /// that of another is made of the key ([`TrustAnchor::following`]).
    #[must_use]
    pub fn anchors(&self, issuer: &str, anchors: &TrustAnchors) -> TrustAnchors {
        let mut all = TrustAnchors::new();
        let others = anchors.iter().filter(|anchor| anchor.issuer() != issuer);
        for anchor in others {
            // It was in a set before.
            let _ = all.insert(anchor.clone());
        }
        for key in &self.keys {
            let known = anchors.iter().find(|anchor| anchor.key() == key).cloned();
            let anchor = known.or_else(|| TrustAnchor::following(issuer, *key).ok());
            // A set has room for the keys of two issuers; the newest matter most, and come last.
            if let Some(anchor) = anchor {
                let _ = all.insert(anchor);
            }
        }
        all
    }

    /// Writes the keys for storage. They are no secret; who can change them can say who the issuer is.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ISSUER_KEYS_LEN] {
        let mut bytes = [0; ISSUER_KEYS_LEN];
        let mut writer = Writer::new(&mut bytes);
        writer.u8(VERSION).u32(self.root_counter);
        for key in &self.keys {
            writer.bytes(&key.to_bytes());
        }
        writer.zeros((MAX_ISSUER_KEYS - self.keys.len()) * PUBLIC_KEY_LEN);
        debug_assert!(writer.finish().is_ok());
        bytes
    }

    /// Reads the keys from storage.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] when they are none that [`IssuerKeys::to_bytes`] has written.
    pub fn from_bytes(bytes: &[u8; ISSUER_KEYS_LEN]) -> Result<Self, Reason> {
        Self::read(bytes)
            .ok()
            .flatten()
            // What it says is said in one way.
            .filter(|keys| keys.to_bytes() == *bytes)
            .ok_or(Reason::Malformed)
    }

    fn read(bytes: &[u8; ISSUER_KEYS_LEN]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Ok(None);
        }
        let root_counter = reader.u32()?;
        let mut keys = Vec::new();
        for _ in 0..MAX_ISSUER_KEYS {
            // A place without a key is all zeros, and one of the last: else it is written otherwise.
            if let Some(key) = PublicKey::from_bytes(reader.array()?)
                && (keys.contains(&key) || keys.push(key).is_err())
            {
                return Ok(None);
            }
        }
        Ok((!keys.is_empty()).then_some(Self { root_counter, keys }))
    }
}
