//! The life of the agent.
//!
//! ```text
//! boot ──> ready ──> connect ──> handshake ──> serve
//!            ^          |            |           |
//!            └──pause───┴────────────┴───────────┘  link lost
//! ```
//!
//! Everything it works in is static or on the stack.

use heapless::Vec;
use moorline_core::connection::{Closure, Heartbeat, Settings};
use moorline_core::crypto::{EphemeralKey, SigningKey};
use moorline_core::driver::blocking::{Link, Machine};
use moorline_core::driver::{Buffers, DriverError};
use moorline_core::feed::Feed;
use moorline_core::handshake::{Initiator, SingleUse, Ticket};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::reason::{Error, Reason};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::trust::{NoKeeper, TrustKeeper, TrustMemory};
use moorline_core::wire::FRAME_OVERHEAD;
use static_cell::{ConstStaticCell, StaticCell};

use crate::backoff::Backoff;
use crate::board::{Board, Clock, Entropy, Flash, LOG_LEN, Watchdog, restart};
use crate::commands::{Devices, Session};
use crate::exchange::CHANNEL_COUNT;
use crate::identity::{BootError, Identity, handshake_len};
use crate::kept::{Keeper, Kept};
use crate::reports::Reports;
use crate::road::{Frames, Road, RoadError, Stream, assembly_len, wire_len};
use crate::rotation::Rotation;
use crate::serving::{Said, Serving, Work};
use crate::settings::{Settings as DeviceSettings, Text};

/// The agent, ready to connect.
pub struct Agent {
    identity: &'static mut Identity,
    clock: Clock,
    entropy: Entropy,
    road: Road,
    devices: Devices,
    memory: &'static mut Memory,
    /// The ephemeral key of the next handshake, made while nobody waits for it.
    spare: Option<EphemeralKey>,
    /// What the last session left for the next handshake, which then needs no signature.
    ticket: Option<Ticket>,
    opened_ms: Option<u64>,
    /// It is fed when an attempt to connect has ended, at each turn of serving, and while the device rests.
    watchdog: Watchdog,
}

/// Why a connection ended.
type Lost = DriverError<RoadError>;

impl Agent {
    /// Checks the board and what it was provisioned with.
    ///
    /// # Errors
    ///
    /// The first [`BootError`].
    #[inline(never)]
    pub fn boot(board: Board, memory: &'static mut Memory) -> Result<Self, BootError> {
        let Board {
            clock,
            mut entropy,
            ethernet,
            leds,
            mut log,
            provision,
            sensor,
            stack,
            uart,
            watchdog,
        } = board;
        log.keep(LOG.take());
        let identity = IDENTITY.init(Identity::establish(provision, &mut entropy)?);
        let road = Road::take(identity.road(), ethernet, uart, clock, &mut entropy)
            .map_err(BootError::Network)?;
        let mut kept = open_flash(identity);
        let mut rotation = Rotation::new();
        memory.restore_identity(identity, &mut rotation, kept.as_deref_mut());
        let settings = memory.restore(identity, kept.as_deref_mut());
        log.set_level(settings.log_level);
        Ok(Self {
            identity,
            clock,
            entropy,
            road,
            devices: Devices {
                clock,
                leds,
                sensor,
                stack,
                log,
                settings,
                rotation,
                kept,
                reports: REPORTS.take(),
                is_reboot_due: false,
                text: Text::new(),
            },
            memory,
            spare: None,
            ticket: None,
            opened_ms: None,
            watchdog,
        })
    }

    /// Takes the ticket out of memory, or else out of flash. It is offered once: after an attempt that fails the next is in
    /// full.
    fn take_ticket(&mut self) -> Option<Ticket> {
        let kept = self.devices.kept.as_deref_mut().and_then(Kept::take_ticket);
        self.ticket.take().or(kept)
    }

    /// Connects and serves, for ever.
    pub fn run(&mut self) -> ! {
        self.watchdog.start(WATCHDOG_MS);
        self.make_ready();
        defmt::info!("agent ready");
        let mut backoff = Backoff::new();
        loop {
            let lost = match self.attempt() {
                Ok(()) => continue,
                Err(lost) => lost,
            };
            defmt::warn!("link lost: {}", lost);
            self.devices.stack.wipe();
            let now = self.clock.milliseconds();
            if self
                .opened_ms
                .take()
                .is_some_and(|opened| now >= opened + STEADY_MS)
            {
                backoff = Backoff::new();
            }
            self.make_ready();
            let pause_ms = backoff.next(&lost, &mut self.entropy);
            defmt::info!("retry in {=u64} ms", pause_ms);
            self.rest_until(now + pause_ms);
        }
    }

    /// Sleeps until `deadline_ms`, in milliseconds since boot, and keeps the watchdog from taking that for a hang.
    fn rest_until(&mut self, deadline_ms: u64) {
        loop {
            self.watchdog.feed();
            let now = self.clock.milliseconds();
            if now >= deadline_ms {
                return;
            }
            self.road.rest_until(deadline_ms.min(now + REST_MS));
        }
    }

    /// Makes the ephemeral key of the next handshake, unless there is one that was not used.
    #[inline(never)]
    fn make_ready(&mut self) {
        if self.spare.is_none() {
            // The source has complained already; the handshake asks it again.
            self.spare = EphemeralKey::generate(&mut self.entropy).ok();
        }
    }

    /// Serves a link until it is lost, or finds out that the hub takes the next key and the device has not heard of it.
    fn attempt(&mut self) -> Result<(), Lost> {
        let lost = self.connect_and_serve(None);
        self.adopt_key();
        let refused = DriverError::Closed(Closure::Refused(Reason::RefusedCredential));
        let rotation = &self.devices.rotation;
        let (true, Some(_), Some(key)) = (lost == Err(refused), rotation.token(), rotation.key())
        else {
            return lost;
        };
        defmt::info!("the next key is tried");
        self.watchdog.feed();
        let key = SigningKey::from_scalar(&key.to_scalar());
        self.connect_and_serve(key.as_ref())?;
        let kept = self.devices.kept.as_deref_mut();
        if let Some(proved) = self.devices.rotation.prove(kept) {
            self.memory.work.take_key(proved);
        }
        self.adopt_key();
        Ok(())
    }

    /// Takes for its own the key that the hub has taken up.
    fn adopt_key(&mut self) {
        if let Some(key) = self.memory.work.key.take() {
            self.identity.adopt(key);
        }
    }

    /// Opens a link and serves it until it is lost. A link with the key `next` is opened, and not served.
    #[inline(never)]
    fn connect_and_serve(&mut self, next: Option<&SigningKey>) -> Result<(), Lost> {
        let max_payload_len = u16::try_from(MAX_PAYLOAD_LEN).unwrap_or(u16::MAX);
        let ticket = self.take_ticket();
        // A ticket does not tell which key the hub takes for the device's: it may lead to a session of the next one.
        let ticket = ticket.filter(|_| self.devices.rotation.token().is_none());
        self.identity.follow(&mut self.memory.followed);
        let memory = &mut *self.memory;
        let mut keeper = Keeper {
            kept: self.devices.kept.as_deref_mut(),
            followed: &mut memory.followed,
        };
        let mut machine = Machine {
            clock: &mut self.clock,
            entropy: &mut self.entropy,
            keeper: &mut keeper,
        };
        let handshake_millis = self.road.handshake_millis();
        let (stream, frames) = self.road.open(
            self.identity,
            &mut machine,
            &mut memory.wire,
            &mut memory.assembly,
        )?;
        let ephemeral = match self.spare.take() {
            Some(key) => key,
            None => EphemeralKey::generate(machine.entropy).map_err(Error::from)?,
        };
        // The token may have a successor before the link ends.
        let token = self.devices.rotation.token().filter(|_| next.is_some());
        let token = token.unwrap_or(memory.work.renewal.bytes());
        memory.token = Vec::from_slice(token).unwrap_or_default();
        let token = UnpackedToken::parse_exact(&memory.token);
        let token = token.unwrap_or(self.identity.token());
        let key = next.unwrap_or(self.identity.key());
        let mut link = shake_hands(
            stream,
            frames,
            self.identity.initiator(key, token, max_payload_len),
            SingleUse { ephemeral, ticket },
            Settings {
                max_payload_len,
                handshake_millis,
                heartbeat: HEARTBEAT,
                fresh_updates: false,
            },
            Buffers {
                input: &mut memory.input,
                message: &mut memory.message,
                wire: &mut memory.wire,
            },
            &mut machine,
        )?;
        if next.is_some() {
            return Ok(());
        }
        let mut machine = Machine {
            clock: &mut self.clock,
            entropy: &mut self.entropy,
            keeper: &mut NoKeeper,
        };
        let facts = link.connection().facts();
        let id = facts.map(|facts| facts.session_id).unwrap_or_default();
        let number = u64::from_be_bytes(id);
        if facts.is_some_and(|facts| facts.resumed) {
            defmt::info!("link open session {=u64:016x}, resumed", number);
        } else {
            let len = handshake_len(&token);
            defmt::info!(
                "link open session {=u64:016x}, handshake of {=usize} bytes",
                number,
                len
            );
        }
        self.opened_ms = Some(machine.clock.milliseconds());
        self.devices.stack.wipe();
        let session = Session {
            id,
            hub_clock: link.connection().clock().copied().unwrap_or_default(),
        };
        let mut serving =
            Serving::begin(self.identity, &mut memory.work, &mut self.devices, session);
        loop {
            self.watchdog.feed();
            if let Some(ticket) = link.take_ticket() {
                serving.keep_ticket(&ticket);
                self.ticket = Some(ticket);
            }
            let heard = link.poll(&mut machine, |event| serving.take(event))?;
            serving.begin_turn(heard.is_none());
            while let Some(ready) = serving.next(machine.entropy) {
                let sent = match serving.said(ready) {
                    Some(Said::Token(token)) => link.renew(&token, machine.entropy),
                    Some(Said::Message(message)) => link.send_application(message, machine.entropy),
                    Some(Said::Envelope(envelope)) => {
                        link.send_envelope(&envelope, machine.entropy)
                    }
                    None => Ok(()),
                };
                serving.note_sent(ready, sent)?;
            }
            if serving.is_reboot_due() {
                // The hub takes the next link for the one that counts.
                defmt::info!("starting anew, as told");
                restart()
            }
        }
    }
}

/// Opens the link. What that takes of the stack is free again when it is open.
#[inline(never)]
fn shake_hands<'k, 'b, 'r>(
    stream: Stream<'r>,
    frames: Frames<'r>,
    initiator: Initiator<'k>,
    single_use: SingleUse,
    settings: Settings,
    buffers: Buffers<'b>,
    machine: &mut Machine<'_, Clock, Entropy, Keeper<'_>>,
) -> Result<Link<'k, 'b, Stream<'r>, Frames<'r>>, Lost> {
    Link::connect(
        stream, frames, initiator, single_use, settings, buffers, machine,
    )
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
        let renewal = &mut self.work.renewal;
        renewal.rest_on(identity.token().as_bytes());
        let Some(kept) = kept else {
            return;
        };
        if let Some((key, token)) = kept.key()
            && renewal.restore(&token, &identity.own(), key.public_key())
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
        kept.revoked(|list| {
            self.work.exchange.revoke(list, identity.anchors());
        });
        let mut buffer = [0; MAX_UNPACKED_LEN];
        if let Some(token) = kept.token(&mut buffer) {
            let key = identity.key().public_key();
            self.work.renewal.restore(token, &identity.own(), key);
        }
        if let Some(kept) = kept.offline() {
            self.work.offline.restore(kept);
        }
        kept.settings().unwrap_or(DeviceSettings::DEFAULT)
    }
}

/// Who the device is, for as long as it runs.
static IDENTITY: StaticCell<Identity> = StaticCell::new();
/// What outlasts a reset.
static KEPT: StaticCell<Kept> = StaticCell::new();

/// The lines of the log that are kept.
static LOG: ConstStaticCell<Feed<LOG_LEN>> = ConstStaticCell::new(Feed::new());
/// What the device says by itself.
static REPORTS: ConstStaticCell<Reports<CHANNEL_COUNT>> = ConstStaticCell::new(Reports::new());

/// What the agent works in; there is one.
pub struct Memory {
    input: [u8; INPUT_LEN],
    message: [u8; MESSAGE_LEN],
    wire: [u8; wire_len(MESSAGE_LEN)],
    assembly: [u8; assembly_len(MESSAGE_LEN)],
    /// The token that the link was opened with.
    token: Vec<u8, MAX_UNPACKED_LEN>,
    work: Work,
    /// Whom the device takes for its hub from the next link on, once that changes.
    followed: TrustMemory,
}

/// The agent's memory, for who starts it.
pub static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    input: [0; INPUT_LEN],
    message: [0; MESSAGE_LEN],
    wire: [0; wire_len(MESSAGE_LEN)],
    assembly: [0; assembly_len(MESSAGE_LEN)],
    token: Vec::new(),
    work: Work::new(),
    followed: TrustMemory::new(),
});

/// Longest payload of a frame that the agent takes and sends, in bytes: a command and its answer have room in it.
pub const MAX_PAYLOAD_LEN: usize = 1024;

/// Longest message in bytes, of the handshake or after it.
const MESSAGE_LEN: usize = {
    let frame_len = MAX_PAYLOAD_LEN + FRAME_OVERHEAD;
    if frame_len > MAX_HANDSHAKE_LEN {
        frame_len
    } else {
        MAX_HANDSHAKE_LEN
    }
};
/// What is taken from the road at once: a frame of a usual command in one go.
const INPUT_LEN: usize = 256;

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
