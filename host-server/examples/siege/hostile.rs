//! Strangers of five kinds, and an authenticated peer that floods.

use std::fmt;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use moorline_core::crypto::SigningKey;
use moorline_core::framing::{Delimited, delimited_len};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::ToHub;
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::agent::Stream;
use crate::hub::Hub;
use crate::kinds::m1;
use crate::links::try_open;
use crate::world::Peer;

/// How long a socket of this side blocks.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a stranger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Silent,
    Slow,
    HalfOpen,
    Garbage,
    Thief,
    Flooder,
}

const KINDS: [Kind; 6] = [
    Kind::Silent,
    Kind::Slow,
    Kind::HalfOpen,
    Kind::Garbage,
    Kind::Thief,
    Kind::Flooder,
];

/// Threads of each kind: a handshake keeps one busy.
const SQUADS: u32 = 4;

/// All of them.
pub(crate) struct Enemies(Vec<(Kind, JoinHandle<u32>)>);

/// How many connections each kind has opened.
pub(crate) struct Numbers(Vec<(Kind, u32)>);

/// What one kind works with.
struct Camp {
    kind: Kind,
    tcp: SocketAddr,
    peer: Peer,
    /// Connections that it opens in all.
    most: u32,
    squad: u32,
    until: Instant,
}

/// Has strangers of each kind come until then, `connections` in all.
pub(crate) fn start(hub: &Hub, connections: u32, until: Instant) -> Enemies {
    let squads = KINDS
        .iter()
        .flat_map(|kind| (0..SQUADS).map(move |squad| (kind, squad)));
    let threads = squads.map(|(kind, squad)| {
        let name = format!("mallory-{kind:?}-{squad}");
        let mut peer = hub.enrol(&name, PeerRole::Commander, Reach::Agents(vec!["x".into()]));
        if *kind == Kind::Thief {
            // It has the token, and not the key.
            peer.key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        }
        let camp = Camp {
            kind: *kind,
            tcp: hub.tcp,
            peer,
            most: connections.div_ceil(6 * SQUADS),
            squad,
            until,
        };
        (*kind, std::thread::spawn(move || camp.besiege()))
    });
    Enemies(threads.collect())
}

impl Camp {
    /// Opens connections at an even pace, and returns how many.
    fn besiege(&self) -> u32 {
        let pause = self.until.saturating_duration_since(Instant::now()) / self.most.max(1);
        let m1 = self.m1();
        let mut held: Vec<TcpStream> = Vec::new();
        let mut opened = 0;
        let began = Instant::now();
        while Instant::now() < self.until && opened < self.most {
            let due = began + pause * opened;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            opened += 1;
            let Ok(mut stream) = self.connect(self.squad * self.most + opened) else {
                continue;
            };
            // The hub may be gone from it at any time.
            let _ = match self.kind {
                Kind::Silent => Ok(()),
                Kind::Slow => held.iter_mut().rev().take(64).try_for_each(|slow| {
                    let _ = slow.write_all(&[1]);
                    Ok(())
                }),
                Kind::HalfOpen => stream.write_all(&m1),
                Kind::Garbage => stream.write_all(&[0xA5; 4_096]),
                Kind::Thief | Kind::Flooder => {
                    if let Ok(other) = stream.try_clone() {
                        self.enter(Stream(other));
                    }
                    Ok(())
                }
            };
            held.push(stream);
        }
        opened
    }

    /// Connects from an address of this kind's own network, another one each time.
    fn connect(&self, number: u32) -> std::io::Result<TcpStream> {
        let place = KINDS.iter().position(|kind| *kind == self.kind);
        let network = u32::try_from(place.unwrap_or(0)).unwrap_or(0) + 1;
        let source = Ipv4Addr::from_bits((127 << 24) | (network << 16) | (number & 0x7FFF));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        connect(&socket, &self.tcp)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Returns a right first message, framed.
    fn m1(&self) -> Vec<u8> {
        let mut incoming = [0; delimited_len(MAX_HANDSHAKE_LEN)];
        m1(&self.peer, Delimited::new(&mut incoming[..]))
    }

    /// Goes through a handshake. Who is let in asks without end and does not read.
    fn enter(&self, stream: Stream) {
        let mut incoming = [0; 2048];
        let framing = Delimited::new(&mut incoming[..]);
        // A thief is refused.
        let _ = try_open(&self.peer, stream, framing, |link| {
            let mut question = [0; 32];
            let question = ToHub::ListAgents { after: None }.encode(&mut question);
            let question = question.expect("it fits");
            let give_up = Instant::now() + Duration::from_millis(500);
            while Instant::now() < give_up.min(self.until)
                && link.send_application(question, &mut SystemEntropy).is_ok()
            {}
        });
    }
}

impl Enemies {
    /// Waits until all have gone.
    pub(crate) fn join(self) -> Numbers {
        let numbers = self.0.into_iter();
        Numbers(
            numbers
                .map(|(kind, thread)| (kind, thread.join().unwrap_or(0)))
                .collect(),
        )
    }
}

impl Numbers {
    pub(crate) fn total(&self) -> u32 {
        self.0.iter().map(|(_, number)| number).sum()
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.total())?;
        KINDS.iter().try_for_each(|kind| {
            let own = self.0.iter().filter(|(other, _)| other == kind);
            let number: u32 = own.map(|(_, number)| number).sum();
            write!(formatter, " {number} {kind:?}")
        })
    }
}
