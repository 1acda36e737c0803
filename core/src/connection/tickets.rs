//! The tickets of a session (PROTOCOL.md §2.8).

use super::{Connection, Context, Responding, Stage};
use crate::handshake::{Ticket, give_ticket};
use crate::message::Control;
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::NewTicket;

impl Connection<'_> {
    /// Replaces the ticket that this responder gave: a thief of the keys before the last update has its secret.
    #[inline(never)]
    pub(super) fn replace_ticket(
        &mut self,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<usize, Reason> {
        self.ticket_due = false;
        let (Stage::Open(session), Some(Responding { gate, .. }), Some(facts), Some(id)) = (
            &mut self.stage,
            context.responding.as_mut(),
            &self.facts,
            self.outstanding.take(),
        ) else {
            return Ok(0);
        };
        let record = gate.redeem_ticket(&id).and_then(|record| record.followed());
        let Some(record) = record.filter(|_| session.is_settled()) else {
            return Ok(0);
        };
        let (resumption, now) = (session.resumption(), &context.now);
        let ticket = give_ticket(
            record,
            resumption,
            facts.expires,
            now,
            &mut **gate,
            context.entropy,
        );
        let Some(ticket) = ticket else {
            return Ok(0);
        };
        self.outstanding = Some(ticket.id);
        Ok(session
            .seal_control(&Control::TicketNew(ticket), out)?
            .len())
    }

    /// Makes the ticket that the responder gave.
    pub(super) fn note_ticket(&mut self, new: &NewTicket, now: Instant) {
        let clock = self.clock.unwrap_or_default();
        if let (Stage::Open(session), Some(origin)) = (&self.stage, &self.origin) {
            let expires = clock.at(now).plus(u64::from(new.life) * 1000);
            self.ticket = Some(Ticket::new(new, session.resumption(), origin, expires));
        }
    }
}
