//! Strangers of every kind, each at its widest.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use moorline_core::connection::{Connection, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::framing::{Delimited, Framing, WebSocketClient, delimited_len};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::world::Peer;

/// Bytes of a request's headers without their end: nearly all that the hub reads of them.
const HEADERS_LEN: usize = 8_000;

/// Bytes of a message without its end: nearly all that the hub takes of one.
const HALF_LEN: u16 = 2_900;

/// How far a stranger goes, and through which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bare TCP, and not a byte.
    Silent,
    /// Bare TCP, and a message that does not end.
    HalfMessage,
    /// Bare TCP, and M1 without M3.
    HalfHandshake,
    /// HTTP, and not a byte.
    SilentHttp,
    /// HTTP, and headers that do not end.
    HalfRequest,
    /// HTTP, one request, and no other.
    Answered,
    /// A WebSocket, and nothing on it.
    WebSocket,
    /// A WebSocket, and a message that does not end.
    WebSocketHalfMessage,
    /// A WebSocket, and M1 without M3.
    WebSocketHalfHandshake,
    /// A WebSocket, M1, and parts of a message that does not end.
    WebSocketParts,
}

/// Where a hub is reached.
pub(crate) struct Doors {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Silent => "bare TCP, silent",
            Self::HalfMessage => "bare TCP, half a message",
            Self::HalfHandshake => "bare TCP, half a handshake",
            Self::SilentHttp => "HTTP, silent",
            Self::HalfRequest => "HTTP, half a request",
            Self::Answered => "HTTP, answered",
            Self::WebSocket => "WebSocket, silent",
            Self::WebSocketHalfMessage => "WebSocket, half a message",
            Self::WebSocketHalfHandshake => "WebSocket, half a handshake",
            Self::WebSocketParts => "WebSocket, half a handshake, parts of a message",
        })
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Silent,
        Self::HalfMessage,
        Self::HalfHandshake,
        Self::SilentHttp,
        Self::HalfRequest,
        Self::Answered,
        Self::WebSocket,
        Self::WebSocketHalfMessage,
        Self::WebSocketHalfHandshake,
        Self::WebSocketParts,
    ];

    /// Returns the door that it comes to.
    fn address(self, doors: &Doors) -> SocketAddr {
        match self {
            Self::Silent | Self::HalfMessage | Self::HalfHandshake => doors.tcp,
            _ => doors.http,
        }
    }

    /// Connects a stranger, which goes as far as its kind does. `peer` lends its token to those who show one.
    pub(crate) fn hold(self, doors: &Doors, peer: &Peer) -> TcpStream {
        let mut stream = TcpStream::connect(self.address(doors)).expect("the hub listens");
        self.act(&mut stream, peer);
        stream
    }

    /// Goes as far on `stream` as this kind does.
    pub(crate) fn act(self, stream: &mut (impl Read + Write), peer: &Peer) {
        match self {
            Self::Silent | Self::SilentHttp => {}
            Self::HalfMessage => {
                let mut unit = vec![0];
                unit.resize(usize::from(HALF_LEN), 0xFE);
                write(stream, &unit);
            }
            Self::HalfHandshake => {
                let mut incoming = [0; delimited_len(MAX_HANDSHAKE_LEN)];
                begin(stream, Delimited::new(&mut incoming[..]), peer);
            }
            Self::HalfRequest => {
                let head = "GET /ws HTTP/1.1\r\nHost: hub.example\r\nX: ";
                write(stream, head.as_bytes());
                write(stream, &vec![b'x'; HEADERS_LEN - head.len()]);
            }
            Self::Answered => {
                let request = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub.example\r\n\r\n";
                write(stream, request.as_bytes());
                read_past(stream, b"]}");
            }
            Self::WebSocket => upgrade(stream),
            Self::WebSocketHalfMessage => {
                upgrade(stream);
                let frame = masked(0x82, HALF_LEN);
                write(stream, frame.split_last().expect("bytes").1);
            }
            Self::WebSocketHalfHandshake => {
                upgrade(stream);
                begin(stream, WebSocketClient::new(&mut [0; 2_048]), peer);
            }
            Self::WebSocketParts => {
                upgrade(stream);
                begin(stream, WebSocketClient::new(&mut [0; 2_048]), peer);
                let parts = [masked(0x02, HALF_LEN / 2), masked(0x00, HALF_LEN / 2)].concat();
                write(stream, parts.split_last().expect("bytes").1);
            }
        }
    }
}

/// Sends M1, and waits for M2.
fn begin<F: Framing>(stream: &mut (impl Read + Write), framing: F, peer: &Peer) {
    write(stream, &m1(peer, framing));
    assert!(stream.read(&mut [0; 2_048]).expect("M2") > 0);
}

/// Returns a right first message of `peer`, framed.
pub(crate) fn m1<F: Framing>(peer: &Peer, mut framing: F) -> Vec<u8> {
    let (trust, mut buffer) = (peer.trust(), [0; MAX_UNPACKED_LEN]);
    let initiator = peer.initiator(&trust, &mut buffer);
    let ephemeral = EphemeralKey::generate(&mut SystemEntropy).expect("random bytes");
    let (mut out, mut wire) = ([0; MAX_HANDSHAKE_LEN], [0; 2_048]);
    let entropy = &mut SystemEntropy;
    let (settings, now) = (Settings::default(), clock::now());
    let begun = Connection::initiate(initiator, ephemeral, settings, &now, entropy, &mut out);
    let (_, m1) = begun.expect("it begins");
    let unit = framing.emit(m1, entropy, &mut wire);
    unit.expect("it fits").to_vec()
}

/// Returns a frame of a WebSocket that begins with `first`, with `len` bytes under a mask of zeros (RFC 6455 §5.2).
fn masked(first: u8, len: u16) -> Vec<u8> {
    let [high, low] = len.to_be_bytes();
    let mut frame = vec![first, 0xFE, high, low, 0, 0, 0, 0];
    frame.resize(frame.len() + usize::from(len), 0x20);
    frame
}

/// Opens a WebSocket.
fn upgrade(stream: &mut (impl Read + Write)) {
    write(
        stream,
        b"GET /ws HTTP/1.1\r\nHost: hub.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: moorline.v1\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    read_past(stream, b"\r\n\r\n");
}

fn write(stream: &mut impl Write, bytes: &[u8]) {
    stream.write_all(bytes).expect("it takes bytes");
    stream.flush().expect("it takes bytes");
}

/// Reads until `end` has come.
fn read_past(stream: &mut impl Read, end: &[u8]) {
    let mut said = Vec::new();
    while !said.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        said.extend(byte);
    }
}

impl Doors {
    /// Returns whether nothing that was sent to this hub waits for it in the system.
    pub(crate) fn are_quiet(&self) -> bool {
        let sockets = std::fs::read_to_string("/proc/self/net/tcp").expect("it is Linux");
        let doors = [Some(self.http), Some(self.tcp), self.https];
        let doors = doors.into_iter().flatten();
        let ports: Vec<String> = doors
            .map(|address| format!(":{:04X}", address.port()))
            .collect();
        let waits = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next().unwrap_or_default();
            // Of a listener it is those who are not accepted.
            let queues = fields.nth(2).unwrap_or_default();
            ports.iter().any(|port| local.ends_with(port)) && !queues.ends_with(":00000000")
        };
        !sockets.lines().skip(1).any(waits)
    }
}
