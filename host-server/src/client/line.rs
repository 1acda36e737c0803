//! A commander's connection.

use std::time::Duration;

use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_lite::future;
use moorline_core::connection::{Closure, Connection, Context, Event, Heartbeat, Settings};
use moorline_core::crypto::{EphemeralKey, SigningKey};
use moorline_core::handshake::{Initiator, Offer, Pins, Ticket, Wanted};
use moorline_core::message::{
    Alert, AlertCode, Command, Envelope, FromHub, Inner, Reply, Request, Response, RouteRefusal,
    ToHub,
};
use moorline_core::reason::Reason;
use moorline_core::token::{AgentId, UnpackedToken};
use moorline_core::wire::{Form, SuiteList};
use smol::net::TcpStream;

use crate::clock;
use crate::entropy::SystemEntropy;
use crate::transport::{Transport, WebSocket, max_message_len};

/// Longest payload of a frame in bytes that a client takes.
const PAYLOAD_LEN: u16 = 4096;

/// How long the hub may take to be reached and to prove itself.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no connection, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one of a WebSocket.
    #[error("{0}: not an address of a hub; `ws://HOST:PORT/ws` is expected")]
    Address(String),
    /// The hub is not reached.
    #[error("{place}: {error}")]
    Unreachable {
        /// Where it was looked for.
        place: String,
        /// Why.
        error: std::io::Error,
    },
    /// What answers there opens no WebSocket.
    #[error("{place}: this is not a Moorline hub: {error}")]
    NotAHub {
        /// Where.
        place: String,
        /// Why.
        error: String,
    },
    /// What answers there is not the hub whose key is pinned.
    #[error("this hub does not prove the pinned key ({0:?}): nothing was told to it")]
    WrongHub(Reason),
    /// The hub refuses the token.
    #[error("the hub refuses this token: it is expired, revoked, or not this hub's")]
    CredentialRefused,
    /// The hub has too much to do.
    #[error("the hub is overloaded; try again")]
    Overloaded,
    /// The connection ended.
    #[error("the connection ended: {0:?}")]
    Ended(Closure),
    /// The stream ended without a last word.
    #[error("the connection was cut")]
    Cut,
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Stream(#[from] std::io::Error),
    /// The hub did not carry the command.
    #[error("{}", refusal_text(.0))]
    NotCarried(RouteRefusal),
    /// The commander may not ask this.
    #[error("this token does not permit it")]
    NotPermitted,
    /// The answer did not come in time.
    #[error("no answer within {0:?}; whether the command ran is not known")]
    Late(Duration),
    /// The command is too long.
    #[error("the command is longer than a message may be")]
    TooLong,
    /// The hub or the agent sent something that is no answer.
    #[error("the answer is malformed: {0:?}")]
    Malformed(Reason),
    /// This machine gives no random bytes, or the token is damaged.
    #[error("cannot start: {0:?}")]
    Own(moorline_core::reason::Error),
}

fn refusal_text(refusal: &RouteRefusal) -> &'static str {
    match refusal {
        RouteRefusal::UnknownAgent => "this token reaches no agent of that name",
        RouteRefusal::Offline => "the agent is offline",
        RouteRefusal::NotPermitted => "this token does not permit that command",
        RouteRefusal::BadMessage => "the hub does not carry this message",
        RouteRefusal::Busy => "the agent or the hub is busy; try again",
        RouteRefusal::NoAnswer => "the agent did not answer; whether the command ran is not known",
    }
}

/// One agent of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Whether it has a session at this moment.
    pub online: bool,
}

/// How long things on the wire were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the frame that carried the command to the hub.
    pub request_len: usize,
    /// Bytes of the frame that carried the reply from the hub.
    pub reply_len: usize,
}

/// A connection of a commander to its hub, open.
#[derive(Debug)]
pub struct Client<'k> {
    transport: WebSocket<TcpStream>,
    connection: Connection<'k>,
    out: Vec<u8>,
    next_id: u32,
}

/// What one wait brought.
enum Got {
    Open,
    Application(Vec<u8>),
    Envelope(Vec<u8>),
    Other,
}

impl<'k> Client<'k> {
    /// Connects to the hub at `url` as the holder of `key` and `token`, and proves the hub by `pins`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; to a hub that is not proved nothing is told.
    pub async fn connect(
        url: &str,
        key: &'k SigningKey,
        token: UnpackedToken<'k>,
        pins: &'k Pins,
    ) -> Result<Self, ClientError> {
        Self::open(url, key, token, pins, None).await
    }

    /// Connects as [`Client::connect`] does, without a signature where the hub still takes `ticket`.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn resume(
        url: &str,
        key: &'k SigningKey,
        token: UnpackedToken<'k>,
        pins: &'k Pins,
        ticket: &'k Ticket,
    ) -> Result<Self, ClientError> {
        match Self::open(url, key, token, pins, Some(ticket)).await {
            // Somebody else used it up meanwhile, or its proof is wrong: the next attempt is in full.
            Err(ClientError::CredentialRefused | ClientError::Cut | ClientError::WrongHub(_)) => {
                Self::open(url, key, token, pins, None).await
            }
            opened => opened,
        }
    }

    async fn open(
        url: &str,
        key: &'k SigningKey,
        token: UnpackedToken<'k>,
        pins: &'k Pins,
        ticket: Option<&'k Ticket>,
    ) -> Result<Self, ClientError> {
        let work = async {
            let transport = open_websocket(url).await?;
            Self::authenticate(transport, key, token, pins, ticket).await
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
        key: &'k SigningKey,
        token: UnpackedToken<'k>,
        pins: &'k Pins,
        ticket: Option<&'k Ticket>,
    ) -> Result<Self, ClientError> {
        let offer = Offer {
            suites: SuiteList::AES_FIRST,
            wants_ticket: true,
            mtu: u16::MAX,
            max_payload_len: PAYLOAD_LEN,
            no_clock: false,
        };
        let initiator = Initiator {
            key,
            token,
            wanted: Wanted::Hub(pins, Form::Stream),
            offer,
            ticket,
        };
        let settings = Settings {
            max_payload_len: PAYLOAD_LEN,
            heartbeat: Heartbeat::DEFAULT,
            fresh_updates: true,
            ..Settings::default()
        };
        let ephemeral = EphemeralKey::generate(&mut SystemEntropy)
            .map_err(|_| ClientError::Own(moorline_core::reason::Error::Entropy))?;
        let mut out = vec![0; max_message_len(PAYLOAD_LEN)];
        let now = clock::now();
        let (connection, m1) = Connection::initiate(
            initiator,
            ephemeral,
            settings,
            &now,
            &mut SystemEntropy,
            &mut out,
        )
        .map_err(ClientError::Own)?;
        let m1 = m1.to_vec();
        let mut client = Self {
            transport,
            connection,
            out,
            next_id: 0,
        };
        client.transport.send(&m1).await?;
        loop {
            match client.wait().await {
                Ok((Got::Open, _)) => return Ok(client),
                Ok(_) => {}
                Err(ClientError::Ended(Closure::Refused(reason))) => {
                    return Err(handshake_error(reason));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends `command` to `agent` and waits for its reply, at most `patience`. `take` makes what is wanted of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After [`ClientError::Late`] and [`RouteRefusal::NoAnswer`] the command may have run.
    pub async fn send<R>(
        &mut self,
        agent: AgentId,
        command: Command<'_>,
        patience: Duration,
        take: impl FnOnce(&Reply<'_>) -> R,
    ) -> Result<(R, Sent), ClientError> {
        let work = async {
            self.next_id = self.next_id.wrapping_add(1);
            let id = self.next_id;
            let mut message = vec![0; usize::from(PAYLOAD_LEN)];
            let message = Request { id, command }
                .encode(&mut message)
                .map_err(|_| ClientError::TooLong)?;
            let mut inner = vec![0; message.len() + 1];
            let inner = Inner::Clear(message)
                .emit(&mut inner)
                .map_err(|_| ClientError::TooLong)?;
            let envelope = Envelope {
                route: agent.0,
                channel: id,
                inner,
            };
            let frame = self
                .connection
                .send_envelope(&envelope, &mut self.out)
                .map_err(|_| ClientError::TooLong)?;
            let request_len = frame.len();
            self.transport.send(frame).await?;
            loop {
                match self.wait().await? {
                    (Got::Application(message), _) => refused(&message, id)?,
                    (Got::Envelope(payload), reply_len) => {
                        let reply = open_reply(&payload, agent, id)?;
                        if let Some(response) = reply {
                            return Ok((
                                take(&response.reply),
                                Sent {
                                    request_len,
                                    reply_len,
                                },
                            ));
                        }
                    }
                    (Got::Open | Got::Other, _) => {}
                }
            }
        };
        let late = async {
            smol::Timer::after(patience).await;
            Err(ClientError::Late(patience))
        };
        future::or(work, late).await
    }

    /// Takes away the newest ticket that the hub gave, for [`Client::resume`]. It is kept as the key is.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.connection.take_ticket()
    }

    /// Returns whether the session rests on a ticket.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection.facts().is_some_and(|facts| facts.resumed)
    }

    /// Lists the agents that the token reaches.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn agents(&mut self) -> Result<Vec<Agent>, ClientError> {
        let mut agents: Vec<Agent> = Vec::new();
        loop {
            let after = agents.last().map(|agent| agent.id.0);
            let mut message = [0; 32];
            let message = ToHub::ListAgents { after }
                .encode(&mut message)
                .map_err(|_| ClientError::TooLong)?;
            let frame = self
                .connection
                .send_application(message, &mut self.out)
                .map_err(ClientError::Own)?;
            self.transport.send(frame).await?;
            let answer = loop {
                if let (Got::Application(message), _) = self.wait().await? {
                    break message;
                }
            };
            match FromHub::decode(&answer).map_err(ClientError::Malformed)? {
                FromHub::Agents { entries, more } => {
                    agents.extend(entries.iter().map(|entry| Agent {
                        id: AgentId(entry.id),
                        name: entry.name.into(),
                        online: entry.online,
                    }));
                    if !more || entries.is_empty() {
                        return Ok(agents);
                    }
                }
                FromHub::NotPermitted => return Err(ClientError::NotPermitted),
                FromHub::RouteRefused { .. } => {}
            }
        }
    }

    /// Says goodbye and ends the connection.
    pub async fn close(mut self) {
        if let Some(frame) = self
            .connection
            .close(Alert::new(AlertCode::Close), &mut self.out)
        {
            // A hub that is gone hears no goodbye.
            let _ = self.transport.send(frame).await;
        }
        self.transport.end().await;
    }

    /// Waits for one message, attends to deadlines meanwhile, and returns what it brought and how long it was.
    async fn wait(&mut self) -> Result<(Got, usize), ClientError> {
        let deadline = self.connection.deadline();
        let late = async {
            match deadline {
                Some(deadline) => clock::sleep_until(deadline).await,
                None => future::pending().await,
            }
            Ok(None)
        };
        let message = async {
            let message = self.transport.receive().await?.ok_or(ClientError::Cut)?;
            Ok::<_, ClientError>(Some(message))
        };
        let mut message = future::or(message, late).await?;
        let len = message.as_ref().map_or(0, Vec::len);
        let outcome = {
            let mut context = Context {
                now: clock::now(),
                entropy: &mut SystemEntropy,
                gate: None,
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
        let got = match outcome.event {
            None | Some(Event::RoundTrip(_)) => Got::Other,
            Some(Event::Open(_)) => Got::Open,
            Some(Event::Application(payload)) => Got::Application(payload.to_vec()),
            Some(Event::Envelope(payload)) => Got::Envelope(payload.to_vec()),
            Some(Event::Closed(closure)) => return Err(ClientError::Ended(closure)),
        };
        Ok((got, len))
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

/// Returns the response in the envelope `payload` if it is `agent`'s to the request `id`.
fn open_reply(
    payload: &[u8],
    agent: AgentId,
    id: u32,
) -> Result<Option<Response<'_>>, ClientError> {
    let envelope = Envelope::parse(payload).map_err(ClientError::Malformed)?;
    if envelope.route != agent.0 || envelope.channel != id {
        return Ok(None);
    }
    let Inner::Clear(message) = Inner::parse(envelope.inner).map_err(ClientError::Malformed)?;
    let response = Response::decode(message).map_err(ClientError::Malformed)?;
    Ok((response.id == id).then_some(response))
}

/// Returns the error when the hub refuses to carry the request on `channel`.
fn refused(message: &[u8], channel: u32) -> Result<(), ClientError> {
    match FromHub::decode(message).map_err(ClientError::Malformed)? {
        FromHub::RouteRefused {
            channel: refused,
            refusal,
        } if refused == channel => Err(ClientError::NotCarried(refusal)),
        _ => Ok(()),
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
