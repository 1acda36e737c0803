//! A stream with core's responder at its other end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use moorline_conformance::fixture::{Door, FixedEntropy, World, at};
use moorline_conformance::pair::responding;
use moorline_core::connection::{Closure, Connection, Context, Event, Settings};
use moorline_core::framing::{Delimited, Framing, Progress};
use moorline_core::handshake::Responder;
use moorline_core::message::Alert;
use moorline_core::time::Now;
use moorline_core::trust::NoKeeper;

/// The stream gives nothing for a second; the clock has gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("timed out")
    }
}

impl std::error::Error for TimedOut {}

impl embedded_io::Error for TimedOut {
    fn kind(&self) -> ErrorKind {
        ErrorKind::TimedOut
    }
}

/// How the hub's end of the stream is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Delimited,
    /// The request is not answered yet.
    Upgrade,
    WebSocket,
}

/// The hub at the other end.
pub(super) struct Hub<'k> {
    connection: Connection<'static>,
    responder: Responder<'k>,
    entropy: FixedEntropy,
    pub(super) door: Door,
    form: Form,
    /// What an upgrade is answered with.
    pub(super) response: Vec<u8>,
    framing: Delimited<Vec<u8>>,
    /// What came and is not taken in yet.
    arrived: Vec<u8>,
    /// What is under way to the initiator.
    sent: VecDeque<u8>,
    /// Whether the stream is at its end once all has been read.
    pub(super) ended: bool,
    /// Whether messages are lost on their way here.
    pub(super) deaf: bool,
    pub(super) heard: Vec<Vec<u8>>,
    pub(super) closure: Option<Closure>,
    pub(super) pongs: Vec<Vec<u8>>,
}

/// One end of the stream, with the hub behind it.
#[derive(Clone)]
pub(super) struct Line<'k> {
    pub(super) hub: Rc<RefCell<Hub<'k>>>,
    pub(super) clock: Rc<Cell<u64>>,
}

impl<'k> Line<'k> {
    pub(super) fn new(world: &'k World, form: Form) -> Self {
        let connection = Connection::respond(
            moorline_core::wire::Form::Stream,
            None,
            Settings::default(),
            at(0).instant,
        );
        let hub = Hub {
            connection,
            responder: world.responder(),
            entropy: FixedEntropy::new("responder"),
            door: Door::default(),
            form,
            response: RESPONSE.to_vec(),
            framing: Delimited::new(vec![0; 2048]),
            arrived: Vec::new(),
            sent: VecDeque::new(),
            ended: false,
            deaf: false,
            heard: Vec::new(),
            closure: None,
            pongs: Vec::new(),
        };
        Self {
            hub: Rc::new(RefCell::new(hub)),
            clock: Rc::new(Cell::new(0)),
        }
    }

    pub(super) fn clock(&self) -> impl FnMut() -> Now + use<> {
        let clock = Rc::clone(&self.clock);
        move || at(clock.get())
    }

    fn take(&self, bytes: &[u8]) {
        let now = self.clock.get();
        let mut hub = self.hub.borrow_mut();
        if !hub.deaf {
            hub.arrived.extend_from_slice(bytes);
            hub.work(now);
        }
    }

    /// Gives at most 7 bytes: nothing may rely on how a stream cuts.
    fn give(&self, bytes: &mut [u8]) -> Result<usize, TimedOut> {
        let mut hub = self.hub.borrow_mut();
        if hub.sent.is_empty() {
            if hub.ended {
                return Ok(0);
            }
            self.clock.set(self.clock.get() + 1000);
            return Err(TimedOut);
        }
        let count = bytes.len().min(7).min(hub.sent.len());
        for (to, from) in bytes.iter_mut().zip(hub.sent.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Hub<'_> {
    fn work(&mut self, now: u64) {
        while let Some(message) = self.next_message() {
            let mut message = message;
            let mut out = vec![0; 2048];
            let mut context = Context {
                now: at(now),
                entropy: &mut self.entropy,
                responding: responding(Some(&self.responder), &mut self.door),
                keeper: &mut NoKeeper,
            };
            let outcome = self
                .connection
                .handle_message(&mut message, &mut context, &mut out);
            match outcome.event {
                Some(Event::Application(payload)) => self.heard.push(payload.to_vec()),
                Some(Event::Envelope(payload)) => self.heard.push(payload.to_vec()),
                Some(Event::Closed(closure)) => self.closure = Some(closure),
                _ => {}
            }
            if let Some(answer) = outcome.send {
                let answer = answer.to_vec();
                self.send(&answer);
            }
        }
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        match self.form {
            Form::Delimited => {
                let absorbed = self.framing.absorb(&self.arrived).expect("never fails");
                self.arrived.drain(..absorbed.taken);
                (absorbed.progress == Progress::Message).then(|| self.framing.message().to_vec())
            }
            Form::Upgrade => {
                let end = self
                    .arrived
                    .windows(4)
                    .position(|part| part == b"\r\n\r\n")?;
                self.arrived.drain(..end + 4);
                self.sent.extend(&self.response);
                self.form = Form::WebSocket;
                None
            }
            Form::WebSocket => loop {
                let (opcode, payload) = self.next_client_frame()?;
                if opcode == 0x82 {
                    return Some(payload);
                }
                self.pongs.push(payload);
            },
        }
    }

    /// Takes a whole masked frame off the front.
    fn next_client_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [opcode, len, rest @ ..] = &self.arrived[..] else {
            return None;
        };
        assert!(len & 0x80 != 0, "a client masks");
        let (len, rest, header) = match len & 0x7F {
            126 => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*len)), rest, 8)
            }
            len => (usize::from(len), rest, 6),
        };
        let (mask, rest) = rest.split_first_chunk::<4>()?;
        let payload = rest.get(..len)?;
        let clear = payload.iter().zip(mask.iter().cycle());
        let frame = (*opcode, clear.map(|(byte, mask)| byte ^ mask).collect());
        self.arrived.drain(..header + len);
        Some(frame)
    }

    fn send(&mut self, message: &[u8]) {
        if self.form == Form::WebSocket {
            self.send_frame(0x82, message);
        } else {
            let mut out = vec![0; 4096];
            let unit = self.framing.emit(message, &mut self.entropy, &mut out);
            self.sent.extend(unit.expect("it fits"));
        }
    }

    pub(super) fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.sent.push_back(opcode);
        match u8::try_from(payload.len()) {
            Ok(len) if len < 126 => self.sent.push_back(len),
            _ => {
                let len = u16::try_from(payload.len()).expect("a message is short");
                self.sent.push_back(126);
                self.sent.extend(len.to_be_bytes());
            }
        }
        self.sent.extend(payload);
    }

    pub(super) fn say(&mut self, payload: &[u8]) {
        let mut out = vec![0; 2048];
        let sealed = self.connection.send_application(payload, &mut out);
        let frame = sealed.expect("the hub is open").to_vec();
        self.send(&frame);
    }

    pub(super) fn close(&mut self, alert: Alert) {
        let mut out = vec![0; 64];
        let frame = self.connection.close(alert, &mut out);
        let frame = frame.expect("the hub is open").to_vec();
        self.send(&frame);
        self.ended = true;
    }
}

impl ErrorType for Line<'_> {
    type Error = TimedOut;
}

impl Read for Line<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, TimedOut> {
        self.give(bytes)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, TimedOut> {
        self.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), TimedOut> {
        Ok(())
    }
}

impl embedded_io_async::Read for Line<'_> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, TimedOut> {
        self.give(bytes)
    }
}

impl embedded_io_async::Write for Line<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TimedOut> {
        self.take(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), TimedOut> {
        Ok(())
    }
}

/// The response to the key of RFC 6455 §1.3, which `SampleNonce` gives first.
pub(super) const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: moorline.v1\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
