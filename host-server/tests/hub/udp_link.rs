//! A link over datagrams whose every datagram a test has in hand.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use moorline_core::connection::{Context, Event, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::handshake::{Initiator, Offer, Shown, Wanted};
use moorline_core::link::{InitiatorLink, MAX_SPLIT_LEN};
use moorline_core::message::{FromHub, ToHub};
use moorline_core::session::FrameAssembly;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::{NoKeeper, TrustStore};
use moorline_core::wire::{Form, SuiteList, datagrams};
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::world::Peer;

/// How long a test waits for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test listens for what must not come.
const SILENCE: Duration = Duration::from_millis(300);

/// Returns a socket that sends to `hub` and hears it alone.
pub(crate) fn socket(hub: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(hub).expect("an address");
    socket
}

/// Returns the next datagram, if one comes within `patience`.
pub(crate) fn heard_within(socket: &UdpSocket, patience: Duration) -> Option<Vec<u8>> {
    socket
        .set_read_timeout(Some(patience))
        .expect("a socket option");
    let mut datagram = [0; 2_048];
    let len = socket.recv(&mut datagram).ok()?;
    Some(datagram[..len].to_vec())
}

/// Returns the next datagram, which must come.
pub(crate) fn heard(socket: &UdpSocket) -> Vec<u8> {
    heard_within(socket, PATIENCE).expect("the hub answers")
}

/// Returns whether nothing comes for a while.
pub(crate) fn is_silent(socket: &UdpSocket) -> bool {
    heard_within(socket, SILENCE).is_none()
}

/// What a link rests on; it outlives the link.
pub(crate) struct Ground<'p> {
    peer: &'p Peer,
    trust: TrustStore,
    token: Box<[u8; MAX_UNPACKED_LEN]>,
}

impl<'p> Ground<'p> {
    pub(crate) fn new(peer: &'p Peer) -> Self {
        Self {
            peer,
            trust: peer.trust(),
            token: Box::new([0; MAX_UNPACKED_LEN]),
        }
    }

    /// Returns a link that begins, and its M1. `mtu` is what it announces.
    pub(crate) fn begin(&mut self, mtu: u16) -> (RawLink<'_>, Vec<u8>) {
        let initiator = Initiator {
            key: &self.peer.key,
            shows: Shown::Token(self.peer.token(&mut self.token)),
            wanted: Wanted::Hub(&self.trust, Form::Datagram),
            offer: Offer {
                suites: SuiteList::AES_FIRST,
                wants_ticket: false,
                mtu,
                max_payload_len: 1_024,
                no_clock: true,
            },
        };
        let ephemeral = EphemeralKey::generate(&mut SystemEntropy).expect("random bytes");
        let mut out = [0; MAX_SPLIT_LEN];
        let (link, m1) = InitiatorLink::initiate(
            initiator,
            ephemeral,
            Settings::default(),
            &clock::now(),
            &mut SystemEntropy,
            &mut out,
        )
        .expect("M1");
        let link = RawLink {
            link,
            frames: Box::new(FrameAssembly::new()),
        };
        (link, m1.to_vec())
    }
}

/// A link, driven by hand.
pub(crate) struct RawLink<'k> {
    link: InitiatorLink<'k>,
    frames: Box<FrameAssembly<[u8; 1_024]>>,
}

/// What one datagram led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Open,
    Application(Vec<u8>),
    Dropped,
    Closed,
    Nothing,
}

impl RawLink<'_> {
    /// Takes in a datagram; returns what it led to and what is to be sent.
    pub(crate) fn take(&mut self, mut datagram: Vec<u8>) -> (Seen, Vec<Vec<u8>>) {
        let mut context = Context {
            now: clock::now(),
            entropy: &mut SystemEntropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let mut out = [0; MAX_SPLIT_LEN];
        let outcome =
            self.link
                .handle_message(&mut datagram, &mut *self.frames, &mut context, &mut out);
        let seen = match outcome.event {
            Some(Event::Open(_)) => Seen::Open,
            Some(Event::Application(message)) => Seen::Application(message.to_vec()),
            Some(Event::Dropped(_)) => Seen::Dropped,
            Some(Event::Closed(_)) => Seen::Closed,
            _ => Seen::Nothing,
        };
        let sends = outcome.send.map_or_else(Vec::new, |bytes| {
            datagrams(bytes).map(<[u8]>::to_vec).collect()
        });
        (seen, sends)
    }

    /// Goes on with the handshake on `socket`, on which M1 was sent, until the link is open.
    pub(crate) fn finish(&mut self, socket: &UdpSocket) {
        loop {
            let (seen, sends) = self.take(heard(socket));
            for datagram in sends {
                socket.send(&datagram).expect("it is sent");
            }
            if seen == Seen::Open {
                return;
            }
        }
    }

    /// Returns a frame that asks the hub for the list of agents.
    pub(crate) fn question(&mut self) -> Vec<u8> {
        let mut question = [0; 32];
        let question = ToHub::ListAgents { after: None }
            .encode(&mut question)
            .expect("it fits");
        let mut out = [0; 256];
        let frame = self.link.send_application(question, &mut out);
        frame.expect("the link is open").to_vec()
    }

    /// Returns a frame that no hub takes.
    pub(crate) fn nonsense(&mut self) -> Vec<u8> {
        let mut out = [0; 256];
        let frame = self.link.send_application(&[0xFF; 8], &mut out);
        frame.expect("the link is open").to_vec()
    }

    /// Returns this end's connection id.
    pub(crate) fn id(&self) -> u32 {
        self.link.id()
    }
}

/// Opens a link of `ground` on a socket of its own, on which everything is heard that the hub says unasked.
pub(crate) fn open<'k>(ground: &'k mut Ground<'_>, hub: SocketAddr) -> (RawLink<'k>, UdpSocket) {
    let socket = socket(hub);
    let (mut link, m1) = ground.begin(1_232);
    socket.send(&m1).expect("it is sent");
    link.finish(&socket);
    let Seen::Application(said) = link.take(heard(&socket)).0 else {
        panic!("the hub says which key of the issuer is next");
    };
    assert!(matches!(
        FromHub::decode(&said),
        Ok(FromHub::Issuers { .. })
    ));
    (link, socket)
}
