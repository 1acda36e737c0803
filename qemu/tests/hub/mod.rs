//! A hub in this process: core's responder behind a WebSocket or bare frames, with the keys of the conformance fixture.

mod clock;
pub(crate) mod commands;
mod offline;
pub(crate) mod socket;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

use clock::Clock;
use moorline_conformance::fixture::{
    AGENT, FixedEntropy, HUB, ISSUER, KID, NOW, World, agent_id, signing_key, token as token_of,
};
use moorline_core::connection::{Closure, Connection, Context, Event, Responding, Settings};
use moorline_core::crypto::{EphemeralKey, SigningKey};
use moorline_core::datagram::Datagram;
use moorline_core::handshake::{
    Admission, Gate, Initiator, Offer, Responder, Shown, Wanted, WantedAgent,
};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::{
    Alert, Command, ENVELOPE_HEADER_LEN, Envelope, FromAgent, FromHub, Request, Status, ToHub,
};
use moorline_core::provision::{self, MAX_PROVISION_LEN, Provision, Site};
use moorline_core::revocation::{MAX_REVOKE_LIST_LEN, RevokeList, Revoked};
use moorline_core::token::{
    AgentScope, Claims, MAX_UNPACKED_LEN, NewClaims, Permissions, Renewal, Role, TokenKind,
    UnpackedToken, VerifiedClaims, mint,
};
use moorline_core::trust::NoKeeper;
use moorline_core::wire::{Form, Refuse, SuiteList};
use moorline_qemu::site::Road;
use moorline_qemu::{GATEWAY, Qemu};
use socket::Socket;

/// A hub that listens.
pub(crate) struct Hub {
    world: World,
    road: Road,
    port: u16,
    incoming: mpsc::Receiver<TcpStream>,
    entropy: FixedEntropy,
    gate: CountingGate,
    commander: SigningKey,
    commander_token: Vec<u8>,
    clock: Clock,
}

impl Hub {
    /// Listens on a free port of this machine, for a device on a network.
    pub(crate) fn listen() -> Self {
        Self::listen_on(Road::Network)
    }

    /// As [`Hub::listen`], for a device at the end of `road`.
    pub(crate) fn listen_on(road: Road) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, incoming) = mpsc::channel();
        // A thread of its own, so that a wait for a connection has a deadline.
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if sender.send(stream).is_err() {
                    break;
                }
            }
        });
        let world = World::new().expect("the fixture is sound");
        let commander = signing_key("commander").expect("the name gives a scalar in range");
        let mut token = [0; MAX_UNPACKED_LEN];
        let key = *commander.public_key();
        let token = token_of(Role::Commander, "alice", key, &world.issuer, &mut token);
        let commander_token = token.expect("a token").as_bytes().to_vec();
        Self {
            world,
            commander,
            commander_token,
            road,
            port,
            incoming,
            entropy: FixedEntropy::new("hub in a test"),
            gate: CountingGate {
                count: 0,
                issued_at: 0,
            },
            clock: Clock::start(),
        }
    }

    /// Takes another static key than the one that the device pinned.
    pub(crate) fn with_foreign_key(mut self) -> Self {
        self.world.hub = [signing_key("another hub").expect("the name gives a scalar in range")];
        self
    }

    /// Returns a token of the device's, issued `seconds` after the one that it was provisioned with, for `key`.
    pub(crate) fn next_token(&self, seconds: u64, key: &SigningKey) -> Vec<u8> {
        let life = seconds..seconds + 3600;
        self.mint(Role::Agent, AGENT, &[], key, life)
    }

    /// Gives the commander a token with the `life`, in seconds after the device was provisioned.
    pub(crate) fn give_commander(&mut self, life: Range<u64>) {
        let all = &["agent.command.*"];
        self.commander_token = self.mint(Role::Commander, "alice", all, &self.commander, life);
    }

    fn mint(
        &self,
        role: Role,
        subject: &str,
        permissions: &[&str],
        key: &SigningKey,
        life: Range<u64>,
    ) -> Vec<u8> {
        let new = NewClaims {
            kind: TokenKind::Access,
            kid: KID,
            issuer: ISSUER,
            audience: &[HUB, "site-1"],
            subject,
            key: *key.public_key(),
            role,
            permissions,
            agents: match role {
                Role::Agent => AgentScope::None,
                Role::Commander => AgentScope::of_agents(&[agent_id()]).expect("one agent"),
            },
            generation: 1,
            issued_at: NOW.secs() + life.start,
            not_before: None,
            expires_at: NOW.secs() + life.end,
            jti: [9; 16],
        };
        let mut out = [0; MAX_UNPACKED_LEN];
        let token = mint(&new, &self.world.issuer, &[], &mut out);
        token.expect("it can be minted").as_bytes().to_vec()
    }

    /// Returns the device's key.
    pub(crate) fn device_key(&self) -> SigningKey {
        SigningKey::from_scalar(&self.world.agent.to_scalar()).expect("the same key")
    }

    /// Lays the road from the device of `qemu` to this hub.
    pub(crate) fn lay(&self, qemu: Qemu) -> Qemu {
        match self.road {
            Road::Network => qemu.network(),
            Road::SerialLine => qemu.serial(format!("127.0.0.1:{}", self.port)),
        }
    }

    /// Returns what a device of this hub is provisioned with; a foreign key of the hub is not in it.
    pub(crate) fn provision(&self) -> Vec<u8> {
        let mut token = [0; MAX_UNPACKED_LEN];
        let token = self.world.agent_token(&mut token).expect("a token");
        let site = Site {
            audience: HUB,
            group: None,
            anchors: self.world.anchors.clone(),
        };
        let road = match self.road {
            Road::Network => provision::Road::Network,
            Road::SerialLine => provision::Road::SerialLine,
        };
        let host = format!("{GATEWAY}:{}", self.port);
        let provision = Provision::new(
            road,
            &host,
            self.world.trust.clone(),
            site,
            self.world.agent.to_scalar(),
            token,
        );
        let mut out = [0; MAX_PROVISION_LEN];
        let image = provision.expect("the address is a host").emit(&mut out);
        image.expect("the longest image fits").to_vec()
    }

    /// Waits for a connection.
    pub(crate) fn accept(&self) -> TcpStream {
        let stream = self.incoming.recv_timeout(PATIENCE);
        let stream = stream.expect("the device connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Waits for a connection on which a device begins; what was left of earlier ones is passed over.
    pub(crate) fn open(&mut self) -> Peer<'_> {
        let give_up = Instant::now() + PATIENCE;
        let socket = loop {
            assert!(Instant::now() < give_up, "no device began");
            match Socket::accept(self.accept(), self.road) {
                Ok(socket) => break socket,
                Err(error) => println!("hub: nobody began: {error}"),
            }
        };
        self.open_on(socket)
    }

    /// As [`Hub::welcome`], on a connection that stands.
    pub(crate) fn welcome_on(&mut self, line: TcpStream) -> Peer<'_> {
        let socket = Socket::accept(line, self.road).expect("a device begins");
        self.open_on(socket).welcome()
    }

    fn open_on(&mut self, socket: Socket) -> Peer<'_> {
        Peer {
            socket,
            connection: Connection::respond(
                Form::Stream,
                None,
                Settings::default(),
                self.clock.now().instant,
            ),
            responder: self.world.responder(),
            entropy: &mut self.entropy,
            gate: &mut self.gate,
            commander: Initiator {
                key: &self.commander,
                shows: Shown::Token(
                    UnpackedToken::parse_exact(&self.commander_token).expect("a token"),
                ),
                wanted: Wanted::Agent(WantedAgent {
                    id: agent_id(),
                    anchors: &self.world.anchors,
                    audience: HUB,
                }),
                offer: Offer {
                    suites: SuiteList::CHACHA_FIRST,
                    mtu: 1500,
                    max_payload_len: 1024,
                    no_clock: false,
                    wants_ticket: false,
                },
            },
            channel: None,
            clock: self.clock,
            request_count: 0,
        }
    }

    /// As [`Hub::open`], and does a handshake in which this hub turns the device away; returns why.
    pub(crate) fn turn_away(&mut self) -> String {
        let mut peer = self.open();
        loop {
            assert!(!peer.connection.is_open(), "the device is let in");
            if let Err(error) = peer.step(|_| ()) {
                return error.to_string();
            }
        }
    }

    /// As [`Hub::open`], and does the handshake.
    pub(crate) fn welcome(&mut self) -> Peer<'_> {
        self.open().welcome()
    }
}

/// One connection of the hub.
pub(crate) struct Peer<'h> {
    socket: Socket,
    connection: Connection<'static>,
    responder: Responder<'h>,
    entropy: &'h mut FixedEntropy,
    gate: &'h mut CountingGate,
    /// Who commands the device through this hub.
    commander: Initiator<'h>,
    channel: Option<Datagram<'h>>,
    clock: Clock,
    request_count: u32,
}

impl Peer<'_> {
    /// Does the handshake.
    fn welcome(mut self) -> Self {
        while !self.connection.is_open() {
            self.step(|_| ()).expect("the handshake goes on");
        }
        self
    }

    /// Returns the id of the session, as the device prints it.
    pub(crate) fn session(&self) -> String {
        let facts = self.connection.facts().expect("the session is open");
        format!("{:016x}", u64::from_be_bytes(facts.session_id))
    }

    /// Opens a channel to the device, unless there is one.
    fn open_channel(&mut self) {
        self.try_open_channel().expect("the device lets it in");
    }

    /// As [`Peer::open_channel`], and returns how the device ends it if it does.
    pub(crate) fn try_open_channel(&mut self) -> Result<(), Closure> {
        if self.channel.is_some() {
            return Ok(());
        }
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let ephemeral = EphemeralKey::generate(self.entropy).expect("entropy");
        let (channel, m1) = Datagram::initiate(
            self.commander,
            ephemeral,
            Settings::default(),
            &self.clock.now(),
            self.entropy,
            &mut out,
        )
        .expect("M1 can be written");
        self.channel = Some(channel);
        let m1 = m1.to_vec();
        self.carry(&m1);
        let is_open = |channel: &Datagram<'_>| channel.connection().is_open();
        while !self.channel.as_ref().is_some_and(is_open) {
            self.try_hear()?;
        }
        Ok(())
    }

    /// Hands what the device says on the channel in, and returns a message of its.
    fn hear(&mut self) -> Option<Vec<u8>> {
        self.try_hear().expect("the channel goes on")
    }

    /// As [`Peer::hear`], and returns how the device ends the channel if it does.
    fn try_hear(&mut self) -> Result<Option<Vec<u8>>, Closure> {
        let heard = self.step(|event| match event {
            Event::Envelope(payload) => Some(payload.to_vec()),
            _ => None,
        });
        let Some(mut payload) = heard.expect("the device answers").flatten() else {
            return Ok(None);
        };
        let envelope = Envelope::parse(&payload).expect("an envelope");
        assert_eq!((envelope.route, envelope.channel), (ROUTE, 0));
        let inner = &mut payload[ENVELOPE_HEADER_LEN..];
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut context = Context {
            now: self.clock.now(),
            entropy: self.entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let channel = self.channel.as_mut().expect("it was opened");
        let outcome = channel.handle_message(inner, &mut context, &mut out);
        let answer = outcome.send.map(<[u8]>::to_vec);
        let message = match outcome.event {
            Some(Event::Application(message)) => Some(message.to_vec()),
            Some(Event::Closed(closure)) => return Err(closure),
            Some(Event::Dropped(reason)) => panic!("the device sent what is dropped: {reason:?}"),
            _ => None,
        };
        if let Some(answer) = answer {
            self.carry(&answer);
        }
        Ok(message)
    }

    /// Returns when the token was issued that the device showed, in seconds since 1970.
    pub(crate) fn issued_at(&self) -> u64 {
        self.gate.issued_at
    }

    /// Waits until the device asks for a newer token.
    pub(crate) fn hear_that_a_token_is_due(&mut self) {
        let asks = |event: Event<'_>| match event {
            Event::Application(message) => {
                ToHub::decode(message) == Ok(ToHub::RenewToken { key: None })
            }
            _ => false,
        };
        while self.step(asks).expect("the device is there") != Some(true) {}
    }

    /// Gives the device `token`.
    pub(crate) fn give_token(&mut self, token: &[u8]) {
        let mut message = [0; 1024];
        let message = FromHub::Token { token }.encode(&mut message);
        let mut out = [0; 1100];
        let frame = self
            .connection
            .send_application(message.expect("it fits"), &mut out);
        let frame = frame.expect("the session is open").to_vec();
        self.send(frame).expect("the line is there");
    }

    /// Tells the device that all tokens of the commander are revoked.
    pub(crate) fn revoke_commander(&mut self) {
        let mut list = [0; MAX_REVOKE_LIST_LEN];
        let entries = [Revoked::subject(ISSUER, "alice", u32::MAX)];
        let issuer = signing_key("issuer").expect("the name gives a scalar in range");
        let list = RevokeList::emit(1, KID, &entries, &issuer, &[1; 32], &mut list);
        let list = FromHub::Revoked {
            list: list.expect("one entry fits"),
        };
        let mut message = [0; 1024];
        let message = list.encode(&mut message).expect("it fits").to_vec();
        let mut out = [0; 1100];
        let frame = self.connection.send_application(&message, &mut out);
        let frame = frame.expect("the session is open").to_vec();
        self.send(frame).expect("the line is there");
    }

    /// Waits until the session rests on another token; returns when that was issued.
    pub(crate) fn hear_of_renewal(&mut self) -> u64 {
        let renewed = |event: Event<'_>| match event {
            Event::Renewed(Some(claims)) => Some(claims.claims().issued_at),
            _ => None,
        };
        loop {
            if let Some(Some(issued_at)) = self.step(renewed).expect("the device is there") {
                return issued_at;
            }
        }
    }

    /// Sends a command, waits for its reply and returns it.
    pub(crate) fn ask(&mut self, name: &str, arguments: &[&str]) -> Said {
        self.open_channel();
        self.request_count += 1;
        let id = self.request_count;
        let request = Request {
            id,
            command: Command {
                name,
                arguments: arguments.iter().copied().collect(),
            },
        };
        let mut encoded = [0; 1024];
        let encoded = request.encode(&mut encoded).expect("the request is short");
        self.say(encoded);
        loop {
            if let Some(message) = self.hear() {
                return said(&message, id);
            }
        }
    }

    /// Says `message` on the channel.
    pub(crate) fn say(&mut self, message: &[u8]) {
        self.open_channel();
        let mut out = [0; 1100];
        let channel = self.channel.as_mut().expect("it was opened");
        let sealed = channel.send_application(message, &mut out);
        let sealed = sealed.expect("the channel is open").to_vec();
        self.carry(&sealed);
    }

    /// Sends an envelope with `inner` in it.
    pub(crate) fn carry(&mut self, inner: &[u8]) {
        let envelope = Envelope {
            route: ROUTE,
            channel: 0,
            inner,
        };
        let mut out = [0; 1100];
        let frame = self.connection.send_envelope(&envelope, &mut out);
        let frame = frame.expect("the session is open").to_vec();
        self.send(frame).expect("the line is there");
    }

    /// Says `alert` and leaves.
    pub(crate) fn leave(mut self, alert: Alert) {
        self.say_last(alert);
        // The device is to read the alert before the line is gone.
        self.wait_for_the_end();
    }

    /// Says `alert`, and keeps the line.
    pub(crate) fn say_last(&mut self, alert: Alert) {
        let mut out = [0; 256];
        let frame = self.connection.close(alert, &mut out);
        let frame = frame.expect("the session is open").to_vec();
        self.send(frame).expect("the line is there");
    }

    /// Reads until the connection is gone, and returns how many messages came before that.
    pub(crate) fn wait_for_the_end(&mut self) -> usize {
        let mut count = 0;
        while matches!(self.socket.read(), Ok(message) if !Socket::is_beginning(&message)) {
            count += 1;
        }
        count
    }

    /// Answers the next message of the device; returns what `take` makes of the event, or how the line or the session ended.
    pub(crate) fn step<R>(&mut self, take: impl FnOnce(Event<'_>) -> R) -> io::Result<Option<R>> {
        let mut message = self.socket.read()?;
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut context = Context {
            now: self.clock.now(),
            entropy: self.entropy,
            responding: Some(Responding {
                responder: &self.responder,
                gate: self.gate,
            }),
            keeper: &mut NoKeeper,
        };
        let outcome = self
            .connection
            .handle_message(&mut message, &mut context, &mut out);
        let answer = outcome.send.map(<[u8]>::to_vec);
        let taken = outcome.event.map(|event| match event {
            Event::Closed(closure) => Err(io::Error::other(format!("{closure:?}"))),
            event => Ok(take(event)),
        });
        if let Some(answer) = answer {
            self.send(answer)?;
        }
        taken.transpose()
    }

    fn send(&mut self, message: Vec<u8>) -> io::Result<()> {
        self.socket.send(message)
    }
}

/// What a device replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// How the command ended.
    pub(crate) status: Status,
    /// The fields, with their values as Rust prints them.
    pub(crate) fields: BTreeMap<String, String>,
}

impl Said {
    /// Returns the whole number in field `name`.
    pub(crate) fn int(&self, name: &str) -> i64 {
        let field = self.fields.get(name).map(String::as_str);
        let digits = field.and_then(|text| text.strip_prefix("Int(")?.strip_suffix(')'));
        let digits = digits.unwrap_or_else(|| panic!("{name} is a number in {self:?}"));
        digits.parse().expect("a number")
    }
}

fn said(message: &[u8], id: u32) -> Said {
    let FromAgent::Response(response) = FromAgent::decode(message).expect("a message") else {
        panic!("the device says something else");
    };
    assert_eq!(response.id, id);
    let fields = response.reply.fields.iter();
    Said {
        status: response.reply.status,
        fields: fields
            .map(|field| (field.name.to_owned(), format!("{:?}", field.value)))
            .collect(),
    }
}

/// Admits everyone, to a session of its own.
struct CountingGate {
    count: u64,
    /// When the token of the peer that was admitted last was issued, in seconds since 1970.
    issued_at: u64,
}

impl Gate for CountingGate {
    fn is_revoked(&self, _: &Claims) -> bool {
        false
    }

    fn renew(&mut self, claims: &VerifiedClaims, _: Renewal) -> Option<Permissions> {
        Some(claims.claims().permissions)
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        self.count += 1;
        self.issued_at = claims.claims().issued_at;
        Ok(Admission {
            session_id: self.count.to_be_bytes(),
            permissions: claims.claims().permissions,
        })
    }
}

const ROUTE: [u8; 16] = *b"a route, random.";
/// Any wait of a test; the device's longest is a third of it.
const PATIENCE: Duration = Duration::from_secs(60);
