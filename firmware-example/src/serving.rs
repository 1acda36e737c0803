//! What the agent does on an open link, whoever moves the bytes: reads that block, or a task of an executor.
//!
//! ```text
//! loop
//!     read, and hand each event to Serving::take
//!     Serving::begin_turn
//!     while Serving::next is ready: send Serving::said
//!     Serving::end_turn
//! ```

use moorline_core::channel::{Answering, Rate};
use moorline_core::connection::{Event, NewToken};
use moorline_core::crypto::{EphemeralKey, PUBLIC_KEY_LEN, SigningKey};
use moorline_core::driver::DriverError;
use moorline_core::handshake::Ticket;
use moorline_core::message::{Envelope, FromHub, ToHub};
use moorline_core::reason::Error;
use moorline_core::time::{Instant, Now};
use moorline_core::token::TokenReason;

use crate::board::{Entropy, restart};
use crate::commands::{Devices, Session};
use crate::exchange::{Answer, Exchange, SETTINGS, Surroundings};
use crate::identity::Identity;
use crate::issuers::Issuers;
use crate::offline::{Offline, Place};
use crate::renewal::Renewal;
use crate::rotation::Proved;

/// What the agent works on while a link is open, and keeps from one link to the next.
pub struct Work {
    /// The channels of commanders.
    pub exchange: Exchange,
    /// The newest token.
    pub renewal: Renewal,
    /// What the last session left for the next handshake, which then needs no signature.
    pub ticket: Option<Ticket>,
    /// What was left for the device while it was away.
    pub offline: Offline,
    /// The key that took the place of the one with which the link was opened.
    pub key: Option<SigningKey>,
    /// Whose tokens count.
    pub issuers: Issuers,
}

impl Work {
    /// Returns it empty.
    pub const fn new() -> Self {
        Self {
            exchange: Exchange::new(),
            renewal: Renewal::new(),
            ticket: None,
            offline: Offline::new(),
            key: None,
            issuers: Issuers::new(),
        }
    }

    /// Takes in that the hub knows the device by another key now.
    pub fn take_key(&mut self, proved: Proved) {
        self.renewal.rest_on(&proved.token);
        self.offline.rekey();
        self.key = Some(proved.key);
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

/// An open link, as the agent serves it.
pub struct Serving<'a> {
    identity: &'a Identity,
    work: &'a mut Work,
    devices: &'a mut Devices,
    session: Session,
    /// The session rests on the device's key alone, until the token is shown that the hub gives in it.
    is_newcomer: bool,
    /// What comes next in this turn.
    step: Step,
    /// What has come that is to be shown to the hub.
    due: Option<Shown>,
    /// What was shown last.
    shown: Option<Shown>,
    /// Nothing was heard in this turn: there is time for what nobody waits for.
    is_quiet: bool,
    asked: [u8; ASKED_LEN],
}

/// What the hub is shown by a session that has another already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A token for the key that the session proved.
    Token,
    /// A token for the next key, which is proved with it.
    Key,
}

/// The steps of a turn, in their order.
#[derive(Clone, Copy)]
enum Step {
    Show,
    Ask,
    Handle,
    Attend,
    Report,
    Offline,
    Over,
}

/// Something is ready to be said; [`Serving::said`] has it.
#[derive(Clone, Copy)]
pub enum Ready {
    /// The hub is to be shown a newer token.
    Shown(Shown),
    /// The hub is to be asked for something.
    Asked(usize),
    /// Something is to be carried to a commander.
    Carried(Answer),
    /// Something is to be said about commands that were left.
    Offline(usize),
}

/// What is to be said to the hub.
pub enum Said<'s> {
    /// By [`moorline_core::connection::Connection::renew`].
    Token(NewToken<'s>),
    /// By [`moorline_core::connection::Connection::send_application`].
    Message(&'s [u8]),
    /// By [`moorline_core::connection::Connection::send_envelope`].
    Envelope(Envelope<'s>),
}

impl<'a> Serving<'a> {
    /// Begins with the link that is open now. The channels of the one before went through a session that is over.
    #[inline(never)]
    pub fn begin(
        identity: &'a Identity,
        work: &'a mut Work,
        devices: &'a mut Devices,
        session: Session,
        is_newcomer: bool,
    ) -> Self {
        work.exchange.channels().clear();
        work.offline.begin();
        work.issuers.open();
        devices.rotation.begin();
        Self {
            identity,
            work,
            devices,
            session,
            is_newcomer,
            step: Step::Over,
            due: None,
            shown: None,
            is_quiet: false,
            asked: [0; ASKED_LEN],
        }
    }

    /// Keeps the ticket that the hub gave, for the next link.
    pub fn keep_ticket(&mut self, ticket: Ticket) {
        if let Some(kept) = &mut self.devices.kept {
            kept.keep_ticket(&ticket);
        }
        self.work.ticket = Some(ticket);
    }

    /// Takes in what happened on the link.
    pub fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Envelope(payload) => self.work.exchange.take(payload),
            Event::Application(message) => self.take_message(message),
            Event::Renewed(_) => self.take_renewal(),
            Event::RenewalRefused(reason) => {
                self.shown = None;
                defmt::warn!("token refused: {}", reason);
            }
            Event::RoundTrip(millis) => defmt::debug!("round trip of {=u64} ms", millis),
            Event::Enrolled(enrolled) => self.take_token(enrolled.token),
            Event::Open(_) | Event::Closed(_) | Event::Dropped(_) => {}
        }
    }

    #[inline(never)]
    fn take_message(&mut self, message: &[u8]) {
        match FromHub::decode(message) {
            Ok(FromHub::Token { token }) => self.take_token(token),
            Ok(FromHub::TokenRefused) => defmt::warn!("the hub gives no newer token"),
            Ok(FromHub::Revoked { list }) => {
                let Work {
                    exchange, issuers, ..
                } = &mut *self.work;
                let anchors = issuers.anchors();
                let is_newer = exchange.revoke(list, anchors);
                if let (true, Some(kept)) = (is_newer, &mut self.devices.kept) {
                    kept.keep_revoked(list, anchors);
                }
            }
            Ok(FromHub::Issuers { statements, more }) => {
                let kept = self.devices.kept.as_deref_mut();
                let Work {
                    issuers, renewal, ..
                } = &mut *self.work;
                issuers.take(statements, more, self.identity, kept);
                if !self.is_newcomer {
                    renewal.note_issuers(issuers.anchors());
                }
            }
            _ => self.work.offline.take(message),
        }
    }

    /// Takes in a token: for the device's own key or for the next one, as was asked.
    #[inline(never)]
    fn take_token(&mut self, token: &[u8]) {
        let now = self.now();
        let Work {
            issuers,
            renewal,
            key,
            ..
        } = &mut *self.work;
        let own = self.identity.own(issuers.anchors());
        let key = key.as_ref().unwrap_or(self.identity.key());
        let claims = match own.verify(token, &now) {
            Ok(claims) => claims,
            // The device was away for long. The hub judges its own token, and says afterwards which key it is of; nothing is
            // learnt from it, and it is not kept.
            Err(TokenReason::KidUnknown)
                if self.is_newcomer && renewal.restore(token, &own, key.public_key()) =>
            {
                self.due = Some(Shown::Token);
                return;
            }
            Err(reason) => {
                defmt::warn!("no token: {}", reason);
                return;
            }
        };
        let Devices { kept, rotation, .. } = &mut *self.devices;
        let kept = kept.as_deref_mut();
        let is_own = own.names(&claims, key.public_key());
        let is_taken = if is_own && self.is_newcomer {
            // The hub has refused the one that is here, and gives this one by its own clock.
            renewal.begin(token, &claims);
            true
        } else {
            is_own && renewal.take(token, &claims)
        };
        self.due = if is_taken {
            if let Some(kept) = kept {
                // The session rests on it all the same; after a reset the one before counts again.
                let _said = kept.keep_token(token);
            }
            Some(Shown::Token)
        } else if rotation
            .key()
            .is_some_and(|key| own.names(&claims, key.public_key()))
            && rotation.name(token, kept)
        {
            Some(Shown::Key)
        } else {
            defmt::warn!("no token: it is another's, or older");
            None
        };
    }

    /// Takes in that the session rests on what was shown.
    #[inline(never)]
    fn take_renewal(&mut self) {
        self.is_newcomer = false;
        if self.shown.take() != Some(Shown::Key) {
            defmt::info!("token renewed");
            return;
        }
        let Devices { kept, rotation, .. } = &mut *self.devices;
        if let Some(proved) = rotation.prove(kept.as_deref_mut()) {
            self.work.take_key(proved);
        }
    }

    /// Begins the next turn, for which the watchdog is fed. `is_quiet` says that nothing was heard since the last one.
    pub fn begin_turn(&mut self, is_quiet: bool) {
        self.devices.watchdog.feed();
        self.is_quiet = is_quiet;
        self.step = Step::Show;
    }

    /// Does what is due, and returns what is ready to be said. It is called until nothing is; each is said before the next.
    pub fn next(&mut self, entropy: &mut Entropy) -> Option<Ready> {
        loop {
            let (ready, following) = match self.step {
                Step::Show => {
                    let shown = self.due.take().map(Ready::Shown);
                    // A newcomer says nothing else.
                    let following = if self.is_newcomer {
                        Step::Over
                    } else {
                        Step::Ask
                    };
                    (shown, following)
                }
                Step::Ask => (self.ask(entropy), Step::Handle),
                Step::Handle => (self.handle(entropy), Step::Attend),
                Step::Attend => match self.attend(entropy) {
                    Some(ready) => (Some(ready), Step::Attend),
                    None => (None, Step::Report),
                },
                Step::Report => (self.report(), Step::Offline),
                Step::Offline => match self.offline(entropy) {
                    Some(ready) => (Some(ready), Step::Offline),
                    None => (None, Step::Over),
                },
                Step::Over => return None,
            };
            self.step = following;
            if ready.is_some() {
                return ready;
            }
        }
    }

    /// Returns what `ready` stands for; nothing when that is there no more.
    pub fn said(&self, ready: Ready) -> Option<Said<'_>> {
        Some(match ready {
            Ready::Shown(Shown::Token) => Said::Token(NewToken {
                token: self.work.renewal.token()?,
                key: None,
            }),
            Ready::Shown(Shown::Key) => Said::Token(self.devices.rotation.proof()?),
            Ready::Asked(len) => Said::Message(self.asked.get(..len).unwrap_or_default()),
            Ready::Carried(answer) => Said::Envelope(self.work.exchange.envelope(answer)),
            Ready::Offline(len) => Said::Message(self.work.offline.said(len)),
        })
    }

    /// Judges how sending what was ready went. A hub that takes less than was to be said is no reason to part from it.
    ///
    /// # Errors
    ///
    /// Any other that `sent` has.
    pub fn note_sent<E>(
        &mut self,
        ready: Ready,
        sent: Result<(), DriverError<E>>,
    ) -> Result<(), DriverError<E>> {
        if let Ready::Shown(shown) = ready {
            self.shown = Some(shown);
        }
        match (ready, sent) {
            (
                Ready::Carried(_) | Ready::Offline(_),
                Err(DriverError::Own(error @ Error::PayloadTooLong { .. })),
            ) => {
                defmt::warn!("answer not sent: {}", error);
                if matches!(ready, Ready::Offline(_)) {
                    self.work.offline.give_up();
                }
                Ok(())
            }
            (_, sent) => sent,
        }
    }

    /// Ends the turn: a device that was told so starts anew, now that what there was to say about it is on its way.
    pub fn end_turn(&self) {
        if self.devices.is_reboot_due {
            // The hub takes the next link for the one that counts.
            defmt::info!("starting anew, as told");
            restart()
        }
    }

    /// Asks for a token when one is due: for the next key first, which makes one for the key of now needless.
    #[inline(never)]
    fn ask(&mut self, entropy: &mut Entropy) -> Option<Ready> {
        if let Some(after) = self.work.issuers.ask() {
            let ask = ToHub::FetchIssuers { after };
            let len = ask.encode(&mut self.asked).ok()?.len();
            return Some(Ready::Asked(len));
        }
        let now = self.now();
        let Devices { kept, rotation, .. } = &mut *self.devices;
        let key = rotation.ask(now.instant.0, kept.as_deref_mut(), entropy);
        if key.is_none() && !self.work.renewal.is_due(&now) {
            return None;
        }
        let ask = ToHub::RenewToken {
            key: key.as_ref().map(<[u8; PUBLIC_KEY_LEN]>::as_slice),
        };
        let len = ask.encode(&mut self.asked).ok()?.len();
        Some(Ready::Asked(len))
    }

    #[inline(never)]
    fn handle(&mut self, entropy: &mut Entropy) -> Option<Ready> {
        let now = self.now();
        let Work {
            exchange,
            renewal,
            key,
            issuers,
            ..
        } = &mut *self.work;
        let key = key.as_ref().unwrap_or(self.identity.key());
        let responder = self.identity.responder(
            key,
            renewal.token()?,
            issuers.anchors(),
            SETTINGS.max_payload_len,
        );
        let mut surroundings = Surroundings {
            responder: &responder,
            answering: &ANSWERING,
            now,
            entropy,
        };
        let answer = exchange.handle(&mut surroundings, &self.session, self.devices);
        if self.is_quiet && exchange.channels().wants_ephemeral() {
            // Nothing is to be done: the next commander will not have to wait for this.
            if let Ok(ephemeral) = EphemeralKey::generate(surroundings.entropy) {
                exchange.channels().prepare(ephemeral);
            }
        }
        answer.map(Ready::Carried)
    }

    #[inline(never)]
    fn attend(&mut self, entropy: &mut Entropy) -> Option<Ready> {
        let now = self.now();
        let Work {
            exchange,
            renewal,
            key,
            issuers,
            ..
        } = &mut *self.work;
        let key = key.as_ref().unwrap_or(self.identity.key());
        let responder = self.identity.responder(
            key,
            renewal.token()?,
            issuers.anchors(),
            SETTINGS.max_payload_len,
        );
        let mut surroundings = Surroundings {
            responder: &responder,
            answering: &ANSWERING,
            now,
            entropy,
        };
        exchange.attend(&mut surroundings).map(Ready::Carried)
    }

    #[inline(never)]
    fn report(&mut self) -> Option<Ready> {
        self.devices.observe();
        if !self.is_quiet {
            return None;
        }
        let report = self.work.exchange.report(self.devices)?;
        Some(Ready::Carried(report))
    }

    #[inline(never)]
    fn offline(&mut self, entropy: &mut Entropy) -> Option<Ready> {
        let now = self.now();
        let Work {
            exchange,
            offline,
            key,
            issuers,
            ..
        } = &mut *self.work;
        let key = key.as_ref().unwrap_or(self.identity.key());
        let (now, floor) = exchange.time(now);
        if let Some(kept) = &mut self.devices.kept {
            kept.keep_floor(floor);
        }
        let mut place = Place {
            agent: &self.identity.offline_agent(key, issuers.anchors()),
            now,
            floor,
            entropy,
            devices: self.devices,
            session: &self.session,
            revocations: exchange.revocations(),
        };
        offline.step(&mut place).map(Ready::Offline)
    }

    fn now(&self) -> Now {
        let instant = Instant(self.devices.clock.milliseconds());
        let hub_clock = &self.session.hub_clock;
        Now {
            instant,
            unix: hub_clock.at(instant),
            quality: hub_clock.quality,
        }
    }
}

/// How the device behaves on its channels.
const ANSWERING: Answering = Answering {
    settings: SETTINGS,
    starts: Rate::STARTS,
};
/// Longest question to the hub in bytes: its version and number, and a key with its length.
const ASKED_LEN: usize = 2 + 1 + 1 + PUBLIC_KEY_LEN;
