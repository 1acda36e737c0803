//! The responder: the hub on a link, the agent on a channel.

use super::initiator::draw_id;
use super::key_schedule::{Early, HandshakeSecret, Master};
use super::transcript::{AfterM1, AfterM2, AfterM2Clear, before_binder};
use super::{
    Established, Gate, Label, REFUSE_SEQ, ResumptionSecret, Role, Terms, TicketRecord,
    open_after_prefix, seal_after_prefix, seal_in_place, sign, ticket_life, verify,
};
use crate::crypto::{EphemeralKey, Hash, MAC_LEN, SIGNATURE_LEN, SigningKey, Suite, TAG_LEN};
use crate::entropy::{Entropy, draw};
use crate::limits::MAX_TICKET_CHAIN;
use crate::reason::Reason;
use crate::time::{Now, TimeQuality, UnixMillis};
use crate::token::{
    AgentId, Candidate, Policy, Role as TokenRole, TrustAnchors, UnpackedToken, VerifiedClaims,
};
use crate::wire::{
    Announcement, ConnectionIds, Credential, Form, Limits, Line, M1, M2_CLEAR_LEN,
    M2_PRESHARED_LEN, M2Clear, M3Confirmed, M3Sealed, M4_LEN, M4Sealed, Mode, NewTicket,
    REFUSE_LEN, Refuse, RefuseCode, ResponderCredential, SuiteList, TICKET_ID_LEN, Writer,
};

/// Who a responder is and whom it takes.
#[derive(Debug, Clone, Copy)]
pub struct Responder<'k> {
    /// Its static keys, the current one first; an initiator names the one that it pinned. An agent has one.
    pub keys: &'k [SigningKey],
    /// The issuers whose tokens it takes.
    pub anchors: &'k TrustAnchors,
    /// The audience that a token must name.
    pub audience: &'k str,
    /// The suites that it allows; suite 1 is among them.
    pub suites: SuiteList,
    /// What it announces.
    pub limits: Limits,
    /// As what it answers.
    pub respond_as: RespondAs<'k>,
}

/// As what a responder answers.
#[derive(Debug, Clone, Copy)]
pub enum RespondAs<'k> {
    /// As the hub, on a link of this form.
    Hub(Form),
    /// As an agent, on a channel.
    Agent(OwnToken<'k>),
}

/// What an agent shows of itself on a channel.
#[derive(Debug, Clone, Copy)]
pub struct OwnToken<'k> {
    /// Its id.
    pub id: AgentId,
    /// Its token.
    pub token: UnpackedToken<'k>,
    /// The group that it belongs to.
    pub group: Option<&'k str>,
}

impl RespondAs<'_> {
    /// Returns what the handshake runs over.
    #[must_use]
    pub fn line(&self) -> Line {
        match self {
            Self::Hub(Form::Stream) => Line::Stream,
            Self::Hub(Form::Datagram) => Line::Datagram,
            Self::Agent(agent) => Line::Channel(agent.id),
        }
    }
}

/// The wait for M3.
#[derive(Debug)]
pub struct AwaitM3 {
    secret: HandshakeSecret,
    th1: AfterM2Clear,
    th3: AfterM2,
    ids: ConnectionIds,
    wants_ticket: bool,
    awaited: Awaited,
}

/// What M3 is to prove.
#[derive(Debug)]
enum Awaited {
    /// Who the initiator is, by a token and a signature.
    Signature {
        /// The hash of this end's key that signed M2.
        responder: Hash,
    },
    /// That the initiator holds the secret of this ticket.
    Confirmation { ticket: [u8; TICKET_ID_LEN] },
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
        claims: VerifiedClaims,
    },
    /// The peer is refused; the REFUSE is to be sent and the transport closed.
    Refused {
        /// The REFUSE.
        refuse: &'o mut [u8],
        /// Why, for this end's logs alone.
        reason: Reason,
    },
}

impl Responder<'_> {
    /// Checks M1 in the order of PROTOCOL.md §2.7 and writes M2 to `out`. `ephemeral` may have been made ahead, and is
    /// taken when it is used; one is made when there is none, and not for bytes that are no offer.
    ///
    /// The caller's budget for half-open handshakes is asked before: from here on, work is done for a stranger.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails; an `out` that does not take M2 is [`Reason::Length`].
    pub fn handle_m1<'o>(
        &self,
        message: &[u8],
        now: &Now,
        ephemeral: &mut Option<EphemeralKey>,
        gate: &dyn Gate,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(AwaitM3, &'o mut [u8]), Reason> {
        let line = self.respond_as.line();
        let m1 = M1::parse(message, line)?;
        let suite = m1.suites.choose(&self.suites).ok_or(Reason::Suite)?;
        let resumed = self.find_ticket(&m1, message, now, gate)?;
        let ephemeral = match ephemeral.take() {
            Some(ephemeral) => ephemeral,
            None => EphemeralKey::generate(entropy)?,
        };
        let ids = ConnectionIds {
            own: draw_id(line.form(), entropy).map_err(|_| Reason::Entropy)?,
            peer: m1.id,
        };
        let offer = Taken {
            th0: AfterM1::new(line, message),
            m1,
            ids,
            ephemeral,
        };
        match resumed {
            Some(resumed) => self.answer_resumed(&offer, &resumed, now, out),
            None => self.answer_full(&offer, suite, now, entropy, out),
        }
    }

    /// Returns the ticket that M1 offers to resume with, when this responder takes it.
    ///
    /// A ticket that is not known, used up or over, or that was given by a key that is gone, leads to a full
    /// handshake. A wrong proof for one that is there does not.
    fn find_ticket(
        &self,
        m1: &M1,
        message: &[u8],
        now: &Now,
        gate: &dyn Gate,
    ) -> Result<Option<Resumed>, Reason> {
        let Some(preshared) = &m1.preshared else {
            return Ok(None);
        };
        let Some(record) = gate.find_ticket(&preshared.id) else {
            return Ok(None);
        };
        let is_over = now.quality == TimeQuality::Unknown || record.expires <= now.unix;
        let by_own_key = self
            .keys
            .iter()
            .any(|key| key.public_key().hash() == record.responder);
        let suite_fits = m1.suites.contains(record.suite) && self.suites.contains(record.suite);
        if is_over || !by_own_key || !suite_fits {
            return Ok(None);
        }
        let early = Early::of_ticket(&record.secret);
        let binder = early.binder(&before_binder(self.respond_as.line(), message));
        if !binder.verifies(&preshared.binder) {
            return Err(Reason::Binder);
        }
        Ok(Some(Resumed {
            early,
            suite: record.suite,
            ticket: record.id,
        }))
    }

    fn announcement(&self, now: &Now) -> Announcement {
        let window = match self.respond_as.line().form() {
            Form::Stream => 0,
            Form::Datagram => DATAGRAM_WINDOW,
        };
        Announcement {
            time: now.unix,
            quality: now.quality,
            limits: self.limits,
            window,
        }
    }

    fn answer_full<'o>(
        &self,
        offer: &Taken,
        suite: Suite,
        now: &Now,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(AwaitM3, &'o mut [u8]), Reason> {
        let key = self.key_hinted(&offer.m1.hint).ok_or(Reason::NotPinned)?;
        let secret =
            Early::without_secret().agree(suite, &offer.ephemeral, &offer.m1.share, &offer.th0)?;
        let responder = key.public_key().hash();
        let credential = match &self.respond_as {
            RespondAs::Hub(_) => ResponderCredential::KeyId(responder.prefix()),
            RespondAs::Agent(own) => ResponderCredential::Token(own.token),
        };
        let len = credential.message_len();
        let mut writer = Writer::new(out);
        offer.clear(suite, Mode::Full).emit(len, &mut writer);
        self.announcement(now).emit(&mut writer);
        credential.emit(&mut writer);
        writer.zeros(SIGNATURE_LEN + TAG_LEN);
        let m2 = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(m2.len(), len);

        let (clear, sealed) = m2
            .split_at_mut_checked(M2_CLEAR_LEN)
            .ok_or(Reason::Length)?;
        let signed_len = len - M2_CLEAR_LEN - SIGNATURE_LEN - TAG_LEN;
        let (signed, proof) = sealed
            .split_at_mut_checked(signed_len)
            .ok_or(Reason::Length)?;
        let th1 = offer.th0.m2_clear(clear);
        let th2 = th1.m2_signed(signed, key.public_key());
        let signature = sign(key, Label::Responder, &th2.0, &*draw::<32>(entropy)?);
        *proof.first_chunk_mut().ok_or(Reason::Length)? = signature.0;
        seal_in_place(&secret.responder_key(&th1), 0, th1.0.as_bytes(), sealed)?;
        Ok((
            AwaitM3 {
                secret,
                th1,
                th3: th2.signature(&signature),
                ids: offer.ids,
                wants_ticket: offer.m1.flags.wants_ticket,
                awaited: Awaited::Signature { responder },
            },
            m2,
        ))
    }

    fn answer_resumed<'o>(
        &self,
        offer: &Taken,
        resumed: &Resumed,
        now: &Now,
        out: &'o mut [u8],
    ) -> Result<(AwaitM3, &'o mut [u8]), Reason> {
        let share = &offer.m1.share;
        let secret = resumed
            .early
            .agree(resumed.suite, &offer.ephemeral, share, &offer.th0)?;
        let mut writer = Writer::new(out);
        offer
            .clear(resumed.suite, Mode::Resume)
            .emit(M2_PRESHARED_LEN, &mut writer);
        self.announcement(now).emit(&mut writer);
        writer.zeros(MAC_LEN + TAG_LEN);
        let m2 = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(m2.len(), M2_PRESHARED_LEN);

        let (clear, sealed) = m2
            .split_at_mut_checked(M2_CLEAR_LEN)
            .ok_or(Reason::Length)?;
        let confirmed_len = M2_PRESHARED_LEN - M2_CLEAR_LEN - MAC_LEN - TAG_LEN;
        let (confirmed, proof) = sealed
            .split_at_mut_checked(confirmed_len)
            .ok_or(Reason::Length)?;
        let th1 = offer.th0.m2_clear(clear);
        let th2 = th1.m2_confirmed(confirmed);
        let fin = secret.responder_fin(&th2);
        *proof.first_chunk_mut().ok_or(Reason::Length)? = *fin.as_bytes();
        seal_in_place(&secret.responder_key(&th1), 0, th1.0.as_bytes(), sealed)?;
        Ok((
            AwaitM3 {
                secret,
                th1,
                th3: th2.confirmation(&fin),
                ids: offer.ids,
                wants_ticket: offer.m1.flags.wants_ticket,
                awaited: Awaited::Confirmation {
                    ticket: resumed.ticket,
                },
            },
            m2,
        ))
    }

    /// Returns the key that `hint` names, or the current one.
    fn key_hinted(&self, hint: &[u8; 4]) -> Option<&SigningKey> {
        self.keys
            .iter()
            .find(|key| key.public_key().hash().prefix::<4>() == *hint)
            .or(self.keys.first())
    }

    /// Checks all of `token` but its issuer's signature.
    fn check_token<'t>(
        &self,
        token: &UnpackedToken<'t>,
        now: &Now,
        gate: &dyn Gate,
    ) -> Result<Candidate<'t>, Reason> {
        let policy = match &self.respond_as {
            RespondAs::Hub(_) => Policy::link(self.audience, now.unix),
            RespondAs::Agent(_) if now.quality == TimeQuality::Unknown => {
                return Err(Reason::NoTime);
            }
            RespondAs::Agent(_) => Policy::channel(self.audience, TokenRole::Commander, now.unix),
        };
        let candidate = Candidate::check(token, self.anchors, &policy)?;
        if let RespondAs::Agent(own) = &self.respond_as {
            let scope = &candidate.claims().agents;
            if !scope.reaches(&own.id, own.group.as_slice()) {
                return Err(Reason::OutOfScope);
            }
        }
        if gate.is_revoked(candidate.claims()) {
            return Err(Reason::Revoked);
        }
        Ok(candidate)
    }
}

impl AwaitM3 {
    /// Returns both ends' connection ids; 0 on a stream.
    #[must_use]
    pub fn ids(&self) -> ConnectionIds {
        self.ids
    }

    /// Checks M3 in the order of PROTOCOL.md §2.7 and writes M4 or a REFUSE to `out`. `message` is decrypted where it
    /// stands.
    ///
    /// # Errors
    ///
    /// [`Reason`] of what fails before M3 is opened: nothing may be answered then. After that a failure is
    /// [`M3Answer::Refused`]. An `out` that does not take the answer is [`Reason::Length`].
    pub fn handle_m3<'o>(
        &self,
        message: &mut [u8],
        responder: &Responder<'_>,
        now: &Now,
        gate: &mut dyn Gate,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<M3Answer<'o>, Reason> {
        let proved = match &self.awaited {
            Awaited::Signature { responder: own } => {
                M3Sealed::check_prefix(message, self.ids.own)?;
                let key = self.secret.initiator_key(&self.th3);
                let (prefix, plaintext) = open_after_prefix(&key, 0, &self.th3.0, message)?;
                self.prove(prefix, plaintext, own, responder, now, gate)
            }
            Awaited::Confirmation { ticket } => {
                let m3 = M3Confirmed::parse(message, self.ids.own)?;
                let th4 = self.th3.m3_confirmed(&M3Confirmed::prefix(self.ids.own));
                let fin = self.secret.initiator_fin(&th4);
                if !fin.verifies(&m3.fin) {
                    return Err(Reason::Confirmation);
                }
                let master = self.secret.to_master(&th4.confirmation(&fin));
                redeem(ticket, master, responder, now, gate)
            }
        };
        let admitted = proved.and_then(|proved| match gate.admit(&proved.claims) {
            Ok(admission) => Ok((proved, admission)),
            Err(refuse) => Err(Refused {
                refuse,
                reason: Reason::NotAdmitted,
            }),
        });
        let (proved, admission) = match admitted {
            Ok(admitted) => admitted,
            Err(Refused { refuse, reason }) => {
                return Ok(M3Answer::Refused {
                    refuse: self.emit_refuse(&refuse, out)?,
                    reason,
                });
            }
        };
        let claims = proved.claims.claims();
        let established = Established {
            role: Role::Responder,
            suite: proved.master.suite(),
            ids: self.ids,
            line: responder.respond_as.line(),
            secrets: proved.master.traffic(),
            peer_max_payload_len: proved.max_payload_len,
            responder: proved.responder,
        };
        let mut terms = Terms {
            session_id: admission.session_id,
            expires: UnixMillis::from_secs(claims.expires_at),
            permissions: claims.permissions.intersection(admission.permissions),
            ticket: None,
        };
        if self.wants_ticket {
            let record = proved.ticket_record(&established);
            terms.ticket = record.and_then(|record| {
                give_ticket(
                    record,
                    &established.secrets.resumption,
                    terms.expires,
                    now,
                    gate,
                    entropy,
                )
            });
        }
        let m4 = match &self.awaited {
            Awaited::Signature { .. } => Some(self.emit_m4(&proved.master, &terms, out)?),
            Awaited::Confirmation { .. } => None,
        };
        Ok(M3Answer::Open {
            m4,
            established,
            terms,
            claims: proved.claims,
        })
    }

    fn prove<'m>(
        &self,
        prefix: &[u8],
        plaintext: &'m [u8],
        own: &Hash,
        responder: &Responder<'_>,
        now: &Now,
        gate: &dyn Gate,
    ) -> Result<ProvedPeer<'m>, Refused> {
        let m3 = M3Sealed::parse(plaintext)?;
        let Credential::Token(token) = m3.credential;
        let claims = responder
            .check_token(&token, now, gate)?
            .verify_signature()
            .map_err(Reason::from)?;
        let key = claims.claims().key;
        let th4 = self
            .th3
            .m3_signed(prefix, m3.signed_part, &token.hash(), &key);
        verify(&key, Label::Initiator, &th4.0, &m3.signature)
            .map_err(|_| Reason::InitiatorSignature)?;
        Ok(ProvedPeer {
            claims,
            master: self.secret.to_master(&th4.signature(&m3.signature)),
            max_payload_len: m3.max_payload_len,
            responder: *own,
            by: Proof::Token(token),
        })
    }

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

/// An M1 that is taken, and this end's part of the answer.
struct Taken {
    m1: M1,
    th0: AfterM1,
    ids: ConnectionIds,
    ephemeral: EphemeralKey,
}

impl Taken {
    fn clear(&self, suite: Suite, mode: Mode) -> M2Clear {
        M2Clear {
            suite,
            mode,
            ids: self.ids,
            share: self.ephemeral.share(),
        }
    }
}

/// A ticket whose secret the initiator has shown to hold.
struct Resumed {
    early: Early,
    suite: Suite,
    ticket: [u8; TICKET_ID_LEN],
}

/// A peer that is proved.
struct ProvedPeer<'m> {
    claims: VerifiedClaims,
    master: Master,
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
}

impl ProvedPeer<'_> {
    /// Returns what the next ticket's record is made of; nothing when a full handshake is due.
    fn ticket_record(&self, established: &Established) -> Option<TicketRecord> {
        match &self.by {
            Proof::Token(token) => {
                TicketRecord::of_token(token, &self.claims.proof(), established, MAX_TICKET_CHAIN)
            }
            Proof::Ticket(record) => record.followed(),
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

/// Takes the ticket out of the shell's store, in one step, and looks at its token again.
fn redeem<'m>(
    ticket: &[u8; TICKET_ID_LEN],
    master: Master,
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
        claims,
        master,
        max_payload_len: record.max_payload_len,
        responder: record.responder,
        by: Proof::Ticket(record),
    })
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

/// How many sequence numbers a responder's window judges on datagrams (PROTOCOL.md §5.2).
const DATAGRAM_WINDOW: u16 = crate::limits::MIN_WINDOW;
