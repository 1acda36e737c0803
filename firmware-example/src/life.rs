//! The agent's life from link to link, whoever moves the bytes: reads that block, or a task of an executor.
//!
//! ```text
//! Life::start
//! loop
//!     Life::begin; connect as the Opening says; Opening::serve; serve
//!     Life::otherwise: when there is another way in, the same by that
//!     Life::lose; sleep as long as Life::next_rest says
//! ```

use defmt::Format;
use heapless::Vec;
use moorline_core::connection::{Closure, Connection, Heartbeat, Settings};
use moorline_core::crypto::{EphemeralKey, SigningKey};
use moorline_core::driver::DriverError;
use moorline_core::handshake::{Initiator, Shown, SingleUse, Ticket};
use moorline_core::reason::{Error, Reason};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::trust::{TrustKeeper, TrustMemory};
use static_cell::StaticCell;

use crate::agent::MAX_PAYLOAD_LEN;
use crate::backoff::Backoff;
use crate::board::{Clock, Entropy, Flash};
use crate::commands::{Devices, Session};
use crate::identity::{Identity, handshake_len, to_u16};
use crate::kept::{Keeper, Kept};
use crate::rotation::Rotation;
use crate::serving::{Serving, Work};
use crate::settings::Settings as DeviceSettings;

/// What the agent is and has, from one link to the next.
pub struct Life {
    identity: &'static mut Identity,
    clock: Clock,
    devices: Devices,
    memory: &'static mut Memory,
    /// The ephemeral key of the next handshake, made while nobody waits for it.
    spare: Option<EphemeralKey>,
    /// When the link was opened, in milliseconds since boot.
    opened_ms: Option<u64>,
    backoff: Backoff,
}

/// What it works in.
pub struct Memory {
    /// The token that the link was opened with.
    token: Vec<u8, MAX_UNPACKED_LEN>,
    /// Whom the device takes for its hub from the next link on, once that changes.
    followed: TrustMemory,
    work: Work,
}

/// By what a link is opened.
#[derive(Clone, Copy)]
pub enum By<'k> {
    /// By the device's token.
    Token,
    /// By the device's key alone: its token is over, and it is given another.
    Key,
    /// By the next key and its token. The link is opened, and not served.
    NextKey(&'k SigningKey),
}

/// Another way in, when the hub has refused the device's token.
pub enum Otherwise {
    /// By the device's key alone.
    Key,
    /// By the next key, which the hub may have taken up. When it has, [`Life::take_next_key`] says so.
    NextKey(SigningKey),
}

impl Memory {
    /// Returns it empty.
    pub const fn new() -> Self {
        Self {
            token: Vec::new(),
            followed: TrustMemory::new(),
            work: Work::new(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Life {
    /// Begins with what the flash has kept through a reset.
    #[inline(never)]
    pub fn restore(
        identity: &'static mut Identity,
        mut devices: Devices,
        memory: &'static mut Memory,
    ) -> Self {
        devices.kept = open_flash(identity);
        memory.restore_identity(identity, &mut devices.rotation, devices.kept.as_deref_mut());
        devices.settings = memory.restore(identity, devices.kept.as_deref_mut());
        devices.log.set_level(devices.settings.log_level);
        Self {
            identity,
            clock: devices.clock,
            devices,
            memory,
            spare: None,
            opened_ms: None,
            backoff: Backoff::new(),
        }
    }

    /// Makes ready for the first link.
    pub fn start(&mut self, entropy: &mut Entropy) {
        self.devices.watchdog.start(WATCHDOG_MS);
        self.make_ready(entropy);
        defmt::info!("agent ready");
    }

    /// Makes the ephemeral key of the next handshake, unless there is one that was not used.
    #[inline(never)]
    fn make_ready(&mut self, entropy: &mut Entropy) {
        if self.spare.is_none() {
            // The source has complained already; the handshake asks it again.
            self.spare = EphemeralKey::generate(entropy).ok();
        }
    }

    /// Takes in why the link was lost, and returns until when to rest, in milliseconds since boot.
    pub fn lose<E: Format>(&mut self, lost: &DriverError<E>, entropy: &mut Entropy) -> u64 {
        defmt::warn!("link lost: {}", lost);
        self.devices.stack.wipe();
        let now = self.clock.milliseconds();
        if self
            .opened_ms
            .take()
            .is_some_and(|opened| now >= opened + STEADY_MS)
        {
            self.backoff = Backoff::new();
        }
        self.make_ready(entropy);
        let pause_ms = self.backoff.next(lost, entropy);
        defmt::info!("retry in {=u64} ms", pause_ms);
        now + pause_ms
    }

    /// Returns until when to sleep in a rest that lasts until `deadline_ms`, both in milliseconds since boot; nothing when it
    /// is over. Keeps the watchdog from taking the rest for a hang.
    pub fn next_rest(&mut self, deadline_ms: u64) -> Option<u64> {
        self.devices.watchdog.feed();
        let now = self.clock.milliseconds();
        (now < deadline_ms).then(|| deadline_ms.min(now + REST_MS))
    }

    /// Begins a link.
    pub fn begin<'l>(&'l mut self, by: By<'l>) -> Opening<'l> {
        let ticket = self.take_ticket();
        let Memory {
            token,
            followed,
            work,
        } = &mut *self.memory;
        self.identity.follow(followed);
        // It may have a successor before the link ends.
        let shown = self.devices.rotation.token();
        let shown = shown.filter(|_| matches!(by, By::NextKey(_)));
        *token = Vec::from_slice(shown.unwrap_or(work.renewal.bytes())).unwrap_or_default();
        let token = UnpackedToken::parse_exact(token);
        Opening {
            token: token.unwrap_or(self.identity.token()),
            identity: self.identity,
            by,
            ticket,
            followed,
            spare: &mut self.spare,
            devices: &mut self.devices,
            work,
            opened_ms: &mut self.opened_ms,
        }
    }

    /// Takes the ticket out of memory, or else out of flash. It is offered once: after an attempt that fails the next is in
    /// full.
    fn take_ticket(&mut self) -> Option<Ticket> {
        let kept = self.devices.kept.as_deref_mut().and_then(Kept::take_ticket);
        let ticket = self.memory.work.ticket.take().or(kept);
        // A ticket does not tell which key the hub takes for the device's: it may lead to a session of the next one.
        ticket.filter(|_| self.devices.rotation.token().is_none())
    }

    /// Returns another way in when `ended`, as the link by the device's token went, says that the hub has refused it.
    pub fn otherwise<E: PartialEq>(
        &mut self,
        ended: &Result<(), DriverError<E>>,
    ) -> Option<Otherwise> {
        self.adopt_key();
        let refused = DriverError::Closed(Closure::Refused(Reason::RefusedCredential));
        if *ended != Err(refused) {
            return None;
        }
        self.devices.watchdog.feed();
        let rotation = &self.devices.rotation;
        let next = rotation.token().and(rotation.key());
        Some(match next {
            Some(key) => {
                defmt::info!("the next key is tried");
                Otherwise::NextKey(SigningKey::from_scalar(&key.to_scalar())?)
            }
            None => {
                defmt::info!("the token is refused, the key alone is tried");
                Otherwise::Key
            }
        })
    }

    /// Puts the next key in the place of the device's own, since the hub has opened a link to it.
    pub fn take_next_key(&mut self) {
        let kept = self.devices.kept.as_deref_mut();
        if let Some(proved) = self.devices.rotation.prove(kept) {
            self.memory.work.take_key(proved);
        }
        self.adopt_key();
    }

    /// Takes for its own the key that the hub has taken up.
    fn adopt_key(&mut self) {
        if let Some(key) = self.memory.work.key.take() {
            self.identity.adopt(key);
        }
    }
}

/// A link that is being opened: with what, and what comes of it.
pub struct Opening<'l> {
    identity: &'l Identity,
    token: UnpackedToken<'l>,
    by: By<'l>,
    ticket: Option<Ticket>,
    followed: &'l mut TrustMemory,
    spare: &'l mut Option<EphemeralKey>,
    devices: &'l mut Devices,
    work: &'l mut Work,
    opened_ms: &'l mut Option<u64>,
}

impl<'l> Opening<'l> {
    /// Returns who opens it.
    pub fn identity(&self) -> &'l Identity {
        self.identity
    }

    /// Returns the device's side of the handshake.
    pub fn initiator(&self) -> Initiator<'l> {
        let key = match self.by {
            By::Token | By::Key => self.identity.key(),
            By::NextKey(key) => key,
        };
        let shows = match self.by {
            By::Token | By::NextKey(_) => Shown::Token(self.token),
            By::Key => Shown::Key,
        };
        self.identity.initiator(key, shows, to_u16(MAX_PAYLOAD_LEN))
    }

    /// Returns where it is kept whom the device takes for its hub, while the link is being opened.
    pub fn keeper(&mut self) -> Keeper<'_> {
        Keeper {
            kept: self.devices.kept.as_deref_mut(),
            followed: self.followed,
        }
    }

    /// Returns what this handshake alone uses.
    ///
    /// # Errors
    ///
    /// There is no entropy.
    pub fn single_use(&mut self, entropy: &mut Entropy) -> Result<SingleUse, Error> {
        Ok(SingleUse {
            ephemeral: match self.spare.take() {
                Some(key) => key,
                None => EphemeralKey::generate(entropy)?,
            },
            ticket: self.ticket.take(),
        })
    }

    /// Takes in that the link is open, as `connection` says. Returns how it is served; nothing when it was to be opened only.
    pub fn serve(self, connection: &Connection<'_>) -> Option<Serving<'l>> {
        if matches!(self.by, By::NextKey(_)) {
            return None;
        }
        let facts = connection.facts();
        let id = facts.map(|facts| facts.session_id).unwrap_or_default();
        let number = u64::from_be_bytes(id);
        if facts.is_some_and(|facts| facts.resumed) {
            defmt::info!("link open session {=u64:016x}, resumed", number);
        } else {
            let len = handshake_len(&self.token);
            defmt::info!(
                "link open session {=u64:016x}, handshake of {=usize} bytes",
                number,
                len
            );
        }
        *self.opened_ms = Some(self.devices.clock.milliseconds());
        self.devices.stack.wipe();
        let session = Session {
            id,
            hub_clock: connection.clock().copied().unwrap_or_default(),
        };
        Some(Serving::begin(
            self.identity,
            self.work,
            self.devices,
            session,
            matches!(self.by, By::Key),
        ))
    }
}

/// Returns how a link behaves of which the handshake may take `handshake_millis` milliseconds.
pub const fn settings(handshake_millis: u64) -> Settings {
    Settings {
        max_payload_len: to_u16(MAX_PAYLOAD_LEN),
        handshake_millis,
        heartbeat: HEARTBEAT,
        fresh_updates: false,
    }
}

/// Opens what outlasts a reset. A device without flash is told so, and goes on.
#[inline(never)]
fn open_flash(identity: &Identity) -> Option<&'static mut Kept> {
    let flash = Flash::open()
        .inspect_err(|error| defmt::warn!("what comes is lost at a reset: {}", error))
        .ok()?;
    let kept = Kept::open(flash, &identity.name())
        .inspect_err(|error| defmt::warn!("what comes is lost at a reset: {}", error))
        .ok()?;
    Some(KEPT.init(kept))
}

impl Memory {
    /// Takes in what was kept through a reset of who the device is, and of who its hub is; without any it is as provisioned.
    #[inline(never)]
    fn restore_identity(
        &mut self,
        identity: &mut Identity,
        rotation: &mut Rotation,
        kept: Option<&mut Kept>,
    ) {
        let Work {
            renewal, issuers, ..
        } = &mut self.work;
        renewal.rest_on(identity.token().as_bytes());
        let Some(kept) = kept else {
            issuers.begin(identity, None);
            return;
        };
        issuers.begin(identity, kept.issuers());
        if let Some((key, token)) = kept.key()
            && renewal.restore(&token, &identity.own(issuers.anchors()), key.public_key())
        {
            identity.adopt(key);
        }
        kept.begin(identity.key().public_key());
        if let Some(trust) = kept.trust()
            && self.followed.keep(&trust)
        {
            identity.follow(&mut self.followed);
        }
        if let Some(next) = kept.next_key() {
            rotation.restore(next, identity.key(), kept);
        }
    }

    /// Takes in what was kept through a reset, and returns the settings.
    #[inline(never)]
    fn restore(&mut self, identity: &Identity, kept: Option<&mut Kept>) -> DeviceSettings {
        let Some(kept) = kept else {
            self.work.exchange.begin(identity.floor(None), 0);
            return DeviceSettings::DEFAULT;
        };
        let number = kept.start_number();
        defmt::info!("started {=u64} times before", number);
        self.work
            .exchange
            .begin(identity.floor(kept.floor()), number);
        let Work {
            exchange,
            renewal,
            issuers,
            ..
        } = &mut self.work;
        let anchors = issuers.anchors();
        kept.revoked(|list| {
            exchange.revoke(list, anchors);
        });
        let mut buffer = [0; MAX_UNPACKED_LEN];
        if let Some(token) = kept.token(&mut buffer) {
            let key = identity.key().public_key();
            renewal.restore(token, &identity.own(anchors), key);
        }
        if let Some(kept) = kept.offline() {
            self.work.offline.restore(kept);
        }
        kept.settings().unwrap_or(DeviceSettings::DEFAULT)
    }
}

/// What outlasts a reset.
static KEPT: StaticCell<Kept> = StaticCell::new();

/// A serial line does not say that the other end is gone, and a network not always. A ping after 5 s of silence, a second
/// one at 10 s, and at 12 s, when neither was answered, the hub is given up.
const HEARTBEAT: Heartbeat = Heartbeat {
    ping_after: 5_000,
    dead_after: 12_000,
};
/// An attempt to connect ends after half of this at the latest, and a turn of serving after seconds: who needs longer hangs.
const WATCHDOG_MS: u32 = 60_000;
/// How long the device rests at a time.
const REST_MS: u64 = 10_000;
/// A session that was open for this long was a good one, and its end is the first failure of a new series. Shorter
/// ones are a hub that lets nobody stay.
const STEADY_MS: u64 = 10_000;
