//! The tickets that an agent has given on its channels. They lie in memory alone: after a reset commanders come back
//! with a full handshake.

use heapless::Vec;

use crate::crypto::Hash;
use crate::handshake::{Admission, Gate, TicketRecord};
use crate::token::{Claims, Permissions, Renewal, UnverifiedClaims, VerifiedClaims};
use crate::wire::{Refuse, TICKET_ID_LEN};

/// Up to `N` tickets, one for each commander; the oldest goes first.
#[derive(Debug)]
pub(super) struct Shelf<const N: usize>(Vec<Kept, N>);

#[derive(Debug)]
struct Kept {
    commander: Hash,
    record: TicketRecord,
}

impl<const N: usize> Shelf<N> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn find(&self, id: &[u8; TICKET_ID_LEN]) -> Option<&TicketRecord> {
        let mut kept = self.0.iter();
        kept.find(|kept| kept.record.id() == id)
            .map(|kept| &kept.record)
    }

    fn redeem(&mut self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        let place = self.0.iter().position(|kept| kept.record.id() == id)?;
        Some(self.0.remove(place).record)
    }

    fn keep(&mut self, record: TicketRecord) -> bool {
        let Some(commander) = holder(&record) else {
            return false;
        };
        self.0.retain(|kept| kept.commander != commander);
        if self.0.is_full() && N > 0 {
            self.0.remove(0);
        }
        self.0.push(Kept { commander, record }).is_ok()
    }
}

/// Returns the hash of the key of who holds the ticket.
fn holder(record: &TicketRecord) -> Option<Hash> {
    let token = record.token().ok()?;
    let claims = UnverifiedClaims::decode(&token).ok()?;
    Some(claims.claims_unverified().key.hash())
}

/// The shell's gate, with the shelf beside it.
pub(super) struct ShelvedGate<'g, const N: usize> {
    pub(super) gate: &'g mut dyn Gate,
    pub(super) shelf: &'g mut Shelf<N>,
}

impl<const N: usize> Gate for ShelvedGate<'_, N> {
    fn is_revoked(&self, claims: &Claims) -> bool {
        self.gate.is_revoked(claims)
    }

    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse> {
        self.gate.admit(claims)
    }

    fn renew(&mut self, claims: &VerifiedClaims, renewal: Renewal) -> Option<Permissions> {
        self.gate.renew(claims, renewal)
    }

    fn find_ticket(&self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        self.shelf.find(id).cloned()
    }

    fn redeem_ticket(&mut self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        self.shelf.redeem(id)
    }

    fn keep_ticket(&mut self, record: TicketRecord) -> bool {
        self.shelf.keep(record)
    }
}
