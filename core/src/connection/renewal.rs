//! A new token within a session (PROTOCOL.md §5.7).

use super::enrolment::Standing;
use super::{Connection, Context, Event, Responding, Stage, Step};
use crate::crypto::{Hash, Signature, SigningKey};
use crate::entropy::{Entropy, draw};
use crate::handshake::{Exporter, Label, Terms, sign, verify};
use crate::limits::RENEWAL_MILLIS;
use crate::message::{Control, TokenResult, TokenUpdate};
use crate::reason::{Error, Reason};
use crate::time::{Now, UnixMillis};
use crate::token::{Holder, Permissions, Renewal, UnpackedToken, VerifiedClaims, VerifiedToken};

/// A token that is to follow the one that a session rests on.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'t> {
    /// The token.
    pub token: UnpackedToken<'t>,
    /// The key that it names, when that is another one than the session proved.
    pub key: Option<&'t SigningKey>,
}

impl Connection<'_> {
    /// Shows the responder a new token, and writes the frame to `out`. The answer is [`Event::Renewed`] or
    /// [`Event::RenewalRefused`]. Over datagrams it may be lost: the caller shows the token again after a second.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], [`Error::NotInitiator`], [`Error::Entropy`], and as
    /// [`Session::seal`](crate::session::Session::seal).
    pub fn renew<'o>(
        &mut self,
        new: &NewToken<'_>,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let is_initiator = self.origin.is_some();
        let session = self.open_session()?;
        if !is_initiator {
            return Err(Error::NotInitiator);
        }
        let hash = new.token.hash();
        let proof = match new.key {
            Some(key) => {
                let statement = statement(session.exporter(), &hash);
                let hedge = draw::<32>(entropy)?;
                Some(sign(key, Label::TokenUpdate, &statement, &*hedge))
            }
            None => None,
        };
        let update = TokenUpdate::new(new.token.as_bytes(), proof.as_ref());
        let frame = session.seal_with_token(&Control::TokenUpdate(update), out)?;
        self.renewing = Some(hash);
        Ok(frame)
    }

    /// Judges the token that the initiator shows, and writes the answer to `out`. Whatever it is worth, the session
    /// goes on; a token that is refused changes nothing.
    #[inline(never)]
    pub(super) fn handle_token_update<'m>(
        &mut self,
        token: &[u8],
        proof: Option<Signature>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let (Some(standing), Some(facts)) = (&self.standing, &self.facts) else {
            return Err(Reason::OutOfPlace);
        };
        let hash = Hash::of(&[token]);
        // The answer was lost, and the question came again.
        if matches!(standing, Standing::Holder(holder) if hash == *holder.token_hash()) {
            let terms = (facts.expires.0, facts.permissions.bits());
            return self.answer_token_update(&hash, Some(terms), None, out);
        }
        match self.judge(token, proof.as_ref(), context) {
            Ok((claims, permissions)) => {
                let terms = self.take_up(token, &claims, permissions, context);
                let event = Event::Renewed(Some(claims));
                self.answer_token_update(&hash, Some(terms), Some(event), out)
            }
            Err(reason) => {
                let event = Event::RenewalRefused(reason);
                self.answer_token_update(&hash, None, Some(event), out)
            }
        }
    }

    #[inline(never)]
    fn judge(
        &mut self,
        token: &[u8],
        proof: Option<&Signature>,
        context: &mut Context<'_>,
    ) -> Result<(VerifiedClaims, Permissions), Reason> {
        let (Stage::Open(session), Some(standing)) = (&self.stage, &self.standing) else {
            return Err(Reason::OutOfPlace);
        };
        let Responding { responder, gate } =
            context.responding.as_mut().ok_or(Reason::NotAdmitted)?;
        let now = context.now;
        // Each may cost two checks of signatures.
        if self
            .judged
            .is_some_and(|at| now.instant.since(at) < RENEWAL_MILLIS)
        {
            return Err(Reason::RenewalRate);
        }
        self.judged = Some(now.instant);
        let token = UnpackedToken::parse_exact(token)?;
        let candidate = responder.check_token(&token, &now, &**gate)?;
        let renewal = match standing {
            Standing::Holder(holder) => holder.check(candidate.claims())?,
            // Its key is proved by the handshake.
            Standing::Newcomer(key) if *key == candidate.claims().key.hash() => Renewal::SameKey,
            Standing::Newcomer(_) => return Err(Reason::KeyProof),
            // It has proved no key so far.
            Standing::External => Renewal::NewKey,
        };
        let claims = candidate.verify_signature()?;
        match (renewal, proof) {
            (Renewal::SameKey, None) => {}
            (Renewal::NewKey, Some(proof)) => {
                let statement = statement(session.exporter(), claims.token_hash());
                verify(&claims.claims().key, Label::TokenUpdate, &statement, proof)
                    .map_err(|_| Reason::KeyProof)?;
            }
            (Renewal::SameKey, Some(_)) | (Renewal::NewKey, None) => return Err(Reason::KeyProof),
        }
        let granted = gate.renew(&claims, renewal).ok_or(Reason::NotAdmitted)?;
        gate.note_token(&token);
        Ok((claims, granted))
    }

    /// Lets the session rest on the token with `claims`; returns its new end and permissions.
    #[inline(never)]
    fn take_up(
        &mut self,
        token: &[u8],
        claims: &VerifiedClaims,
        granted: Permissions,
        context: &mut Context<'_>,
    ) -> (u64, u32) {
        self.standing = Some(Standing::Holder(Holder::of(claims)));
        let permissions = claims.claims().permissions.intersection(granted);
        let expires = UnixMillis::from_secs(claims.claims().expires_at);
        self.note_terms(expires, permissions, &context.now);
        self.keep_with_ticket(token, &claims.proof(), context);
        (expires.0, permissions.bits())
    }

    /// The ticket that was given leads to a session on the new token. Another takes its place when there is time.
    fn keep_with_ticket(&mut self, token: &[u8], proof: &VerifiedToken, context: &mut Context<'_>) {
        let (Some(id), Some(Responding { gate, .. })) =
            (self.outstanding, context.responding.as_mut())
        else {
            return;
        };
        let renewed = gate
            .redeem_ticket(&id)
            .and_then(|record| record.renewed(token, proof));
        let is_kept = renewed.is_some_and(|record| gate.keep_ticket(record));
        self.outstanding = is_kept.then_some(id);
        self.ticket_due = is_kept;
    }

    fn note_terms(&mut self, expires: UnixMillis, permissions: Permissions, now: &Now) {
        let clock = self.clock.unwrap_or_default();
        if let Some(facts) = &mut self.facts {
            facts.expires = expires;
            facts.expires_at = now
                .instant
                .plus(expires.0.saturating_sub(clock.at(now.instant).0));
            facts.permissions = permissions;
        }
    }

    fn answer_token_update<'m>(
        &mut self,
        token: &Hash,
        terms: Option<(u64, u32)>,
        event: Option<Event<'m>>,
        out: &mut [u8],
    ) -> Result<Step<'m>, Reason> {
        let Stage::Open(session) = &mut self.stage else {
            return Err(Reason::OutOfPlace);
        };
        let answer = Control::TokenResult(TokenResult {
            token: *token.as_bytes(),
            terms,
        });
        let sent = session.seal_control(&answer, out)?.len();
        Ok(Step { sent, event })
    }

    /// Takes the responder's answer; one that answers nothing is passed over.
    pub(super) fn handle_token_result<'m>(
        &mut self,
        result: &TokenResult,
        now: &Now,
    ) -> Result<Option<Event<'m>>, Reason> {
        if self.origin.is_none() {
            return Err(Reason::OutOfPlace);
        }
        if self.renewing.as_ref().map(Hash::as_bytes) != Some(&result.token) {
            return Ok(None);
        }
        let Some((expires, permissions)) = result.terms else {
            self.renewing = None;
            return Ok(Some(Event::RenewalRefused(Reason::RefusedCredential)));
        };
        let terms = Terms {
            session_id: self.facts.map(|facts| facts.session_id).unwrap_or_default(),
            expires: UnixMillis(expires),
            permissions: Permissions::from_bits(permissions).ok_or(Reason::Malformed)?,
            ticket: None,
        };
        terms.check(self.clock.unwrap_or_default().at(now.instant))?;
        self.renewing = None;
        self.is_newcomer = false;
        self.note_terms(terms.expires, terms.permissions, now);
        Ok(Some(Event::Renewed(None)))
    }
}

/// Returns what a new key signs: that it is to follow in this very session, with this token.
fn statement(exporter: &Exporter, token: &Hash) -> Hash {
    let binding = exporter.export("token", token.as_bytes());
    Hash::of(&[binding.expose(), token.as_bytes()])
}
