//! The private halves of an agent's last two prekeys (PROTOCOL.md §12.1).

use super::layout::{PREKEY_PREFIX_LEN, PrekeyPrefix, SIGNED_PREKEY_LEN};
use crate::crypto::{EphemeralKey, Hash, Secret, SigningKey, Suite};
use crate::entropy::{Entropy, draw};
use crate::handshake::{Label, sign};
use crate::limits::{PREKEY_MILLIS, PREKEY_ROTATION_MILLIS};
use crate::reason::{Error, Reason};
use crate::time::{Now, TimeQuality, UnixMillis};
use crate::token::AgentId;
use crate::wire::{Reader, Writer};

/// Length in storage of one private half with what belongs to it, in bytes.
const HALF_LEN: usize = 1 + 4 + 8 + 32;

/// Length of [`Prekeys`] in storage in bytes.
pub const PREKEYS_LEN: usize = 4 + 2 * HALF_LEN;

/// The private halves of the last two prekeys. They are wiped when they expire, and when the next but one is made.
#[derive(Debug, Default)]
pub struct Prekeys {
    /// The id given last; 0 before the first.
    last_id: u32,
    newest: Option<PrivateHalf>,
    older: Option<PrivateHalf>,
}

/// One private half.
#[derive(Debug)]
struct PrivateHalf {
    id: u32,
    suite: Suite,
    expires: UnixMillis,
    scalar: Secret<32>,
    key: EphemeralKey,
}

/// A prekey that is held, as a command asks for it.
pub(super) struct HeldPrekey<'p> {
    pub(super) suite: Suite,
    pub(super) key: &'p EphemeralKey,
    pub(super) prefix: [u8; PREKEY_PREFIX_LEN],
}

impl Prekeys {
    /// Returns the state of an agent that has made no prekey yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last_id: 0,
            newest: None,
            older: None,
        }
    }

    /// Returns the state of an agent whose next prekey has an id above `last_id`. One that keeps nothing through a reset
    /// passes the seconds since 1970, which are above every id that it gave before (PROTOCOL.md §12.1).
    #[must_use]
    pub fn starting_after(last_id: u32) -> Self {
        Self {
            last_id,
            ..Self::default()
        }
    }

    /// Makes the next prekey of `agent`, wipes the one before the last, and returns it signed by `signer`.
    ///
    /// The state is stored before the prekey is shown to anyone. The agent's token follows the bytes in a bundle.
    ///
    /// # Errors
    ///
    /// [`Error::NoClock`], [`Error::Entropy`]; [`Error::KeyExhausted`] after 2^32 - 1 prekeys.
    pub fn rotate(
        &mut self,
        suite: Suite,
        agent: AgentId,
        signer: &SigningKey,
        now: &Now,
        entropy: &mut dyn Entropy,
    ) -> Result<[u8; SIGNED_PREKEY_LEN], Error> {
        if now.quality == TimeQuality::Unknown {
            return Err(Error::NoClock);
        }
        let id = self.last_id.checked_add(1).ok_or(Error::KeyExhausted)?;
        let scalar = Secret::new(*draw::<32>(entropy)?);
        let hedge = draw::<32>(entropy)?;
        let half = PrivateHalf {
            id,
            suite,
            expires: now.unix.plus(PREKEY_MILLIS),
            key: EphemeralKey::from_scalar(&scalar),
            scalar,
        };
        let prefix = half.prefix(agent);
        let signature = sign(signer, Label::Prekey, &Hash::of(&[&prefix]), &*hedge);
        self.last_id = id;
        self.older = self.newest.replace(half);
        let mut signed = [0; SIGNED_PREKEY_LEN];
        for (to, from) in signed.iter_mut().zip(prefix.iter().chain(&signature.0)) {
            *to = *from;
        }
        Ok(signed)
    }

    /// Returns whether it is time for the next prekey: there is none, or it is a day old.
    #[must_use]
    pub fn is_due(&self, now: &Now) -> bool {
        let young_until = PREKEY_MILLIS - PREKEY_ROTATION_MILLIS;
        now.quality != TimeQuality::Unknown
            && self
                .newest
                .as_ref()
                .is_none_or(|half| half.expires <= now.unix.plus(young_until))
    }

    /// Wipes what has expired at `time`; returns whether the state is to be stored again.
    pub fn wipe_expired(&mut self, time: UnixMillis) -> bool {
        let mut wiped = false;
        for half in [&mut self.newest, &mut self.older] {
            if half.take_if(|half| half.expires <= time).is_some() {
                wiped = true;
            }
        }
        wiped
    }

    /// Iterates over the ids of the prekeys that are held, the newest first.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.halves().map(|half| half.id)
    }

    /// Writes the state for storage that only its owner reads.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<PREKEYS_LEN> {
        Secret::filled_by(|bytes| {
            let mut writer = Writer::new(bytes);
            writer.u32(self.last_id);
            for half in [&self.newest, &self.older] {
                match half {
                    Some(half) => writer
                        .u8(half.suite.number())
                        .u32(half.id)
                        .u64(half.expires.0)
                        .bytes(half.scalar.expose()),
                    None => writer.zeros(HALF_LEN),
                };
            }
            debug_assert!(writer.finish().is_ok());
        })
    }

    /// Reads the state from storage.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] when it is none.
    pub fn from_bytes(bytes: &Secret<PREKEYS_LEN>) -> Result<Self, Reason> {
        let mut reader = Reader::new(bytes.expose());
        let last_id = reader.u32()?;
        let newest = PrivateHalf::parse(&mut reader)?;
        let older = PrivateHalf::parse(&mut reader)?;
        reader.finish()?;
        let is_newest = |half: &PrivateHalf| half.id == last_id;
        let is_older = |half: &PrivateHalf| half.id < last_id;
        if newest.as_ref().is_some_and(|half| !is_newest(half))
            || older.as_ref().is_some_and(|half| !is_older(half))
        {
            return Err(Reason::Malformed);
        }
        Ok(Self {
            last_id,
            newest,
            older,
        })
    }

    /// Returns the prekey `id` of `agent`, if it is held and has not expired at `time`.
    pub(super) fn find(&self, id: u32, agent: AgentId, time: UnixMillis) -> Option<HeldPrekey<'_>> {
        let half = self.halves().find(|half| half.id == id)?;
        (time < half.expires).then(|| HeldPrekey {
            suite: half.suite,
            key: &half.key,
            prefix: half.prefix(agent),
        })
    }

    fn halves(&self) -> impl Iterator<Item = &PrivateHalf> {
        self.newest.iter().chain(&self.older)
    }
}

impl PrivateHalf {
    fn prefix(&self, agent: AgentId) -> [u8; PREKEY_PREFIX_LEN] {
        PrekeyPrefix {
            agent,
            id: self.id,
            suite: self.suite,
            expires: self.expires,
            share: self.key.share(),
        }
        .emit()
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Option<Self>, Reason> {
        let number = reader.u8()?;
        let id = reader.u32()?;
        let expires = UnixMillis(reader.u64()?);
        let scalar = Secret::new(*reader.array()?);
        if number == 0 && id == 0 {
            return Ok(None);
        }
        let suite = Suite::from_number(number).ok_or(Reason::Malformed)?;
        Ok(Some(Self {
            id,
            suite,
            expires,
            key: EphemeralKey::from_scalar(&scalar),
            scalar,
        }))
    }
}
