//! A connection of a device, as messages.

use std::io;
use std::io::{Read, Write};
use std::net::TcpStream;

use moorline_conformance::fixture::FixedEntropy;
use moorline_core::framing::{Delimited, Framing, Progress, delimited_len};
use moorline_core::wire::M1_LEN;
use moorline_qemu::site::Road;
use tungstenite::handshake::server;
use tungstenite::{Message, WebSocket};

/// A connection that carries messages.
pub(crate) enum Socket {
    /// Of a device on a network.
    WebSocket(Box<WebSocket<Line>>),
    /// Of a device at the end of a serial line.
    Bare(Bare),
}

impl Socket {
    /// Waits on `stream` until a device begins; fails when something else comes over a network.
    pub(crate) fn accept(stream: TcpStream, road: Road) -> io::Result<Self> {
        match road {
            Road::Network => {
                let line = Line::with_request(stream)?;
                let socket = tungstenite::accept_hdr(line, with_subprotocol);
                let socket = socket.expect("the request is for a WebSocket");
                Ok(Self::WebSocket(Box::new(socket)))
            }
            Road::SerialLine => {
                let mut bare = Bare::of(stream);
                // The last frames of an earlier session may come first.
                loop {
                    let message = bare.read()?;
                    if Self::is_beginning(&message) {
                        bare.first = Some(message);
                        return Ok(Self::Bare(bare));
                    }
                }
            }
        }
    }

    /// Says whether `message` has the length of an M1, which no frame of the tests has.
    pub(crate) fn is_beginning(message: &[u8]) -> bool {
        message.len() == M1_LEN
    }

    /// Waits for a message.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::WebSocket(socket) => loop {
                if let Message::Binary(message) = socket.read().map_err(io::Error::other)? {
                    return Ok(message.to_vec());
                }
            },
            Self::Bare(bare) => bare.read(),
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: Vec<u8>) -> io::Result<()> {
        match self {
            Self::WebSocket(socket) => socket
                .send(Message::Binary(message.into()))
                .map_err(io::Error::other),
            Self::Bare(bare) => bare.send(&message),
        }
    }
}

/// A connection with bare frames on it.
pub(crate) struct Bare {
    stream: TcpStream,
    framing: Delimited<Vec<u8>>,
    /// What was read of the stream, and how much of that was taken.
    arrived: Vec<u8>,
    taken: usize,
    first: Option<Vec<u8>>,
}

impl Bare {
    fn of(stream: TcpStream) -> Self {
        Self {
            stream,
            framing: Delimited::new(vec![0; delimited_len(LONGEST)]),
            arrived: Vec::new(),
            taken: 0,
            first: None,
        }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let rest = self.arrived.get(self.taken..).unwrap_or_default();
            let absorbed = self
                .framing
                .absorb(rest)
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
            self.taken += absorbed.taken;
            if absorbed.progress == Progress::Message {
                return Ok(self.framing.message().to_vec());
            }
            let mut bytes = [0; 512];
            let len = match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => len,
            };
            self.arrived = bytes.get(..len).unwrap_or_default().to_vec();
            self.taken = 0;
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut out = vec![0; delimited_len(message.len())];
        let mut entropy = FixedEntropy::new("not drawn from");
        let unit = self.framing.emit(message, &mut entropy, &mut out);
        self.stream.write_all(unit.expect("it fits"))
    }
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn with_subprotocol(
    request: &server::Request,
    mut response: server::Response,
) -> Result<server::Response, server::ErrorResponse> {
    let asked = request.headers().get("Sec-WebSocket-Protocol");
    assert_eq!(
        asked.map(|value| value.as_bytes()),
        Some(&b"moorline.v1"[..])
    );
    assert_eq!(request.uri().path(), "/ws");
    let headers = response.headers_mut();
    headers.insert(
        "Sec-WebSocket-Protocol",
        "moorline.v1".parse().expect("a value"),
    );
    Ok(response)
}

/// Reads the request for a WebSocket off `line` and sends `answer`.
pub(crate) fn answer_request(line: &mut TcpStream, answer: &[u8]) {
    read_request(line).expect("a request");
    line.write_all(answer).expect("the line is there");
}

/// Reads a request up to its empty line; refuses what does not begin as one.
fn read_request(line: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        line.read_exact(&mut byte)?;
        request.extend(byte);
        if !request.starts_with(b"GET ".get(..request.len()).unwrap_or(b"GET ")) {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(request)
}

/// A connection whose request was read before. The device's line gives a byte at a time, which tungstenite takes for
/// an attack.
pub(crate) struct Line {
    request: io::Cursor<Vec<u8>>,
    stream: TcpStream,
}

impl Line {
    fn with_request(mut stream: TcpStream) -> io::Result<Self> {
        let request = io::Cursor::new(read_request(&mut stream)?);
        Ok(Self { request, stream })
    }
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.request.read(bytes)? {
            0 => self.stream.read(bytes),
            len => Ok(len),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Longest message of a device in bytes.
const LONGEST: usize = 2048;
