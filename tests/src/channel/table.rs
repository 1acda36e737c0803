//! The channels of one agent, side by side.

use moorline_core::channel::{Answering, Carried, ChannelEvent, Channels, Rate};
use moorline_core::connection::{Closure, Context, Settings};
use moorline_core::handshake::Responder;
use moorline_core::limits::CHANNEL_IDLE_MILLIS;
use moorline_core::message::AlertCode;
use moorline_core::reason::Reason;
use moorline_core::revocation::{MAX_REVOKE_LIST_LEN, RevokeList, Revoked};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::trust::NoKeeper;

use super::site::{Says, Side, Site, envelope};
use crate::fixture::{Door, FixedEntropy, ISSUER, KID, at, ephemeral_key, signing_key};
use crate::pair::{LINE_LEN, Message, Seen, copy, responding};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "two commanders speak with one agent, each on a channel of its own",
        "PROTOCOL.md §10.2",
        side_by_side,
    ),
    case(
        "a frame that the hub carries to another channel is dropped there",
        "PROTOCOL.md §10.2",
        crossed,
    ),
    case(
        "what begins no channel, and more than the agent has room for, is dropped",
        "PROTOCOL.md §10.2",
        no_room,
    ),
    case(
        "a channel that is silent for half a minute gives way to a new one",
        "PROTOCOL.md §10.2",
        gives_way,
    ),
    case(
        "an agent answers four strangers at once and then one in ten seconds",
        "PROTOCOL.md §10.2",
        rate,
    ),
    case(
        "of two channels of one commander the newer one stands, and the older is told",
        "PROTOCOL.md §10.2",
        newest_wins,
    ),
    case(
        "the channel of a commander that a list revokes ends, and no other",
        "PROTOCOL.md §7.4",
        revoked,
    ),
    case(
        "a commander comes back on a ticket, however often strangers have made the agent sign",
        "PROTOCOL.md §10.2",
        comes_back,
    ),
    case(
        "an ephemeral key made ahead serves one handshake",
        "PROTOCOL.md §2.3",
        prepared,
    ),
];

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

/// An agent with two places.
struct Agent<'k> {
    channels: Channels<2>,
    responder: Responder<'k>,
    answering: Answering,
    entropy: FixedEntropy,
    door: Door,
}

/// What the agent made of an envelope.
#[derive(Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is looked at where it was made; there is no heap on the device"
)]
enum Made {
    Nothing,
    Open,
    Renewed,
    Message(Message),
    Closed,
    Dropped(Reason),
}

impl<'k> Agent<'k> {
    fn new(site: &'k Site, token: UnpackedToken<'k>) -> Self {
        Self {
            channels: Channels::new(),
            responder: site.responder(token),
            answering: Answering {
                settings: Settings::default(),
                starts: Rate::STARTS,
            },
            entropy: FixedEntropy::new("agent"),
            door: Door::default(),
        }
    }

    fn hand(&mut self, route: u8, inner: &[u8], millis: u64) -> (Option<Message>, Made) {
        let mut payload = envelope(route, inner);
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.entropy,
            responding: responding(Some(&self.responder), &mut self.door),
            keeper: &mut NoKeeper,
        };
        match self
            .channels
            .handle_envelope(&mut payload, &self.answering, &mut context, &mut out)
        {
            Ok(carried) => taken(carried),
            Err(reason) => (None, Made::Dropped(reason)),
        }
    }

    fn wait(&mut self, millis: u64) -> Option<(Option<Message>, Made)> {
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: at(millis),
            entropy: &mut self.entropy,
            responding: responding(Some(&self.responder), &mut self.door),
            keeper: &mut NoKeeper,
        };
        self.channels
            .handle_deadline(&mut context, &mut out)
            .map(taken)
    }

    /// Opens a channel on `route` for `commander`, whose M1 is `m1`.
    fn open(&mut self, route: u8, commander: &mut Side<'_>, m1: &[u8], millis: u64) -> bool {
        let (m2, _) = self.hand(route, m1, millis);
        let (m3, _) = commander.hand(&m2.unwrap_or_default(), millis);
        let (m4, made) = self.hand(route, &m3.unwrap_or_default(), millis);
        let (_, seen) = commander.hand(&m4.unwrap_or_default(), millis);
        made == Made::Open && seen == Seen::Open
    }
}

fn taken(carried: Carried<'_, '_>) -> (Option<Message>, Made) {
    let made = match carried.event {
        None => Made::Nothing,
        Some(ChannelEvent::Open) => Made::Open,
        Some(ChannelEvent::Renewed) => Made::Renewed,
        Some(ChannelEvent::RenewalRefused(reason)) => Made::Dropped(reason),
        Some(ChannelEvent::Message(message)) => Made::Message(copy(message)),
        Some(ChannelEvent::Closed) => Made::Closed,
        Some(ChannelEvent::Dropped(reason)) => Made::Dropped(reason),
    };
    (carried.send.map(copy), made)
}

/// The tokens of the agent and of two commanders.
struct Tokens {
    agent: [u8; MAX_UNPACKED_LEN],
    alice: [u8; MAX_UNPACKED_LEN],
    bob: [u8; MAX_UNPACKED_LEN],
}

impl Tokens {
    fn new() -> Self {
        Self {
            agent: [0; MAX_UNPACKED_LEN],
            alice: [0; MAX_UNPACKED_LEN],
            bob: [0; MAX_UNPACKED_LEN],
        }
    }
}

fn bob_says(site: &Site) -> Result<Says<'static>, Failure> {
    let mut says = site.commander_says();
    says.subject = "bob";
    says.key = *signing_key("bob")?.public_key();
    Ok(says)
}

/// Returns whether the agent has told the commander, in clear, that it may come back, and that changed nothing.
fn is_turned_away(
    answer: Option<Message>,
    made: &Made,
    commander: &mut Side<'_>,
) -> Result<bool, Failure> {
    let answer = answer.unwrap_or_default();
    ensure!(answer.first() == Some(&0x08) && answer.len() == 10);
    let (none, seen) = commander.hand(&answer, 0);
    let waits = commander.datagram.deadline().is_some();
    let dropped = matches!(seen, Seen::Dropped(_));
    Ok(none.is_none() && dropped && waits && *made == Made::Dropped(Reason::NotAdmitted))
}

fn side_by_side() -> Result<(), Failure> {
    let (site, mut tokens, bob_key) = (Site::new()?, Tokens::new(), signing_key("bob")?);
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let mut bob = site.initiator(site.token(&bob_says(&site)?, &mut tokens.bob)?);
    bob.key = &bob_key;
    let (mut alice, alice_m1) = Side::commander(alice)?;
    let (mut bob, bob_m1) = Side::commander(bob)?;
    ensure!(agent.open(1, &mut alice, &alice_m1, 0));
    ensure!(agent.open(2, &mut bob, &bob_m1, 0));
    ensure!(agent.channels.open_count() == 2);
    for (step, (route, side, text)) in
        [(1, &mut alice, b"from alice"), (2, &mut bob, b"from bob  ")]
            .into_iter()
            .enumerate()
    {
        let frame = side.say(text)?;
        let (_, made) = agent.hand(route, &frame, 10);
        ensure!(
            matches!(made, Made::Message(message) if &*message == text),
            step
        );
        let mut out = [0; LINE_LEN];
        let sent = agent.channels.send(&[route; 16], text, &mut out).map(copy);
        let (_, seen) = side.hand(&sent.unwrap_or_default(), 20);
        ensure!(
            matches!(seen, Seen::Application(message) if &*message == text),
            step
        );
    }
    Ok(())
}

fn crossed() -> Result<(), Failure> {
    let (site, mut tokens, bob_key) = (Site::new()?, Tokens::new(), signing_key("bob")?);
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let mut bob = site.initiator(site.token(&bob_says(&site)?, &mut tokens.bob)?);
    bob.key = &bob_key;
    let (mut alice, alice_m1) = Side::commander(alice)?;
    let (mut bob, bob_m1) = Side::commander(bob)?;
    ensure!(agent.open(1, &mut alice, &alice_m1, 0));
    ensure!(agent.open(2, &mut bob, &bob_m1, 0));
    let frame = alice.say(b"for the agent")?;
    let (none, made) = agent.hand(2, &frame, 10);
    ensure!(none.is_none() && matches!(made, Made::Dropped(_)));
    let (none, seen) = bob.hand(&frame, 10);
    ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
    let (_, made) = agent.hand(1, &frame, 10);
    ensure!(matches!(made, Made::Message(_)));
    // Once: the hub cannot have a command run twice.
    let (none, made) = agent.hand(1, &frame, 20);
    ensure!(none.is_none() && matches!(made, Made::Dropped(_)));
    Ok(())
}

fn no_room() -> Result<(), Failure> {
    let (site, mut tokens) = (Site::new()?, Tokens::new());
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let (mut side, m1) = Side::commander(alice)?;
    for (step, inner) in [
        &[0x20; 40][..],
        &[0x21; 40],
        &[0x31; 40],
        &[0x02; 40],
        &[1, 1, 0, 0],
    ]
    .into_iter()
    .enumerate()
    {
        let (none, made) = agent.hand(9, inner, 0);
        ensure!(none.is_none() && matches!(made, Made::Dropped(_)), step);
    }
    let (none, made) = agent.hand(9, &[], 0);
    ensure!(none.is_none() && made == Made::Dropped(Reason::Length));
    ensure!(agent.open(1, &mut side, &m1, 0));
    let (m2, _) = agent.hand(2, &m1, 0);
    ensure!(m2.is_some());
    let (none, made) = agent.hand(3, &m1, 0);
    ensure!(is_turned_away(none, &made, &mut side)?);
    ensure!(agent.channels.open_count() == 1);
    agent.channels.clear();
    ensure!(agent.channels.open_count() == 0 && agent.channels.deadline().is_none());
    Ok(())
}

fn gives_way() -> Result<(), Failure> {
    let (site, mut tokens) = (Site::new()?, Tokens::new());
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let (mut side, m1) = Side::commander(alice)?;
    ensure!(agent.open(1, &mut side, &m1, 0));
    let (mut other, other_m1) = Side::commander(alice)?;
    ensure!(agent.open(2, &mut other, &other_m1, 1_000));
    // The older one is told that it is superseded, and is out.
    let told = agent.wait(1_000);
    ensure!(told.is_some());
    ensure!(agent.hand(3, &m1, 1_000).0.is_some());
    let late = 1_000 + CHANNEL_IDLE_MILLIS;
    ensure!(agent.hand(4, &m1, late - 1).1 == Made::Dropped(Reason::NotAdmitted));
    ensure!(agent.hand(4, &m1, late).0.is_some());
    Ok(())
}

fn rate() -> Result<(), Failure> {
    let (site, mut tokens) = (Site::new()?, Tokens::new());
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let (mut side, m1) = Side::commander(alice)?;
    for route in 1..=4 {
        let (m2, _) = agent.hand(route, &m1, 0);
        ensure!(m2.is_some(), usize::from(route));
        agent.channels.clear();
    }
    let (none, made) = agent.hand(5, &m1, 9_999);
    ensure!(is_turned_away(none, &made, &mut side)?);
    let (m2, _) = agent.hand(5, &m1, 10_000);
    ensure!(m2.is_some());
    Ok(())
}

fn newest_wins() -> Result<(), Failure> {
    let (site, mut tokens) = (Site::new()?, Tokens::new());
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let (mut older, m1) = Side::commander(alice)?;
    ensure!(agent.open(1, &mut older, &m1, 0));
    ensure!(agent.wait(0).is_none());
    let (mut newer, m1) = Side::commander(alice)?;
    ensure!(agent.open(2, &mut newer, &m1, 0));
    let (alert, made) = agent.wait(0).unwrap_or((None, Made::Nothing));
    ensure!(made == Made::Closed);
    let (_, seen) = older.hand(&alert.unwrap_or_default(), 0);
    ensure!(matches!(
        seen,
        Seen::Closed(Closure::ByPeer(alert)) if alert.code == AlertCode::Superseded
    ));
    ensure!(agent.channels.open_count() == 1 && agent.wait(0).is_none());
    let frame = newer.say(b"still here")?;
    ensure!(matches!(agent.hand(2, &frame, 0).1, Made::Message(_)));
    Ok(())
}

fn revoked() -> Result<(), Failure> {
    let (site, mut tokens, bob_key) = (Site::new()?, Tokens::new(), signing_key("bob")?);
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let mut bob = site.initiator(site.token(&bob_says(&site)?, &mut tokens.bob)?);
    bob.key = &bob_key;
    let (mut alice, alice_m1) = Side::commander(alice)?;
    let (mut bob, bob_m1) = Side::commander(bob)?;
    ensure!(agent.open(1, &mut alice, &alice_m1, 0));
    ensure!(agent.open(2, &mut bob, &bob_m1, 0));
    let mut out = [0; MAX_REVOKE_LIST_LEN];
    let entries = [Revoked::subject(ISSUER, "bob", u32::MAX)];
    let list = RevokeList::emit(1, KID, &entries, &site.issuer, &[1; 32], &mut out);
    let list = list.map(|list| &*list).unwrap_or_default();
    let list = RevokeList::check(list, &site.anchors);
    ensure!(list.is_ok());
    if let Ok(list) = list {
        agent.channels.revoke(&list);
    }
    let (alert, made) = agent.wait(0).unwrap_or((None, Made::Nothing));
    ensure!(made == Made::Closed);
    let (_, seen) = bob.hand(&alert.unwrap_or_default(), 0);
    ensure!(matches!(
        seen,
        Seen::Closed(Closure::ByPeer(alert)) if alert.code == AlertCode::Revoked
    ));
    ensure!(agent.wait(0).is_none() && agent.channels.open_count() == 1);
    let frame = alice.say(b"still here")?;
    ensure!(matches!(agent.hand(1, &frame, 0).1, Made::Message(_)));
    Ok(())
}

fn comes_back() -> Result<(), Failure> {
    let (site, mut tokens) = (Site::new()?, Tokens::new());
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let (mut side, m1) = Side::commander(alice)?;
    ensure!(agent.open(1, &mut side, &m1, 0));
    let mut ticket = side.datagram.take_ticket();
    agent.channels.clear();
    for route in 2..=4 {
        ensure!(agent.hand(route, &m1, 0).0.is_some(), usize::from(route));
        agent.channels.clear();
    }
    ensure!(agent.hand(5, &m1, 0).1 == Made::Dropped(Reason::NotAdmitted));
    for route in 6..12 {
        ensure!(ticket.is_some(), usize::from(route));
        let (mut side, m1) = Side::resuming(alice, ticket.take())?;
        ensure!(m1.len() == 102, usize::from(route));
        ensure!(agent.open(route, &mut side, &m1, 0), usize::from(route));
        ensure!(
            side.datagram
                .connection()
                .facts()
                .is_some_and(|facts| facts.resumed)
        );
        ticket = side.datagram.take_ticket();
        agent.channels.clear();
    }
    Ok(())
}

fn prepared() -> Result<(), Failure> {
    let (site, mut tokens) = (Site::new()?, Tokens::new());
    let token = site.token(&site.agent_says(), &mut tokens.agent)?;
    let mut agent = Agent::new(&site, token);
    let alice = site.initiator(site.token(&site.commander_says(), &mut tokens.alice)?);
    let (_, m1) = Side::commander(alice)?;
    ensure!(agent.channels.wants_ephemeral());
    agent.channels.prepare(ephemeral_key("made ahead"));
    ensure!(!agent.channels.wants_ephemeral());
    let share = ephemeral_key("made ahead").share();
    let (m2, _) = agent.hand(1, &m1, 0);
    ensure!(m2.unwrap_or_default().get(14..46) == Some(&share.0[..]));
    ensure!(agent.channels.wants_ephemeral());
    let (m2, _) = agent.hand(2, &m1, 0);
    ensure!(m2.unwrap_or_default().get(14..46) != Some(&share.0[..]));
    Ok(())
}
