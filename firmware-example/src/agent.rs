//! The life of the agent.
//!
//! ```text
//! boot ──> ready ──> connect ──> handshake ──> serve
//!            ^          |            |           |
//!            └──pause───┴────────────┴───────────┘  link lost
//! ```
//!
//! Everything it works in is static or on the stack.

use core::convert::Infallible;

use heapless::Vec;
use moorline_core::channel::{Answering, Rate};
use moorline_core::connection::{Event, Heartbeat, NewToken, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::driver::blocking::{Link, Machine};
use moorline_core::driver::{Buffers, DriverError};
use moorline_core::feed::Feed;
use moorline_core::handshake::{Initiator, SingleUse, Ticket};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::{FromHub, ToHub};
use moorline_core::reason::Error;
use moorline_core::time::{Instant, Now};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::trust::TrustMemory;
use moorline_core::wire::FRAME_OVERHEAD;
use static_cell::{ConstStaticCell, StaticCell};

use crate::backoff::Backoff;
use crate::board::{Board, Clock, Entropy, Flash, LOG_LEN, Watchdog, restart};
use crate::commands::{Devices, Session};
use crate::exchange::{CHANNEL_COUNT, Exchange, SETTINGS, Surroundings};
use crate::identity::{BootError, Identity, handshake_len};
use crate::kept::Kept;
use crate::offline::{Offline, Place};
use crate::renewal::Renewal;
use crate::reports::Reports;
use crate::road::{Frames, Road, RoadError, Stream, assembly_len, wire_len};
use crate::settings::{Settings as DeviceSettings, Text};

/// The agent, ready to connect.
pub struct Agent {
    identity: &'static Identity,
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
        let claims = identity.own().claims;
        memory.renewal.begin(claims.issued_at, claims.expires_at);
        let mut kept = open_flash(identity);
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
            let lost = match self.connect_and_serve() {
                Ok(never) => match never {},
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

    #[inline(never)]
    fn connect_and_serve(&mut self) -> Result<Infallible, Lost> {
        let max_payload_len = u16::try_from(MAX_PAYLOAD_LEN).unwrap_or(u16::MAX);
        let ticket = self.take_ticket();
        let memory = &mut *self.memory;
        memory.trust.take_from(&mut memory.followed);
        let mut machine = Machine {
            clock: &mut self.clock,
            entropy: &mut self.entropy,
            keeper: &mut memory.followed,
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
        memory.token.clear();
        if let Some(token) = memory.renewal.token() {
            let _ = memory.token.extend_from_slice(token.as_bytes());
        }
        let token = UnpackedToken::parse_exact(&memory.token);
        let token = token.unwrap_or(self.identity.token());
        let mut link = shake_hands(
            stream,
            frames,
            self.identity
                .initiator(token, max_payload_len, memory.trust.get()),
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
        let facts = link.connection().facts();
        let session = Session {
            id: facts.map(|facts| facts.session_id).unwrap_or_default(),
            hub_clock: link.connection().clock().copied().unwrap_or_default(),
        };
        self.opened_ms = Some(machine.clock.milliseconds());
        self.devices.stack.wipe();
        // The channels went through a session with the hub that is over.
        memory.exchange.channels().clear();
        memory.offline.begin();
        let offline_agent = self.identity.offline_agent();
        let answering = Answering {
            settings: SETTINGS,
            starts: Rate::STARTS,
        };
        let number = u64::from_be_bytes(session.id);
        if link.connection().facts().is_some_and(|facts| facts.resumed) {
            defmt::info!("link open session {=u64:016x}, resumed", number);
        } else {
            let len = handshake_len(&token);
            defmt::info!(
                "link open session {=u64:016x}, handshake of {=usize} bytes",
                number,
                len
            );
        }
        loop {
            self.watchdog.feed();
            if let Some(ticket) = link.take_ticket() {
                if let Some(kept) = &mut self.devices.kept {
                    kept.keep_ticket(&ticket);
                }
                self.ticket = Some(ticket);
            }
            let now = |clock: &Clock| {
                let instant = Instant(clock.milliseconds());
                Now {
                    instant,
                    unix: session.hub_clock.at(instant),
                    quality: session.hub_clock.quality,
                }
            };
            let arrived = now(machine.clock);
            let mut is_newer = false;
            let heard = link.poll(&mut machine, |event| match event {
                Event::Envelope(payload) => memory.exchange.take(payload),
                Event::Application(message) => match FromHub::decode(message) {
                    Ok(FromHub::Token { token }) => {
                        is_newer = memory.renewal.take(token, &self.identity.own(), &arrived);
                    }
                    Ok(FromHub::TokenRefused) => defmt::warn!("the hub gives no newer token"),
                    Ok(FromHub::Revoked { list }) => {
                        let is_newer = memory.exchange.revoke(list, self.identity.own().anchors);
                        if let (true, Some(kept)) = (is_newer, &mut self.devices.kept) {
                            kept.keep_revoked(list);
                        }
                    }
                    _ => memory.offline.take(message),
                },
                Event::Renewed(_) => defmt::info!("token renewed"),
                Event::RenewalRefused(reason) => defmt::warn!("token refused: {}", reason),
                Event::RoundTrip(millis) => defmt::debug!("round trip of {=u64} ms", millis),
                Event::Open(_) | Event::Enrolled(_) | Event::Closed(_) | Event::Dropped(_) => {}
            })?;
            if let (true, Some(token)) = (is_newer, memory.renewal.token()) {
                if let Some(kept) = &mut self.devices.kept {
                    // The session rests on it all the same; after a reset the one before counts again.
                    let _said = kept.keep_token(token.as_bytes());
                }
                link.renew(&NewToken { token, key: None }, machine.entropy)?;
            }
            let now = now(machine.clock);
            if memory.renewal.is_due(&now) {
                let mut ask = [0; 8];
                let ask = ToHub::RenewToken { key: None }.encode(&mut ask);
                link.send_application(ask.map_err(Error::from)?, machine.entropy)?;
            }
            let token = memory.renewal.token().unwrap_or(self.identity.token());
            let responder = self.identity.responder(token, SETTINGS.max_payload_len);
            let mut surroundings = Surroundings {
                responder: &responder,
                answering: &answering,
                now,
                entropy: &mut *machine.entropy,
            };
            let exchange = &mut memory.exchange;
            let mut answer = exchange.handle(&mut surroundings, &session, &mut self.devices);
            if heard.is_none() && exchange.channels().wants_ephemeral() {
                // Nothing is to be done: the next commander will not have to wait for this.
                if let Ok(ephemeral) = EphemeralKey::generate(surroundings.entropy) {
                    exchange.channels().prepare(ephemeral);
                }
            }
            while let Some(ready) = answer.or_else(|| exchange.attend(&mut surroundings)) {
                answer = None;
                match link.send_envelope(&exchange.envelope(ready), &mut surroundings.entropy) {
                    // A hub that takes less than was to be said is no reason to part from it.
                    Err(DriverError::Own(error @ Error::PayloadTooLong { .. })) => {
                        defmt::warn!("answer not sent: {}", error);
                    }
                    sent => sent?,
                }
            }
            self.devices.observe();
            if heard.is_none()
                && let Some(report) = exchange.report(&mut self.devices)
            {
                match link.send_envelope(&exchange.envelope(report), &mut surroundings.entropy) {
                    Err(DriverError::Own(error @ Error::PayloadTooLong { .. })) => {
                        defmt::warn!("report not sent: {}", error);
                    }
                    sent => sent?,
                }
            }
            let (now, floor) = exchange.time(surroundings.now);
            if let Some(kept) = &mut self.devices.kept {
                kept.keep_floor(floor);
            }
            let mut place = Place {
                agent: &offline_agent,
                now,
                floor,
                entropy: &mut *machine.entropy,
                devices: &mut self.devices,
                session: &session,
                revocations: exchange.revocations(),
            };
            while let Some(message) = memory.offline.step(&mut place) {
                match link.send_application(message, &mut place.entropy) {
                    Err(DriverError::Own(error @ Error::PayloadTooLong { .. })) => {
                        defmt::warn!("offline reply not sent: {}", error);
                        memory.offline.give_up();
                    }
                    sent => sent?,
                }
            }
            if self.devices.is_reboot_due {
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
    machine: &mut Machine<'_, Clock, Entropy, TrustMemory>,
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
    /// Takes in what was kept through a reset, and returns the settings.
    #[inline(never)]
    fn restore(&mut self, identity: &Identity, kept: Option<&mut Kept>) -> DeviceSettings {
        let Some(kept) = kept else {
            self.exchange.begin(identity.floor(None), 0);
            return DeviceSettings::DEFAULT;
        };
        let number = kept.start_number();
        defmt::info!("started {=u64} times before", number);
        self.exchange.begin(identity.floor(kept.floor()), number);
        kept.revoked(|list| {
            self.exchange.revoke(list, identity.own().anchors);
        });
        let mut buffer = [0; MAX_UNPACKED_LEN];
        if let Some(token) = kept.token(&mut buffer) {
            self.renewal.restore(token, &identity.own());
        }
        if let Some(kept) = kept.offline() {
            self.offline.restore(kept);
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
    exchange: Exchange,
    renewal: Renewal,
    /// The token that the link was opened with.
    token: Vec<u8, MAX_UNPACKED_LEN>,
    offline: Offline,
    /// Whom the device takes for its hub, once that has changed since it was provisioned.
    trust: TrustMemory,
    /// The same from the next link on.
    followed: TrustMemory,
}

/// The agent's memory, for who starts it.
pub static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    input: [0; INPUT_LEN],
    message: [0; MESSAGE_LEN],
    wire: [0; wire_len(MESSAGE_LEN)],
    assembly: [0; assembly_len(MESSAGE_LEN)],
    exchange: Exchange::new(),
    renewal: Renewal::new(),
    token: Vec::new(),
    offline: Offline::new(),
    trust: TrustMemory::new(),
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
