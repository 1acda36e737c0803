//! A commander's link to its hub.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future;
use moorline_core::connection::{
    Closure, Connection, Context, Event, Heartbeat, NewToken, Settings,
};
use moorline_core::crypto::{EphemeralKey, PublicKey, SigningKey};
use moorline_core::handshake::{Initiator, Offer, Shown, SingleUse, Ticket, Wanted};
use moorline_core::message::{Alert, AlertCode, Envelope, FromHub};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::Instant;
use moorline_core::token::{MAX_COMPACT_LEN, UnverifiedClaims};
use moorline_core::trust::{NoKeeper, TrustKeeper, TrustStore};
use moorline_core::wire::{Form, SuiteList};

use super::again::Again;
use super::road::{Place, Road, addresses};
use super::trust_file::TrustFile;
use super::{ClientError, Commander};
use crate::clock;
use crate::entropy::SystemEntropy;
use crate::line::{ClientLine, Parts, own_len, sealed_len};

/// Longest payload of a frame in bytes that a client takes.
pub(super) const PAYLOAD_LEN: u16 = 4096;

/// How long the hub may take to be reached; to prove itself it has the time of a handshake.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// How long the hub may take to answer what it can answer at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// What a client announces.
pub(super) const OFFER: Offer = Offer {
    suites: SuiteList::AES_FIRST,
    mtu: u16::MAX,
    max_payload_len: PAYLOAD_LEN,
    no_clock: false,
    wants_ticket: true,
};

/// How a client's connections behave.
pub(super) fn settings() -> Settings {
    Settings {
        max_payload_len: PAYLOAD_LEN,
        heartbeat: Heartbeat::DEFAULT,
        fresh_updates: true,
        ..Settings::default()
    }
}

/// Makes the key of one handshake.
pub(super) fn ephemeral_key() -> Result<EphemeralKey, ClientError> {
    EphemeralKey::generate(&mut SystemEntropy).map_err(|_| ClientError::Own(Error::Entropy))
}

/// Returns what is shown in the compact form, if it is a token that has not expired.
fn bearer(shows: &Shown<'_>) -> Option<String> {
    let Shown::Token(token) = shows else {
        return None;
    };
    let claims = UnverifiedClaims::decode(token).ok()?;
    let is_over = claims.claims_unverified().expires_at <= clock::now().unix.secs();
    let mut compact = [0; MAX_COMPACT_LEN];
    let compact = token.to_compact(&mut compact).ok()?;
    (!is_over).then(|| compact.to_owned())
}

/// A link, open.
#[derive(Debug)]
pub(super) struct Link<'k> {
    road: Road,
    line: ClientLine<'k>,
    /// Where it is kept whom the client trusts.
    keeper: Option<TrustFile>,
    parts: Parts,
    /// Why the last datagram was dropped: if nothing better comes, that is what is wrong.
    dropped: Option<Reason>,
    out: Vec<u8>,
}

/// Whom a client takes for its hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedHub<'k> {
    /// The keys that it takes.
    pub(super) trust: &'k TrustStore,
    /// Where they are kept when they change.
    pub(super) keeper: Option<&'k TrustFile>,
}

/// What one wait brought.
pub(super) enum Got {
    /// The link is open.
    Open,
    /// The hub has enrolled this newcomer.
    Enrolled(Enrolled),
    /// The session rests on the token that was shown.
    Renewed,
    /// A message of the hub's, and how long its frame was.
    Application(Vec<u8>),
    /// What the hub carried here, and how long its frame was.
    Envelope(Vec<u8>, usize),
    /// Nothing for the layer above.
    Nothing,
    /// The time that was to be waited for.
    Late,
}

/// What a newcomer gets.
pub(super) struct Enrolled {
    /// Its token, unpacked.
    pub(super) token: Vec<u8>,
    /// The issuer's keys, the newest last.
    pub(super) issuer_keys: Vec<PublicKey>,
    /// The group that it belongs to.
    pub(super) group: Option<String>,
}

impl Enrolled {
    fn of(said: &moorline_core::message::Enrolled<'_>) -> Result<Self, ClientError> {
        let keys = said.keys();
        let keys = keys.ok_or(ClientError::Malformed(Reason::PublicKey))?;
        Ok(Self {
            token: said.token.to_vec(),
            issuer_keys: keys.iter().copied().collect(),
            group: said.group.map(String::from),
        })
    }
}

impl<'k> Link<'k> {
    /// Opens a link to the hub at `url`, which rests on `ticket` where the hub takes it.
    pub(super) async fn open(
        url: &str,
        commander: Commander<'k>,
        ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        let shows = Shown::Token(commander.token);
        let hub = WantedHub {
            trust: commander.trust,
            keeper: commander.keeper,
        };
        Self::open_as(url, commander.key, shows, hub, ticket).await
    }

    /// Opens a link to the hub at `url`, which is `hub`, as the holder of `key` who `shows` this.
    pub(super) async fn open_as(
        url: &str,
        key: &'k SigningKey,
        shows: Shown<'k>,
        hub: WantedHub<'k>,
        ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        let place = Place::parse(url)?;
        let initiator = Initiator {
            key,
            shows,
            wanted: Wanted::Hub(hub.trust, place.form()),
            offer: Offer {
                mtu: place.mtu(),
                ..OFFER
            },
        };
        let bearer = bearer(&shows);
        let opened = match place {
            Place::WebSocket(url) => {
                match in_time(Road::open_websocket(url, bearer.as_deref())).await {
                    Ok(road) => Self::authenticate(road, initiator, hub.keeper, ticket).await,
                    Err(error) => Err(error),
                }
            }
            Place::Udp { host, port, .. } => match in_time(addresses(host, port)).await {
                Ok(addresses) => Self::open_udp(&addresses, initiator, hub.keeper, ticket).await,
                Err(error) => Err(error),
            },
        };
        opened.map_err(|error| match error {
            ClientError::Stream(error)
                if place.form() == Form::Datagram || error.kind() == ErrorKind::TimedOut =>
            {
                ClientError::Unreachable {
                    place: url.into(),
                    error,
                }
            }
            error => error,
        })
    }

    /// Opens a link at the first of `addresses` where somebody is.
    async fn open_udp(
        addresses: &[SocketAddr],
        initiator: Initiator<'k>,
        keeper: Option<&'k TrustFile>,
        mut ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        let mut last = std::io::Error::from(ErrorKind::NotFound);
        for address in addresses {
            let opened = async {
                let road = Road::open_udp(*address).await?;
                // A ticket is shown once.
                Self::authenticate(road, initiator, keeper, ticket.take()).await
            };
            match opened.await {
                Err(ClientError::Stream(error)) => last = error,
                done => return done,
            }
        }
        Err(last.into())
    }

    async fn authenticate(
        road: Road,
        initiator: Initiator<'k>,
        keeper: Option<&'k TrustFile>,
        ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        let form = match initiator.wanted {
            Wanted::Hub(_, form) => form,
            Wanted::Agent(_) => Form::Datagram,
        };
        let len = sealed_len(form, usize::from(PAYLOAD_LEN)).max(own_len(form));
        let mut out = vec![0; len];
        let single_use = SingleUse {
            ephemeral: ephemeral_key()?,
            ticket,
        };
        let (line, m1) =
            ClientLine::initiate(initiator, single_use, settings(), &clock::now(), &mut out)
                .map_err(ClientError::Own)?;
        let m1 = m1.to_vec();
        let mut link = Self {
            road,
            line,
            keeper: keeper.cloned(),
            parts: Parts::default(),
            dropped: None,
            out,
        };
        link.road.send(&m1).await?;
        loop {
            match link.wait(None).await {
                Ok(Got::Open) => {
                    link.road.note_proof();
                    return Ok(link);
                }
                Ok(_) => {}
                Err(ClientError::Ended(Closure::Refused(Reason::HandshakeTimeout))) => {
                    let late = std::io::Error::from(ErrorKind::TimedOut);
                    return Err(link.dropped.map_or(late.into(), handshake_error));
                }
                Err(ClientError::Ended(Closure::Refused(reason))) => {
                    return Err(handshake_error(reason));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the connection.
    pub(super) fn connection(&self) -> &Connection<'k> {
        self.line.connection()
    }

    /// Returns whether what is sent may be lost.
    pub(super) fn is_lossy(&self) -> bool {
        self.line.form() == Form::Datagram
    }

    /// Takes away the newest ticket that the hub gave.
    pub(super) fn take_ticket(&mut self) -> Option<Ticket> {
        self.line.connection_mut().take_ticket()
    }

    /// Sends `envelope`; returns how long its frame is.
    pub(super) async fn send_envelope(
        &mut self,
        envelope: &Envelope<'_>,
    ) -> Result<usize, ClientError> {
        let frame = self
            .line
            .connection_mut()
            .send_envelope(envelope, &mut self.out)
            .map_err(|_| ClientError::TooLong)?;
        self.road.send(frame).await?;
        Ok(frame.len())
    }

    /// Sends `message` to the hub.
    pub(super) async fn send_application(&mut self, message: &[u8]) -> Result<(), ClientError> {
        let frame = self
            .line
            .connection_mut()
            .send_application(message, &mut self.out)
            .map_err(ClientError::Own)?;
        Ok(self.road.send(frame).await?)
    }

    /// Asks the hub and waits for the message that `take` takes, at most `patience`. Over datagrams it is asked again: the
    /// hub answers what is asked twice twice alike.
    pub(super) async fn ask<R>(
        &mut self,
        message: &[u8],
        patience: Duration,
        mut take: impl FnMut(&FromHub<'_>) -> Option<R>,
    ) -> Result<R, ClientError> {
        let give_up = clock::instant().plus(millis(patience));
        let mut again = Again::new(self.is_lossy());
        self.send_application(message).await?;
        loop {
            let due = again.due().map_or(give_up, |due| due.min(give_up));
            match self.wait(Some(due)).await? {
                Got::Application(message) => {
                    let message = FromHub::decode(&message).map_err(ClientError::Malformed)?;
                    if let Some(taken) = take(&message) {
                        return Ok(taken);
                    }
                }
                Got::Late if clock::instant() >= give_up => {
                    return Err(ClientError::Late(patience));
                }
                Got::Late if again.is_due() => self.send_application(message).await?,
                _ => {}
            }
        }
    }

    /// Waits for one message, until `due` at the latest, attends to the link's own deadlines meanwhile, and returns
    /// what came.
    pub(super) async fn wait(&mut self, due: Option<Instant>) -> Result<Got, ClientError> {
        let own = self.line.deadline();
        let first = own.into_iter().chain(due).min();
        let late = async {
            match first {
                Some(first) => clock::sleep_until(first).await,
                None => future::pending().await,
            }
            Ok(None)
        };
        let message = async {
            let message = self.road.receive().await?.ok_or(ClientError::Cut)?;
            Ok::<_, ClientError>(Some(message))
        };
        let mut message = future::or(message, late).await?;
        let is_for_caller = due.is_some() && due == first;
        if message.is_none() && is_for_caller {
            return Ok(Got::Late);
        }
        let len = message.as_ref().map_or(0, Vec::len);
        let outcome = {
            let keeper: &mut dyn TrustKeeper = match &mut self.keeper {
                Some(keeper) => keeper,
                None => &mut NoKeeper,
            };
            let mut context = Context {
                now: clock::now(),
                entropy: &mut SystemEntropy,
                responding: None,
                keeper,
            };
            match &mut message {
                Some(message) => {
                    let parts = &mut self.parts;
                    self.line
                        .handle_message(message, parts, &mut context, &mut self.out)
                }
                None => self.line.handle_deadline(&mut context, &mut self.out),
            }
        };
        if let Some(bytes) = outcome.send {
            self.road.send(bytes).await?;
        }
        Ok(match outcome.event {
            None | Some(Event::RoundTrip(_)) => Got::Nothing,
            Some(Event::Dropped(reason)) => {
                self.dropped = Some(reason);
                Got::Nothing
            }
            Some(Event::Open(_)) => Got::Open,
            Some(Event::Enrolled(enrolled)) => Got::Enrolled(Enrolled::of(&enrolled)?),
            Some(Event::Renewed(_)) => Got::Renewed,
            Some(Event::RenewalRefused(_)) => return Err(ClientError::RenewalRefused),
            Some(Event::Application(payload)) => Got::Application(payload.to_vec()),
            Some(Event::Envelope(payload)) => Got::Envelope(payload.to_vec(), len),
            Some(Event::Closed(closure)) => return Err(ClientError::Ended(closure)),
        })
    }

    /// Shows the hub a newer token, and waits until the session rests on it. Over datagrams it is shown again.
    pub(super) async fn renew(&mut self, new: &NewToken<'_>) -> Result<(), ClientError> {
        let give_up = clock::instant().plus(millis(PATIENCE));
        let mut again = Again::new(self.is_lossy());
        self.show(new).await?;
        loop {
            let due = again.due().map_or(give_up, |due| due.min(give_up));
            match self.wait(Some(due)).await? {
                Got::Renewed => return Ok(()),
                Got::Late if clock::instant() >= give_up => {
                    return Err(ClientError::Late(PATIENCE));
                }
                Got::Late if again.is_due() => self.show(new).await?,
                _ => {}
            }
        }
    }

    async fn show(&mut self, new: &NewToken<'_>) -> Result<(), ClientError> {
        let frame = self
            .line
            .connection_mut()
            .renew(new, &mut SystemEntropy, &mut self.out)
            .map_err(ClientError::Own)?;
        Ok(self.road.send(frame).await?)
    }

    /// Says goodbye and ends the link.
    pub(super) async fn close(mut self) {
        if let Some(frame) = self.line.close(Alert::new(AlertCode::Close), &mut self.out) {
            // A hub that is gone hears no goodbye.
            let _ = self.road.send(frame).await;
        }
        self.road.end().await;
    }
}

/// Returns `duration` in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns what `reaching` leads to, unless it takes too long.
async fn in_time<T>(
    reaching: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let late = async {
        smol::Timer::after(CONNECT_PATIENCE).await;
        Err(std::io::Error::from(ErrorKind::TimedOut).into())
    };
    future::or(reaching, late).await
}

/// Returns what a handshake that ended for `reason` means to its user.
fn handshake_error(reason: Reason) -> ClientError {
    match reason {
        Reason::RefusedCredential => ClientError::CredentialRefused,
        Reason::RefusedOverload | Reason::Rejected => ClientError::Overloaded,
        Reason::NotPinned
        | Reason::ResponderSignature
        | Reason::RotationSignature
        | Reason::RotationOld
        | Reason::RotationKey
        | Reason::Unsealed => ClientError::WrongHub(reason),
        Reason::Storage => ClientError::TrustNotStored,
        other => ClientError::Ended(Closure::Refused(other)),
    }
}
