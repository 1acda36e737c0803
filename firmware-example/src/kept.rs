//! What outlasts a reset: it lies in flash, safe against the loss of power at any step (`moorline_core::storage`).
//!
//! | sectors | what | written |
//! |--:|---|---|
//! | 0, 1 | the token that followed the provisioned one | when it follows: every half of a token's life |
//! | 2, 3 | the ticket with which the next handshake needs no signature; wiped | twice a connection: it is used once |
//! | 4, 5 | the settings | when one is changed |
//! | 6, 7 | the time floor | when it rises, once in [`FLOOR_STEP_MS`] at most |
//! | 8 to 11 | the issuers' newest lists of what is revoked | when there is a newer one |
//! | 12, 13 | the prekeys, with their private halves; wiped | once a day |
//! | 14, 15 | the commanders' counters | before each command that was left while the device was away |
//! | 16, 17 | how often the device has started | at each start |
//! | 18, 19 | the key that took the place of the provisioned one, and its first token; wiped | when a key is proved |
//! | 20, 21 | the next key, and its token; wiped | four times while a key follows another |
//! | 22, 23 | which keys are the hub's, once they have changed | when the hub proves another key |
//! | 24, 25 | which keys are the issuer's, once they have changed | when the hub shows that another follows: once a day |
//!
//! Every value begins with a name of the provisioning image: a device that is provisioned anew begins anew. What is damaged
//! counts as not there, and the log says so: the ticket, the token and the settings have others behind them, the hub says the
//! lists again and proves its keys again, and the private halves are not used without the counters. The prekeys are of the key that signed them: with
//! another key they count as not there, and the counters with them, for no command of before opens then. A device without flash goes on without, and begins
//! anew at each reset.

use core::num::NonZeroU32;

use heapless::Vec;
use moorline_core::crypto::{Hash, PublicKey, Secret, SigningKey};
use moorline_core::handshake::{TICKET_LEN, Ticket};
use moorline_core::offline::{
    COUNTER_ENTRY_LEN, CounterEntry, Counters, PREKEYS_LEN, Prekeys, SIGNED_PREKEY_LEN,
};
use moorline_core::revocation::MAX_REVOKE_LIST_LEN;
use moorline_core::storage::{Record, Region, ReservedCounter, StorageError};
use moorline_core::time::UnixMillis;
use moorline_core::token::{MAX_KID_LEN, MAX_UNPACKED_LEN, TrustAnchor, TrustAnchors};
use moorline_core::trust::{
    ISSUER_KEYS_LEN, IssuerKeys, TRUST_STORE_LEN, TrustKeeper, TrustMemory, TrustStore,
};
use zeroize::Zeroizing;

use crate::board::{Flash, SECTOR_LEN};
use crate::exchange::ISSUER_COUNT;
use crate::offline::COUNTER_COUNT;
use crate::settings::{SETTINGS_LEN, Settings};

/// Milliseconds by which the time floor rises before it is written again: one hour.
pub const FLOOR_STEP_MS: u64 = 3_600_000;

/// Length of the name of a provisioning image.
const NAME_LEN: usize = 8;
/// Length of the prekeys: their private halves, and the newest as it was published.
const HALVES_LEN: usize = PREKEYS_LEN + SIGNED_PREKEY_LEN;
/// Length of a private key.
const SCALAR_LEN: usize = 32;
/// Length of the key and its token.
const OWN_KEY_LEN: usize = SCALAR_LEN + MAX_UNPACKED_LEN;
/// Length of the next key and its token: a byte that says how far it is, and both.
const NEXT_KEY_LEN: usize = 1 + OWN_KEY_LEN;
/// A next key is wanted.
const WANTED: u8 = 1;
/// The next key is made.
const MADE: u8 = 2;
/// Length of the counters: a byte that says whether there is an entry, and the entry.
const COUNTERS_LEN: usize = COUNTER_COUNT * (1 + COUNTER_ENTRY_LEN);

/// What is kept.
pub struct Kept {
    flash: Flash,
    name: [u8; NAME_LEN],
    token: Record<Flash, { NAME_LEN + MAX_UNPACKED_LEN }>,
    ticket: Record<Flash, { NAME_LEN + TICKET_LEN }>,
    settings: Record<Flash, { NAME_LEN + SETTINGS_LEN }>,
    floor: Record<Flash, { NAME_LEN + 8 }>,
    revoked: [Record<Flash, { NAME_LEN + MAX_REVOKE_LIST_LEN }>; ISSUER_COUNT],
    prekeys: Record<Flash, { NAME_LEN + HALVES_LEN }>,
    counters: Record<Flash, { NAME_LEN + COUNTERS_LEN }>,
    starts: ReservedCounter<Flash>,
    key: Record<Flash, { NAME_LEN + OWN_KEY_LEN }>,
    next: Record<Flash, { NAME_LEN + NEXT_KEY_LEN }>,
    trust: Record<Flash, { NAME_LEN + TRUST_STORE_LEN }>,
    issuers: Record<Flash, { NAME_LEN + ISSUER_KEYS_LEN }>,
    /// The name of the prekeys: of the image, and of the key that signed them.
    key_name: [u8; NAME_LEN],
    /// The time floor as it was written last.
    floor_ms: u64,
    /// The counters as they were written last.
    counted: [u8; COUNTERS_LEN],
    /// The newest prekey, as it was written last.
    signed: [u8; SIGNED_PREKEY_LEN],
}

/// How far the next key is: one is wanted.
#[derive(Default)]
pub struct NextKey {
    /// Its private scalar, once it is made.
    pub scalar: Option<Secret<SCALAR_LEN>>,
    /// The token that names it, unpacked; empty until there is one.
    pub token: Vec<u8, MAX_UNPACKED_LEN>,
}

/// What is kept of commands that are left while the device is away.
pub struct KeptOffline {
    /// The private halves of the prekeys.
    pub prekeys: Prekeys,
    /// The newest prekey, as the hub is to have it.
    pub signed: [u8; SIGNED_PREKEY_LEN],
    /// The commanders' counters.
    pub counters: Counters<COUNTER_COUNT>,
}

impl Kept {
    /// Returns what `flash` keeps for the device that was provisioned with `image`.
    ///
    /// # Errors
    ///
    /// [`StorageError::Region`] when the flash is not as long as the table says.
    pub fn open(flash: Flash, image: &Hash) -> Result<Self, StorageError> {
        Ok(Self {
            name: image.prefix(),
            token: Record::new(&flash, sectors(0), 1)?,
            ticket: Record::wiping(&flash, sectors(2), 2)?,
            settings: Record::new(&flash, sectors(4), 3)?,
            floor: Record::new(&flash, sectors(6), 4)?,
            revoked: [
                Record::new(&flash, sectors(8), 5)?,
                Record::new(&flash, sectors(10), 6)?,
            ],
            prekeys: Record::wiping(&flash, sectors(12), 7)?,
            counters: Record::new(&flash, sectors(14), 8)?,
            starts: ReservedCounter::new(Record::new(&flash, sectors(16), 9)?, NonZeroU32::MIN),
            key: Record::wiping(&flash, sectors(18), 10)?,
            next: Record::wiping(&flash, sectors(20), 11)?,
            trust: Record::new(&flash, sectors(22), 12)?,
            issuers: Record::new(&flash, sectors(24), 13)?,
            key_name: [0; NAME_LEN],
            flash,
            floor_ms: 0,
            counted: [0; COUNTERS_LEN],
            signed: [0; SIGNED_PREKEY_LEN],
        })
    }

    /// Notes that `key` is the device's own. Prekeys that another one signed are not there from now on.
    pub fn begin(&mut self, key: &PublicKey) {
        self.key_name = Hash::of(&[&self.name, &key.to_bytes()]).prefix();
    }

    /// Reads the key that took the place of the provisioned one, and its first token, unpacked.
    #[inline(never)]
    pub fn key(&mut self) -> Option<(SigningKey, Vec<u8, MAX_UNPACKED_LEN>)> {
        let mut bytes = Zeroizing::new([0; OWN_KEY_LEN]);
        let kept = read(&mut self.key, &mut self.flash, self.name, &mut bytes)?;
        let (scalar, token) = kept.split_first_chunk()?;
        let key = SigningKey::from_scalar(&Secret::new(*scalar))?;
        Some((key, Vec::from_slice(token).ok()?))
    }

    /// Keeps `key` and its token in the place of the key before; then there is no next key.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the key before or this one is kept then, and the next key as well.
    #[inline(never)]
    pub fn keep_key(&mut self, key: &SigningKey, token: &[u8]) -> Result<(), StorageError> {
        self.begin(key.public_key());
        let mut bytes = Zeroizing::new([0; OWN_KEY_LEN]);
        let scalar = key.to_scalar();
        let len = concat(&mut *bytes, &[scalar.expose(), token])?;
        let value = bytes.get(..len).unwrap_or_default();
        said(
            "key",
            write(&mut self.key, &mut self.flash, self.name, value),
        )?;
        self.forget_next()
    }

    /// Keeps that there is no next key.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; there may be one then.
    pub fn forget_next(&mut self) -> Result<(), StorageError> {
        let gone = write(&mut self.next, &mut self.flash, self.name, &[]);
        said("end of the next key", gone)
    }

    /// Reads how far the next key is.
    #[inline(never)]
    pub fn next_key(&mut self) -> Option<NextKey> {
        let mut bytes = Zeroizing::new([0; NEXT_KEY_LEN]);
        match read(&mut self.next, &mut self.flash, self.name, &mut bytes)? {
            [WANTED] => Some(NextKey::default()),
            [MADE, kept @ ..] => {
                let (scalar, token) = kept.split_first_chunk()?;
                Some(NextKey {
                    scalar: Some(Secret::new(*scalar)),
                    token: Vec::from_slice(token).ok()?,
                })
            }
            _ => None,
        }
    }

    /// Keeps how far the next key is.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; it is as far as before then, or as far as this.
    #[inline(never)]
    pub fn keep_next(&mut self, next: &NextKey) -> Result<(), StorageError> {
        let mut bytes = Zeroizing::new([0; NEXT_KEY_LEN]);
        let len = match &next.scalar {
            None => concat(&mut *bytes, &[&[WANTED]]),
            Some(scalar) => concat(&mut *bytes, &[&[MADE], scalar.expose(), &next.token]),
        }?;
        let value = bytes.get(..len).unwrap_or_default();
        said(
            "next key",
            write(&mut self.next, &mut self.flash, self.name, value),
        )
    }

    /// Reads which keys are the hub's.
    #[inline(never)]
    pub fn trust(&mut self) -> Option<TrustStore> {
        let mut bytes = [0; TRUST_STORE_LEN];
        read(&mut self.trust, &mut self.flash, self.name, &mut bytes)
            .filter(|kept| kept.len() == TRUST_STORE_LEN)?;
        TrustStore::from_bytes(&bytes).ok()
    }

    /// Keeps which keys are the hub's.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; those of before are kept then, or these, when the flash failed late.
    #[inline(never)]
    fn keep_trust(&mut self, trust: &TrustStore) -> Result<(), StorageError> {
        let bytes = trust.to_bytes();
        said(
            "the hub's key",
            write(&mut self.trust, &mut self.flash, self.name, &bytes),
        )
    }

    /// Reads which keys are the issuer's.
    #[inline(never)]
    pub fn issuers(&mut self) -> Option<IssuerKeys> {
        let mut bytes = [0; ISSUER_KEYS_LEN];
        read(&mut self.issuers, &mut self.flash, self.name, &mut bytes)
            .filter(|kept| kept.len() == ISSUER_KEYS_LEN)?;
        IssuerKeys::from_bytes(&bytes).ok()
    }

    /// Keeps which keys are the issuer's.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; those of before are kept then, or these, when the flash failed late.
    #[inline(never)]
    pub fn keep_issuers(&mut self, keys: &IssuerKeys) -> Result<(), StorageError> {
        let bytes = keys.to_bytes();
        said(
            "the issuer's keys",
            write(&mut self.issuers, &mut self.flash, self.name, &bytes),
        )
    }

    /// Reads the newest token, unpacked, into `buffer`.
    pub fn token<'b>(&mut self, buffer: &'b mut [u8; MAX_UNPACKED_LEN]) -> Option<&'b [u8]> {
        read(&mut self.token, &mut self.flash, self.name, buffer)
    }

    /// Keeps a token, unpacked.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the one before is kept then, or this one, when the flash failed late.
    pub fn keep_token(&mut self, token: &[u8]) -> Result<(), StorageError> {
        write(&mut self.token, &mut self.flash, self.name, token)
    }

    /// Takes the ticket out: it is used once, whatever becomes of it.
    #[inline(never)]
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        let mut bytes = Zeroizing::new([0; TICKET_LEN]);
        let kept = read(&mut self.ticket, &mut self.flash, self.name, &mut bytes)?;
        if kept.len() != TICKET_LEN {
            return None;
        }
        let gone = write(&mut self.ticket, &mut self.flash, self.name, &[]);
        said("ticket", gone).ok()?;
        Ticket::from_bytes(&Secret::new(*bytes)).ok()
    }

    /// Keeps a ticket in the place of the one before.
    #[inline(never)]
    pub fn keep_ticket(&mut self, ticket: &Ticket) {
        let bytes = ticket.to_bytes();
        let kept = write(&mut self.ticket, &mut self.flash, self.name, bytes.expose());
        let _said = said("ticket", kept);
    }

    /// Reads the settings.
    pub fn settings(&mut self) -> Option<Settings> {
        let mut buffer = [0; SETTINGS_LEN];
        let kept = read(&mut self.settings, &mut self.flash, self.name, &mut buffer)?;
        Settings::from_bytes(kept)
    }

    /// Keeps the settings.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; those of before are kept then, or these, when the flash failed late.
    pub fn keep_settings(&mut self, settings: &Settings) -> Result<(), StorageError> {
        let bytes = settings.to_bytes();
        said(
            "settings",
            write(&mut self.settings, &mut self.flash, self.name, &bytes),
        )
    }

    /// Reads what the time is at least.
    pub fn floor(&mut self) -> Option<UnixMillis> {
        let mut buffer = [0; 8];
        read(&mut self.floor, &mut self.flash, self.name, &mut buffer)
            .filter(|kept| kept.len() == 8)?;
        self.floor_ms = u64::from_be_bytes(buffer);
        Some(UnixMillis(self.floor_ms))
    }

    /// Keeps what the time is at least, when it has risen by [`FLOOR_STEP_MS`].
    pub fn keep_floor(&mut self, floor: UnixMillis) {
        if floor.0 < self.floor_ms.saturating_add(FLOOR_STEP_MS) {
            return;
        }
        let bytes = floor.0.to_be_bytes();
        let kept = write(&mut self.floor, &mut self.flash, self.name, &bytes);
        // A flash that takes nothing is not asked again at once.
        self.floor_ms = floor.0;
        let _said = said("time floor", kept);
    }

    /// Hands the lists of what is revoked to `each`.
    pub fn revoked(&mut self, mut each: impl FnMut(&[u8])) {
        for record in &mut self.revoked {
            let mut buffer = [0; MAX_REVOKE_LIST_LEN];
            if let Some(list) = read(record, &mut self.flash, self.name, &mut buffer) {
                each(list);
            }
        }
    }

    /// Keeps `list`, which was taken in, in the place of one of the same issuer or of a key that is not among `anchors`.
    #[inline(never)]
    pub fn keep_revoked(&mut self, list: &[u8], anchors: &TrustAnchors) {
        let issuer = issuer_of(list, anchors);
        let mut place = None;
        for (index, record) in self.revoked.iter_mut().enumerate() {
            let mut buffer = [0; MAX_REVOKE_LIST_LEN];
            let kept = read(record, &mut self.flash, self.name, &mut buffer);
            match kept.and_then(|kept| issuer_of(kept, anchors)) {
                kept @ Some(_) if kept == issuer => {
                    place = Some(index);
                    break;
                }
                Some(_) => {}
                None => {
                    place.get_or_insert(index);
                }
            }
        }
        if let Some(record) = place.and_then(|place| self.revoked.get_mut(place)) {
            let kept = write(record, &mut self.flash, self.name, list);
            let _said = said("revocations", kept);
        }
    }

    /// Reads the prekeys and the counters of the commanders; the ones are nothing without the others.
    #[inline(never)]
    pub fn offline(&mut self) -> Option<KeptOffline> {
        let mut bytes = Zeroizing::new([0; HALVES_LEN]);
        let kept = read(
            &mut self.prekeys,
            &mut self.flash,
            self.key_name,
            &mut bytes,
        )?;
        let (halves, signed) = kept.split_first_chunk::<PREKEYS_LEN>()?;
        let signed = *signed.first_chunk()?;
        let prekeys = Prekeys::from_bytes(&Secret::new(*halves)).ok()?;
        let mut table = [0; COUNTERS_LEN];
        let kept = read(&mut self.counters, &mut self.flash, self.name, &mut table)?;
        if kept.len() != COUNTERS_LEN {
            return None;
        }
        let mut counters = Counters::new();
        for (place, entry) in table.chunks(1 + COUNTER_ENTRY_LEN).enumerate() {
            if let [1, entry @ ..] = entry {
                let entry = CounterEntry::from_bytes(entry).ok()?;
                counters.restore(place, entry).ok()?;
            }
        }
        self.counted = table;
        self.signed = signed;
        Some(KeptOffline {
            prekeys,
            signed,
            counters,
        })
    }

    /// Keeps the prekeys, of which `signed` is the newest as it is published; nothing when it is the one of before. The
    /// counters are there before them.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what was made last is not to be given to anyone then.
    #[inline(never)]
    pub fn keep_prekeys(
        &mut self,
        prekeys: &Prekeys,
        signed: Option<&[u8; SIGNED_PREKEY_LEN]>,
    ) -> Result<(), StorageError> {
        let counted = write(
            &mut self.counters,
            &mut self.flash,
            self.name,
            &self.counted,
        );
        said("counters", counted)?;
        let signed = signed.unwrap_or(&self.signed);
        let mut bytes = Zeroizing::new([0; HALVES_LEN]);
        let halves = prekeys.to_bytes();
        for (to, from) in bytes.iter_mut().zip(halves.expose().iter().chain(signed)) {
            *to = *from;
        }
        let kept = write(&mut self.prekeys, &mut self.flash, self.key_name, &*bytes);
        said("prekeys", kept)?;
        self.signed = *signed;
        Ok(())
    }

    /// Keeps a commander's counter at its place.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the command is not to be run then.
    pub fn keep_counter(&mut self, place: usize, entry: &CounterEntry) -> Result<(), StorageError> {
        let mut table = self.counted;
        let mut entries = table.chunks_mut(1 + COUNTER_ENTRY_LEN);
        let Some((is_there, bytes)) = entries.nth(place).and_then(|entry| entry.split_first_mut())
        else {
            return Err(StorageError::TooLong);
        };
        *is_there = 1;
        for (to, from) in bytes.iter_mut().zip(entry.to_bytes()) {
            *to = from;
        }
        // What may be in flash counts as kept: the next write, of another's counter, does not take it back.
        self.counted = table;
        said(
            "counters",
            write(&mut self.counters, &mut self.flash, self.name, &table),
        )
    }

    /// Returns how often the device has started before; it is called once at each start.
    pub fn start_number(&mut self) -> u64 {
        let number = self.starts.next(&mut self.flash);
        said("start", number).unwrap_or_default()
    }
}

/// Keeps whom the device takes for its hub: in flash, and in memory until the next link. On a board without flash it is in
/// memory alone, and after a reset the device follows the hub again, from the key that it was provisioned with.
pub struct Keeper<'a> {
    /// The flash.
    pub kept: Option<&'a mut Kept>,
    /// The memory.
    pub followed: &'a mut TrustMemory,
}

impl TrustKeeper for Keeper<'_> {
    fn keep(&mut self, changed: &TrustStore) -> bool {
        let kept = self.kept.as_mut();
        if kept.is_some_and(|kept| kept.keep_trust(changed).is_err()) {
            return false;
        }
        defmt::info!("the hub's key is now {}", changed.current());
        self.followed.keep(changed)
    }
}

/// Reads the value of `record` behind its name into `buffer`; nothing when it is another device's, or damaged.
#[inline(never)]
fn read<'b, const N: usize, const M: usize>(
    record: &mut Record<Flash, N>,
    flash: &mut Flash,
    name: [u8; NAME_LEN],
    buffer: &'b mut [u8; M],
) -> Option<&'b [u8]> {
    let mut bytes = Zeroizing::new([0; N]);
    let value = record
        .read(flash, &mut bytes)
        .inspect_err(|error| defmt::warn!("not read from flash: {}", error))
        .ok()??;
    let value = value.strip_prefix(&name)?;
    let place = buffer.get_mut(..value.len())?;
    place.copy_from_slice(value);
    Some(place)
}

#[inline(never)]
fn write<const N: usize>(
    record: &mut Record<Flash, N>,
    flash: &mut Flash,
    name: [u8; NAME_LEN],
    value: &[u8],
) -> Result<(), StorageError> {
    let mut bytes = Zeroizing::new([0; N]);
    let len = NAME_LEN + value.len();
    let place = bytes.get_mut(..len);
    let place = place.ok_or(StorageError::TooLong)?;
    let named = name.iter().chain(value);
    for (to, from) in place.iter_mut().zip(named) {
        *to = *from;
    }
    match record.write(flash, place) {
        // It stands; the next write wipes again.
        Err(StorageError::NotWiped) => Ok(()),
        written => written,
    }
}

/// Writes `parts` to `out`, one after the other, and returns how long they are.
fn concat(out: &mut [u8], parts: &[&[u8]]) -> Result<usize, StorageError> {
    let len = parts.iter().map(|part| part.len()).sum();
    let place = out.get_mut(..len).ok_or(StorageError::TooLong)?;
    let bytes = parts.iter().copied().flatten();
    for (to, from) in place.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(len)
}

/// Logs that `what` was not kept.
fn said<T>(what: &str, kept: Result<T, StorageError>) -> Result<T, StorageError> {
    kept.inspect_err(|error| defmt::warn!("{=str} not kept: {}", what, error))
}

/// Returns the issuer of a list of what is revoked, if its key is among `anchors`.
fn issuer_of<'a>(list: &[u8], anchors: &'a TrustAnchors) -> Option<&'a str> {
    let kid = list.get(4..4 + MAX_KID_LEN)?;
    let end = kid.iter().position(|byte| *byte == 0).unwrap_or(kid.len());
    let kid = core::str::from_utf8(kid.get(..end)?).ok()?;
    anchors.find(kid).map(TrustAnchor::issuer)
}

/// Returns the region of two sectors from the sector `first` on.
const fn sectors(first: u32) -> Region {
    Region {
        start: first * SECTOR_LEN,
        len: 2 * SECTOR_LEN,
    }
}
