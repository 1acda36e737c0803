//! The shell's part in the decision about a peer.

use super::{ExternalRecord, TicketRecord};
use crate::crypto::PublicKey;
use crate::token::{Claims, Permissions, Renewal, UnpackedToken, VerifiedClaims};
use crate::wire::{EnrolmentCode, Refuse, RefuseCode, TICKET_ID_LEN};

/// The shell's part in the decision about a peer: what it has stored, and its policy.
pub trait Gate {
    /// Returns whether the token, its holder, its key or its issuer's key is revoked, or the holder not enrolled.
    ///
    /// The claims may not yet be verified: the answer must have no effect.
    fn is_revoked(&self, claims: &Claims) -> bool;

    /// Decides about a peer that is proved, and counts it if admitted.
    ///
    /// # Errors
    ///
    /// The code to refuse it with.
    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse>;

    /// Returns whether `code` opens an enrolment now: it was given out, not used, and its time is not over. Whoever
    /// shows one that does not is counted, and the comparison takes as long for every code. By default there is none.
    fn knows_code(&mut self, code: EnrolmentCode<'_>) -> bool {
        let _ = code;
        false
    }

    /// Enrols the holder of `key`, which it has proved, and spends `code` in the same step. Returns what both ends call
    /// the session, in which the newcomer gets its token.
    ///
    /// # Errors
    ///
    /// The code to refuse it with: another was faster.
    fn enrol(&mut self, code: EnrolmentCode<'_>, key: &PublicKey) -> Result<[u8; 8], Refuse> {
        let _ = (code, key);
        Err(Refuse {
            code: RefuseCode::BadCredential,
            argument: 0,
        })
    }

    /// Returns whether `key` is that of a peer that is enrolled and not revoked. A stranger asks: the answer must have no
    /// effect. By default no key is known.
    fn knows_key(&self, key: &PublicKey) -> bool {
        let _ = key;
        false
    }

    /// Lets the holder of `key` in, which it has proved, to get another token. Returns what both ends call the session, in
    /// which it does.
    ///
    /// # Errors
    ///
    /// The code to refuse it with: it is not enrolled any more.
    fn readmit(&mut self, key: &PublicKey) -> Result<[u8; 8], Refuse> {
        let _ = key;
        Err(Refuse {
            code: RefuseCode::BadCredential,
            argument: 0,
        })
    }

    /// Decides about a token that is to follow the one of a session. It is good, and whoever shows it has proved its
    /// key; `renewal` says whether that is a new one. Returns what the peer may do, or nothing to refuse.
    fn renew(&mut self, claims: &VerifiedClaims, renewal: Renewal) -> Option<Permissions> {
        let _ = (claims, renewal);
        None
    }

    /// Hears the token of a peer that is about to be asked for in [`Gate::admit`], or that was taken in
    /// [`Gate::renew`]: a hub gives an agent's to commanders
    /// with its prekey (PROTOCOL.md §10.4).
    fn note_token(&mut self, token: &UnpackedToken<'_>) {
        let _ = token;
    }

    /// Returns the external key called `identity`. A stranger asks: the answer must have no effect. By default there is
    /// none.
    fn find_external(&self, identity: &[u8; TICKET_ID_LEN]) -> Option<ExternalRecord> {
        let _ = identity;
        None
    }

    /// Decides about the holder of the external key called `identity`, which has proved that it holds it.
    ///
    /// # Errors
    ///
    /// The code to refuse it with.
    fn admit_external(&mut self, identity: &[u8; TICKET_ID_LEN]) -> Result<Admission, Refuse> {
        let _ = identity;
        Err(Refuse {
            code: RefuseCode::BadCredential,
            argument: 0,
        })
    }

    /// Returns the ticket called `id`. A stranger asks: the answer must have no effect.
    fn find_ticket(&self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        let _ = id;
        None
    }

    /// Removes the ticket called `id` and returns it, in one step: who comes second gets nothing.
    fn redeem_ticket(&mut self, id: &[u8; TICKET_ID_LEN]) -> Option<TicketRecord> {
        let _ = id;
        None
    }

    /// Keeps a ticket that is about to be given; returns whether it did.
    fn keep_ticket(&mut self, record: TicketRecord) -> bool {
        let _ = record;
        false
    }
}

/// The terms on which a peer is admitted.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    /// What both ends call the session; unique at the responder.
    pub session_id: [u8; 8],
    /// What the peer may do; at most what its token grants.
    pub permissions: Permissions,
}
