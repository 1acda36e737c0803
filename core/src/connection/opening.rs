//! From the first message to the open session (PROTOCOL.md §6.1).

use super::enrolment::Standing;
use super::{Closure, Connection, Context, Event, Facts, HubClock, Responding, Stage, Step};
use crate::handshake::{
    AwaitWelcome, Established, M2Answer, M3Answer, Peer, Role, Terms, TicketOrigin,
};
use crate::message::{Control, Welcome};
use crate::reason::Reason;
use crate::session::{Delivery, Session};
use crate::time::{Instant, Now, TimeQuality, UnixMillis};
use crate::token::Holder;
use crate::wire::{Line, MessageType, Reject};

impl Connection<'_> {
    #[inline(never)]
    pub(super) fn handle_m2<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM2(wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        if message.first() == Some(&MessageType::Reject.code()) {
            Reject::parse(message, wait.id())?;
            return Err(Reason::Rejected);
        }
        let (keeper, entropy) = (&mut *context.keeper, &mut *context.entropy);
        let (answer, m3) = wait.handle_m2(message, &context.now, keeper, entropy, out)?;
        let sent = m3.len();
        let now = context.now.instant;
        match answer {
            M2Answer::Full(next) => {
                self.note_time(next.hub_time(), now);
                self.stage = Stage::AwaitM4(next);
            }
            M2Answer::Resumed(next) => self.await_welcome(next, now),
        }
        Ok(Step { sent, event: None })
    }

    #[inline(never)]
    fn await_welcome(&mut self, next: AwaitWelcome, now: Instant) {
        self.note_time(next.hub_time(), now);
        let (established, refusal) = next.into_session();
        self.resumed = true;
        let session = self.session_of(established, now);
        self.stage = Stage::AwaitWelcome(session, refusal);
    }

    #[inline(never)]
    pub(super) fn handle_m4<'m>(
        &mut self,
        message: &mut [u8],
        now: Instant,
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM4(wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let (established, terms) =
            wait.handle_m4(message, self.clock.unwrap_or_default().at(now))?;
        let session = self.session_of(established, now);
        self.open(session, &terms, now);
        Ok(Step::OPEN)
    }

    /// The first frame of a resumed session says what M4 says in others; a REFUSE may come in its place.
    #[inline(never)]
    pub(super) fn handle_welcome<'m>(
        &mut self,
        message: &'m mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitWelcome(session, refusal) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        if message.first() == Some(&MessageType::Refuse.code()) {
            return Err(refusal.handle_refuse(message)?);
        }
        let now = context.now.instant;
        let handled = session.handle_frame(message, now, context.entropy, out)?;
        let welcome = match handled.delivery {
            Delivery::Welcome(welcome) => welcome,
            Delivery::Dropped(reason) => return Err(reason),
            _ => return Err(Reason::OutOfPlace),
        };
        let terms = welcome.terms()?;
        terms.check(self.clock.unwrap_or_default().at(now))?;
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::AwaitWelcome(session, _) => {
                self.open(session, &terms, now);
                Ok(Step::OPEN)
            }
            _ => Err(Reason::OutOfPlace),
        }
    }

    #[inline(never)]
    pub(super) fn handle_m1<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM1(ephemeral) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let (now, entropy) = (&context.now, &mut *context.entropy);
        let Responding { responder, gate } =
            context.responding.as_ref().ok_or(Reason::NotAdmitted)?;
        let (next, m2) = responder.handle_m1(message, now, ephemeral, &**gate, entropy, out)?;
        let sent = m2.len();
        self.stage = Stage::AwaitM3(next);
        Ok(Step { sent, event: None })
    }

    #[inline(never)]
    pub(super) fn handle_m3<'m>(
        &mut self,
        message: &mut [u8],
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::AwaitM3(wait) = &self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let (now, entropy) = (context.now, &mut *context.entropy);
        let Responding { responder, gate } =
            context.responding.as_mut().ok_or(Reason::NotAdmitted)?;
        match wait.handle_m3(message, responder, &now, &mut **gate, entropy, out)? {
            M3Answer::Open {
                m4,
                established,
                terms,
                peer,
            } => {
                let sent = m4.map(|m4| m4.len());
                self.note_peer(&peer, &terms, &now);
                self.resumed = sent.is_none();
                self.begin_session(established, sent, &terms, &now, out)
                    .map(|sent| Step {
                        sent,
                        event: Some(Event::Open(Some(peer))),
                    })
            }
            M3Answer::Refused { refuse, reason } => {
                let sent = refuse.len();
                self.stage = Stage::Closed;
                let event = Some(Event::Closed(Closure::Refused(reason)));
                Ok(Step { sent, event })
            }
        }
    }

    fn note_peer(&mut self, peer: &Peer, terms: &Terms, now: &Now) {
        self.clock = Some(HubClock {
            time: now.unix,
            quality: now.quality,
            at: now.instant,
            error: 0,
        });
        self.outstanding = terms.ticket.map(|ticket| ticket.id);
        self.standing = Some(match peer {
            Peer::Holder(claims) => Standing::Holder(Holder::of(claims)),
            Peer::Newcomer(key) => Standing::Newcomer(key.hash()),
            Peer::External(_) => Standing::External,
        });
    }

    /// Opens a responder's session, whose first frame is a Welcome where no M4 has been written; returns the length of
    /// what is in `out`.
    #[inline(never)]
    fn begin_session(
        &mut self,
        established: Established,
        m4_len: Option<usize>,
        terms: &Terms,
        now: &Now,
        out: &mut [u8],
    ) -> Result<usize, Reason> {
        let mut session = self.session_of(established, now.instant);
        let sent = match m4_len {
            Some(len) => len,
            None => {
                let welcome = Control::Welcome(Welcome::new(terms));
                session.seal_control(&welcome, out)?.len()
            }
        };
        self.open(session, terms, now.instant);
        Ok(sent)
    }

    /// Returns the session that `established` leads to, and notes what its tickets have in common.
    #[inline(never)]
    pub(super) fn session_of(&mut self, established: Established, now: Instant) -> Session {
        self.origin = match established.role {
            Role::Initiator => Some(TicketOrigin {
                suite: established.suite,
                responder: established.responder,
                agent: match established.line {
                    Line::Channel(agent) => Some(agent),
                    Line::Stream | Line::Datagram => None,
                },
                max_payload_len: self.settings.max_payload_len,
            }),
            Role::Responder => None,
        };
        Session::new(established, self.settings.max_payload_len, now)
    }

    #[inline(never)]
    pub(super) fn open(&mut self, session: Session, terms: &Terms, now: Instant) {
        let clock = self.clock.unwrap_or_default();
        let left = terms.expires.0.saturating_sub(clock.at(now).0);
        self.facts = Some(Facts {
            session_id: terms.session_id,
            expires: terms.expires,
            expires_at: now.plus(left),
            permissions: terms.permissions,
            resumed: self.resumed,
        });
        self.stage = Stage::Open(session);
        if let Some(new) = &terms.ticket {
            self.note_ticket(new, now);
        }
    }

    /// Notes the hub's clock, which was read somewhere in the round trip that ends at `now` (PROTOCOL.md §7.2).
    pub(super) fn note_time(&mut self, (time, quality): (UnixMillis, TimeQuality), now: Instant) {
        let error = now.since(self.started) / 2;
        let quality = if error > MAX_TIME_ERROR_MILLIS {
            TimeQuality::Unknown
        } else {
            quality
        };
        self.clock = Some(HubClock {
            time: time.plus(error),
            quality,
            at: now,
            error,
        });
    }
}

/// Half a round trip in milliseconds beyond which the time in it is not taken (PROTOCOL.md §7.2).
const MAX_TIME_ERROR_MILLIS: u64 = 15_000;
