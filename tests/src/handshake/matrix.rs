//! Every message of every mode at every state of both ends (PROTOCOL.md §6.1): full handshakes, resumptions and
//! enrolments, each held against the messages of all three.

use moorline_core::connection::{Closure, Settings};
use moorline_core::crypto::Secret;
use moorline_core::handshake::{Initiator, Shown, TICKET_LEN, Ticket, TicketRecord};
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::EnrolmentCode;

use super::enrolment::CODE;
use crate::fixture::{Door, World};
use crate::pair::{Message, Pair, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "in a full handshake every message of every mode is taken where it belongs and refused elsewhere",
        clause: "PROTOCOL.md §6.1",
        run: || all(Kind::Full),
    },
    Case {
        name: "in a resumption every message of every mode is taken where it belongs and refused elsewhere",
        clause: "PROTOCOL.md §6.1",
        run: || all(Kind::Resumption),
    },
    Case {
        name: "in an enrolment every message of every mode is taken where it belongs and refused elsewhere",
        clause: "PROTOCOL.md §6.1",
        run: || all(Kind::Enrolment),
    },
];

/// What a handshake rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Resumption,
    Enrolment,
}

const KINDS: [Kind; 3] = [Kind::Full, Kind::Resumption, Kind::Enrolment];

/// Where an end stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    AwaitM1,
    AwaitM2,
    AwaitM3,
    /// An initiator that waits for M4, or for Welcome.
    AwaitLast,
    OpenInitiator,
    OpenResponder,
}

const PLACES: [Place; 6] = [
    Place::AwaitM1,
    Place::AwaitM2,
    Place::AwaitM3,
    Place::AwaitLast,
    Place::OpenInitiator,
    Place::OpenResponder,
];

/// The messages of a run, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    M1,
    M2,
    M3,
    /// M4, or Welcome.
    Last,
    /// In the place of [`Name::Last`].
    Refuse,
    /// The first message of the initiator's application.
    Question,
    /// The first message of the responder's application.
    Answer,
}

const NAMES: [Name; 7] = [
    Name::M1,
    Name::M2,
    Name::M3,
    Name::Last,
    Name::Refuse,
    Name::Question,
    Name::Answer,
];

/// A world, and what an earlier session of its agent left.
struct Ground {
    world: World,
    ticket: [u8; TICKET_LEN],
    record: TicketRecord,
}

impl Ground {
    fn new() -> Result<Self, Failure> {
        let world = World::new()?;
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let mut initiator = world.initiator(world.agent_token(&mut buffer)?);
        initiator.offer.wants_ticket = true;
        let door = Door {
            gives_tickets: true,
            ..Door::default()
        };
        let settings = Settings::default();
        let mut pair = Pair::between(initiator, None, world.responder(), door, settings, 0)?;
        pair.finish(0)?;
        let ticket = pair.initiator.connection.take_ticket();
        let left = ticket.zip(pair.responder.door.tickets.pop());
        drop(pair);
        let (ticket, record) = left.ok_or(NOT_REACHED)?;
        Ok(Self {
            ticket: *ticket.to_bytes().expose(),
            record,
            world,
        })
    }

    /// Runs `work` with both ends of a handshake of this kind before the first message is delivered. The same each
    /// time; the hub refuses the initiator if `is_refused`.
    fn at_start<T>(
        &self,
        kind: Kind,
        is_refused: bool,
        work: impl FnOnce(Pair<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let member = self.world.initiator(self.world.agent_token(&mut buffer)?);
        let code = EnrolmentCode::new(CODE).filter(|_| kind == Kind::Enrolment);
        let initiator = Initiator {
            shows: code.map_or(member.shows, Shown::Code),
            ..member
        };
        let ticket = Ticket::from_bytes(&Secret::new(self.ticket)).ok();
        let ticket = ticket.filter(|_| kind == Kind::Resumption);
        let mut door = Door {
            code: (kind == Kind::Enrolment && !is_refused).then_some(CODE),
            revoked: is_refused,
            ..Door::default()
        };
        if kind == Kind::Resumption {
            let _ = door.tickets.push(self.record.clone());
        }
        let (responder, settings) = (self.world.responder(), Settings::default());
        work(Pair::between(
            initiator,
            ticket.as_ref(),
            responder,
            door,
            settings,
            0,
        )?)
    }

    /// Returns the messages of a handshake of this kind, by [`Name`].
    fn messages(&self, kind: Kind) -> Result<[Message; 7], Failure> {
        let refuse = self.at_start(kind, true, |mut pair| {
            let (m2, _) = pair.responder.hand(&pair.m1, 0);
            let (m3, _) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
            let (refuse, _) = pair.responder.hand(&m3.unwrap_or_default(), 0);
            refuse.ok_or(NOT_REACHED)
        })?;
        self.at_start(kind, false, |mut pair| {
            let m1 = pair.m1.clone();
            let [m2, m3, last] = pair.finish(0)?;
            let question = pair.initiator.say(b"question")?;
            let answer = pair.responder.say(b"answer")?;
            Ok([m1, m2, m3, last, refuse, question, answer])
        })
    }

    /// Hands `message` to the end at `place` of the handshake whose messages are `own`; returns what it sent and what
    /// was seen.
    fn handed(
        &self,
        kind: Kind,
        own: &[Message; 7],
        place: Place,
        message: &[u8],
    ) -> Result<(Option<Message>, Seen), Failure> {
        self.at_start(kind, false, |mut pair| {
            let [m1, m2, m3, last, ..] = own;
            let before: &[&Message] = match place {
                Place::AwaitM1 | Place::AwaitM2 => &[],
                Place::AwaitM3 => &[m1],
                Place::AwaitLast => &[m2],
                Place::OpenInitiator => &[m2, last],
                Place::OpenResponder => &[m1, m3],
            };
            let is_initiator = matches!(
                place,
                Place::AwaitM2 | Place::AwaitLast | Place::OpenInitiator
            );
            let end = if is_initiator {
                &mut pair.initiator
            } else {
                &mut pair.responder
            };
            for message in before {
                let (_, seen) = end.hand(message, 0);
                ensure!(!matches!(seen, Seen::Closed(_)));
            }
            let handed = end.hand(message, 1);
            if matches!(handed.1, Seen::Closed(_)) {
                ensure!(end.connection.session().is_none());
                ensure!(end.connection.deadline().is_none());
                ensure!(end.say(b"too late").is_err());
            }
            Ok(handed)
        })
    }
}

/// Returns what an end at `place` of a handshake of `kind` makes of a message of a handshake of the kind `of`: the first
/// byte of what it answers, if it takes it, or why it does not.
fn expected(kind: Kind, place: Place, of: Kind, name: Name) -> Result<Option<u8>, Reason> {
    // Until M3 an enrolment is a full handshake, byte for byte.
    let is_same_m2 = (kind == Kind::Resumption) == (of == Kind::Resumption);
    let is_resumption = kind == Kind::Resumption;
    let is_frame = match name {
        Name::Question | Name::Answer => true,
        Name::Last => of == Kind::Resumption,
        _ => false,
    };
    match (place, name) {
        (Place::AwaitM1, Name::M1) => Ok(Some(0x02)),
        (Place::AwaitM2, Name::M2) if is_same_m2 => Ok(Some(0x03)),
        (Place::AwaitM2, Name::M2) if is_resumption => Err(Reason::Unsealed),
        (Place::AwaitM2, Name::M2) => Err(Reason::Mode),
        (Place::AwaitM3, Name::M3) if !is_same_m2 => Err(Reason::Length),
        (Place::AwaitM3, Name::M3) if kind == Kind::Full && of == Kind::Enrolment => {
            Err(Reason::EnrolmentCode)
        }
        (Place::AwaitM3, Name::M3) => Ok(Some(if is_resumption { 0x21 } else { 0x04 })),
        (Place::AwaitLast, Name::Last) if kind == of => Ok(None),
        (Place::AwaitLast, Name::Refuse) if is_same_m2 => Err(Reason::RefusedCredential),
        (Place::AwaitLast, Name::Refuse) => Err(Reason::Unsealed),
        (Place::AwaitLast, Name::Last) if is_same_m2 => Err(Reason::Unsealed),
        // Welcome is waited for as a frame.
        (Place::AwaitLast, _) if is_resumption && is_frame => Err(misplaced(0, of, name)),
        (Place::AwaitLast, _) if is_resumption => Err(Reason::UnknownType),
        (Place::OpenInitiator, Name::Answer) if kind == of => Ok(None),
        (Place::OpenResponder, Name::Question) if kind == of => match kind {
            // A newcomer may say nothing yet.
            Kind::Enrolment => Err(Reason::OutOfPlace),
            _ => Ok(None),
        },
        (Place::OpenInitiator, _) if is_frame => Err(misplaced(u8::from(is_resumption), of, name)),
        (Place::OpenResponder, _) if is_frame => Err(misplaced(0, of, name)),
        (Place::OpenInitiator | Place::OpenResponder, _) => Err(Reason::UnknownType),
        _ if is_frame => Err(Reason::UnknownType),
        _ => Err(Reason::OutOfPlace),
    }
}

/// Returns why a frame of another end or of another session is refused where the number `next` is due.
fn misplaced(next: u8, of: Kind, name: Name) -> Reason {
    // Welcome is the responder's number 0.
    let number = u8::from(of == Kind::Resumption && name == Name::Answer);
    match number.cmp(&next) {
        core::cmp::Ordering::Less => Reason::Replayed,
        core::cmp::Ordering::Equal => Reason::Unsealed,
        core::cmp::Ordering::Greater => Reason::Sequence,
    }
}

/// A device takes far longer for a handshake: it plays a part of the matrix, every row and column of it.
fn is_played(step: usize) -> bool {
    !cfg!(target_os = "none") || step.is_multiple_of(11)
}

fn all(kind: Kind) -> Result<(), Failure> {
    let ground = Ground::new()?;
    let own = ground.messages(kind)?;
    let mut step = 0;
    for of in KINDS {
        let messages = ground.messages(of)?;
        for (name, message) in NAMES.into_iter().zip(&messages) {
            for place in PLACES {
                step += 1;
                if is_played(step) {
                    let handed = ground.handed(kind, &own, place, message)?;
                    judge(place, &handed, expected(kind, place, of, name), step)?;
                }
            }
        }
    }
    for (kind_byte, index) in [0x00, 0x05, 0x06, 0x08, 0x09, 0x0F, 0x10, 0x24, 0x7F, 0xFF]
        .into_iter()
        .zip(0..)
    {
        for place in PLACES {
            step += 1;
            if is_played(step) {
                let message = [kind_byte, 1, 0, 6, 0, 0, 0, 0, 1, 5];
                let awaits_frame = match place {
                    Place::OpenInitiator | Place::OpenResponder => true,
                    Place::AwaitLast => kind == Kind::Resumption,
                    _ => false,
                };
                let reason = match kind_byte {
                    0x08 if place == Place::AwaitM2 => Reason::Rejected,
                    0x08 if !awaits_frame => Reason::OutOfPlace,
                    _ => Reason::UnknownType,
                };
                let handed = ground.handed(kind, &own, place, &message)?;
                judge(place, &handed, Err(reason), 1000 + index)?;
            }
        }
    }
    Ok(())
}

fn judge(
    place: Place,
    (sent, seen): &(Option<Message>, Seen),
    expected: Result<Option<u8>, Reason>,
    step: usize,
) -> Result<(), Failure> {
    let answer = sent.as_ref().and_then(|sent| sent.first().copied());
    match expected {
        Ok(expected) => {
            ensure!(!matches!(seen, Seen::Closed(_)), step);
            ensure!(answer == expected, step);
        }
        Err(reason) => {
            ensure!(*seen == Seen::Closed(Closure::Refused(reason)), step);
            // An open end says one sealed word; REFUSE answers an M3 that opens; nothing else is answered.
            let word = match place {
                Place::OpenInitiator | Place::OpenResponder => Some(0x22),
                Place::AwaitM3 if reason == Reason::EnrolmentCode => Some(0x07),
                _ => None,
            };
            ensure!(answer == word, step);
        }
    }
    Ok(())
}

const NOT_REACHED: Failure = Failure {
    condition: "the place is reached",
    file: file!(),
    line: line!(),
    step: 0,
};
