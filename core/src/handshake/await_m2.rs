//! The initiator's wait for M2.

use super::await_m4::{AwaitM4, AwaitWelcome, Refusals};
use super::external::ExternalKey;
use super::initiator::{Initiator, Shown, SingleUse, Wanted};
use super::key_schedule::{Early, HandshakeSecret, RestsOn};
use super::transcript::{AfterM1, AfterM2, AfterM2Clear, AfterM3, before_binder};
use super::{Established, Label, Role, Ticket, open_in_place, seal_after_prefix, sign, verify};
use crate::crypto::{EphemeralKey, Hash, MAC_LEN, PublicKey, SIGNATURE_LEN, Suite, TAG_LEN};
use crate::entropy::{Entropy, draw};
use crate::limits::{EXTERNAL_PAYLOAD_LEN, MAX_PAYLOAD_LEN, MIN_PAYLOAD_LEN};
use crate::reason::{Error, Reason};
use crate::time::{Now, TimeQuality};
use crate::token::{Candidate, Policy, Role as TokenRole};
use crate::trust::{KeyName, STATEMENT_LEN, Statement, TrustKeeper, TrustStore, Vouched};
use crate::wire::{
    Announcement, ConnectionIds, Flags, Form, Line, M1, M2_CLEAR_LEN, M2Clear, M2Confirmed,
    M2Signed, M3_MIN_LEN, M3_PREFIX_LEN, M3Confirmed, MessageType, Mode, Preshared,
    ResponderCredential, TICKET_ID_LEN, Writer, emit_head,
};

/// The wait for M2.
#[derive(Debug)]
pub struct AwaitM2<'k> {
    initiator: Initiator<'k>,
    ephemeral: EphemeralKey,
    /// What it offers to resume.
    offered: Option<Offered>,
    id: u32,
    th0: AfterM1,
}

/// A secret that is offered in place of signatures.
#[derive(Debug)]
struct Offered {
    rests_on: RestsOn,
    early: Early,
    id: [u8; TICKET_ID_LEN],
    /// The suite of a ticket; with an external key the responder chooses.
    suite: Option<Suite>,
    responder: Hash,
}

/// What M2 led to. M3 is to be sent in either case.
#[derive(Debug)]
pub enum M2Answer {
    /// The responder has proved itself by a signature; it confirms with M4.
    Full(AwaitM4),
    /// The responder has proved that it holds the ticket's secret; it confirms with a Welcome.
    Resumed(AwaitWelcome),
}

impl<'k> AwaitM2<'k> {
    /// Writes M1 to `out` and returns the wait with it.
    ///
    /// `now` is the civil time as far as it is known: a ticket that has expired by it is not offered.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`]; [`Error::PayloadTooLong`] when the offer's payload is out of range;
    /// [`Error::Entropy`].
    pub fn start<'o>(
        initiator: Initiator<'k>,
        single_use: SingleUse,
        now: &Now,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o mut [u8]), Error> {
        let offer = &initiator.offer;
        if !(MIN_PAYLOAD_LEN..=MAX_PAYLOAD_LEN).contains(&usize::from(offer.max_payload_len)) {
            return Err(Error::PayloadTooLong {
                limit: MAX_PAYLOAD_LEN,
            });
        }
        let line = initiator.wanted.line();
        if !matches!(initiator.shows, Shown::Token(_)) && matches!(line, Line::Channel(_)) {
            return Err(Error::NotALink);
        }
        let id = draw_id(line.form(), entropy)?;
        let SingleUse { ephemeral, ticket } = single_use;
        let offered = match (initiator.shows, initiator.wanted) {
            (Shown::ExternalKey(key), Wanted::Hub(trust, _)) => {
                if offer.max_payload_len < EXTERNAL_PAYLOAD_LEN {
                    return Err(Error::PayloadTooLong {
                        limit: usize::from(EXTERNAL_PAYLOAD_LEN),
                    });
                }
                Some(Offered::of_external(key, trust.expected()))
            }
            (Shown::Token(_), _) => ticket.and_then(|ticket| initiator.offered(&ticket, now)),
            _ => None,
        };
        let m1 = M1 {
            suites: offer.suites,
            mode: offered
                .as_ref()
                .map_or(Mode::Full, |offered| offered.rests_on.mode()),
            flags: Flags {
                no_clock: offer.no_clock,
                wants_ticket: offer.wants_ticket && matches!(initiator.shows, Shown::Token(_)),
            },
            mtu: offer.mtu,
            id,
            hint: initiator.wanted.hint(),
            share: ephemeral.share(),
            cookie: None,
            preshared: offered.as_ref().map(|offered| Preshared {
                id: offered.id,
                binder: [0; MAC_LEN],
            }),
        };
        let bytes = m1.emit(line, out)?;
        if let Some(offered) = &offered {
            let before = before_binder(line, bytes);
            let binder = offered.early.binder(offered.rests_on, &before);
            if let Some(place) = bytes.last_chunk_mut::<MAC_LEN>() {
                *place = *binder.as_bytes();
            }
        }
        let th0 = AfterM1::new(line, bytes);
        Ok((
            Self {
                initiator,
                ephemeral,
                offered,
                id,
                th0,
            },
            bytes,
        ))
    }

    /// Returns this end's connection id; 0 on a stream.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Checks M2 in the order of PROTOCOL.md §2.7 and writes M3 to `out`. `message` is decrypted where it stands. `keeper`
    /// is asked to store whom this end trusts, where that changes, before M3 is written.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails; an `out` that does not take M3 is [`Reason::Length`].
    pub fn handle_m2<'o>(
        &self,
        message: &mut [u8],
        now: &Now,
        keeper: &mut dyn TrustKeeper,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(M2Answer, &'o mut [u8]), Reason> {
        let line = self.initiator.wanted.line();
        let clear = M2Clear::parse(message, line, self.id)?;
        if !self.initiator.offer.suites.contains(clear.suite) {
            return Err(Reason::Suite);
        }
        // A ticket may be passed over; an external key may not.
        let offered = self.offered.as_ref().map(|offered| offered.rests_on);
        match (clear.mode, offered) {
            (Mode::Full, None | Some(RestsOn::Ticket)) => {}
            (mode, Some(rests_on)) if mode == rests_on.mode() => {}
            _ => return Err(Reason::Mode),
        }
        clear.check_len(message, line)?;
        let ids = ConnectionIds {
            own: clear.ids.peer,
            peer: clear.ids.own,
        };
        match (clear.mode, &self.offered) {
            (Mode::Full, _) => {
                let responder = self.open_m2(&clear, message, now, keeper)?;
                let (m3, th5) = self.emit_m3(&responder, ids, entropy, out)?;
                let next = AwaitM4 {
                    master: responder.secret.to_master(&th5),
                    refusals: Refusals {
                        secret: responder.secret,
                        th1: responder.th1,
                        th3: responder.th3,
                    },
                    mtu: self.mtu(&responder.announcement),
                    announcement: responder.announcement,
                    responder: responder.key,
                    ids,
                    line: self.initiator.wanted.line(),
                };
                Ok((M2Answer::Full(next), m3))
            }
            (Mode::Resume | Mode::External, Some(offered)) => {
                if offered.suite.is_some_and(|suite| suite != clear.suite) {
                    return Err(Reason::Suite);
                }
                let (next, m3) = self.resume(offered, &clear, ids, message, out)?;
                Ok((M2Answer::Resumed(next), m3))
            }
            _ => Err(Reason::Mode),
        }
    }

    fn mtu(&self, announcement: &Announcement) -> u16 {
        self.initiator.offer.mtu.min(announcement.limits.mtu)
    }

    #[inline(never)]
    fn open_m2(
        &self,
        clear: &M2Clear,
        message: &mut [u8],
        now: &Now,
        keeper: &mut dyn TrustKeeper,
    ) -> Result<ProvedResponder, Reason> {
        let (clear_bytes, sealed) = message
            .split_at_mut_checked(M2_CLEAR_LEN)
            .ok_or(Reason::Length)?;
        let th1 = self.th0.m2_clear(clear_bytes);
        let secret =
            Early::without_secret().agree(clear.suite, &self.ephemeral, &clear.share, &self.th0)?;
        let plaintext = open_in_place(&secret.responder_key(&th1), 0, th1.0.as_bytes(), sealed)?;
        let m2 = M2Signed::parse(plaintext, self.initiator.wanted.line())?;
        let (key, vouched) = match (&self.initiator.wanted, &m2.credential) {
            (Wanted::Hub(trust, _), ResponderCredential::Rotated(id, statement)) => {
                rotated_key(trust, id, statement)?
            }
            (_, credential) => (self.responder_key(credential, now)?, None),
        };
        let th2 = th1.m2_signed(m2.signed_part, &key);
        verify(&key, Label::Responder, &th2.0, &m2.signature)
            .map_err(|_| Reason::ResponderSignature)?;
        let proved = key.hash();
        if let Wanted::Hub(trust, _) = &self.initiator.wanted
            && trust.changes(&proved, vouched.as_ref())
        {
            keep(trust, &proved, vouched.as_ref(), keeper)?;
        }
        Ok(ProvedResponder {
            secret,
            th1,
            th3: th2.signature(&m2.signature),
            announcement: m2.announcement,
            key: proved,
        })
    }

    /// Returns the key of the responder, if it is the one that is wanted.
    #[inline(never)]
    fn responder_key(
        &self,
        credential: &ResponderCredential<'_>,
        now: &Now,
    ) -> Result<PublicKey, Reason> {
        match (&self.initiator.wanted, credential) {
            (Wanted::Hub(trust, _), ResponderCredential::KeyId(id)) => {
                trust.find(id).copied().ok_or(Reason::NotPinned)
            }
            (Wanted::Agent(agent), ResponderCredential::Token(token)) => {
                if now.quality == TimeQuality::Unknown {
                    return Err(Reason::NoTime);
                }
                let policy = Policy::channel(agent.audience, TokenRole::Agent, now.unix);
                let candidate = Candidate::check(token, agent.anchors, &policy)?;
                if candidate.claims().agent_id() != Some(agent.id) {
                    return Err(Reason::OtherAgent);
                }
                Ok(candidate.verify_signature()?.claims().key)
            }
            _ => Err(Reason::CredentialKind),
        }
    }

    #[inline(never)]
    fn emit_m3<'o>(
        &self,
        responder: &ProvedResponder,
        ids: ConnectionIds,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(&'o mut [u8], AfterM3), Reason> {
        let credential = self.initiator.credential().ok_or(Reason::Mode)?;
        let len = credential.wire_len();
        if len > usize::from(responder.announcement.limits.max_token_len) {
            return Err(Reason::PeerLimit);
        }
        let mut writer = Writer::new(out);
        emit_head(&mut writer, MessageType::M3, M3_MIN_LEN + len);
        writer
            .u32(ids.peer)
            .u8(0)
            .u16(self.initiator.offer.max_payload_len);
        credential.emit(&mut writer);
        writer.zeros(SIGNATURE_LEN + TAG_LEN);
        let m3 = writer.finish().map_err(|_| Reason::Length)?;
        let signed_end = M3_MIN_LEN - SIGNATURE_LEN - TAG_LEN + len;
        let (signed, proof) = m3.split_at_mut_checked(signed_end).ok_or(Reason::Length)?;
        let (prefix, signed) = signed
            .split_at_checked(M3_PREFIX_LEN)
            .ok_or(Reason::Length)?;
        let key = self.initiator.key;
        let th4 = responder
            .th3
            .m3_signed(prefix, signed, &credential.hash(), key.public_key());
        let signature = sign(key, Label::Initiator, &th4.0, &*draw::<32>(entropy)?);
        *proof.first_chunk_mut().ok_or(Reason::Length)? = signature.0;
        let sealing = responder.secret.initiator_key(&responder.th3);
        seal_after_prefix(&sealing, 0, &responder.th3.0, m3)?;
        Ok((m3, th4.signature(&signature)))
    }

    #[inline(never)]
    fn resume<'o>(
        &self,
        offered: &Offered,
        clear: &M2Clear,
        ids: ConnectionIds,
        message: &mut [u8],
        out: &'o mut [u8],
    ) -> Result<(AwaitWelcome, &'o mut [u8]), Reason> {
        let (clear_bytes, sealed) = message
            .split_at_mut_checked(M2_CLEAR_LEN)
            .ok_or(Reason::Length)?;
        let th1 = self.th0.m2_clear(clear_bytes);
        let secret = offered
            .early
            .agree(clear.suite, &self.ephemeral, &clear.share, &self.th0)?;
        let plaintext = open_in_place(&secret.responder_key(&th1), 0, th1.0.as_bytes(), sealed)?;
        let m2 = M2Confirmed::parse(plaintext, self.initiator.wanted.line().form())?;
        let th2 = th1.m2_confirmed(m2.confirmed_part);
        let fin = secret.responder_fin(&th2);
        if !fin.verifies(&m2.fin) {
            return Err(Reason::Confirmation);
        }
        let th3 = th2.confirmation(&fin);
        let prefix = M3Confirmed::prefix(ids.peer);
        let th4 = th3.m3_confirmed(&prefix);
        let own_fin = secret.initiator_fin(&th4);
        let mut writer = Writer::new(out);
        writer.bytes(&prefix).bytes(own_fin.as_bytes());
        let m3 = writer.finish().map_err(|_| Reason::Length)?;
        let master = secret.to_master(&th4.confirmation(&own_fin));
        let next = AwaitWelcome {
            established: Established {
                role: Role::Initiator,
                suite: secret.suite(),
                ids,
                line: self.initiator.wanted.line(),
                secrets: master.traffic(),
                mtu: self.mtu(&m2.announcement),
                peer_max_payload_len: m2.announcement.limits.max_payload_len,
                responder: offered.responder,
            },
            refusals: Refusals { secret, th1, th3 },
            announcement: m2.announcement,
        };
        Ok((next, m3))
    }
}

impl Initiator<'_> {
    /// Returns what is offered of `ticket`, if it may help.
    fn offered(&self, ticket: &Ticket, now: &Now) -> Option<Offered> {
        let is_over = now.quality != TimeQuality::Unknown && ticket.expires <= now.unix;
        let fits = self.wanted.is_of(ticket)
            && self.offer.suites.contains(ticket.suite)
            && self.offer.max_payload_len >= ticket.max_payload_len;
        (fits && !is_over).then(|| Offered {
            rests_on: RestsOn::Ticket,
            early: Early::of_ticket(&ticket.secret),
            id: ticket.id,
            suite: Some(ticket.suite),
            responder: ticket.responder,
        })
    }
}

impl Offered {
    fn of_external(key: &ExternalKey, responder: Hash) -> Self {
        Self {
            rests_on: RestsOn::ExternalKey,
            early: Early::of_external(key, &responder),
            id: key.identity,
            suite: None,
            responder,
        }
    }
}

/// Returns the key called `id`, and what vouches for it unless `trust` has it.
#[inline(never)]
fn rotated_key(
    trust: &TrustStore,
    id: &KeyName,
    statement: &[u8; STATEMENT_LEN],
) -> Result<(PublicKey, Option<Vouched>), Reason> {
    if let Some(key) = trust.find(id) {
        return Ok((*key, None));
    }
    let statement = Statement::parse(statement)?;
    if statement.says_unverified().key.hash().prefix() != *id {
        return Err(Reason::RotationKey);
    }
    let vouched = trust.check(&statement)?;
    Ok((*vouched.key(), Some(vouched)))
}

/// Has `keeper` store what `trust` becomes.
#[inline(never)]
fn keep(
    trust: &TrustStore,
    proved: &Hash,
    vouched: Option<&Vouched>,
    keeper: &mut dyn TrustKeeper,
) -> Result<(), Reason> {
    let changed = trust.after(proved, vouched);
    if keeper.keep(&changed) {
        Ok(())
    } else {
        Err(Reason::Storage)
    }
}

/// Returns a connection id for this end.
pub(super) fn draw_id(form: Form, entropy: &mut dyn Entropy) -> Result<u32, Error> {
    match form {
        Form::Stream => Ok(0),
        Form::Datagram => Ok(u32::from_be_bytes(*draw(entropy)?).max(1)),
    }
}

/// A responder whose M2 held.
struct ProvedResponder {
    secret: HandshakeSecret,
    th1: AfterM2Clear,
    th3: AfterM2,
    announcement: Announcement,
    key: Hash,
}
