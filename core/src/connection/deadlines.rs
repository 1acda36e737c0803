//! What is due when: expiry, heartbeat, key updates, a new ticket.

use super::{Connection, Context, Outcome, Stage, written};
use crate::message::Control;
use crate::reason::Reason;
use crate::time::Instant;

impl Connection<'_> {
    /// Returns when [`Connection::handle_deadline`] is to be called; nothing once the connection is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Closed => None,
            // What is due at once.
            Stage::Open(_) if self.ticket_due => Some(Instant(0)),
            Stage::Open(session) => {
                let heartbeat = self.settings.heartbeat;
                let ping = self.heard.max(self.pinged).plus(heartbeat.ping_after);
                let dead = self.heard.plus(heartbeat.dead_after);
                let expiry = self.facts.map_or(dead, |facts| facts.expires_at);
                Some(ping.min(dead).min(expiry).min(session.deadline()))
            }
            _ => Some(self.started.plus(self.settings.handshake_millis)),
        }
    }

    /// Returns why the connection is over at `now`, whatever the peer says: its time is up.
    pub(super) fn overdue(&self, now: Instant) -> Option<Reason> {
        let (end, reason) = match &self.stage {
            Stage::Closed => return None,
            Stage::Open(_) => (self.facts?.expires_at, Reason::Expired),
            _ => (
                self.started.plus(self.settings.handshake_millis),
                Reason::HandshakeTimeout,
            ),
        };
        (now >= end).then_some(reason)
    }

    /// Does what is due: gives up a peer, pings it, or replaces keys. Called early, it does nothing. `out` takes
    /// [`crate::limits::MAX_HANDSHAKE_LEN`] bytes.
    pub fn handle_deadline<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'static, 'o> {
        match self.attend(context, out) {
            Ok(sent) => Outcome {
                send: written(out, sent),
                event: None,
            },
            Err(reason) => self.fail(reason, out),
        }
    }

    pub(super) fn attend(
        &mut self,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<usize, Reason> {
        let now = context.now.instant;
        if let Some(reason) = self.overdue(now) {
            return Err(reason);
        }
        let Stage::Open(session) = &mut self.stage else {
            return Ok(0);
        };
        if self.ticket_due {
            return self.replace_ticket(context, out);
        }
        let heartbeat = self.settings.heartbeat;
        if now >= self.heard.plus(heartbeat.dead_after) {
            return Err(Reason::Silent);
        }
        let fresh = self.settings.fresh_updates;
        if let Some(frame) = session.handle_deadline(now, fresh, context.entropy, out)? {
            return Ok(frame.len());
        }
        if now >= self.heard.max(self.pinged).plus(heartbeat.ping_after) {
            self.pinged = now;
            self.ping_count = self.ping_count.wrapping_add(1);
            self.ping_pending = true;
            return Ok(session
                .seal_control(&Control::Ping(self.ping_count), out)?
                .len());
        }
        Ok(0)
    }
}
