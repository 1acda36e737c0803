//! The responder's wait for M3.

use super::key_schedule::{HandshakeSecret, Master};
use super::responder::Responder;
use super::transcript::{AfterM2, AfterM2Clear, AfterM3};
use super::{
    Established, Gate, Label, REFUSE_SEQ, ResumptionSecret, Role, Terms, TicketRecord,
    open_after_prefix, seal_after_prefix, ticket_life, verify,
};
use crate::crypto::{Hash, PublicKey, TAG_LEN};
use crate::entropy::{Entropy, draw};
use crate::limits::{ENROLMENT_MILLIS, EXTERNAL_MILLIS, EXTERNAL_PAYLOAD_LEN, MAX_TICKET_CHAIN};
use crate::reason::Reason;
use crate::time::{Now, TimeQuality, UnixMillis};
use crate::token::{Permissions, UnpackedToken, VerifiedClaims};
use crate::wire::{
    ConnectionIds, Credential, EnrolmentCode, M3Confirmed, M3Sealed, M4_LEN, M4Sealed, NewTicket,
    REFUSE_LEN, Refuse, RefuseCode, TICKET_ID_LEN, Writer,
};

/// The wait for M3.
#[derive(Debug)]
pub struct AwaitM3 {
    pub(super) secret: HandshakeSecret,
    pub(super) th1: AfterM2Clear,
    pub(super) th3: AfterM2,
    pub(super) ids: ConnectionIds,
    pub(super) mtu: u16,
    pub(super) wants_ticket: bool,
    pub(super) awaited: Awaited,
}

/// What M3 is to prove.
#[derive(Debug, Clone, Copy)]
pub(super) enum Awaited {
    /// Who the initiator is, by a token and a signature.
    Signature {
        /// The hash of this end's key that signed M2.
        responder: Hash,
    },
    /// That the initiator holds the secret of this ticket.
    Ticket { id: [u8; TICKET_ID_LEN] },
    /// That the initiator holds this external key.
    ExternalKey {
        identity: [u8; TICKET_ID_LEN],
        /// The hash of this end's key, which the external one is bound to.
        responder: Hash,
    },
}

/// What M3 led to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a session and taken apart at once"
)]
pub enum M3Answer<'o> {
    /// The peer is proved and admitted.
    Open {
        /// M4 is to be sent; without one, the session's first frame is a Welcome.
        m4: Option<&'o mut [u8]>,
        /// What the session runs on.
        established: Established,
        /// What was agreed.
        terms: Terms,
        /// Who the peer is.
        peer: Peer,
    },
    /// The peer is refused; the REFUSE is to be sent and the transport closed.
    Refused {
        /// The REFUSE.
        refuse: &'o mut [u8],
        /// Why, for this end's logs alone.
        reason: Reason,
    },
}

impl AwaitM3 {
    /// Returns both ends' connection ids; 0 on a stream.
    #[must_use]
    pub fn ids(&self) -> ConnectionIds {
        self.ids
    }

    /// Returns the largest transport unit that both ends take, in bytes.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Checks M3 in the order of PROTOCOL.md §2.7 and writes M4 or a REFUSE to `out`. `message` is decrypted where it
    /// stands.
    ///
    /// # Errors
    ///
    /// [`Reason`] of what fails before M3 is opened: nothing may be answered then. After that a failure is
    /// [`M3Answer::Refused`]. An `out` that does not take the answer is [`Reason::Length`].
    #[inline(never)]
    pub fn handle_m3<'o>(
        &self,
        message: &mut [u8],
        responder: &Responder<'_>,
        now: &Now,
        gate: &mut dyn Gate,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<M3Answer<'o>, Reason> {
        match self.open_m3(message, responder, now, gate) {
            Ok(proved) => self.answer(proved, responder, now, gate, entropy, out),
            Err(Denied::Dropped(reason)) => Err(reason),
            Err(Denied::Refused(refused)) => self.refuse(&refused, out),
        }
    }

    /// Returns the peer that M3 proves, or why it is refused.
    #[inline(never)]
    fn open_m3<'m>(
        &self,
        message: &'m mut [u8],
        responder: &Responder<'_>,
        now: &Now,
        gate: &mut dyn Gate,
    ) -> Result<ProvedPeer<'m>, Denied> {
        let proved = match &self.awaited {
            Awaited::Signature { responder: own } => {
                M3Sealed::check_prefix(message, self.ids.own).map_err(Denied::Dropped)?;
                let key = self.secret.initiator_key(&self.th3);
                let (prefix, plaintext) =
                    open_after_prefix(&key, 0, &self.th3.0, message).map_err(Denied::Dropped)?;
                self.prove(prefix, plaintext, own, responder, now, gate)
            }
            Awaited::Ticket { .. } | Awaited::ExternalKey { .. } => {
                let m3 = M3Confirmed::parse(message, self.ids.own).map_err(Denied::Dropped)?;
                let th4 = self.th3.m3_confirmed(&M3Confirmed::prefix(self.ids.own));
                let fin = self.secret.initiator_fin(&th4);
                if !fin.verifies(&m3.fin) {
                    return Err(Denied::Dropped(Reason::Confirmation));
                }
                let th5 = th4.confirmation(&fin);
                match &self.awaited {
                    Awaited::ExternalKey {
                        identity,
                        responder: own,
                    } => find_again(identity, *own, th5, now, gate),
                    Awaited::Ticket { id } => redeem(id, th5, responder, now, gate),
                    Awaited::Signature { .. } => Err(Reason::OutOfPlace.into()),
                }
            }
        };
        proved.map_err(Denied::Refused)
    }

    /// Asks the shell whether the peer comes in, and writes M4 to `out` when it does.
    #[inline(never)]
    fn answer<'o>(
        &self,
        proved: ProvedPeer<'_>,
        responder: &Responder<'_>,
        now: &Now,
        gate: &mut dyn Gate,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<M3Answer<'o>, Reason> {
        proved.tell_token(gate);
        let mut terms = match proved.admit(now, gate) {
            Ok(terms) => terms,
            Err(refuse) => {
                let reason = Reason::NotAdmitted;
                return self.refuse(&Refused { refuse, reason }, out);
            }
        };
        // It is made where it stays: what is moved leaves a copy on the stack.
        let master = self.secret.to_master(&proved.th5);
        let established = Established {
            role: Role::Responder,
            suite: master.suite(),
            ids: self.ids,
            line: responder.respond_as.line(),
            secrets: master.traffic(),
            mtu: self.mtu,
            peer_max_payload_len: proved.max_payload_len,
            responder: proved.responder,
        };
        if self.wants_ticket {
            let resumption = &established.secrets.resumption;
            let record = proved.ticket_record(&established);
            terms.ticket = record.and_then(|record| {
                give_ticket(record, resumption, terms.expires, now, gate, entropy)
            });
        }
        let m4 = match &self.awaited {
            Awaited::Signature { .. } => Some(self.emit_m4(&master, &terms, out)?),
            Awaited::Ticket { .. } | Awaited::ExternalKey { .. } => None,
        };
        Ok(M3Answer::Open {
            m4,
            established,
            terms,
            peer: proved.peer,
        })
    }

    fn refuse<'o>(&self, refused: &Refused, out: &'o mut [u8]) -> Result<M3Answer<'o>, Reason> {
        Ok(M3Answer::Refused {
            refuse: self.emit_refuse(&refused.refuse, out)?,
            reason: refused.reason,
        })
    }

    #[inline(never)]
    fn prove<'m>(
        &self,
        prefix: &[u8],
        plaintext: &'m [u8],
        own: &Hash,
        responder: &Responder<'_>,
        now: &Now,
        gate: &mut dyn Gate,
    ) -> Result<ProvedPeer<'m>, Refused> {
        let m3 = M3Sealed::parse(plaintext)?;
        let by = match m3.credential {
            Credential::Token(token) => Proof::Token(token),
            Credential::Enrolment(enrolment) => Proof::Enrolment(enrolment.code),
        };
        let peer = judge(&m3.credential, responder, now, gate)?;
        let key = *peer.key().ok_or(Reason::CredentialKind)?;
        let th4 = self
            .th3
            .m3_signed(prefix, m3.signed_part, &m3.credential.hash(), &key);
        verify(&key, Label::Initiator, &th4.0, &m3.signature)
            .map_err(|_| Reason::InitiatorSignature)?;
        Ok(ProvedPeer {
            peer,
            th5: th4.signature(&m3.signature),
            max_payload_len: m3.max_payload_len,
            responder: *own,
            by,
        })
    }

    #[inline(never)]
    fn emit_m4<'o>(
        &self,
        master: &Master,
        terms: &Terms,
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8], Reason> {
        let mut writer = Writer::new(out);
        M4Sealed::emit_prefix(self.ids.peer, &mut writer);
        M4Sealed {
            fin: *master.fin().as_bytes(),
            terms: *terms,
        }
        .emit(&mut writer);
        writer.zeros(TAG_LEN);
        let m4 = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(m4.len(), M4_LEN);
        seal_after_prefix(&master.m4_key(), 0, &master.transcript().0, m4)?;
        Ok(m4)
    }

    #[inline(never)]
    fn emit_refuse<'o>(&self, refuse: &Refuse, out: &'o mut [u8]) -> Result<&'o mut [u8], Reason> {
        let mut writer = Writer::new(out);
        Refuse::emit_prefix(self.ids.peer, &mut writer);
        refuse.emit(&mut writer);
        writer.zeros(TAG_LEN);
        let message = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(message.len(), REFUSE_LEN);
        let key = self.secret.responder_key(&self.th1);
        seal_after_prefix(&key, REFUSE_SEQ, &self.th3.0, message)?;
        Ok(message)
    }
}

/// Who a responder's peer is. It is proved.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a session and taken apart at once"
)]
pub enum Peer {
    /// Who a token says.
    Holder(VerifiedClaims),
    /// Who has this key, and a code that it came with, or a token that is over: it is given one.
    Newcomer(PublicKey),
    /// The holder of the external key of this name.
    External([u8; TICKET_ID_LEN]),
}

impl Peer {
    /// Returns the key that the peer has proved; the holder of an external key has none.
    #[must_use]
    pub fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Holder(claims) => Some(&claims.claims().key),
            Self::Newcomer(key) => Some(key),
            Self::External(_) => None,
        }
    }
}

/// A peer that is proved.
struct ProvedPeer<'m> {
    peer: Peer,
    /// The hash of all that was said.
    th5: AfterM3,
    max_payload_len: u16,
    /// The hash of this end's key.
    responder: Hash,
    by: Proof<'m>,
}

/// What proved a peer.
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a session and taken apart at once"
)]
enum Proof<'m> {
    /// Its token, and a signature.
    Token(UnpackedToken<'m>),
    /// A ticket.
    Ticket(TicketRecord),
    /// A code if it has one, and a signature.
    Enrolment(Option<EnrolmentCode<'m>>),
    /// An external key, which is good until then.
    ExternalKey(UnixMillis),
}

impl ProvedPeer<'_> {
    /// Lets the shell hear the peer's token.
    fn tell_token(&self, gate: &mut dyn Gate) {
        match &self.by {
            Proof::Token(token) => gate.note_token(token),
            Proof::Ticket(record) => {
                if let Ok(token) = record.token() {
                    gate.note_token(&token);
                }
            }
            Proof::Enrolment(_) | Proof::ExternalKey(_) => {}
        }
    }

    /// Asks the shell whether the peer comes in, and returns on what terms. A code is spent when it does.
    fn admit(&self, now: &Now, gate: &mut dyn Gate) -> Result<Terms, Refuse> {
        match (&self.peer, &self.by) {
            (Peer::Holder(claims), _) => {
                let admission = gate.admit(claims)?;
                let claims = claims.claims();
                Ok(Terms {
                    session_id: admission.session_id,
                    expires: UnixMillis::from_secs(claims.expires_at),
                    permissions: claims.permissions.intersection(admission.permissions),
                    ticket: None,
                })
            }
            (Peer::Newcomer(key), Proof::Enrolment(code)) => Ok(Terms {
                session_id: match code {
                    Some(code) => gate.enrol(*code, key)?,
                    None => gate.readmit(key)?,
                },
                expires: now.unix.plus(ENROLMENT_MILLIS),
                permissions: Permissions::NONE,
                ticket: None,
            }),
            (Peer::External(identity), Proof::ExternalKey(until)) => {
                let admission = gate.admit_external(identity)?;
                Ok(Terms {
                    session_id: admission.session_id,
                    expires: now.unix.plus(EXTERNAL_MILLIS).min(*until),
                    permissions: admission.permissions,
                    ticket: None,
                })
            }
            (Peer::Newcomer(_) | Peer::External(_), _) => Err(Refuse {
                code: RefuseCode::BadCredential,
                argument: 0,
            }),
        }
    }

    /// Returns what the next ticket's record is made of; nothing when a full handshake is due.
    fn ticket_record(&self, established: &Established) -> Option<TicketRecord> {
        match &self.by {
            Proof::Token(token) => {
                let Peer::Holder(claims) = &self.peer else {
                    return None;
                };
                TicketRecord::of_token(token, &claims.proof(), established, MAX_TICKET_CHAIN)
            }
            Proof::Ticket(record) => record.followed(),
            Proof::Enrolment(_) | Proof::ExternalKey(_) => None,
        }
    }
}

/// Names a ticket, gives it to the shell to keep, and returns what makes it at the initiator.
///
/// A shell that does not keep it, or a source of entropy that does not answer, costs the peer a full handshake the
/// next time and nothing else.
pub(crate) fn give_ticket(
    mut record: TicketRecord,
    resumption: &ResumptionSecret,
    session_end: UnixMillis,
    now: &Now,
    gate: &mut dyn Gate,
    entropy: &mut dyn Entropy,
) -> Option<NewTicket> {
    let ticket = NewTicket {
        id: *draw(entropy).ok()?,
        nonce: *draw(entropy).ok()?,
        life: ticket_life(now.unix, session_end),
    };
    if ticket.life == 0 || now.quality == TimeQuality::Unknown {
        return None;
    }
    record.id = ticket.id;
    record.secret = resumption.ticket(&ticket.nonce);
    record.expires = now.unix.plus(u64::from(ticket.life) * 1000);
    gate.keep_ticket(record).then_some(ticket)
}

/// Returns whom `credential` speaks of, if it is good.
#[inline(never)]
fn judge(
    credential: &Credential<'_>,
    responder: &Responder<'_>,
    now: &Now,
    gate: &mut dyn Gate,
) -> Result<Peer, Refused> {
    match credential {
        Credential::Token(token) => {
            let candidate = responder.check_token(token, now, gate)?;
            Ok(Peer::Holder(
                candidate.verify_signature().map_err(Reason::from)?,
            ))
        }
        Credential::Enrolment(enrolment) => {
            let key = enrolment.public_key()?;
            responder.check_enrolment(enrolment.code, &key, now, gate)?;
            Ok(Peer::Newcomer(key))
        }
    }
}

/// Looks at the external key again: it may have been withdrawn meanwhile.
#[inline(never)]
fn find_again<'m>(
    identity: &[u8; TICKET_ID_LEN],
    responder: Hash,
    th5: AfterM3,
    now: &Now,
    gate: &dyn Gate,
) -> Result<ProvedPeer<'m>, Refused> {
    let record = gate.find_external(identity);
    let record = record.filter(|record| now.unix < record.expires);
    let record = record.ok_or(Reason::ExternalKey)?;
    Ok(ProvedPeer {
        peer: Peer::External(*identity),
        th5,
        max_payload_len: EXTERNAL_PAYLOAD_LEN,
        responder,
        by: Proof::ExternalKey(record.expires),
    })
}

/// Takes the ticket out of the shell's store, in one step, and looks at its token again.
#[inline(never)]
fn redeem<'m>(
    ticket: &[u8; TICKET_ID_LEN],
    th5: AfterM3,
    responder: &Responder<'_>,
    now: &Now,
    gate: &mut dyn Gate,
) -> Result<ProvedPeer<'m>, Refused> {
    let record = gate.redeem_ticket(ticket).ok_or(Reason::TicketGone)?;
    let claims = {
        let token = record.token()?;
        let proof = record.proof(&token);
        responder
            .check_token(&token, now, gate)?
            .accept_verified(&proof)
            .map_err(Reason::from)?
    };
    Ok(ProvedPeer {
        peer: Peer::Holder(claims),
        th5,
        max_payload_len: record.max_payload_len,
        responder: record.responder,
        by: Proof::Ticket(record),
    })
}

/// Why M3 proves nobody.
enum Denied {
    /// It was not opened: nothing may be answered.
    Dropped(Reason),
    /// It was opened.
    Refused(Refused),
}

/// A refusal, and why.
struct Refused {
    refuse: Refuse,
    reason: Reason,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        let code = match reason {
            Reason::NoTime => RefuseCode::NoTime,
            _ => RefuseCode::BadCredential,
        };
        Self {
            refuse: Refuse { code, argument: 0 },
            reason,
        }
    }
}
