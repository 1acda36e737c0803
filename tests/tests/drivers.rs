//! The drivers over byte streams, with core's responder at the other end of the stream.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use moorline_conformance::fixture::{Door, FixedEntropy, World, at, ephemeral_key};
use moorline_conformance::pair::responding;
use moorline_core::connection::{Closure, Connection, Context, Event, Settings};
use moorline_core::driver::{Buffers, DriverError, blocking, nonblocking};
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::framing::{
    Delimited, Framing, FramingError, Progress, UpgradeError, WebSocketClient,
};
use moorline_core::handshake::Responder;
use moorline_core::message::{Alert, AlertCode, Envelope};
use moorline_core::reason::Reason;
use moorline_core::time::Now;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;

/// The stream gives nothing for a second; the clock has gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TimedOut;

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
enum Form {
    Delimited,
    /// The request is not answered yet.
    Upgrade,
    WebSocket,
}

/// The hub at the other end.
struct Hub<'k> {
    connection: Connection<'static>,
    responder: Responder<'k>,
    entropy: FixedEntropy,
    door: Door,
    form: Form,
    /// What an upgrade is answered with.
    response: Vec<u8>,
    framing: Delimited<Vec<u8>>,
    /// What came and is not taken in yet.
    arrived: Vec<u8>,
    /// What is under way to the initiator.
    sent: VecDeque<u8>,
    /// Whether the stream is at its end once all has been read.
    ended: bool,
    /// Whether messages are lost on their way here.
    deaf: bool,
    heard: Vec<Vec<u8>>,
    closure: Option<Closure>,
    pongs: Vec<Vec<u8>>,
}

/// One end of the stream, with the hub behind it.
#[derive(Clone)]
struct Line<'k> {
    hub: Rc<RefCell<Hub<'k>>>,
    clock: Rc<Cell<u64>>,
}

impl<'k> Line<'k> {
    fn new(world: &'k World, form: Form) -> Self {
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

    fn clock(&self) -> impl FnMut() -> Now + use<> {
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

    fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
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

    fn say(&mut self, payload: &[u8]) {
        let mut out = vec![0; 2048];
        let sealed = self.connection.send_application(payload, &mut out);
        let frame = sealed.expect("the hub is open").to_vec();
        self.send(&frame);
    }

    fn close(&mut self, alert: Alert) {
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

/// The response to the key of RFC 6455 §1.3, which [`SampleNonce`] gives first.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: moorline.v1\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Entropy whose first 16 bytes are the nonce of RFC 6455 §1.3.
struct SampleNonce(FixedEntropy);

impl Entropy for SampleNonce {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if bytes.len() == 16 {
            bytes.copy_from_slice(b"the sample nonce");
            return Ok(());
        }
        self.0.fill(bytes)
    }
}

struct Space([u8; 64], [u8; 2048], [u8; 2300]);

impl Space {
    fn new() -> Self {
        Self([0; 64], [0; 2048], [0; 2300])
    }

    fn lend(&mut self) -> Buffers<'_> {
        Buffers {
            input: &mut self.0,
            message: &mut self.1,
            wire: &mut self.2,
        }
    }
}

type Failed = DriverError<TimedOut>;

/// Connects a blocking link on `line` and hands it to `run`, with the machine that drives it.
fn with_link<F: Framing>(
    line: &Line<'_>,
    world: &World,
    framing: F,
    run: impl FnOnce(
        Result<blocking::Link<'_, '_, Line<'_>, F>, Failed>,
        &mut blocking::Machine<'_, Box<dyn FnMut() -> Now>, SampleNonce>,
    ),
) {
    let mut token = [0; MAX_UNPACKED_LEN];
    let token = world
        .agent_token(&mut token)
        .expect("the token can be minted");
    let mut clock: Box<dyn FnMut() -> Now> = Box::new(line.clock());
    let mut entropy = SampleNonce(FixedEntropy::new("initiator"));
    let mut machine = blocking::Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    let mut space = Space::new();
    let link = blocking::Link::connect(
        line.clone(),
        framing,
        world.initiator(token),
        ephemeral_key("initiator ephemeral"),
        Settings::default(),
        space.lend(),
        &mut machine,
    );
    run(link, &mut machine);
}

fn world() -> World {
    World::new().expect("the world of the cases can be made")
}

fn delimited() -> Delimited<Vec<u8>> {
    Delimited::new(vec![0; 2048])
}

fn heard(event: Event<'_>) -> Option<Vec<u8>> {
    match event {
        Event::Application(payload) => Some(payload.to_vec()),
        _ => None,
    }
}

#[test]
fn a_blocking_link_carries_messages_both_ways_and_says_its_last_word() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        link.send_application(b"hello hub", machine.entropy)
            .unwrap();
        let envelope = Envelope {
            route: [7; 16],
            channel: 1,
            inner: b"0x",
        };
        link.send_envelope(&envelope, machine.entropy).unwrap();
        line.hub.borrow_mut().say(b"one");
        line.hub.borrow_mut().say(b"two");
        for text in [b"one", b"two"] {
            assert_eq!(link.receive(machine, heard), Ok(Some(text.to_vec())));
        }
        link.close(Alert::new(AlertCode::Close), machine.entropy)
            .unwrap();
    });
    let hub = line.hub.borrow();
    assert_eq!(hub.heard[0], b"hello hub");
    assert_eq!(hub.heard[1].len(), 22);
    let closed = Closure::ByPeer(Alert::new(AlertCode::Close));
    assert_eq!(hub.closure, Some(closed));
}

#[test]
fn a_stream_that_times_out_lets_a_link_ping_a_silent_hub() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        let trip = link.receive(machine, |event| matches!(event, Event::RoundTrip(_)));
        assert_eq!(trip, Ok(true));
        assert!((20_000..30_000).contains(&line.clock.get()));
        assert_eq!(link.poll(machine, |_| ()), Ok(None));
    });
}

#[test]
fn a_hub_that_is_silent_for_too_long_is_given_up() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        line.hub.borrow_mut().deaf = true;
        let closed = DriverError::Closed(Closure::Refused(Reason::Silent));
        assert_eq!(link.receive(machine, |_| ()), Err(closed));
    });
}

#[test]
fn a_stream_that_ends_without_a_last_word_is_truncated() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        line.hub.borrow_mut().say(b"the last that came");
        line.hub.borrow_mut().ended = true;
        assert_eq!(
            link.receive(machine, heard),
            Ok(Some(b"the last that came".to_vec()))
        );
        assert_eq!(link.receive(machine, heard), Err(DriverError::Truncated));
    });
}

#[test]
fn a_stream_that_ends_after_a_last_word_is_closed_by_the_peer() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        let alert = Alert {
            code: AlertCode::GoingAway,
            argument: 5000,
        };
        line.hub.borrow_mut().close(alert);
        let closed = DriverError::Closed(Closure::ByPeer(alert));
        assert_eq!(link.receive(machine, heard), Err(closed));
        assert_eq!(link.receive(machine, heard), Err(closed));
    });
}

#[test]
fn a_link_whose_token_expires_says_so_and_reads_no_more() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        line.clock.set(3_600_000);
        // The hub answers nothing and the stream is at its end: who reads on learns only that.
        line.hub.borrow_mut().deaf = true;
        line.hub.borrow_mut().ended = true;
        let closed = DriverError::Closed(Closure::Refused(Reason::Expired));
        assert_eq!(link.receive(machine, heard), Err(closed));
    });
}

#[test]
fn a_message_that_waited_in_a_blocked_stream_beyond_the_expiry_is_not_delivered() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    with_link(&line, &world, delimited(), |link, machine| {
        let mut link = link.expect("the handshake goes through");
        line.hub.borrow_mut().say(b"too late");
        assert_eq!(link.poll(machine, heard), Ok(None));
        line.clock.set(3_600_000);
        let closed = DriverError::Closed(Closure::Refused(Reason::Expired));
        assert_eq!(link.receive(machine, heard), Err(closed));
    });
}

#[test]
fn a_refused_credential_is_reported_as_such() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    line.hub.borrow_mut().door.revoked = true;
    with_link(&line, &world, delimited(), |link, _| {
        let closed = DriverError::Closed(Closure::Refused(Reason::RefusedCredential));
        assert_eq!(link.err(), Some(closed));
    });
}

#[test]
fn a_hub_that_never_answers_is_given_up_when_the_handshake_takes_too_long() {
    let world = world();
    let line = Line::new(&world, Form::Delimited);
    line.hub.borrow_mut().deaf = true;
    with_link(&line, &world, delimited(), |link, _| {
        let closed = DriverError::Closed(Closure::Refused(Reason::HandshakeTimeout));
        assert_eq!(link.err(), Some(closed));
    });
}

#[test]
fn a_blocking_link_runs_over_a_websocket() {
    let world = world();
    let line = Line::new(&world, Form::Upgrade);
    let mut entropy = SampleNonce(FixedEntropy::new("upgrade"));
    let mut clock = line.clock();
    let mut machine = blocking::Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    let mut scratch = [0; 512];
    let mut stream = line.clone();
    let opened =
        blocking::open_websocket(&mut stream, "hub.example", 5000, &mut machine, &mut scratch);
    assert_eq!(opened, Ok(()));
    let mut buffer = [0; 2048];
    with_link(
        &line,
        &world,
        WebSocketClient::new(&mut buffer),
        |link, machine| {
            let mut link = link.expect("the handshake goes through");
            link.send_application(b"hello hub", machine.entropy)
                .unwrap();
            line.hub.borrow_mut().send_frame(0x89, b"are you there");
            line.hub.borrow_mut().say(b"hello agent");
            assert_eq!(
                link.receive(machine, heard),
                Ok(Some(b"hello agent".to_vec()))
            );
            line.hub.borrow_mut().send_frame(0x88, &[0x03, 0xE8]);
            assert_eq!(link.receive(machine, heard), Err(DriverError::Truncated));
        },
    );
    let hub = line.hub.borrow();
    assert_eq!(hub.heard, [b"hello hub"]);
    assert_eq!(hub.pongs, [b"are you there".to_vec(), vec![0x03, 0xE8]]);
}

#[test]
fn a_websocket_that_cannot_be_followed_ends_the_link() {
    let world = world();
    let line = Line::new(&world, Form::WebSocket);
    let mut buffer = [0; 2048];
    with_link(
        &line,
        &world,
        WebSocketClient::new(&mut buffer),
        |link, machine| {
            let mut link = link.expect("the handshake goes through");
            line.hub.borrow_mut().send_frame(0x81, b"text");
            let error = DriverError::Framing(FramingError::NotBinary);
            assert_eq!(link.receive(machine, heard), Err(error));
        },
    );
}

#[test]
fn an_upgrade_that_is_refused_cut_off_or_not_answered_is_named() {
    let world = world();
    let refused = b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec();
    let cases = [
        (
            refused,
            false,
            DriverError::Upgrade(UpgradeError::Status(403)),
        ),
        (RESPONSE[..40].to_vec(), true, DriverError::Truncated),
        (
            RESPONSE[..40].to_vec(),
            false,
            DriverError::Upgrade(UpgradeError::NoAnswer),
        ),
        (
            Vec::new(),
            false,
            DriverError::Upgrade(UpgradeError::NoAnswer),
        ),
    ];
    for (response, ended, error) in cases {
        let line = Line::new(&world, Form::Upgrade);
        line.hub.borrow_mut().response = response;
        line.hub.borrow_mut().ended = ended;
        let mut entropy = SampleNonce(FixedEntropy::new("upgrade"));
        let mut clock = line.clock();
        let mut machine = blocking::Machine {
            clock: &mut clock,
            entropy: &mut entropy,
            keeper: &mut NoKeeper,
        };
        let mut scratch = [0; 512];
        let mut stream = line.clone();
        let opened =
            blocking::open_websocket(&mut stream, "hub.example", 5000, &mut machine, &mut scratch);
        assert_eq!(opened, Err(error));
    }
}

/// Runs a future that never waits.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut TaskContext::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the stream always answers at once"),
    }
}

#[test]
fn a_nonblocking_link_does_all_of_it() {
    let world = world();
    let line = Line::new(&world, Form::Upgrade);
    let mut token = [0; MAX_UNPACKED_LEN];
    let token = world
        .agent_token(&mut token)
        .expect("the token can be minted");
    let mut entropy = SampleNonce(FixedEntropy::new("initiator"));
    let mut clock = line.clock();
    let mut machine = nonblocking::Machine {
        clock: &mut clock,
        entropy: &mut entropy,
        keeper: &mut NoKeeper,
    };
    let mut space = Space::new();
    let mut scratch = [0; 512];
    let mut buffer = [0; 2048];
    let mut stream = line.clone();
    run(async {
        let host = "hub.example";
        let opened =
            nonblocking::open_websocket(&mut stream, host, 5000, &mut machine, &mut scratch).await;
        assert_eq!(opened, Ok(()));
        let mut link = nonblocking::Link::connect(
            stream,
            WebSocketClient::new(&mut buffer),
            world.initiator(token),
            ephemeral_key("initiator ephemeral"),
            Settings::default(),
            space.lend(),
            &mut machine,
        )
        .await
        .expect("the handshake goes through");
        link.send_application(b"hello hub", machine.entropy)
            .await
            .unwrap();
        line.hub.borrow_mut().say(b"hello agent");
        let said = link.receive(&mut machine, heard).await;
        assert_eq!(said, Ok(Some(b"hello agent".to_vec())));
        let trip = link
            .receive(&mut machine, |event| matches!(event, Event::RoundTrip(_)))
            .await;
        assert_eq!(trip, Ok(true));
        line.clock.set(3_600_000);
        line.hub.borrow_mut().deaf = true;
        line.hub.borrow_mut().ended = true;
        let closed = DriverError::Closed(Closure::Refused(Reason::Expired));
        assert_eq!(link.receive(&mut machine, heard).await, Err(closed));
    });
    assert_eq!(line.hub.borrow().heard, [b"hello hub"]);
}
