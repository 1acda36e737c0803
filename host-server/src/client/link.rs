//! A commander's link to its hub.

use std::time::Duration;

use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_lite::future;
use moorline_core::connection::{
    Closure, Connection, Context, Event, Heartbeat, NewToken, Settings,
};
use moorline_core::crypto::{EphemeralKey, PublicKey, SigningKey};
use moorline_core::handshake::{Initiator, Offer, Pins, Shown, SingleUse, Ticket, Wanted};
use moorline_core::message::{Alert, AlertCode, Envelope};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::Instant;
use moorline_core::wire::{Form, SuiteList};
use smol::net::TcpStream;

use super::{ClientError, Commander};
use crate::clock;
use crate::entropy::SystemEntropy;
use crate::transport::{Transport, WebSocket, max_message_len};

/// Longest payload of a frame in bytes that a client takes.
pub(super) const PAYLOAD_LEN: u16 = 4096;

/// How long the hub may take to be reached and to prove itself.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

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

/// A link, open.
#[derive(Debug)]
pub(super) struct Link<'k> {
    transport: WebSocket<TcpStream>,
    connection: Connection<'k>,
    out: Vec<u8>,
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
    /// The issuer's key.
    pub(super) issuer_key: PublicKey,
    /// The group that it belongs to.
    pub(super) group: Option<String>,
}

impl Enrolled {
    fn of(said: &moorline_core::message::Enrolled<'_>) -> Result<Self, ClientError> {
        let issuer_key = said.issuer_key.try_into().ok();
        let issuer_key = issuer_key.and_then(PublicKey::from_bytes);
        Ok(Self {
            token: said.token.to_vec(),
            issuer_key: issuer_key.ok_or(ClientError::Malformed(Reason::PublicKey))?,
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
        Self::open_as(url, commander.key, shows, commander.pins, ticket).await
    }

    /// Opens a link to the hub at `url`, whose keys are `pins`, as the holder of `key` who `shows` this.
    pub(super) async fn open_as(
        url: &str,
        key: &'k SigningKey,
        shows: Shown<'k>,
        pins: &'k Pins,
        ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        let initiator = Initiator {
            key,
            shows,
            wanted: Wanted::Hub(pins, Form::Stream),
            offer: OFFER,
        };
        let work = async {
            let transport = open_websocket(url).await?;
            Self::authenticate(transport, initiator, ticket).await
        };
        let late = async {
            smol::Timer::after(CONNECT_PATIENCE).await;
            Err(ClientError::Unreachable {
                place: url.into(),
                error: std::io::ErrorKind::TimedOut.into(),
            })
        };
        future::or(work, late).await
    }

    async fn authenticate(
        transport: WebSocket<TcpStream>,
        initiator: Initiator<'k>,
        ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        let mut out = vec![0; max_message_len(PAYLOAD_LEN)];
        let (connection, m1) = Connection::initiate(
            initiator,
            SingleUse {
                ephemeral: ephemeral_key()?,
                ticket,
            },
            settings(),
            &clock::now(),
            &mut SystemEntropy,
            &mut out,
        )
        .map_err(ClientError::Own)?;
        let m1 = m1.to_vec();
        let mut link = Self {
            transport,
            connection,
            out,
        };
        link.transport.send(&m1).await?;
        loop {
            match link.wait(None).await {
                Ok(Got::Open) => return Ok(link),
                Ok(_) => {}
                Err(ClientError::Ended(Closure::Refused(reason))) => {
                    return Err(handshake_error(reason));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the connection.
    pub(super) fn connection(&self) -> &Connection<'k> {
        &self.connection
    }

    /// Takes away the newest ticket that the hub gave.
    pub(super) fn take_ticket(&mut self) -> Option<Ticket> {
        self.connection.take_ticket()
    }

    /// Sends `envelope`; returns how long its frame is.
    pub(super) async fn send_envelope(
        &mut self,
        envelope: &Envelope<'_>,
    ) -> Result<usize, ClientError> {
        let frame = self
            .connection
            .send_envelope(envelope, &mut self.out)
            .map_err(|_| ClientError::TooLong)?;
        self.transport.send(frame).await?;
        Ok(frame.len())
    }

    /// Sends `message` to the hub.
    pub(super) async fn send_application(&mut self, message: &[u8]) -> Result<(), ClientError> {
        let frame = self
            .connection
            .send_application(message, &mut self.out)
            .map_err(ClientError::Own)?;
        Ok(self.transport.send(frame).await?)
    }

    /// Waits for a message of the hub's.
    pub(super) async fn next_application(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            if let Got::Application(message) = self.wait(None).await? {
                return Ok(message);
            }
        }
    }

    /// Waits for one message, until `due` at the latest, attends to the link's own deadlines meanwhile, and returns
    /// what came.
    pub(super) async fn wait(&mut self, due: Option<Instant>) -> Result<Got, ClientError> {
        let own = self.connection.deadline();
        let first = own.into_iter().chain(due).min();
        let late = async {
            match first {
                Some(first) => clock::sleep_until(first).await,
                None => future::pending().await,
            }
            Ok(None)
        };
        let message = async {
            let message = self.transport.receive().await?.ok_or(ClientError::Cut)?;
            Ok::<_, ClientError>(Some(message))
        };
        let mut message = future::or(message, late).await?;
        let is_for_caller = due.is_some() && due == first;
        if message.is_none() && is_for_caller {
            return Ok(Got::Late);
        }
        let len = message.as_ref().map_or(0, Vec::len);
        let outcome = {
            let mut context = Context {
                now: clock::now(),
                entropy: &mut SystemEntropy,
                responding: None,
            };
            match &mut message {
                Some(message) => {
                    self.connection
                        .handle_message(message, &mut context, &mut self.out)
                }
                None => self.connection.handle_deadline(&mut context, &mut self.out),
            }
        };
        if let Some(bytes) = outcome.send {
            self.transport.send(bytes).await?;
        }
        Ok(match outcome.event {
            None | Some(Event::RoundTrip(_) | Event::Dropped(_)) => Got::Nothing,
            Some(Event::Open(_)) => Got::Open,
            Some(Event::Enrolled(enrolled)) => Got::Enrolled(Enrolled::of(&enrolled)?),
            Some(Event::Renewed(_)) => Got::Renewed,
            Some(Event::RenewalRefused(_)) => return Err(ClientError::RenewalRefused),
            Some(Event::Application(payload)) => Got::Application(payload.to_vec()),
            Some(Event::Envelope(payload)) => Got::Envelope(payload.to_vec(), len),
            Some(Event::Closed(closure)) => return Err(ClientError::Ended(closure)),
        })
    }

    /// Shows the hub a newer token.
    pub(super) async fn renew(&mut self, new: &NewToken<'_>) -> Result<(), ClientError> {
        let frame = self
            .connection
            .renew(new, &mut SystemEntropy, &mut self.out)
            .map_err(ClientError::Own)?;
        Ok(self.transport.send(frame).await?)
    }

    /// Says goodbye and ends the link.
    pub(super) async fn close(mut self) {
        if let Some(frame) = self
            .connection
            .close(Alert::new(AlertCode::Close), &mut self.out)
        {
            // A hub that is gone hears no goodbye.
            let _ = self.transport.send(frame).await;
        }
        self.transport.end().await;
    }
}

/// Returns what a handshake that ended for `reason` means to its user.
fn handshake_error(reason: Reason) -> ClientError {
    match reason {
        Reason::RefusedCredential => ClientError::CredentialRefused,
        Reason::RefusedOverload | Reason::Rejected => ClientError::Overloaded,
        Reason::NotPinned | Reason::ResponderSignature | Reason::Unsealed => {
            ClientError::WrongHub(reason)
        }
        other => ClientError::Ended(Closure::Refused(other)),
    }
}

async fn open_websocket(url: &str) -> Result<WebSocket<TcpStream>, ClientError> {
    let address = || ClientError::Address(url.into());
    let mut request = url.into_client_request().map_err(|_| address())?;
    if request.uri().scheme_str() != Some("ws") {
        return Err(address());
    }
    let host = request.uri().host().ok_or_else(address)?.to_owned();
    let port = request.uri().port_u16().unwrap_or(80);
    let place = format!("{host}:{port}");
    let unreachable = |error| ClientError::Unreachable {
        place: place.clone(),
        error,
    };
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true)?;
    let subprotocol = HeaderValue::from_static("moorline.v1");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", subprotocol);
    let max_len = max_message_len(PAYLOAD_LEN);
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(max_len))
        .max_frame_size(Some(max_len));
    let opened = async_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    match opened {
        Ok((stream, _)) => Ok(WebSocket::new(stream)),
        Err(error) => Err(ClientError::NotAHub {
            place,
            error: error.to_string(),
        }),
    }
}
