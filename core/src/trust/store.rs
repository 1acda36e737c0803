//! The keys that an initiator takes for its hub's.

use heapless::Vec;

use super::{KEY_NAME_LEN, KeyName, Rotation, Signer, Statement};
use crate::crypto::{HASH_LEN, Hash, PUBLIC_KEY_LEN, PublicKey};
use crate::reason::Reason;
use crate::wire::{Reader, Truncated, Writer};

/// Most keys of a hub that are trusted at once, the next one among them.
pub const MAX_KEYS: usize = 4;

/// How many names of keys are remembered that were revoked.
pub const MAX_RETIRED: usize = 8;

/// Length of a [`TrustStore`] in storage in bytes.
pub const TRUST_STORE_LEN: usize =
    1 + PUBLIC_KEY_LEN + 4 + MAX_KEYS * SLOT_LEN + MAX_RETIRED * KEY_NAME_LEN + HASH_LEN;

/// Length of a key in storage.
const SLOT_LEN: usize = 1 + 4 + PUBLIC_KEY_LEN;

/// What a store begins with in storage.
const VERSION: u8 = 1;

/// The keys of one hub that an initiator takes.
///
/// The **current** key is the one that the initiator expects, whose word about the next one it takes. The **next** key is
/// one that the current key has vouched for and that has not proved itself yet. **Older** keys are those before it: they
/// are taken, for a hub that went back to them, and vouch for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustStore {
    root: PublicKey,
    /// The counter of the root's last statement.
    root_counter: u32,
    next: Option<Slot>,
    current: Slot,
    /// The newest first.
    older: Vec<Slot, { MAX_KEYS - 1 }>,
    /// The names of keys that were revoked, the last one first.
    retired: Vec<KeyName, MAX_RETIRED>,
}

/// One key, with its hash computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    key: PublicKey,
    hash: Hash,
    /// The counter of its last statement.
    counter: u32,
}

impl Slot {
    fn new(key: PublicKey) -> Self {
        Self {
            key,
            hash: key.hash(),
            counter: 0,
        }
    }
}

/// What a statement says that a store has found to be right.
pub(crate) struct Vouched(Rotation);

impl Vouched {
    /// Returns the key that it names.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.0.key
    }
}

impl TrustStore {
    /// Returns the store that knows the root key, the counter of the last statement that it has made, and the hub's
    /// current key.
    #[must_use]
    pub fn new(root: PublicKey, root_counter: u32, current: PublicKey) -> Self {
        Self {
            root,
            root_counter,
            next: None,
            current: Slot::new(current),
            older: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Adds a key after those that are there, at provisioning; returns whether it is another one and there was room.
    #[must_use]
    pub fn add(&mut self, key: PublicKey) -> bool {
        let is_new = self.slots().all(|slot| slot.key != key);
        let has_room = self.older.len() + 1 < self.room();
        is_new && has_room && self.older.push(Slot::new(key)).is_ok()
    }

    /// Returns the root key.
    #[must_use]
    pub fn root(&self) -> &PublicKey {
        &self.root
    }

    /// Returns the counter of the root's last statement.
    #[must_use]
    pub fn root_counter(&self) -> u32 {
        self.root_counter
    }

    /// Returns the key that the initiator expects.
    #[must_use]
    pub fn current(&self) -> &PublicKey {
        &self.current.key
    }

    /// Iterates over the current key and the older ones, from the newest on.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.proved().map(|slot| &slot.key)
    }

    /// Returns the hash of the key that the initiator expects, whose first bytes are the hint in M1.
    pub(crate) fn expected(&self) -> Hash {
        self.current.hash
    }

    /// Returns the key whose hash begins with `name`, if it is taken.
    pub(crate) fn find(&self, name: &KeyName) -> Option<&PublicKey> {
        self.slots()
            .find(|slot| slot.hash.prefix() == *name)
            .map(|slot| &slot.key)
    }

    /// Takes in a statement.
    ///
    /// # Errors
    ///
    /// [`Reason::RotationOld`], [`Reason::RotationKey`], [`Reason::RotationSignature`]; nothing has changed then.
    pub fn take(&mut self, statement: &Statement) -> Result<(), Reason> {
        let vouched = self.check(statement)?;
        self.adopt(&vouched);
        Ok(())
    }

    /// Checks a statement: it is newer than its signer's last one, names a key that was not revoked, and is signed by the
    /// root key or the current one.
    pub(crate) fn check(&self, statement: &Statement) -> Result<Vouched, Reason> {
        let says = statement.says_unverified();
        let (key, last) = match says.signer {
            Signer::Root => (&self.root, self.root_counter),
            Signer::Current => (&self.current.key, self.current.counter),
        };
        if says.counter <= last {
            return Err(Reason::RotationOld);
        }
        let name: KeyName = says.key.hash().prefix();
        // The current key replaces the next one. What is trusted already needs no word but the root's.
        let is_known =
            self.find(&name).is_some() && self.next.is_none_or(|next| next.hash.prefix() != name);
        if self.retired.contains(&name) || is_known && says.signer == Signer::Current {
            return Err(Reason::RotationKey);
        }
        statement.verify(key)?;
        Ok(Vouched(*says))
    }

    fn adopt(&mut self, Vouched(says): &Vouched) {
        let named = Slot::new(says.key);
        // A key that is there goes on from its counter: what it has said before is not said anew.
        let known = self.slots().find(|slot| slot.hash == named.hash).copied();
        let named = known.unwrap_or(named);
        if says.signer == Signer::Current {
            self.current.counter = says.counter;
            self.next = Some(named);
            self.older.truncate(self.room() - 1);
            return;
        }
        self.root_counter = says.counter;
        self.next = None;
        let before = core::mem::replace(&mut self.current, named);
        if let Some(name) = says.revoked {
            // A hub that has lost one key may have lost those before it too, and whom they vouch for.
            self.older.clear();
            self.retire(name);
        } else {
            self.older.retain(|slot| slot.hash != named.hash);
            if before.hash != named.hash {
                self.older.truncate(MAX_KEYS - 2);
                // There is room now.
                let _ = self.older.insert(0, before);
            }
        }
    }

    /// Remembers the name of a key that was revoked. The one that has been remembered longest is forgotten when there is
    /// no room: with each revocation all other keys go, so that what vouched for it before is not trusted either.
    fn retire(&mut self, name: KeyName) {
        self.retired.retain(|retired| *retired != name);
        self.retired.truncate(MAX_RETIRED - 1);
        // There is room now.
        let _ = self.retired.insert(0, name);
    }

    /// Notes that the key with this hash has signed an M2. The next key becomes the current one: the one that vouched for
    /// it stays, and those before that go. Returns whether anything has changed.
    pub fn note_proved(&mut self, hash: &Hash) -> bool {
        let Some(next) = self.next.take_if(|next| next.hash == *hash) else {
            return false;
        };
        let before = core::mem::replace(&mut self.current, next);
        self.older.clear();
        // There is room now.
        let _ = self.older.push(before);
        true
    }

    /// Returns whether the store is another one once the key with the hash `proved` has signed an M2, which `vouched` came
    /// with.
    pub(crate) fn changes(&self, proved: &Hash, vouched: Option<&Vouched>) -> bool {
        vouched.is_some() || self.next.is_some_and(|next| next.hash == *proved)
    }

    /// Returns that store.
    pub(crate) fn after(&self, proved: &Hash, vouched: Option<&Vouched>) -> Self {
        let mut changed = self.clone();
        if let Some(vouched) = vouched {
            changed.adopt(vouched);
        }
        changed.note_proved(proved);
        changed
    }

    /// Returns for how many keys there is room beside the next one.
    fn room(&self) -> usize {
        MAX_KEYS - usize::from(self.next.is_some())
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.proved().chain(&self.next)
    }

    fn proved(&self) -> impl Iterator<Item = &Slot> {
        core::iter::once(&self.current).chain(&self.older)
    }

    /// Writes the store for storage. It is no secret; who can change it can say who the hub is.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; TRUST_STORE_LEN] {
        let mut bytes = [0; TRUST_STORE_LEN];
        let mut writer = Writer::new(&mut bytes);
        writer
            .u8(VERSION)
            .bytes(&self.root.to_bytes())
            .u32(self.root_counter);
        let proved = self.proved().map(|slot| (State::Current, slot));
        let next = self.next.iter().map(|slot| (State::Next, slot));
        for (state, slot) in proved.chain(next) {
            writer
                .u8(state.code())
                .u32(slot.counter)
                .bytes(&slot.key.to_bytes());
        }
        writer.zeros((MAX_KEYS - self.slots().count()) * SLOT_LEN);
        for name in &self.retired {
            writer.bytes(name);
        }
        writer
            .zeros((MAX_RETIRED - self.retired.len()) * KEY_NAME_LEN)
            .zeros(HASH_LEN);
        debug_assert!(writer.finish().is_ok());
        if let Some((content, hash)) = bytes.split_last_chunk_mut() {
            *hash = Hash::of(&[content]).0;
        }
        bytes
    }

    /// Reads a store from storage. The hash at its end finds damage, not forgery.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] when it is none that [`TrustStore::to_bytes`] has written.
    pub fn from_bytes(bytes: &[u8; TRUST_STORE_LEN]) -> Result<Self, Reason> {
        Self::read(bytes)
            .ok()
            .flatten()
            // What it says is said in one way, and the hash is part of it.
            .filter(|store| store.to_bytes() == *bytes)
            .ok_or(Reason::Malformed)
    }

    fn read(bytes: &[u8; TRUST_STORE_LEN]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Ok(None);
        }
        let Some(root) = PublicKey::from_bytes(reader.array()?) else {
            return Ok(None);
        };
        let root_counter = reader.u32()?;
        let mut store: Option<Self> = None;
        for _ in 0..MAX_KEYS {
            let state = State::from_code(reader.u8()?);
            let counter = reader.u32()?;
            let key = PublicKey::from_bytes(reader.array()?);
            let (Some(state), Some(key)) = (state, key) else {
                // What is written again must be the same: a place without a key is all zeros, and the last one.
                continue;
            };
            let slot = Slot {
                counter,
                ..Slot::new(key)
            };
            match (&mut store, state) {
                (None, State::Current) => {
                    store = Some(Self::new(root, root_counter, key));
                    if let Some(store) = &mut store {
                        store.current = slot;
                    }
                }
                (Some(store), _) if store.find(&slot.hash.prefix()).is_some() => return Ok(None),
                (Some(store), State::Current) => {
                    if store.older.push(slot).is_err() {
                        return Ok(None);
                    }
                }
                (Some(store), State::Next) => store.next = Some(slot),
                (None, State::Next) => return Ok(None),
            }
        }
        let Some(mut store) = store else {
            return Ok(None);
        };
        for _ in 0..MAX_RETIRED {
            let name: KeyName = *reader.array()?;
            let is_double = store.retired.contains(&name) || store.find(&name).is_some();
            if name != [0; KEY_NAME_LEN] && (is_double || store.retired.push(name).is_err()) {
                return Ok(None);
            }
        }
        Ok(Some(store))
    }
}

/// What a key is, in storage. Zero is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Current,
    Next,
}

impl State {
    fn code(self) -> u8 {
        match self {
            Self::Current => 1,
            Self::Next => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Current),
            2 => Some(Self::Next),
            _ => None,
        }
    }
}
