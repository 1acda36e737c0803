//! The operations of the link: the device's side under the meter, the hub's beside it.

use core::hint::black_box;

use moorline_conformance::fixture::{Door, FixedEntropy, HUB, NOW, World, at, token};
use moorline_conformance::pair::{Pair, responding};
use moorline_core::connection::{Connection, Context, Event, Settings};
use moorline_core::crypto::EphemeralKey;
use moorline_core::handshake::{Responder, SingleUse};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::token::{Candidate, MAX_UNPACKED_LEN, Policy, Role};
use moorline_core::trust::NoKeeper;
use moorline_core::wire::Form;

use super::meter::Meter;

/// The whole handshake: the ephemeral key, M1, M2 to M3, M4.
pub(super) fn handshake_full(meter: &mut Meter<'_>) {
    let mut entropy = FixedEntropy::new("initiator");
    let ephemeral = meter.measure(|| EphemeralKey::generate(&mut entropy));
    let ephemeral = ephemeral.expect("the entropy is good");
    handshake(meter, ephemeral.into(), Door::default(), entropy);
}

/// What is left of the handshake when the ephemeral key was made in idle time.
pub(super) fn handshake_critical(meter: &mut Meter<'_>) {
    let mut entropy = FixedEntropy::new("initiator");
    let ephemeral = EphemeralKey::generate(&mut entropy);
    let ephemeral = ephemeral.expect("the entropy is good");
    handshake(meter, ephemeral.into(), Door::default(), entropy);
}

/// The whole handshake that rests on a ticket: the ephemeral key, M1, M2 to M3, Welcome.
pub(super) fn handshake_resumed(meter: &mut Meter<'_>) {
    let mut unmetered = None;
    let (mut entropy, mut door) = (FixedEntropy::new("initiator"), Door::default());
    door.gives_tickets = true;
    with_pair(door, |mut pair| {
        let ticket = pair.initiator.connection.take_ticket();
        unmetered = Some((ticket, pair.responder.door.clone()));
    });
    let (ticket, door) = unmetered.expect("the handshake succeeds");
    assert!(ticket.is_some(), "the hub gives a ticket");
    let ephemeral = meter.measure(|| EphemeralKey::generate(&mut entropy));
    let ephemeral = ephemeral.expect("the entropy is good");
    handshake(meter, SingleUse { ephemeral, ticket }, door, entropy);
}

fn handshake(meter: &mut Meter<'_>, single_use: SingleUse, door: Door, mut entropy: FixedEntropy) {
    let rests_on_ticket = single_use.ticket.is_some();
    let world = World::new().expect("the fixture is sound");
    let mut token = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut token).expect("a token");
    let mut hub = Hub {
        connection: Connection::respond(Form::Stream, None, Settings::default(), at(0).instant),
        responder: world.responder(),
        entropy: FixedEntropy::new("responder"),
        door,
        out: [0; MAX_HANDSHAKE_LEN],
    };
    let mut out = [0; MAX_HANDSHAKE_LEN];

    let initiator = world.initiator(token);
    let started = meter.measure(|| {
        Connection::initiate(
            initiator,
            single_use,
            Settings::default(),
            &at(0),
            &mut FixedEntropy::new("initiator"),
            &mut out,
        )
        .map(|(connection, m1)| (connection, m1.len()))
    });
    let (mut connection, m1_len) = started.expect("M1 can be written");
    let m2 = hub.answer(out.get_mut(..m1_len).unwrap_or_default());

    let m3_len = meter.measure(|| {
        let mut context = Context {
            now: at(0),
            entropy: &mut entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let outcome = connection.handle_message(m2, &mut context, &mut out);
        outcome.send.map(<[u8]>::len)
    });
    let m3_len = m3_len.expect("the hub is proved");
    let m4 = hub.answer(out.get_mut(..m3_len).unwrap_or_default());

    let opened = meter.measure(|| {
        let mut context = Context {
            now: at(0),
            entropy: &mut entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let outcome = connection.handle_message(m4, &mut context, &mut out);
        matches!(outcome.event, Some(Event::Open(_)))
    });
    assert!(opened, "both ends are proved");
    let resumed = connection.facts().is_some_and(|facts| facts.resumed);
    assert_eq!(resumed, rests_on_ticket);
}

/// The other end, at no charge.
struct Hub<'k> {
    connection: Connection<'static>,
    responder: Responder<'k>,
    entropy: FixedEntropy,
    door: Door,
    out: [u8; MAX_HANDSHAKE_LEN],
}

impl Hub<'_> {
    fn answer(&mut self, message: &mut [u8]) -> &mut [u8] {
        let mut context = Context {
            now: at(0),
            entropy: &mut self.entropy,
            responding: responding(Some(&self.responder), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let outcome = self
            .connection
            .handle_message(message, &mut context, &mut self.out);
        let len = outcome.send.map(<[u8]>::len).expect("the hub answers");
        self.out.get_mut(..len).unwrap_or_default()
    }
}

/// A commander's token: JSON, policy and signature.
pub(super) fn token_verify(meter: &mut Meter<'_>) {
    let world = World::new().expect("the fixture is sound");
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let key = *world.agent.public_key();
    let token = token(Role::Commander, "alice", key, &world.issuer, &mut buffer);
    let token = token.expect("the token can be minted");
    let policy = Policy::link(HUB, NOW);
    let verified = meter.measure(|| {
        Candidate::check(&token, &world.anchors, &policy)
            .and_then(Candidate::verify_signature)
            .is_ok()
    });
    assert!(verified, "the token is good");
}

/// A whole frame with a payload of `LEN` bytes, under keys that are kept.
pub(super) fn seal<const LEN: usize>(meter: &mut Meter<'_>) {
    with_open_pair(|mut pair| {
        let payload = black_box([0x5A; LEN]);
        let mut out = [0; MAX_FRAME_LEN];
        let initiator = &mut pair.initiator.connection;
        let sealed = meter.measure(|| {
            let frame = initiator.send_application(&payload, &mut out);
            frame.map(<[u8]>::len)
        });
        black_box(sealed).expect("the session is open");
    });
}

/// As [`seal`], for a frame of the hub.
pub(super) fn open<const LEN: usize>(meter: &mut Meter<'_>) {
    with_open_pair(|mut pair| {
        let payload = black_box([0x5A; LEN]);
        let mut frame = pair.responder.say(&payload).expect("the session is open");
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let end = &mut pair.initiator;
        let mut context = Context {
            now: at(0),
            entropy: &mut end.entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let connection = &mut end.connection;
        let opened = meter.measure(|| {
            let outcome = connection.handle_message(&mut frame, &mut context, &mut out);
            matches!(outcome.event, Some(Event::Application(_)))
        });
        assert!(opened, "the frame is the hub's");
    });
}

fn with_open_pair(run: impl FnOnce(Pair<'_>)) {
    with_pair(Door::default(), run);
}

/// Calls `run` with both ends of an open link whose hub has `door`.
fn with_pair(door: Door, run: impl FnOnce(Pair<'_>)) {
    let world = World::new().expect("the fixture is sound");
    let mut token = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut token).expect("a token");
    let mut initiator = world.initiator(token);
    initiator.offer.wants_ticket = door.gives_tickets;
    let responder = world.responder();
    let pair = Pair::between(initiator, None, responder, door, Settings::default(), 0);
    let mut pair = pair.expect("M1 can be written");
    pair.finish(0).expect("the handshake succeeds");
    run(pair);
}

/// The longest payload that is measured, and its frame.
const MAX_FRAME_LEN: usize = 1100;
