//! What commanders say on the device's channels, and what it answers.

use moorline_core::channel::{Answering, Carried, ChannelEvent, Channels, Route};
use moorline_core::connection::{Context, Responding, Settings};
use moorline_core::entropy::Entropy;
use moorline_core::handshake::{Admission, Gate, Responder};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::{
    ENVELOPE_HEADER_LEN, Envelope, FromAgent, Reply, Request, Response, Status,
};
use moorline_core::reason::Reason;
use moorline_core::revocation::Revocations;
use moorline_core::time::{Instant, Now, UnixMillis};
use moorline_core::time_floor::TimeFloor;
use moorline_core::token::{Claims, Permissions, Renewal, TrustAnchors, VerifiedClaims};
use moorline_core::trust::NoKeeper;
use moorline_core::wire::{FRAME_OVERHEAD, Refuse, TooSmall};

use crate::agent::MAX_PAYLOAD_LEN;
use crate::commands;
use crate::commands::{Asker, Devices, Session};
use crate::identity::to_u16;

/// The device's channels, and where envelopes are taken apart and put together.
pub struct Exchange {
    channels: Channels<CHANNEL_COUNT>,
    /// What arrived.
    payload: [u8; MAX_PAYLOAD_LEN],
    payload_len: usize,
    response: [u8; MAX_MESSAGE_LEN],
    inner: [u8; MAX_INNER_LEN],
    desk: Desk,
}

/// What is to be carried to a commander; it stands in the [`Exchange`].
#[derive(Clone, Copy)]
pub struct Answer {
    route: Route,
    len: usize,
}

/// What a step of an exchange draws on.
pub struct Surroundings<'s> {
    /// Who the device is.
    pub responder: &'s Responder<'s>,
    /// How it behaves on its channels.
    pub answering: &'s Answering,
    /// The hub's time.
    pub now: Now,
    /// The source of entropy.
    pub entropy: &'s mut dyn Entropy,
}

impl Exchange {
    /// Returns it empty.
    pub const fn new() -> Self {
        Self {
            channels: Channels::new(),
            payload: [0; MAX_PAYLOAD_LEN],
            payload_len: 0,
            response: [0; MAX_MESSAGE_LEN],
            inner: [0; MAX_INNER_LEN],
            desk: Desk {
                session_count: 0,
                revocations: Revocations::new(),
                floor: TimeFloor::NONE,
                now: Now::without_clock(Instant(0)),
            },
        }
    }

    /// Takes in what the issuer has revoked, and ends the channels of whom it names. Returns whether it is newer than what
    /// was known.
    #[inline(never)]
    pub fn revoke(&mut self, list: &[u8], anchors: &TrustAnchors) -> bool {
        match self.desk.revocations.take(list, anchors) {
            Ok(list) => {
                defmt::info!("a newer list of what is revoked");
                self.channels.revoke(list);
                true
            }
            // The hub says it each time that the link opens.
            Err(Reason::RevocationOld) => false,
            Err(reason) => {
                defmt::warn!("no list of what is revoked: {}", reason);
                false
            }
        }
    }

    /// Returns what is revoked.
    pub fn revocations(&self) -> &Revocations<ISSUER_COUNT> {
        &self.desk.revocations
    }

    /// Notes what the time is at least, and how often the device has started before. While that is kept no two sessions have
    /// one number; a device that cannot keep it begins with the same numbers at each start.
    pub fn begin(&mut self, floor: TimeFloor, start_number: u64) {
        self.desk.floor = floor;
        self.desk.session_count = start_number << 32;
    }

    /// Returns the time as the device judges by it, and what it is at least.
    pub fn time(&self, now: Now) -> (Now, UnixMillis) {
        (self.desk.floor.judge(now), self.desk.floor.time())
    }

    /// Puts what arrived aside, until [`Exchange::handle`].
    pub fn take(&mut self, payload: &[u8]) {
        self.payload_len = 0;
        if let Some(place) = self.payload.get_mut(..payload.len()) {
            place.copy_from_slice(payload);
            self.payload_len = payload.len();
        }
    }

    /// Works on what arrived, and returns what is to be sent.
    #[inline(never)]
    pub fn handle(
        &mut self,
        surroundings: &mut Surroundings<'_>,
        session: &Session,
        devices: &mut Devices,
    ) -> Option<Answer> {
        let len = core::mem::take(&mut self.payload_len);
        let payload = self
            .payload
            .get_mut(..len)
            .filter(|payload| !payload.is_empty())?;
        self.desk.now = self.desk.floor.judge(surroundings.now);
        let mut context = Context {
            now: self.desk.now,
            entropy: &mut *surroundings.entropy,
            responding: Some(Responding {
                responder: surroundings.responder,
                gate: &mut self.desk,
            }),
            keeper: &mut NoKeeper,
        };
        let answering = surroundings.answering;
        let carried = self
            .channels
            .handle_envelope(payload, answering, &mut context, &mut self.inner)
            .inspect_err(|reason| defmt::warn!("no envelope: {}", reason))
            .ok()?;
        let (route, asked) = match carried {
            Carried {
                route,
                send,
                event: Some(ChannelEvent::Message(message)),
            } => {
                debug_assert!(send.is_none());
                (route, message)
            }
            other => return told(&other),
        };
        let granted = self.channels.facts(&route).map(|facts| facts.permissions);
        let granted = granted.unwrap_or(Permissions::NONE);
        let asker = Asker {
            granted,
            route: Some(route),
            session,
        };
        let len = respond(asked, &asker, devices, &mut self.response)?;
        let response = self.response.get(..len)?;
        let sealed = self.channels.send(&route, response, &mut self.inner);
        let len = sealed
            .inspect_err(|error| defmt::warn!("no answer: {}", error))
            .ok()?
            .len();
        Some(Answer { route, len })
    }

    /// Does what is due on a channel, and returns what is to be sent. It is called until nothing is due.
    #[inline(never)]
    pub fn attend(&mut self, surroundings: &mut Surroundings<'_>) -> Option<Answer> {
        let mut context = Context {
            now: self.desk.floor.judge(surroundings.now),
            entropy: &mut *surroundings.entropy,
            responding: Some(Responding {
                responder: surroundings.responder,
                gate: &mut self.desk,
            }),
            keeper: &mut NoKeeper,
        };
        let carried = self
            .channels
            .handle_deadline(&mut context, &mut self.inner)?;
        told(&carried)
    }

    /// Seals the next thing that the device says by itself, and returns it.
    #[inline(never)]
    pub fn report(&mut self, devices: &mut Devices) -> Option<Answer> {
        let now_ms = devices.clock.milliseconds();
        devices.reports.forget(&self.channels);
        let (route, len) =
            devices
                .reports
                .next(&self.channels, &devices.log, now_ms, &mut self.response)?;
        let message = self.response.get(..len)?;
        // One that cannot be sealed is missed by its number.
        let sealed = self.channels.send(&route, message, &mut self.inner);
        let len = sealed.ok()?.len();
        Some(Answer { route, len })
    }

    /// Returns the envelope of `answer`, which stands here until the next one.
    pub fn envelope(&self, answer: Answer) -> Envelope<'_> {
        Envelope {
            route: answer.route,
            channel: HUB_CHANNEL,
            inner: self.inner.get(..answer.len).unwrap_or_default(),
        }
    }

    /// Returns the channels.
    pub fn channels(&mut self) -> &mut Channels<CHANNEL_COUNT> {
        &mut self.channels
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Self::new()
    }
}

/// Logs what happened on a channel, and returns what is to be sent.
fn told(carried: &Carried<'_, '_>) -> Option<Answer> {
    match &carried.event {
        Some(ChannelEvent::Open) => defmt::info!("channel open"),
        Some(ChannelEvent::Closed) => defmt::info!("channel closed"),
        Some(ChannelEvent::Renewed) => defmt::info!("channel renewed"),
        Some(ChannelEvent::RenewalRefused(reason)) => {
            defmt::warn!("token refused: {}", reason);
        }
        Some(ChannelEvent::Dropped(reason)) => defmt::warn!("dropped: {}", reason),
        Some(ChannelEvent::Message(_)) | None => {}
    }
    let len = carried.send?.len();
    Some(Answer {
        route: carried.route,
        len,
    })
}

/// Runs the command in `message` for `asker`, and puts the response into `out`.
///
/// There is nobody to tell that a message is no request: who sends it does not wait.
#[inline(never)]
fn respond(
    message: &[u8],
    asker: &Asker<'_>,
    devices: &mut Devices,
    out: &mut [u8],
) -> Option<usize> {
    let request = Request::decode(message)
        .inspect_err(|reason| defmt::warn!("no answer: {}", reason))
        .ok()?;
    let reply = commands::run(devices, &request.command, asker);
    defmt::info!(
        "command {=str} id {=u32}: {}",
        request.command.name,
        request.id,
        reply.status
    );
    let said = |reply| {
        let id = request.id;
        FromAgent::Response(Response { id, reply })
    };
    let encoded = match said(reply).encode(out) {
        Ok(encoded) => Ok(encoded.len()),
        Err(TooSmall { .. }) => {
            let failed = said(Reply::bare(Status::Failed));
            failed.encode(out).map(|encoded| encoded.len())
        }
    };
    encoded.ok()
}

/// The device's part in the decision about a commander: core has judged its token.
struct Desk {
    session_count: u64,
    revocations: Revocations<ISSUER_COUNT>,
    /// What the time is at least: commanders' tokens raise it.
    floor: TimeFloor,
    /// The time at which it decides.
    now: Now,
}

impl Gate for Desk {
    fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.names(claims)
    }

    fn renew(&mut self, claims: &VerifiedClaims, _: Renewal) -> Option<Permissions> {
        Some(claims.claims().permissions)
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        self.session_count += 1;
        let session_id = self.session_count.to_be_bytes();
        let claims = claims.claims();
        if self.floor.raise(claims.issued_at, &self.now) {
            defmt::debug!("time floor {=u64} ms", self.floor.time().0);
        }
        defmt::info!("commander {=str}", claims.subject.as_str());
        Ok(Admission {
            session_id,
            permissions: claims.permissions,
        })
    }
}

/// Issuers' keys whose lists of what is revoked are kept.
pub const ISSUER_COUNT: usize = 2;
/// How many commanders speak with the device at a time.
pub const CHANNEL_COUNT: usize = 4;
/// Longest payload of a frame on a channel in bytes: what an envelope leaves of one on the link.
pub const MAX_MESSAGE_LEN: usize = MAX_INNER_LEN - FRAME_OVERHEAD - CONNECTION_ID_LEN;
/// Longest message of a channel in bytes.
const MAX_INNER_LEN: usize = MAX_PAYLOAD_LEN - ENVELOPE_HEADER_LEN;
/// What a frame on a channel has beside what one on a stream has.
const CONNECTION_ID_LEN: usize = 4;
const _: () = assert!(MAX_INNER_LEN >= 1000 && MAX_HANDSHAKE_LEN >= MAX_INNER_LEN);
/// The channel between hub and agent (PROTOCOL.md §10.2).
const HUB_CHANNEL: u32 = 0;
/// A commander that says nothing may still be there: its channel gives way when the place is needed.
pub const SETTINGS: Settings = Settings {
    max_payload_len: to_u16(MAX_MESSAGE_LEN),
    ..Settings::DEFAULT
};
