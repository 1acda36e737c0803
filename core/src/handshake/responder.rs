//! The responder: the hub on a link, the agent on a channel.

use super::await_m2::draw_id;
use super::await_m3::{AwaitM3, Awaited};
use super::key_schedule::{Early, RestsOn};
use super::transcript::{AfterM1, before_binder};
use super::{ExternalRecord, Gate, Label, seal_in_place, sign};
use crate::crypto::{
    EphemeralKey, Hash, MAC_LEN, PublicKey, SIGNATURE_LEN, SigningKey, Suite, TAG_LEN,
};
use crate::entropy::{Entropy, draw};
use crate::reason::Reason;
use crate::time::{Now, TimeQuality};
use crate::token::{AgentId, Candidate, Policy, Role as TokenRole, TrustAnchors, UnpackedToken};
use crate::trust::{KEY_NAME_LEN, STATEMENT_LEN};
use crate::wire::{
    Announcement, ConnectionIds, EnrolmentCode, Form, Limits, Line, M1, M2_CLEAR_LEN,
    M2_PRESHARED_LEN, M2Clear, Mode, Preshared, ResponderCredential, SuiteList, Writer,
};

/// Who a responder is and whom it takes.
#[derive(Debug, Clone, Copy)]
pub struct Responder<'k> {
    /// Its static keys, the current one first; an initiator names the one that it expects. An agent has one.
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
    /// As the hub, on a link of this form, with the keys that it had before.
    Hub(Form, Succession<'k>),
    /// As an agent, on a channel.
    Agent(OwnToken<'k>),
}

/// What shows that a hub's current key follows those before it (PROTOCOL.md §7.1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Succession<'k> {
    /// Keys that the hub had before.
    pub earlier: &'k [Earlier],
    /// The root key's word for the current key, if it has given it: for initiators that expect a key that is not here.
    pub by_root: Option<&'k [u8; STATEMENT_LEN]>,
}

/// A key that a hub had before, and a word for the current one that convinces who expects it.
#[derive(Debug, Clone, Copy)]
pub struct Earlier {
    /// The hash of the key.
    pub key: Hash,
    /// The statement, of that key or of the root's.
    pub statement: [u8; STATEMENT_LEN],
}

impl<'k> Succession<'k> {
    /// A hub that has had one key.
    pub const NONE: Self = Self {
        earlier: &[],
        by_root: None,
    };

    /// Returns the statement for an initiator that expects the key that `hint` names.
    fn statement_for(&self, hint: &[u8; 4]) -> Option<&'k [u8; STATEMENT_LEN]> {
        self.earlier
            .iter()
            .find(|earlier| earlier.key.prefix() == *hint)
            .map(|earlier| &earlier.statement)
            .or(self.by_root)
    }
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
            Self::Hub(Form::Stream, _) => Line::Stream,
            Self::Hub(Form::Datagram, _) => Line::Datagram,
            Self::Agent(agent) => Line::Channel(agent.id),
        }
    }
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
        let resumed = match m1.mode {
            Mode::Full => None,
            Mode::Resume => self.find_ticket(&m1, message, now, gate)?,
            Mode::External => Some(self.find_external(&m1, suite, message, now, gate)?),
        };
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
        self.check_binder(&early, RestsOn::Ticket, preshared, message)?;
        Ok(Some(Resumed {
            early,
            suite: record.suite,
            awaited: Awaited::Ticket { id: record.id },
        }))
    }

    /// Returns the external key that M1 rests on: the one of a hub, for its key that the hint names.
    fn find_external(
        &self,
        m1: &M1,
        suite: Suite,
        message: &[u8],
        now: &Now,
        gate: &dyn Gate,
    ) -> Result<Resumed, Reason> {
        let preshared = m1.preshared.as_ref().ok_or(Reason::Mode)?;
        if matches!(self.respond_as, RespondAs::Agent(_)) {
            return Err(Reason::Mode);
        }
        let record = gate.find_external(&preshared.id);
        let is_good = |record: &ExternalRecord| {
            now.quality != TimeQuality::Unknown && now.unix < record.expires
        };
        let record = record.filter(is_good).ok_or(Reason::ExternalKey)?;
        let key = self.key_named(&m1.hint).or(self.keys.first());
        let key = key.ok_or(Reason::NotPinned)?;
        let responder = key.public_key().hash();
        let early = Early::of_external(&record.key, &responder);
        self.check_binder(&early, RestsOn::ExternalKey, preshared, message)?;
        Ok(Resumed {
            early,
            suite,
            awaited: Awaited::ExternalKey {
                identity: preshared.id,
                responder,
            },
        })
    }

    fn check_binder(
        &self,
        early: &Early,
        rests_on: RestsOn,
        preshared: &Preshared,
        message: &[u8],
    ) -> Result<(), Reason> {
        let before = before_binder(self.respond_as.line(), message);
        if early.binder(rests_on, &before).verifies(&preshared.binder) {
            Ok(())
        } else {
            Err(Reason::Binder)
        }
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
        let hinted = self.key_named(&offer.m1.hint);
        let key = hinted.or(self.keys.first()).ok_or(Reason::NotPinned)?;
        let secret =
            Early::without_secret().agree(suite, &offer.ephemeral, &offer.m1.share, &offer.th0)?;
        let responder = key.public_key().hash();
        let credential = match &self.respond_as {
            RespondAs::Hub(form, succession) => {
                let statement = succession
                    .statement_for(&offer.m1.hint)
                    .filter(|_| hinted.is_none() && takes_rotated(*form, offer.m1.mtu));
                let id = responder.prefix::<KEY_NAME_LEN>();
                match statement {
                    Some(statement) => ResponderCredential::Rotated(id, statement),
                    None => ResponderCredential::KeyId(id),
                }
            }
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
                mtu: self.limits.mtu.min(offer.m1.mtu),
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
            .clear(resumed.suite, offer.m1.mode)
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
                mtu: self.limits.mtu.min(offer.m1.mtu),
                wants_ticket: offer.m1.flags.wants_ticket,
                awaited: resumed.awaited,
            },
            m2,
        ))
    }

    /// Returns the key that `hint` names.
    fn key_named(&self, hint: &[u8; 4]) -> Option<&SigningKey> {
        self.keys
            .iter()
            .find(|key| key.public_key().hash().prefix::<4>() == *hint)
    }

    /// Checks, at a time that is known, that `code` opens an enrolment here, or that the holder of `key` is enrolled.
    pub(super) fn check_enrolment(
        &self,
        code: Option<EnrolmentCode<'_>>,
        key: &PublicKey,
        now: &Now,
        gate: &mut dyn Gate,
    ) -> Result<(), Reason> {
        if matches!(self.respond_as, RespondAs::Agent(_)) {
            return Err(Reason::CredentialKind);
        }
        let has_time = now.quality != TimeQuality::Unknown;
        match code {
            Some(code) if has_time && gate.knows_code(code) => Ok(()),
            None if has_time && gate.knows_key(key) => Ok(()),
            Some(_) => Err(Reason::EnrolmentCode),
            None => Err(Reason::UnknownKey),
        }
    }

    /// Checks all of `token` but its issuer's signature.
    pub(crate) fn check_token<'t>(
        &self,
        token: &UnpackedToken<'t>,
        now: &Now,
        gate: &dyn Gate,
    ) -> Result<Candidate<'t>, Reason> {
        let policy = match &self.respond_as {
            RespondAs::Hub(..) => Policy::link(self.audience, now.unix),
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

/// What the initiator has shown to hold the secret of.
struct Resumed {
    early: Early,
    suite: Suite,
    awaited: Awaited,
}

/// Returns whether an M2 with a statement may go to a stranger that takes transport units of `mtu`: over datagrams its
/// fragments together are no longer than three times an M1 (PROTOCOL.md §2.2).
fn takes_rotated(form: Form, mtu: u16) -> bool {
    form == Form::Stream || mtu >= MIN_ROTATED_MTU
}

/// Least transport unit in bytes that takes an M2 with a statement in two fragments.
const MIN_ROTATED_MTU: u16 = 168;

/// How many sequence numbers a responder's window judges on datagrams (PROTOCOL.md §5.2).
const DATAGRAM_WINDOW: u16 = crate::limits::MIN_WINDOW;
