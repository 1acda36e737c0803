//! Who opens a channel to whom.

use moorline_core::connection::Closure;
use moorline_core::reason::Reason;
use moorline_core::token::{AgentId, AgentScope, MAX_UNPACKED_LEN, Permissions, Role, TokenReason};
use moorline_core::wire::{FrameType, MessageType};

use super::site::{AGENT, Says, Side, Site};
use crate::fixture::{Door, ISSUER, World, signing_key};
use crate::pair::{Pair, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "a commander and an agent open a channel and speak, and what carries it reads nothing",
        "PROTOCOL.md §10.2",
        opens,
    ),
    case(
        "the agent checks the commander's token itself, and refuses what it does not hold good",
        "PROTOCOL.md §10.2",
        refuses_commanders,
    ),
    case(
        "a commander takes no agent but the one that it wants",
        "PROTOCOL.md §2.3",
        refuses_agents,
    ),
    case(
        "an agent that does not know the time opens no channel and says so",
        "PROTOCOL.md §7.2",
        no_time,
    ),
    case(
        "a commander that does not know the time trusts no token",
        "PROTOCOL.md §7.2",
        no_time_at_the_commander,
    ),
    case(
        "a hub that answers in the agent's place with its own key is not the agent",
        "PROTOCOL.md §2.3",
        hub_in_the_middle,
    ),
    case(
        "messages of a link are nothing on a channel, and the other way round",
        "PROTOCOL.md §3.3",
        kept_apart,
    ),
    case(
        "an M1 for one agent leads nowhere at another",
        "PROTOCOL.md §3.3",
        other_agent,
    ),
    case(
        "the tokens of both ends bound the session",
        "PROTOCOL.md §10.2",
        permissions,
    ),
];

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

fn opens() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    ensure!(m1.len() == 54 && m1.get(10).is_some_and(|flags| flags & 1 == 1));
    let (m2, seen) = agent.hand(&m1, 0);
    ensure!(seen == Seen::Nothing);
    let (m3, seen) = commander.hand(&m2.unwrap_or_default(), 10);
    ensure!(seen == Seen::Nothing);
    let (m4, seen) = agent.hand(&m3.unwrap_or_default(), 20);
    ensure!(seen == Seen::Open);
    let (none, seen) = commander.hand(&m4.unwrap_or_default(), 30);
    ensure!(seen == Seen::Open && none.is_none());
    let secret = b"open the valve of boiler one";
    let frame = commander.say(secret)?;
    ensure!(frame.first() == Some(&FrameType::Application.code()));
    ensure!(!frame.windows(8).any(|window| window == &secret[..8]));
    let (_, seen) = agent.hand(&frame, 40);
    ensure!(matches!(seen, Seen::Application(payload) if &*payload == secret));
    let frame = agent.say(b"done")?;
    let (_, seen) = commander.hand(&frame, 50);
    ensure!(matches!(seen, Seen::Application(payload) if &*payload == b"done"));
    let ours = commander.datagram.connection().facts().copied();
    let theirs = agent.datagram.connection().facts().copied();
    ensure!(
        ours.is_some()
            && ours.map(|facts| facts.session_id) == theirs.map(|facts| facts.session_id)
    );
    Ok(())
}

/// Runs a handshake with these tokens; returns what the agent saw at M3, and the commander then.
fn verdict(site: &Site, says: &Says<'_>, door: Door) -> Result<(Seen, Seen), Failure> {
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(says, &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    agent.door = door;
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, _) = commander.hand(&m2.unwrap_or_default(), 0);
    let (answer, seen) = agent.hand(&m3.unwrap_or_default(), 0);
    let (_, told) = commander.hand(&answer.unwrap_or_default(), 0);
    Ok((seen, told))
}

fn refuses_commanders() -> Result<(), Failure> {
    let site = Site::new()?;
    let good = site.commander_says();
    let (agent, told) = verdict(&site, &good, Door::default())?;
    ensure!(agent == Seen::Open && told == Seen::Open);
    let mut group = good.clone();
    group.agents = AgentScope::of_group("harbour").unwrap_or_default();
    let (agent, told) = verdict(&site, &group, Door::default())?;
    ensure!(agent == Seen::Open && told == Seen::Open);

    let changed = |change: fn(&mut Says<'_>)| {
        let mut says = good.clone();
        change(&mut says);
        says
    };
    let table = [
        (
            changed(|says| {
                says.role = Role::Agent;
                says.agents = AgentScope::None;
            }),
            Reason::Token(TokenReason::RoleNotAccepted),
        ),
        (
            changed(|says| says.audience = "other.example"),
            Reason::Token(TokenReason::AudienceMismatch),
        ),
        (
            changed(|says| says.agents = AgentScope::None),
            Reason::OutOfScope,
        ),
        (
            changed(|says| {
                let other = AgentId::of(ISSUER, "boiler-2");
                says.agents = AgentScope::of_agents(&[other]).unwrap_or_default();
            }),
            Reason::OutOfScope,
        ),
        (
            changed(|says| says.agents = AgentScope::of_group("yard").unwrap_or_default()),
            Reason::OutOfScope,
        ),
        (
            changed(|says| {
                if let Ok(key) = signing_key("thief") {
                    says.key = *key.public_key();
                }
            }),
            Reason::InitiatorSignature,
        ),
    ];
    let refused = Seen::Closed(Closure::Refused(Reason::RefusedCredential));
    for (step, (says, reason)) in table.into_iter().enumerate() {
        let (agent, told) = verdict(&site, &says, Door::default())?;
        ensure!(agent == Seen::Closed(Closure::Refused(reason)), step);
        ensure!(told == refused, step);
    }
    let revoked = Door {
        revoked: true,
        ..Door::default()
    };
    let (agent, told) = verdict(&site, &good, revoked)?;
    ensure!(agent == Seen::Closed(Closure::Refused(Reason::Revoked)) && told == refused);
    Ok(())
}

fn refuses_agents() -> Result<(), Failure> {
    let site = Site::new()?;
    let good = site.agent_says();
    let mut other_name = good.clone();
    other_name.subject = "boiler-2";
    let mut other_place = good.clone();
    other_place.audience = "other.example";
    let mut other_role = site.commander_says();
    other_role.key = good.key;
    let mut other_key = good.clone();
    other_key.key = *site.commander.public_key();
    let table = [
        (other_name, Reason::OtherAgent),
        (other_place, Reason::Token(TokenReason::AudienceMismatch)),
        (other_role, Reason::Token(TokenReason::RoleNotAccepted)),
        (other_key, Reason::ResponderSignature),
    ];
    for (step, (says, reason)) in table.into_iter().enumerate() {
        let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
        let agent_token = site.token(&says, &mut one)?;
        let token = site.token(&site.commander_says(), &mut two)?;
        let (mut commander, m1) = Side::commander(site.initiator(token))?;
        let mut agent = Side::agent(site.responder(agent_token), "agent");
        let (m2, _) = agent.hand(&m1, 0);
        let (m3, seen) = commander.hand(&m2.unwrap_or_default(), 0);
        ensure!(m3.is_none() && seen == Seen::Dropped(reason), step);
    }
    Ok(())
}

fn no_time() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    agent.has_clock = false;
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, _) = commander.hand(&m2.unwrap_or_default(), 0);
    let (refuse, seen) = agent.hand(&m3.unwrap_or_default(), 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::NoTime)));
    let refuse = refuse.unwrap_or_default();
    ensure!(refuse.first() == Some(&MessageType::Refuse.code()));
    let (_, seen) = commander.hand(&refuse, 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::RefusedNoTime)));
    Ok(())
}

fn no_time_at_the_commander() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    commander.has_clock = false;
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, seen) = commander.hand(&m2.unwrap_or_default(), 0);
    ensure!(m3.is_none() && seen == Seen::Dropped(Reason::NoTime));
    Ok(())
}

fn hub_in_the_middle() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    // The hub has seen the agent's token; it has not the key in it.
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let hub = [signing_key("hub")?];
    let mut forged = site.responder(agent_token);
    forged.keys = &hub;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut middle = Side::agent(forged, "hub");
    let (m2, _) = middle.hand(&m1, 0);
    let (m3, seen) = commander.hand(&m2.unwrap_or_default(), 0);
    ensure!(m3.is_none() && seen == Seen::Dropped(Reason::ResponderSignature));
    // The agent's own answer still opens.
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, _) = commander.hand(&m2.unwrap_or_default(), 0);
    let (_, seen) = agent.hand(&m3.unwrap_or_default(), 0);
    ensure!(seen == Seen::Open);
    Ok(())
}

fn kept_apart() -> Result<(), Failure> {
    let site = Site::new()?;
    let world = World::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let link_token = world.agent_token(&mut buffer)?;
    let mut link = Pair::start(&world, link_token, Default::default())?;
    let (none, seen) = agent.hand(&link.m1, 0);
    ensure!(none.is_none() && seen == Seen::Dropped(Reason::Form));
    let (none, seen) = link.responder.hand(&m1, 0);
    ensure!(none.is_none() && seen == Seen::Closed(Closure::Refused(Reason::Form)));
    let mut link = Pair::start(&world, link_token, Default::default())?;
    let (m2, _) = link.responder.hand(&link.m1.clone(), 0);
    let (none, seen) = commander.hand(&m2.unwrap_or_default(), 0);
    ensure!(none.is_none() && seen == Seen::Dropped(Reason::ConnectionId));
    Ok(())
}

fn other_agent() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let mut initiator = site.initiator(token);
    let moorline_core::handshake::Wanted::Agent(wanted) = &mut initiator.wanted else {
        return Ok(());
    };
    wanted.id = AgentId::of(ISSUER, "boiler-2");
    let (mut commander, m1) = Side::commander(initiator)?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    // The bytes of M1 do not say whom it is for; the transcript does.
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, seen) = commander.hand(&m2.unwrap_or_default(), 0);
    ensure!(m3.is_none() && seen == Seen::Dropped(Reason::Unsealed));
    ensure!(AGENT != "boiler-2");
    Ok(())
}

fn permissions() -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent");
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, _) = commander.hand(&m2.unwrap_or_default(), 0);
    let (m4, _) = agent.hand(&m3.unwrap_or_default(), 0);
    let _ = commander.hand(&m4.unwrap_or_default(), 0);
    for (step, side) in [&commander, &agent].into_iter().enumerate() {
        let facts = side.datagram.connection().facts().copied();
        let granted = facts.map(|facts| facts.permissions);
        let may = |name| Permissions::for_command(name);
        ensure!(
            granted.is_some_and(|granted| granted.contains(may("ping"))),
            step
        );
        ensure!(
            granted.is_some_and(|granted| granted.contains(may("led"))),
            step
        );
        ensure!(
            granted.is_some_and(|granted| !granted.contains(may("reboot"))),
            step
        );
        // A name that the protocol does not know is for those who may do everything.
        ensure!(
            granted.is_some_and(|granted| !granted.contains(may("self-destruct"))),
            step
        );
    }
    Ok(())
}
