//! An agent on core's blocking driver over a real socket.
//!
//! It answers `ping`, `led`, `echo TEXT`, `hold` (kept until the next command, and then answered after it), `quit` (it
//! leaves without an answer) and, to everything else, that it knows no such command.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use embedded_io::ErrorKind;
use moorline_core::channel::{Answering, ChannelEvent, Channels, Rate, Route};
use moorline_core::connection::{Context, Event, Responding, Settings};
use moorline_core::crypto::{EphemeralKey, SigningKey};
use moorline_core::driver::blocking::{Link, Machine, open_websocket};
use moorline_core::driver::{Buffers, DriverError};
use moorline_core::framing::{Delimited, Framing, WebSocketClient};
use moorline_core::handshake::{Admission, Gate, OwnToken, RespondAs, Responder};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::{
    Alert, AlertCode, Envelope, FromAgent, FromHub, Reply, Request, Response, Status, Value,
};
use moorline_core::time::Now;
use moorline_core::token::{AgentId, Claims, MAX_UNPACKED_LEN, Permissions, VerifiedClaims};
use moorline_core::trust::{IssuerKeys, NoKeeper, STATEMENT_LEN, TrustMemory};
use moorline_core::wire::{Limits, Refuse, SuiteList};
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::world::Peer;

/// How long an agent waits for what a test is sure to send.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which way an agent comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    WebSocket(SocketAddr),
    Tcp(SocketAddr),
}

/// How an agent ended.
pub(crate) type End = DriverError<ErrorKind>;

/// An agent at work.
pub(crate) struct Agent {
    thread: Option<JoinHandle<End>>,
    opened: Receiver<()>,
}

impl Agent {
    /// Starts an agent and waits until its link is open.
    pub(crate) fn start(peer: Peer, way: Way) -> Self {
        let agent = Self::try_start(peer, way);
        agent
            .opened
            .recv_timeout(PATIENCE)
            .expect("the agent's link opens");
        agent
    }

    /// Starts an agent, whether its link opens or not.
    pub(crate) fn try_start(peer: Peer, way: Way) -> Self {
        let (open, opened) = channel();
        let thread = std::thread::spawn(move || live(&peer, way, &open));
        Self {
            thread: Some(thread),
            opened,
        }
    }

    /// Waits until the agent has ended.
    pub(crate) fn end(mut self) -> End {
        self.thread
            .take()
            .expect("it is joined once")
            .join()
            .expect("the agent does not panic")
    }
}

fn live(peer: &Peer, way: Way, open: &Sender<()>) -> End {
    let (Way::WebSocket(address) | Way::Tcp(address)) = way;
    let stream = TcpStream::connect(address).expect("the hub listens");
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a socket option");
    let mut stream = Stream(stream);
    let (mut clock, mut entropy) = (clock::now, SystemEntropy);
    let mut kept = TrustMemory::new();
    let mut machine = Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut kept,
    };
    let mut incoming = vec![0; 2048];
    let lived = match way {
        Way::Tcp(_) => serve(peer, stream, Delimited::new(&mut *incoming), machine, open),
        Way::WebSocket(_) => {
            let mut scratch = vec![0; 512];
            let opened = open_websocket(&mut stream, "hub", 5_000, &mut machine, &mut scratch);
            opened.and_then(|()| {
                serve(
                    peer,
                    stream,
                    WebSocketClient::new(&mut incoming),
                    machine,
                    open,
                )
            })
        }
    };
    lived.expect_err("an agent serves until something ends it")
}

fn serve<F: Framing, C: moorline_core::driver::Clock>(
    peer: &Peer,
    stream: Stream,
    framing: F,
    mut machine: Machine<'_, C, SystemEntropy, TrustMemory>,
    open: &Sender<()>,
) -> Result<(), End> {
    let trust = peer.trust();
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = peer.token(&mut buffer);
    let mut shown = [0; MAX_UNPACKED_LEN];
    let initiator = peer.initiator(&trust, &mut shown);
    let ephemeral = EphemeralKey::generate(&mut SystemEntropy).expect("random bytes");
    let (mut input, mut message, mut wire) = ([0; 256], [0; 1100], [0; 1200]);
    let buffers = Buffers {
        input: &mut input,
        message: &mut message,
        wire: &mut wire,
    };
    let settings = Settings::default();
    let mut link = Link::connect(
        stream,
        framing,
        initiator,
        ephemeral,
        settings,
        buffers,
        &mut machine,
    )?;
    let _ = open.send(());
    let clock = *link
        .connection()
        .clock()
        .expect("the handshake told the time");
    let now = || {
        let instant = clock::instant();
        Now {
            instant,
            unix: clock.at(instant),
            quality: clock.quality,
        }
    };
    let hub = &peer.credential.hub;
    let mut anchors = peer.anchors();
    let mut issuers = IssuerKeys::of(hub, &anchors, peer.credential.root_counter).expect("a key");
    let keys = [SigningKey::from_scalar(&peer.key.to_scalar()).expect("the same key")];
    let mut channels = Channels::<8>::new();
    let answering = Answering {
        settings: Settings::default(),
        starts: Rate {
            burst: 100,
            every: 10,
        },
    };
    let mut held: Vec<(Route, u32)> = Vec::new();
    let mut out = [0; MAX_HANDSHAKE_LEN + 64];
    loop {
        let heard = link.poll(&mut machine, |event| match event {
            Event::Envelope(payload) => Some(payload.to_vec()),
            Event::Application(message) => {
                if let Ok(FromHub::Issuers { statements, .. }) = FromHub::decode(message) {
                    for statement in statements.chunks(STATEMENT_LEN) {
                        // What it knows already is said too.
                        let _ = issuers.take(statement, trust.root());
                    }
                }
                None
            }
            _ => None,
        })?;
        anchors = issuers.anchors(hub, &anchors);
        let responder = Responder {
            keys: &keys,
            anchors: &anchors,
            audience: hub,
            suites: SuiteList::AES_FIRST,
            limits: Limits {
                mtu: 1500,
                max_payload_len: 1000,
                max_token_len: 1000,
            },
            respond_as: RespondAs::Agent(OwnToken {
                id: AgentId::of(hub, &peer.credential.name),
                token,
                group: peer.credential.group.as_deref(),
            }),
        };
        let mut sends = Vec::new();
        let mut asked = None;
        if let Some(mut payload) = heard.flatten() {
            let mut context = Context {
                now: now(),
                entropy: &mut SystemEntropy,
                responding: Some(Responding {
                    responder: &responder,
                    gate: &mut AnyCommander,
                }),
                keeper: &mut NoKeeper,
            };
            let carried =
                channels.handle_envelope(&mut payload, &answering, &mut context, &mut out);
            if let Ok(carried) = carried {
                sends.extend(carried.send.map(|send| (carried.route, send.to_vec())));
                if let Some(ChannelEvent::Message(message)) = carried.event {
                    asked = Asked::read(carried.route, message);
                }
            }
        }
        let mut context = Context {
            now: now(),
            entropy: &mut SystemEntropy,
            responding: Some(Responding {
                responder: &responder,
                gate: &mut AnyCommander,
            }),
            keeper: &mut NoKeeper,
        };
        while let Some(carried) = channels.handle_deadline(&mut context, &mut out) {
            sends.extend(carried.send.map(|send| (carried.route, send.to_vec())));
        }
        if let Some(asked) = asked {
            let needed = Permissions::for_command(&asked.name);
            let facts = channels.facts(&asked.route).copied();
            if !facts.is_some_and(|facts| facts.permissions.contains(needed)) {
                let reply = Reply::bare(Status::NotPermitted);
                let mut encoded = [0; 100];
                let response = FromAgent::Response(Response {
                    id: asked.id,
                    reply,
                });
                let encoded = response.encode(&mut encoded).expect("it fits");
                let frame = channels.send(&asked.route, encoded, &mut out);
                let frame = frame.expect("the channel is open").to_vec();
                let envelope = Envelope {
                    route: asked.route,
                    channel: 0,
                    inner: &frame,
                };
                link.send_envelope(&envelope, &mut SystemEntropy)?;
                continue;
            }
            let mut answers = vec![(asked.route, asked.id, asked.reply)];
            match asked.name.as_str() {
                "quit" => {
                    link.close(Alert::new(AlertCode::Close), &mut SystemEntropy)?;
                    return Err(DriverError::Truncated);
                }
                "hold" => {
                    held.push((asked.route, asked.id));
                    answers.clear();
                }
                _ => answers.extend(
                    held.drain(..)
                        .map(|(route, id)| (route, id, Some("held".into()))),
                ),
            }
            for (route, id, text) in answers {
                let reply = match &text {
                    Some(text) => Reply::bare(Status::Done).with("text", Value::Text(text)),
                    None => Reply::bare(Status::UnknownCommand),
                };
                let mut encoded = [0; 1000];
                let encoded = FromAgent::Response(Response { id, reply })
                    .encode(&mut encoded)
                    .expect("it fits");
                // A channel that is over has nobody to answer.
                if let Ok(frame) = channels.send(&route, encoded, &mut out) {
                    sends.push((route, frame.to_vec()));
                }
            }
        }
        for (route, inner) in sends {
            let envelope = Envelope {
                route,
                channel: 0,
                inner: &inner,
            };
            link.send_envelope(&envelope, &mut SystemEntropy)?;
        }
    }
}

/// A gate that leaves the judgement of commanders to core.
struct AnyCommander;

impl Gate for AnyCommander {
    fn is_revoked(&self, _: &Claims) -> bool {
        false
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        Ok(Admission {
            session_id: [7; 8],
            permissions: claims.claims().permissions,
        })
    }
}

/// A request, without the borrow of what it came in.
struct Asked {
    route: Route,
    id: u32,
    name: String,
    reply: Option<String>,
}

impl Asked {
    fn read(route: Route, message: &[u8]) -> Option<Self> {
        let request = Request::decode(message).ok()?;
        let name = request.command.name.to_owned();
        let reply = match name.as_str() {
            "ping" => Some("pong".into()),
            "led" => Some("lit".into()),
            "echo" => Some(request.command.arguments.join(" ")),
            _ => None,
        };
        Some(Self {
            route,
            id: request.id,
            name,
            reply,
        })
    }
}

/// A socket as core's drivers want it: a read that waits too long says so.
#[derive(Debug)]
pub(crate) struct Stream(pub(crate) TcpStream);

impl embedded_io::ErrorType for Stream {
    type Error = ErrorKind;
}

impl embedded_io::Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(bytes).map_err(kind)
    }
}

impl embedded_io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.write(bytes).map_err(kind)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.0.flush().map_err(kind)
    }
}

fn kind(error: std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        _ => ErrorKind::Other,
    }
}
