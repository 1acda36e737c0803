//! Random schedules of handshakes over a stream that is not one: it flips, cuts, repeats, reorders, drops and replays
//! whole messages (PROTOCOL.md §6.1).
//!
//! A transport owes order and completeness (§9). One that does not keep them, or is somebody's, costs a session and
//! nothing else: the two ends never disagree on who they are, on what was said or on a key, and each ends in a session
//! or in a refusal that has a name.

use heapless::Vec;
use moorline_core::connection::{Closure, Settings};
use moorline_core::crypto::Secret;
use moorline_core::handshake::{Initiator, Shown, TICKET_LEN, Ticket, TicketRecord};
use moorline_core::limits::HANDSHAKE_MILLIS;
use moorline_core::reason::Reason;
use moorline_core::time::UnixMillis;
use moorline_core::token::{MAX_UNPACKED_LEN, Permissions};
use moorline_core::wire::{EnrolmentCode, Form};

use super::enrolment::CODE;
use crate::fixture::{Door, World};
use crate::ledger::Chance;
use crate::ledger::end::{Drawn, End};
use crate::pair::{Message, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[Case {
    name: "over a stream that flips, cuts, repeats, reorders or drops a handshake ends in one session or in a named refusal",
    clause: "PROTOCOL.md §6.1",
    run: || {
        let tally = play(SCHEDULES, 1)?;
        ensure!(tally.opened > 0 && tally.broken > 0);
        ensure!(SCHEDULES < 100 || (tally.resumed > 0 && tally.enrolled > 0 && tally.refused > 0));
        Ok(())
    },
}];

/// Schedules of the case. A device takes far longer for each.
const SCHEDULES: u32 = if cfg!(target_os = "none") { 8 } else { 300 };

/// What became of many handshakes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Handshakes that nothing disturbed and that both ends took for open.
    pub opened: u32,
    /// Of these, those that rest on a ticket.
    pub resumed: u32,
    /// Of these, those of a newcomer with a code.
    pub enrolled: u32,
    /// Handshakes that nothing disturbed and that the hub refused, as it should.
    pub refused: u32,
    /// Schedules with a fault in them, each of which cost one end its session at least.
    pub broken: u32,
    /// Of these, those that had opened at both ends before.
    pub broken_open: u32,
}

/// What is peculiar about one handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Full,
    Resume,
    UsedTicket,
    Enrol,
    WrongCode,
    Revoked,
    Overload,
}

const PLANS: [Plan; 7] = [
    Plan::Full,
    Plan::Resume,
    Plan::UsedTicket,
    Plan::Enrol,
    Plan::WrongCode,
    Plan::Revoked,
    Plan::Overload,
];

impl Plan {
    /// Returns why the initiator of an undisturbed handshake ends, if it does.
    fn refusal(self) -> Option<Reason> {
        match self {
            Self::WrongCode | Self::Revoked => Some(Reason::RefusedCredential),
            Self::Overload => Some(Reason::RefusedOverload),
            _ => None,
        }
    }
}

/// What one end takes a session for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    session_id: [u8; 8],
    expires: UnixMillis,
    permissions: Permissions,
    resumed: bool,
    secret: [u8; 32],
}

fn view(end: &End<'_>) -> Option<View> {
    let connection = end.connection();
    let secret = connection.session()?.exporter().export("view", b"");
    let facts = connection.facts()?;
    Some(View {
        session_id: facts.session_id,
        expires: facts.expires,
        permissions: facts.permissions,
        resumed: facts.resumed,
        secret: *secret.expose(),
    })
}

/// Most messages under way to one end.
const LINE_COUNT: usize = 8;

/// Messages that each end says: all but the last once it is open, the last when nothing is under way any more.
const SAID: [&[u8]; 4] = [b"first", b"second", b"third", b"last"];

struct Scene<'k> {
    ends: [End<'k>; 2],
    /// What is under way to each end.
    line: [Vec<Message, LINE_COUNT>; 2],
    /// What each end took the session for when it opened.
    views: [Option<View>; 2],
    /// How many of the other's messages each end has taken.
    heard: [usize; 2],
    ended: [Option<Closure>; 2],
    faults: u32,
    /// Whether the initiator has a code and no token: it may say nothing.
    is_newcomer: bool,
    /// What was sent, the first messages of it.
    sent: Vec<Message, 6>,
}

impl Scene<'_> {
    fn send(&mut self, from: usize, message: Option<Message>) {
        if let Some(message) = message {
            let _ = self.sent.push(message.clone());
            let _ = self.line[1 - from].push(message);
        }
    }

    fn say(&mut self, side: usize, said: &[u8]) {
        if !self.is_newcomer {
            let frame = self.ends[side].say(said);
            self.send(side, frame);
        }
    }

    /// Hands `message` to `side`, and holds what it makes of it against what was said.
    fn hand(&mut self, side: usize, message: &[u8], millis: u64) -> Result<(), Failure> {
        let was_over = self.ended[side].is_some();
        let (answer, seen) = self.ends[side].hand(message, millis);
        ensure!(!was_over || (answer.is_none() && matches!(seen, Seen::Closed(_))));
        self.send(side, answer);
        match seen {
            Seen::Open => {
                ensure!(self.views[side].is_none());
                self.views[side] = view(&self.ends[side]);
                ensure!(self.views[side].is_some());
                for said in &SAID[..3] {
                    self.say(side, said);
                }
            }
            Seen::Application(payload) => {
                // Whole, in order, once.
                ensure!(
                    SAID.get(self.heard[side])
                        .is_some_and(|said| *payload == **said)
                );
                self.heard[side] += 1;
            }
            Seen::Closed(closure) if !was_over => self.ended[side] = Some(closure),
            Seen::Nothing | Seen::Closed(_) => {}
            _ => ensure!(false),
        }
        Ok(())
    }

    /// Delivers the next message to `side`, or something else in its place.
    fn deliver(
        &mut self,
        side: usize,
        is_disturbed: bool,
        before: &[Message],
        chance: &mut Chance,
    ) -> Result<(), Failure> {
        let mut message = self.line[side].remove(0);
        self.faults += u32::from(is_disturbed);
        match if is_disturbed { chance.below(7) } else { 7 } {
            0 => {
                let bit = chance.below(message.len() * 8);
                message[bit / 8] ^= 1 << (bit % 8);
            }
            1 => message.truncate(chance.below(message.len())),
            2 => self.hand(side, &message.clone(), 1)?,
            3 => match self.line[side].first_mut() {
                Some(next) => core::mem::swap(next, &mut message),
                // There is nothing to change places with.
                None => self.faults -= 1,
            },
            4 => return Ok(()),
            5 => return self.hand(1 - side, &message, 1),
            6 => match before.get(chance.below(before.len())) {
                // What is the same in both is no fault.
                Some(old) if *old != message => message = old.clone(),
                _ => self.faults -= 1,
            },
            _ => {}
        }
        self.hand(side, &message, 1)
    }
}

impl Scene<'_> {
    /// Delivers what is under way until nothing is.
    fn run(
        &mut self,
        is_disturbed: bool,
        before: &[Message],
        chance: &mut Chance,
    ) -> Result<(), Failure> {
        for _ in 0..200 {
            let side = chance.below(2);
            let strikes = is_disturbed && chance.below(6) == 0;
            if !self.line[side].is_empty() {
                self.deliver(side, strikes, before, chance)?;
            } else if self.line[1 - side].is_empty() {
                return Ok(());
            }
        }
        ensure!(false);
        Ok(())
    }

    /// Comes to an end: who is still open says a last word, who still waits has waited long enough.
    fn end(&mut self, chance: &mut Chance) -> Result<(), Failure> {
        for side in [0, 1] {
            if self.ends[side].is_open() {
                self.say(side, SAID[3]);
            }
        }
        self.run(false, &[], chance)?;
        for side in [0, 1] {
            if self.ended[side].is_none() && !self.ends[side].is_open() {
                let (sent, seen) = self.ends[side].wait(HANDSHAKE_MILLIS);
                let in_time = Closure::Refused(Reason::HandshakeTimeout);
                ensure!(sent.is_none() && seen == Seen::Closed(in_time));
                self.ended[side] = Some(in_time);
            }
        }
        Ok(())
    }

    /// Holds both ends against each other.
    fn agree(&self, plan: Plan, tally: &mut Tally) -> Result<(), Failure> {
        let [ours, theirs] = self.views;
        ensure!(ours.is_none() || ours == theirs);
        ensure!(plan.refusal().is_none() || theirs.is_none());
        ensure!(ours.is_none_or(|ours| !ours.resumed || plan == Plan::Resume));
        for side in [0, 1] {
            ensure!(self.ended[side].is_some() != self.ends[side].is_open());
        }
        if self.faults > 0 {
            ensure!(self.ended != [None, None]);
            tally.broken += 1;
            tally.broken_open += u32::from(ours.is_some());
        } else if let Some(reason) = plan.refusal() {
            ensure!(self.ended[0] == Some(Closure::Refused(reason)));
            tally.refused += 1;
        } else {
            ensure!(ours.is_some() && self.ended == [None, None]);
            let all = if self.is_newcomer { 0 } else { SAID.len() };
            ensure!(self.heard == [all, all]);
            tally.opened += 1;
            tally.resumed += u32::from(ours.is_some_and(|ours| ours.resumed));
            tally.enrolled += u32::from(self.is_newcomer);
        }
        Ok(())
    }
}

/// Plays `count` handshakes from `seed`; a failure's step is the number of the handshake.
///
/// # Errors
///
/// What did not hold.
pub fn play(count: u32, seed: u64) -> Result<Tally, Failure> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let world = World::new()?;
    let mut member = world.initiator(world.agent_token(&mut buffer)?);
    member.offer.wants_ticket = true;
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    let mut before = Vec::new();
    let (ticket, record) = earlier(&world, member, seed)?;
    for number in 0..count {
        let plan = PLANS[chance.below(PLANS.len())];
        let played = schedule(
            &world,
            member,
            plan,
            (&ticket, &record),
            &mut before,
            &mut chance,
            &mut tally,
        );
        played.map_err(|failure| Failure {
            step: usize::try_from(number).unwrap_or(usize::MAX),
            ..failure
        })?;
    }
    Ok(tally)
}

/// Plays one handshake of `member`, or of a newcomer with its key. `earlier` is a ticket of the member's and the hub's
/// record of it; `before` is what was sent in the schedule before, and then in this one.
fn schedule(
    world: &World,
    member: Initiator<'_>,
    plan: Plan,
    (ticket, record): (&[u8; TICKET_LEN], &TicketRecord),
    before: &mut Vec<Message, 6>,
    chance: &mut Chance,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let code = match plan {
        Plan::Enrol => EnrolmentCode::new(CODE),
        Plan::WrongCode => EnrolmentCode::new(b"7Q2M-K9TX-4FBE"),
        _ => None,
    };
    let initiator = Initiator {
        shows: code.map_or(member.shows, Shown::Code),
        ..member
    };
    let offered = matches!(plan, Plan::Resume | Plan::UsedTicket)
        .then(|| Ticket::from_bytes(&Secret::new(*ticket)).ok())
        .flatten();
    let mut door = Door {
        code: Some(CODE),
        revoked: plan == Plan::Revoked,
        full: plan == Plan::Overload,
        ..Door::default()
    };
    if plan == Plan::Resume {
        let _ = door.tickets.push(record.clone());
    }
    let (ours, theirs) = (Drawn::new(chance.draw(), 0), Drawn::new(chance.draw(), 1));
    let settings = Settings::default();
    let (initiator, m1) = End::initiator(initiator, offered, settings, ours)?;
    let responder = End::responder(world.responder(), Form::Stream, door, settings, theirs);
    let mut scene = Scene {
        ends: [initiator, responder],
        line: [Vec::new(), Vec::new()],
        views: [None; 2],
        heard: [0; 2],
        ended: [None; 2],
        faults: 0,
        is_newcomer: code.is_some(),
        sent: Vec::new(),
    };
    scene.send(0, Some(m1));
    let is_disturbed = chance.below(4) != 0;
    scene.run(is_disturbed, before, chance)?;
    scene.end(chance)?;
    scene.agree(plan, tally)?;
    *before = scene.sent;
    Ok(())
}

/// Runs a handshake undisturbed; returns the ticket that it left, and the hub's record of it.
fn earlier(
    world: &World,
    member: Initiator<'_>,
    seed: u64,
) -> Result<([u8; TICKET_LEN], TicketRecord), Failure> {
    let settings = Settings::default();
    let door = Door {
        gives_tickets: true,
        ..Door::default()
    };
    let (mut initiator, m1) = End::initiator(member, None, settings, Drawn::new(seed, 2))?;
    let drawn = Drawn::new(seed, 3);
    let mut responder = End::responder(world.responder(), Form::Stream, door, settings, drawn);
    let (m2, _) = responder.hand(&m1, 0);
    let (m3, _) = initiator.hand(&m2.unwrap_or_default(), 0);
    let (m4, _) = responder.hand(&m3.unwrap_or_default(), 0);
    let _ = initiator.hand(&m4.unwrap_or_default(), 0);
    match (initiator.take_ticket(), responder.door.tickets.pop()) {
        (Some(ticket), Some(record)) => Ok((*ticket.to_bytes().expose(), record)),
        _ => Err(Failure {
            condition: "a ticket is given",
            file: file!(),
            line: line!(),
            step: 0,
        }),
    }
}
