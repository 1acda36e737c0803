//! What is fuzzed: every parser of outside bytes, and whole connections.
//!
//! A target takes any bytes. What parses is written again and must be the same bytes, where core writes it; nothing may
//! panic. `tests/fuzz/` hands them to a fuzzer, and `tests/tests/fuzz.rs` plays seeded bytes through each.

use heapless::Vec;
use moorline_core::connection::{Connection, Context, Settings};
use moorline_core::cookie::{Cookies, Screened};
use moorline_core::crypto::{PublicKey, Secret};
use moorline_core::framing::{
    Delimited, Framing, MAX_RESPONSE_LEN, Progress, UpgradeKey, WebSocketClient, parse_response,
};
use moorline_core::handshake::{
    MAX_TICKET_RECORD_LEN, RespondAs, Responder, Succession, TICKET_LEN, Ticket, TicketRecord,
};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::link::{HubLink, MAX_SPLIT_LEN};
use moorline_core::message::{Alert, Control, Envelope, FromAgent, FromHub, Request, ToHub};
use moorline_core::offline::CounterEntry;
use moorline_core::provision::{MAX_PROVISION_LEN, Provision};
use moorline_core::session::FrameAssembly;
use moorline_core::token::{
    AgentId, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, UnpackedToken, UnverifiedClaims,
};
use moorline_core::trust::{ISSUER_KEYS_LEN, IssuerKeys, NoKeeper, Statement, TrustStore};
use moorline_core::wire::{
    ConnectionIds, Form, Fragment, FrameHeader, Line, M0, M0_LEN, M1, M2Clear, M2Confirmed,
    M2Signed, M3Confirmed, M3Sealed, M4Sealed, PART_HEADER_LEN, PartHeader, Refuse, Reject,
    Starred, Writer, datagrams,
};

use crate::fixture::{Door, FixedEntropy, World, at, ephemeral_key, signing_key};
use crate::pair::{LINE_LEN, Message, Pair, copy, responding};
use crate::storage;
use crate::trust::site::trusting;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Takes any bytes; it panics when something does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub static TARGETS: &[Target] = &[
    target("m0", m0),
    target("m1", m1),
    target("m2", m2),
    target("m3", m3),
    target("m4", m4),
    target("fragments", fragments),
    target("refusal", refusal),
    target("frame_header", frame_header),
    target("part_header", part_header),
    target("token", token),
    target("compact_token", compact_token),
    target("public_key", public_key),
    target("envelope", envelope),
    target("control", control),
    target("commands", commands),
    target("link_messages", link_messages),
    target("delimiter", delimiter),
    target("websocket", websocket),
    target("upgrade", upgrade),
    target("provision", provision),
    target("tickets", tickets),
    target("trust", trust),
    target("storage", storage::reading::read),
    target("responder", responder),
    target("initiator", initiator),
    target("session", session),
    target("datagram_link", datagram_link),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Runs the target called `name` on `data`.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("the target exists");
    (target.run)(data);
}

const LINES: [Line; 3] = [
    Line::Stream,
    Line::Datagram,
    Line::Channel(AgentId([7; 16])),
];

/// Where M1 has its flags.
const FLAGS_AT: usize = 10;

fn m0(data: &[u8]) {
    let id = data.get(4..8).and_then(|id| id.try_into().ok());
    if let Ok(message) = M0::parse(data, id.map_or(0, u32::from_be_bytes)) {
        let mut out = [0; M0_LEN];
        let id = id.map_or(0, u32::from_be_bytes);
        assert_eq!(message.emit(id, &mut out).expect("it is short"), data);
    }
    let mut entropy = FixedEntropy::new("cookies");
    let now = at(0).instant;
    let mut cookies = Cookies::new(now, &mut entropy).expect("entropy");
    let mut out = [0; M0_LEN];
    let screened = cookies.screen(data, b"somebody", true, now, &mut entropy, &mut out);
    assert_ne!(screened, Ok(Screened::Pass), "nobody has a cookie");
}

fn m1(data: &[u8]) {
    for line in LINES {
        let Ok(message) = M1::parse(data, line) else {
            continue;
        };
        let mut out = [0; 256];
        let again = message.emit(line, &mut out).expect("it is short");
        // The highest version that a peer speaks may be higher than ours, and is not kept.
        again[FLAGS_AT] = again[FLAGS_AT] & 0x0F | data[FLAGS_AT] & 0xF0;
        assert_eq!(again, data);
        let starred = Starred::of(data);
        assert_ne!(starred.hash(&[b"a"]), starred.hash(&[b"b"]));
    }
}

fn m2(data: &[u8]) {
    for line in LINES {
        if let Ok(clear) = M2Clear::parse(data, line, 0) {
            let _ = clear.check_len(data, line);
        }
        let _ = M2Signed::parse(data, line);
        let _ = M2Confirmed::parse(data, line.form());
    }
}

fn m3(data: &[u8]) {
    if let Ok(message) = M3Sealed::parse(data) {
        assert_eq!(message.signed_part.len() + 64, data.len());
    }
    if let Ok(message) = M3Confirmed::parse(data, 7) {
        assert_eq!(
            data,
            [&M3Confirmed::prefix(7)[..], &message.fin].concat_short()
        );
    }
}

fn m4(data: &[u8]) {
    let _ = M4Sealed::check_prefix(data, 0);
    if let Ok(message) = M4Sealed::parse(data) {
        let mut out = [0; 128];
        let mut writer = Writer::new(&mut out);
        message.emit(&mut writer);
        assert_eq!(writer.finish().expect("it is short"), data);
    }
}

fn fragments(data: &[u8]) {
    let id = data.get(4..8).and_then(|id| id.try_into().ok());
    let id = id.map_or(0, u32::from_be_bytes);
    if let Ok(fragment) = Fragment::parse(data, id) {
        assert!(data.ends_with(fragment.bytes) && !fragment.bytes.is_empty());
        let end = usize::from(fragment.offset) + fragment.bytes.len();
        assert!(end <= usize::from(fragment.total) && end <= MAX_HANDSHAKE_LEN);
    }
    let all: usize = datagrams(data).map(<[u8]>::len).sum();
    assert_eq!(all, data.len());
}

fn refusal(data: &[u8]) {
    let _ = Refuse::check_prefix(data, 0);
    if let Ok(refuse) = Refuse::parse(data) {
        let mut out = [0; 16];
        let mut writer = Writer::new(&mut out);
        refuse.emit(&mut writer);
        assert_eq!(writer.finish().expect("it is short"), data);
    }
    if let Ok(reject) = Reject::parse(data, 9) {
        let mut out = [0; 16];
        assert_eq!(reject.emit(9, &mut out).expect("it is short"), data);
    }
}

fn frame_header(data: &[u8]) {
    let ids = ConnectionIds { own: 9, peer: 9 };
    for form in [Form::Stream, Form::Datagram] {
        let Ok(header) = FrameHeader::parse(data, form, ids.own) else {
            continue;
        };
        let mut out = [0; 16];
        let mut writer = Writer::new(&mut out);
        header.emit(form, ids.peer, &mut writer);
        let bytes = writer.finish().expect("it is short");
        assert!(data.starts_with(bytes));
        assert_eq!(data.len(), bytes.len() + usize::from(header.sealed_len));
    }
}

fn part_header(data: &[u8]) {
    if let Ok((header, part)) = PartHeader::parse(data) {
        assert!(data.starts_with(&header.emit()) && data.ends_with(part));
        assert_eq!(data.len(), PART_HEADER_LEN + part.len());
    }
}

fn token(data: &[u8]) {
    let Ok((token, len)) = UnpackedToken::parse(data) else {
        return;
    };
    assert_eq!(data.get(..len), Some(token.as_bytes()));
    let _ = UnverifiedClaims::decode(&token);
    let mut compact = [0; MAX_COMPACT_LEN];
    if let Ok(compact) = token.to_compact(&mut compact) {
        let mut out = [0; MAX_UNPACKED_LEN];
        let again = UnpackedToken::from_compact(compact.as_bytes(), &mut out);
        assert_eq!(again.expect("it was one").as_bytes(), token.as_bytes());
    }
}

fn compact_token(data: &[u8]) {
    let mut out = [0; MAX_UNPACKED_LEN];
    let Ok(token) = UnpackedToken::from_compact(data, &mut out) else {
        return;
    };
    let mut compact = [0; MAX_COMPACT_LEN];
    let compact = token.to_compact(&mut compact).expect("it came so");
    assert_eq!(compact.as_bytes(), data);
    let _ = UnverifiedClaims::decode(&token);
}

fn public_key(data: &[u8]) {
    if let Some(bytes) = data.first_chunk()
        && let Some(key) = PublicKey::from_bytes(bytes)
    {
        assert_eq!(key.to_bytes(), *bytes);
    }
}

fn envelope(data: &[u8]) {
    if let Ok(envelope) = Envelope::parse(data) {
        assert!(data.starts_with(&envelope.header()));
        assert!(data.ends_with(envelope.inner));
    }
}

fn control(data: &[u8]) {
    let _ = Control::decode(data);
    if let Ok(alert) = Alert::parse(data) {
        assert_eq!(alert.emit(), data);
    }
}

fn commands(data: &[u8]) {
    let mut out = [0; 4096];
    if let Ok(request) = Request::decode(data) {
        assert_eq!(request.encode(&mut out).expect("it came so"), data);
    }
    if let Ok(message) = FromAgent::decode(data) {
        assert_eq!(message.encode(&mut out).expect("it came so"), data);
    }
}

fn link_messages(data: &[u8]) {
    let mut out = [0; 4096];
    if let Ok(message) = ToHub::decode(data) {
        assert_eq!(message.encode(&mut out).expect("it came so"), data);
    }
    if let Ok(message) = FromHub::decode(data) {
        assert_eq!(message.encode(&mut out).expect("it came so"), data);
    }
}

fn delimiter(data: &[u8]) {
    let mut framing = Delimited::new([0; 96]);
    absorb(&mut framing, data);
}

fn websocket(data: &[u8]) {
    let mut buffer = [0; 96];
    let mut framing = WebSocketClient::new(&mut buffer);
    absorb(&mut framing, data);
}

fn absorb(framing: &mut impl Framing, data: &[u8]) {
    let mut rest = data;
    let mut out = [0; 256];
    while !rest.is_empty() {
        let Ok(absorbed) = framing.absorb(rest) else {
            return;
        };
        assert!(absorbed.taken <= rest.len());
        rest = &rest[absorbed.taken..];
        match absorbed.progress {
            Progress::Message => assert!(framing.message().len() <= 96),
            Progress::Answer | Progress::Ended => {
                let answer = framing.emit_answer(&mut FixedEntropy::new("answer"), &mut out);
                assert!(answer.is_ok());
            }
            Progress::Pending => assert!(rest.is_empty() || absorbed.taken > 0),
        }
        if absorbed.progress == Progress::Ended {
            return;
        }
    }
}

fn upgrade(data: &[u8]) {
    let key = UpgradeKey::generate(&mut FixedEntropy::new("upgrade")).expect("entropy");
    let len = data.len().min(MAX_RESPONSE_LEN);
    if let Ok(Some(end)) = parse_response(&data[..len], &key) {
        assert!(end <= len);
    }
}

fn provision(data: &[u8]) {
    if let Ok(image) = Provision::parse(data) {
        let mut out = [0; MAX_PROVISION_LEN];
        let again = image.emit(&mut out).expect("the longest fits");
        assert!(data.starts_with(again));
    }
}

fn tickets(data: &[u8]) {
    if let Ok(record) = TicketRecord::parse(data) {
        let mut out = [0; MAX_TICKET_RECORD_LEN];
        assert_eq!(record.emit(&mut out).expect("the longest fits"), data);
    }
    if let Some(bytes) = data.first_chunk::<TICKET_LEN>()
        && let Ok(ticket) = Ticket::from_bytes(&Secret::new(*bytes))
    {
        let again = Ticket::from_bytes(&ticket.to_bytes()).expect("it was one");
        assert!(again.to_bytes().same_as(&ticket.to_bytes()));
    }
    if let Ok(entry) = CounterEntry::from_bytes(data) {
        assert_eq!(entry.to_bytes(), data);
    }
}

fn trust(data: &[u8]) {
    if let Ok(statement) = Statement::parse(data) {
        let mut store = trusting("old").expect("the fixture is sound");
        let before = store.clone();
        let taken = store.take(&statement).is_ok();
        assert_eq!(taken, store != before);
        let read = TrustStore::from_bytes(&store.to_bytes());
        assert_eq!(read.as_ref(), Ok(&store));
    }
    if let Some(bytes) = data.first_chunk()
        && let Ok(store) = TrustStore::from_bytes(bytes)
    {
        assert_eq!(store.to_bytes(), *bytes);
        assert!(store.keys().any(|key| key == store.current()));
    }
    if let Some(bytes) = data.first_chunk()
        && let Ok(mut keys) = IssuerKeys::from_bytes(bytes)
    {
        assert_eq!(keys.to_bytes(), *bytes);
        let before = keys.clone();
        let root = signing_key("root").expect("the fixture is sound");
        let statement = data.get(ISSUER_KEYS_LEN..).unwrap_or_default();
        let taken = keys.take(statement, root.public_key()).is_ok();
        assert!(taken || keys == before);
    }
}

/// Hands `data` to `connection` in parts: each begins with its length, a byte times eight.
fn hand(connection: &mut Connection<'_>, responder: &Responder<'_>, data: &[u8]) {
    let mut rest = data;
    let mut door = Door::default();
    let mut millis = 0;
    while let Some((len, after)) = rest.split_first() {
        let len = (usize::from(*len) * 8).min(after.len());
        let (part, after) = after.split_at(len);
        rest = after;
        millis += 7;
        let mut message = copy(part);
        let mut out = [0; MAX_HANDSHAKE_LEN + 64];
        let mut context = Context {
            now: at(millis),
            entropy: &mut FixedEntropy::new("fuzz"),
            responding: responding(Some(responder), &mut door),
            keeper: &mut NoKeeper,
        };
        let outcome = connection.handle_message(&mut message, &mut context, &mut out);
        assert!(outcome.send.is_none_or(|sent| sent.len() <= LINE_LEN));
    }
}

fn responder(data: &[u8]) {
    let world = World::new().expect("the fixture is sound");
    let start = at(0).instant;
    let mut connection = Connection::respond(Form::Stream, None, Settings::DEFAULT, start);
    hand(&mut connection, &world.responder(), data);
    assert!(!connection.is_open(), "nobody proved anything");
}

fn initiator(data: &[u8]) {
    let world = World::new().expect("the fixture is sound");
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer).expect("a token");
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let (mut connection, _) = Connection::initiate(
        world.initiator(token),
        ephemeral_key("initiator ephemeral"),
        Settings::DEFAULT,
        &at(0),
        &mut FixedEntropy::new("initiator"),
        &mut out,
    )
    .expect("M1 can be written");
    hand(&mut connection, &world.responder(), data);
    assert!(!connection.is_open(), "nobody proved anything");
}

fn session(data: &[u8]) {
    let world = World::new().expect("the fixture is sound");
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer).expect("a token");
    let mut pair = Pair::open(&world, token, Settings::DEFAULT).expect("a handshake");
    hand(&mut pair.responder.connection, &world.responder(), data);
    hand(&mut pair.initiator.connection, &world.responder(), data);
}

/// Hands `data` to a hub over datagrams that has sent M2, in parts as [`hand`] has them. The right connection id is put
/// into all of them: chance does not find it.
fn datagram_link(data: &[u8]) {
    let world = World::new().expect("the fixture is sound");
    let mut hub = Responder {
        respond_as: RespondAs::Hub(Form::Datagram, Succession::NONE),
        ..world.responder()
    };
    hub.limits.mtu = 256;
    let mut link = HubLink::respond(None, Settings::DEFAULT, at(0).instant);
    let mut m1 = crate::link::seeds().next().expect("an M1");
    let mut door = Door::default();
    let mut frames = FrameAssembly::<[u8; 1024]>::new();
    let mut rest = data;
    let mut millis = 0;
    let mut out = [0; MAX_SPLIT_LEN];
    let mut part = &mut m1[..];
    let mut buffer;
    loop {
        let mut context = Context {
            now: at(millis),
            entropy: &mut FixedEntropy::new("fuzz"),
            responding: responding(Some(&hub), &mut door),
            keeper: &mut NoKeeper,
        };
        let outcome = link.handle_message(part, &mut frames, &mut context, &mut out);
        let sent = outcome.send.unwrap_or_default();
        assert!(datagrams(sent).all(|datagram| datagram.len() <= 256));
        let Some((len, after)) = rest.split_first() else {
            break;
        };
        let (next, after) = after.split_at((usize::from(*len) * 8).min(after.len()));
        rest = after;
        millis += 100;
        buffer = copy(next);
        if let Some(id) = buffer.get_mut(4..8) {
            id.copy_from_slice(&link.id().to_be_bytes());
        }
        part = &mut buffer;
    }
    assert!(
        link.id() != 0 && !link.connection().is_open(),
        "nobody proved anything"
    );
}

/// Puts two slices together.
trait ConcatShort {
    fn concat_short(&self) -> Message;
}

impl ConcatShort for [&[u8]; 2] {
    fn concat_short(&self) -> Message {
        let mut whole = Vec::new();
        for part in self {
            let _ = whole.extend_from_slice(part);
        }
        whole
    }
}
