//! Random schedules of handshakes over a line that loses, repeats, reorders, flips and cuts (PROTOCOL.md §6.3).
//!
//! Whatever the line does, the two ends never disagree on who they are, on what was said, or on a key; and each ends in a
//! session or in a refusal that has a name and was to be expected.

use heapless::Vec;
use moorline_core::connection::Closure;
use moorline_core::handshake::Ticket;
use moorline_core::reason::Reason;
use moorline_core::token::{AgentScope, MAX_UNPACKED_LEN, UnpackedToken};

use super::site::{Side, Site};
use crate::fixture::Door;
use crate::pair::{Message, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[Case {
    name: "over a line with every fault a handshake ends in one session or in a refusal that has a name",
    clause: "PROTOCOL.md §6.3",
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

/// Most messages on the line at a time; one more is lost.
const LINE_COUNT: usize = 12;

/// What became of many handshakes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Handshakes that both ends took for open.
    pub opened: u32,
    /// Of these, those that rest on a ticket.
    pub resumed: u32,
    /// Handshakes that the responder refused, as it should.
    pub refused: u32,
    /// Handshakes that the line kept from both ends' agreement.
    pub lost: u32,
}

/// What is peculiar about one handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Full,
    Resume,
    UsedTicket,
    OutOfScope,
    Revoked,
    NoTime,
}

const PLANS: [Plan; 6] = [
    Plan::Full,
    Plan::Resume,
    Plan::UsedTicket,
    Plan::OutOfScope,
    Plan::Revoked,
    Plan::NoTime,
];

/// Plays `count` handshakes from `seed`; a failure's step is the number of the handshake.
///
/// # Errors
///
/// What did not hold.
pub fn play(count: u32, seed: u64) -> Result<Tally, Failure> {
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    let site = Site::new()?;
    let mut buffers = [[0; MAX_UNPACKED_LEN]; 3];
    let [agent, good, bad] = &mut buffers;
    let agent_token = site.token(&site.agent_says(), agent)?;
    let good = site.token(&site.commander_says(), good)?;
    let mut out_of_scope = site.commander_says();
    out_of_scope.agents = AgentScope::None;
    let bad = site.token(&out_of_scope, bad)?;
    let (ticket, shelf) = earlier(&site, good, agent_token)?;
    for number in 0..count {
        let step = usize::try_from(number).unwrap_or(usize::MAX);
        let plan = PLANS[chance.below(PLANS.len())];
        let token = if plan == Plan::OutOfScope { bad } else { good };
        let offered = matches!(plan, Plan::Resume | Plan::UsedTicket);
        let copy = Ticket::from_bytes(&ticket.to_bytes())
            .ok()
            .filter(|_| offered);
        let (commander, m1) = Side::resuming(site.initiator(token), copy)?;
        let mut agent = Side::agent(site.responder(agent_token), "agent");
        agent.has_clock = plan != Plan::NoTime;
        agent.door = match plan {
            Plan::Resume => shelf.clone(),
            Plan::Revoked => Door {
                revoked: true,
                ..Door::default()
            },
            _ => Door::default(),
        };
        let mut scene = Scene {
            commander,
            agent,
            line: Vec::new(),
            chance,
            now: 0,
        };
        scene.put(m1, true);
        let faults = scene.chance.below(40);
        for _ in 0..faults {
            scene.disturb();
        }
        let ended = scene.heal();
        ensure!(ended, step);
        scene.agree(plan, &mut tally, step)?;
        chance = scene.chance;
    }
    Ok(tally)
}

/// Runs a handshake undisturbed and returns the ticket that it left, and the agent's door with its record.
fn earlier<'k>(
    site: &'k Site,
    token: UnpackedToken<'k>,
    agent_token: UnpackedToken<'k>,
) -> Result<(Ticket, Door), Failure> {
    let (mut commander, m1) = Side::commander(site.initiator(token))?;
    let mut agent = Side::agent(site.responder(agent_token), "agent, earlier");
    agent.door.gives_tickets = true;
    let (m2, _) = agent.hand(&m1, 0);
    let (m3, _) = commander.hand(&m2.unwrap_or_default(), 0);
    let (m4, _) = agent.hand(&m3.unwrap_or_default(), 0);
    let _ = commander.hand(&m4.unwrap_or_default(), 0);
    let ticket = commander.datagram.take_ticket().ok_or(Failure {
        condition: "a ticket is given",
        file: file!(),
        line: line!(),
        step: 0,
    })?;
    Ok((ticket, agent.door))
}

/// Two ends and the line between them.
struct Scene<'k> {
    commander: Side<'k>,
    agent: Side<'k>,
    /// What is under way, and whether to the agent.
    line: Vec<(Message, bool), LINE_COUNT>,
    chance: Chance,
    now: u64,
}

impl Scene<'_> {
    fn put(&mut self, message: Message, to_agent: bool) {
        // A line that is full loses.
        let _ = self.line.push((message, to_agent));
    }

    fn deliver(&mut self, message: &[u8], to_agent: bool) {
        let (answer, _) = if to_agent {
            self.agent.hand(message, self.now)
        } else {
            self.commander.hand(message, self.now)
        };
        if let Some(answer) = answer {
            self.put(answer, !to_agent);
        }
    }

    /// Something happens on the line, or time passes.
    fn disturb(&mut self) {
        let what = self.chance.below(10);
        if self.line.is_empty() || what >= 8 {
            let millis = self.chance.below(1_500);
            self.pass(1 + u64::try_from(millis).unwrap_or(0));
            return;
        }
        let place = self.chance.below(self.line.len());
        let (mut message, to_agent) = self.line[place].clone();
        match what {
            // Out of order, once.
            0..4 => {
                self.line.remove(place);
                self.deliver(&message, to_agent);
            }
            // Again.
            4 => self.deliver(&message, to_agent),
            // Never.
            5 => {
                self.line.remove(place);
            }
            // Changed.
            6 => {
                let bit = self.chance.below(message.len() * 8);
                message[bit / 8] ^= 1 << (bit % 8);
                self.deliver(&message, to_agent);
            }
            // Cut, or sent back.
            _ => {
                let len = self.chance.below(message.len() + 1);
                if len == 0 {
                    self.deliver(&message, !to_agent);
                } else {
                    self.deliver(&message[..len], to_agent);
                }
            }
        }
    }

    /// Lets time pass; both ends attend to what is due.
    fn pass(&mut self, millis: u64) {
        self.now += millis;
        for to_agent in [true, false] {
            let side = if to_agent {
                &mut self.commander
            } else {
                &mut self.agent
            };
            let is_due = side
                .datagram
                .deadline()
                .is_some_and(|due| due.0 <= self.now);
            if is_due && let (Some(sent), _) = side.wait(self.now) {
                self.put(sent, to_agent);
            }
        }
    }

    /// Carries everything in order from now on, until both ends are open or over; returns whether they came to that.
    fn heal(&mut self) -> bool {
        for _ in 0..200 {
            if self.line.is_empty() {
                let waits = |side: &Side<'_>| {
                    let is_open = side.datagram.connection().is_open();
                    side.datagram.deadline().is_some() && !is_open
                };
                if !waits(&self.commander) && !waits(&self.agent) {
                    return true;
                }
                self.pass(500);
            } else {
                let (message, to_agent) = self.line.remove(0);
                self.deliver(&message, to_agent);
            }
        }
        false
    }

    /// Holds both ends against each other.
    fn agree(&mut self, plan: Plan, tally: &mut Tally, step: usize) -> Result<(), Failure> {
        let ours = self.commander.view();
        let theirs = self.agent.view();
        let may_open = matches!(plan, Plan::Full | Plan::Resume | Plan::UsedTicket);
        ensure!(ours.is_none() || theirs.is_some(), step);
        ensure!(may_open || (ours.is_none() && theirs.is_none()), step);
        ensure!(self.agent.door.admitted <= 2, step);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                ensure!(ours == theirs, step);
                tally.opened += 1;
                if ours.resumed {
                    ensure!(plan == Plan::Resume, step);
                    tally.resumed += 1;
                }
                let frame = self.commander.say(b"over")?;
                let (_, seen) = self.agent.hand(&frame, self.now);
                ensure!(
                    matches!(seen, Seen::Application(message) if &*message == b"over"),
                    step
                );
                let frame = self.agent.say(b"and back")?;
                let (_, seen) = self.commander.hand(&frame, self.now);
                ensure!(
                    matches!(seen, Seen::Application(message) if &*message == b"and back"),
                    step
                );
            }
            (None, _) => {
                let expected = match plan {
                    Plan::Full | Plan::Resume | Plan::UsedTicket => None,
                    Plan::OutOfScope | Plan::Revoked => Some(Reason::RefusedCredential),
                    Plan::NoTime => Some(Reason::RefusedNoTime),
                };
                let ended = self.commander.ended;
                let refused = |reason| Some(Closure::Refused(reason));
                let in_time = ended == refused(Reason::HandshakeTimeout);
                ensure!(
                    in_time || (expected.is_some() && ended == expected.and_then(refused)),
                    step
                );
                if in_time {
                    tally.lost += 1;
                } else {
                    tally.refused += 1;
                }
            }
            (Some(_), None) => {}
        }
        Ok(())
    }
}

/// Numbers that are the same for the same seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// Draws a number below `count` (xorshift64, Marsaglia 2003).
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let count = u64::try_from(count).unwrap_or(1).max(1);
        usize::try_from(self.0 % count).unwrap_or(0)
    }
}
