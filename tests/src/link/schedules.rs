//! Random schedules of links over datagrams of 256 bytes that are lost, repeated, reordered, flipped and cut, to a hub
//! that asks for cookies always, never, or now and then (PROTOCOL.md §2.10, §2.11, §5.8, §6.3).
//!
//! Whatever the line does, the two ends never disagree on who they are, on what was said, or on a key; each ends in a
//! session or in a refusal that has a name and was to be expected; and what one of them is given the other has said, once.

use heapless::Vec;
use moorline_core::connection::Closure;
use moorline_core::cookie::{Cookies, Screened};
use moorline_core::handshake::Ticket;
use moorline_core::reason::Reason;
use moorline_core::time::Instant;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::M0_LEN;

use super::bench::{Agent, MTU, Peer, Sent, Short, failure, short};
use super::site::{earlier, initiator, responder};
use crate::channel::schedules::{Chance, Tally};
use crate::fixture::{Door, FixedEntropy, World};
use crate::pair::Seen;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[Case {
    name: "over datagrams of 256 bytes with every fault, with and without cookies, both ends agree or refuse by name",
    clause: "PROTOCOL.md §2.10, §2.11, §5.8, §6.3",
    run: || {
        let tally = play(SCHEDULES, 0x9E37_79B9_7F4A_7C15)?;
        ensure!(tally.opened > 0);
        // So few as a device plays need not meet every end.
        ensure!(SCHEDULES < 100 || (tally.resumed > 0 && tally.refused > 0 && tally.lost > 0));
        Ok(())
    },
}];

/// Schedules of the case. A device takes far longer for each.
const SCHEDULES: u32 = if cfg!(target_os = "none") { 8 } else { 200 };

/// Most datagrams on the line at a time; one more is lost.
const LINE_COUNT: usize = 16;

/// Length in bytes of what is said in a session: three parts.
const SAID_LEN: usize = 600;

/// What is peculiar about one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Full,
    Resume,
    UsedTicket,
    Revoked,
}

const PLANS: [Plan; 4] = [Plan::Full, Plan::Resume, Plan::UsedTicket, Plan::Revoked];

/// When a hub is under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Never,
    Always,
    NowAndThen,
}

const LOADS: [Load; 3] = [Load::Never, Load::Always, Load::NowAndThen];

/// Plays `count` links from `seed`; a failure's step is the number of the link.
///
/// # Errors
///
/// What did not hold.
pub fn play(count: u32, seed: u64) -> Result<Tally, Failure> {
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, shelf) = earlier(&world, token)?;
    for number in 0..count {
        let step = usize::try_from(number).unwrap_or(usize::MAX);
        let plan = PLANS[chance.below(PLANS.len())];
        let offered = matches!(plan, Plan::Resume | Plan::UsedTicket);
        let copy = Ticket::from_bytes(&ticket.to_bytes())
            .ok()
            .filter(|_| offered);
        let mut short = initiator(&world, token);
        short.offer.mtu = MTU;
        let (agent, m1) = Agent::start(short, copy)?;
        let mut hub = Peer::hub(responder(&world));
        hub.door = match plan {
            Plan::Resume => Door {
                admitted: 0,
                ..shelf.clone()
            },
            Plan::Revoked => Door {
                revoked: true,
                ..Door::default()
            },
            _ => Door::default(),
        };
        let mut entropy = FixedEntropy::new("cookies");
        let cookies = Cookies::new(Instant(0), &mut entropy);
        let mut scene = Scene {
            agent,
            hub,
            cookies: cookies.map_err(|_| failure("there is entropy"))?,
            entropy,
            load: LOADS[chance.below(LOADS.len())],
            line: Vec::new(),
            said: [0; 2],
            heard: [0; 2],
            chance,
            now: 0,
        };
        let named = |failure| Failure { step, ..failure };
        scene.put(m1, true);
        for _ in 0..scene.chance.below(60) {
            scene.disturb().map_err(named)?;
        }
        ensure!(scene.heal().map_err(named)?, step);
        scene.agree(plan, &mut tally).map_err(named)?;
        chance = scene.chance;
    }
    Ok(tally)
}

/// Two ends, the line between them, and what the hub asks strangers for.
struct Scene<'k> {
    agent: Agent<'k>,
    hub: Peer<'k, 1024>,
    cookies: Cookies,
    entropy: FixedEntropy,
    load: Load,
    /// What is under way, and whether to the hub.
    line: Vec<(Short, bool), LINE_COUNT>,
    /// How many messages the agent, and the hub, have said in the session; and which of the other's each has heard, a
    /// bit for each.
    said: [u8; 2],
    heard: [u64; 2],
    chance: Chance,
    now: u64,
}

/// Returns the `count`th message of the agent, or of the hub.
fn text(by_hub: bool, count: u8) -> [u8; SAID_LEN] {
    let mut text = [count; SAID_LEN];
    text[0] = u8::from(by_hub);
    text
}

impl Scene<'_> {
    fn put(&mut self, datagram: Short, to_hub: bool) {
        // A line that is full loses.
        let _ = self.line.push((datagram, to_hub));
    }

    fn put_all(&mut self, datagrams: Sent, to_hub: bool) {
        for datagram in datagrams {
            self.put(datagram, to_hub);
        }
    }

    fn deliver(&mut self, datagram: &[u8], to_hub: bool) -> Result<(), Failure> {
        if to_hub && datagram.first() == Some(&1) && !self.lets_in(datagram)? {
            return Ok(());
        }
        let (sent, seen) = if to_hub {
            self.hub.hand(datagram, self.now)?
        } else {
            self.agent.hand(datagram, self.now)?
        };
        if let Seen::Application(message) = seen {
            let count = message.last().copied().unwrap_or(0);
            let bit = 1 << (count % 64);
            let end = usize::from(to_hub);
            ensure!(*message == text(!to_hub, count)[..]);
            ensure!(count < self.said[1 - end] && self.heard[end] & bit == 0);
            self.heard[end] |= bit;
        }
        self.put_all(sent, !to_hub);
        Ok(())
    }

    /// Asks who sent an M1 for a cookie, if the hub is under load; returns whether the M1 goes on to the hub.
    fn lets_in(&mut self, m1: &[u8]) -> Result<bool, Failure> {
        let is_under_load = match self.load {
            Load::Never => false,
            Load::Always => true,
            Load::NowAndThen => self.chance.below(2) == 0,
        };
        let mut out = [0; M0_LEN];
        let now = Instant(self.now);
        let entropy = &mut self.entropy;
        let screened = self
            .cookies
            .screen(m1, b"agent", is_under_load, now, entropy, &mut out);
        let m0 = match screened {
            Ok(Screened::Pass) => return Ok(true),
            Ok(Screened::Challenge(m0)) => short(m0)?,
            Err(_) => return Ok(false),
        };
        self.put(m0, false);
        Ok(false)
    }

    /// One end says something, if its session is open.
    fn say(&mut self, by_hub: bool) -> Result<(), Failure> {
        let count = &mut self.said[usize::from(by_hub)];
        let text = text(by_hub, *count);
        let is_open = if by_hub {
            self.hub.link.connection().is_open()
        } else {
            self.agent.link.connection().is_open()
        };
        if !is_open {
            return Ok(());
        }
        *count += 1;
        let sent = if by_hub {
            self.hub.say(&text)?
        } else {
            self.agent.say(&text)?
        };
        self.put_all(sent, !by_hub);
        Ok(())
    }

    /// Something happens on the line, or time passes.
    fn disturb(&mut self) -> Result<(), Failure> {
        let what = self.chance.below(12);
        if what >= 10 {
            return self.say(what == 10);
        }
        if self.line.is_empty() || what >= 8 {
            let millis = self.chance.below(1_500);
            return self.pass(1 + u64::try_from(millis).unwrap_or(0));
        }
        let place = self.chance.below(self.line.len());
        let (mut datagram, to_hub) = self.line[place].clone();
        match what {
            // Out of order, once.
            0..4 => {
                self.line.remove(place);
                self.deliver(&datagram, to_hub)
            }
            // Again.
            4 => self.deliver(&datagram, to_hub),
            // Never.
            5 => {
                self.line.remove(place);
                Ok(())
            }
            // Changed.
            6 => {
                let bit = self.chance.below(datagram.len() * 8);
                datagram[bit / 8] ^= 1 << (bit % 8);
                self.deliver(&datagram, to_hub)
            }
            // Cut, or sent back.
            _ => match self.chance.below(datagram.len() + 1) {
                0 => self.deliver(&datagram, !to_hub),
                len => self.deliver(&datagram[..len], to_hub),
            },
        }
    }

    /// Lets time pass; both ends attend to what is due.
    fn pass(&mut self, millis: u64) -> Result<(), Failure> {
        self.now += millis;
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due.0 <= self.now);
        let (agent, hub) = (self.agent.link.deadline(), self.hub.link.deadline());
        let (agent, hub) = (is_due(agent), is_due(hub));
        if agent {
            let (sent, _) = self.agent.wait(self.now)?;
            self.put_all(sent, true);
        }
        if hub {
            let (sent, _) = self.hub.wait(self.now)?;
            self.put_all(sent, false);
        }
        Ok(())
    }

    /// Carries everything in order from now on, until both ends are open or over; returns whether they came to that.
    fn heal(&mut self) -> Result<bool, Failure> {
        for _ in 0..300 {
            if self.line.is_empty() {
                let agent =
                    self.agent.link.deadline().is_some() && !self.agent.link.connection().is_open();
                let hub =
                    self.hub.link.deadline().is_some() && !self.hub.link.connection().is_open();
                if !agent && !hub {
                    return Ok(true);
                }
                self.pass(500)?;
            } else {
                let (datagram, to_hub) = self.line.remove(0);
                self.deliver(&datagram, to_hub)?;
            }
        }
        Ok(false)
    }

    /// Holds both ends against each other.
    fn agree(&mut self, plan: Plan, tally: &mut Tally) -> Result<(), Failure> {
        let (ours, theirs) = (self.agent.view(), self.hub.view());
        ensure!(ours.is_none() || theirs.is_some());
        ensure!(plan != Plan::Revoked || theirs.is_none());
        ensure!(self.hub.door.admitted <= 1);
        if ours.is_none() {
            let refused = |reason| Some(Closure::Refused(reason));
            let ended = self.agent.ended;
            if ended == refused(Reason::HandshakeTimeout) {
                tally.lost += 1;
            } else {
                ensure!(plan == Plan::Revoked && ended == refused(Reason::RefusedCredential));
                tally.refused += 1;
            }
            return Ok(());
        }
        ensure!(ours == theirs);
        tally.opened += 1;
        if ours.is_some_and(|(_, _, is_resumed)| is_resumed) {
            ensure!(plan == Plan::Resume);
            tally.resumed += 1;
        }
        // The line is whole now: what is said arrives.
        for by_hub in [false, true] {
            let before = self.heard;
            self.say(by_hub)?;
            self.heal()?;
            ensure!(self.heard != before);
        }
        Ok(())
    }
}
