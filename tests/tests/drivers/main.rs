//! The drivers over byte streams, with core's responder at the other end of the stream.

mod line;

use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use line::{Form, Line, RESPONSE, TimedOut};
use moorline_conformance::fixture::{FixedEntropy, World, ephemeral_key};
use moorline_core::connection::{Closure, Event, Settings};
use moorline_core::driver::{Buffers, DriverError, blocking, nonblocking};
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::framing::{Delimited, Framing, FramingError, UpgradeError, WebSocketClient};
use moorline_core::message::{Alert, AlertCode, Envelope};
use moorline_core::reason::Reason;
use moorline_core::time::Now;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;

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
