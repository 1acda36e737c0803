//! The responder: the hub.

use super::key_schedule::{HandshakeSecret, Master};
use super::transcript::{AfterM1, AfterM2};
use super::{
    Established, Label, REFUSE_SEQ, Role, open_after_prefix, seal_after_prefix, seal_in_place,
    sign, verify,
};
use crate::crypto::{AeadKey, EphemeralKey, SIGNATURE_LEN, Signature, SigningKey, TAG_LEN};
use crate::entropy::{Entropy, draw};
use crate::reason::Reason;
use crate::time::{Now, UnixMillis};
use crate::token::{
    Candidate, Claims, Permissions, Policy, TrustAnchors, UnpackedToken, VerifiedClaims,
};
use crate::wire::{
    Credential, Limits, M1, M2_CLEAR_LEN, M2_LEN, M2Clear, M2Sealed, M3Sealed, M4_LEN, M4Sealed,
    Mode, REFUSE_LEN, Refuse, RefuseCode, Writer,
};

/// Who a responder is and whom it takes.
#[derive(Debug, Clone, Copy)]
pub struct Responder<'k> {
    /// Its static keys, the current one first; an initiator names the one that it pinned.
    pub keys: &'k [SigningKey],
    /// The issuers whose tokens it takes.
    pub anchors: &'k TrustAnchors,
    /// The audience that a token must name: the hub's own name.
    pub audience: &'k str,
    /// What it announces.
    pub limits: Limits,
}

/// The shell's part in the decision about a peer.
pub trait Gate {
    /// Returns whether the token, its holder, its key or its issuer's key is revoked, or the holder not enrolled.
    ///
    /// The claims are not yet verified: the answer must have no effect.
    fn is_revoked(&self, claims: &Claims) -> bool;

    /// Decides about a peer that is proved, and counts it if admitted.
    ///
    /// # Errors
    ///
    /// The code to refuse it with.
    fn admit(&mut self, claims: &VerifiedClaims) -> Result<Admission, Refuse>;
}

/// The terms on which a peer is admitted.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    /// What both ends call the session; unique at the responder.
    pub session_id: [u8; 8],
    /// What the peer may do; at most what its token grants.
    pub permissions: Permissions,
}

/// The wait for M3.
#[derive(Debug)]
pub struct AwaitM3 {
    secret: HandshakeSecret,
    initiator_key: AeadKey,
    responder_key: AeadKey,
    th3: AfterM2,
}

/// What M3 led to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a session and taken apart at once"
)]
pub enum M3Answer<'o> {
    /// The peer is proved and admitted; M4 is to be sent.
    Open {
        /// M4.
        m4: &'o mut [u8],
        /// What the session runs on.
        established: Established,
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
    /// Checks M1 in the order of PROTOCOL.md §2.7 and writes M2 to `out`.
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
        ephemeral: EphemeralKey,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(AwaitM3, &'o mut [u8]), Reason> {
        let m1 = M1::parse(message)?;
        let suite = m1.suites.choose().ok_or(Reason::Suite)?;
        let key = self.key_hinted(&m1.hint).ok_or(Reason::NotPinned)?;
        let th0 = AfterM1::new(message);
        let secret = HandshakeSecret::agree(&ephemeral, &m1.share, &th0)?;

        let mut writer = Writer::new(out);
        M2Clear {
            suite,
            mode: Mode::Full,
            share: ephemeral.share(),
        }
        .emit(&mut writer);
        M2Sealed {
            time: now.unix,
            quality: now.quality,
            limits: self.limits,
            key_id: key.public_key().hash().prefix(),
            signature: Signature([0; SIGNATURE_LEN]),
        }
        .emit_signed(&mut writer);
        writer.zeros(SIGNATURE_LEN + TAG_LEN);
        let m2 = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(m2.len(), M2_LEN);

        let (clear, sealed) = m2
            .split_at_mut_checked(M2_CLEAR_LEN)
            .ok_or(Reason::Length)?;
        let (signed, proof) = sealed
            .split_at_mut_checked(M2Sealed::LEN - SIGNATURE_LEN)
            .ok_or(Reason::Length)?;
        let th1 = th0.m2_clear(clear);
        let th2 = th1.m2_signed(signed, key.public_key());
        let signature = sign(key, Label::Responder, &th2.0, &*draw::<32>(entropy)?);
        *proof.first_chunk_mut().ok_or(Reason::Length)? = signature.0;
        let th3 = th2.signature(&signature);
        let responder_key = secret.responder_key(&th1);
        seal_in_place(&responder_key, 0, th1.0.as_bytes(), sealed)?;
        let initiator_key = secret.initiator_key(&th3);
        Ok((
            AwaitM3 {
                secret,
                initiator_key,
                responder_key,
                th3,
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
}

impl AwaitM3 {
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
        out: &'o mut [u8],
    ) -> Result<M3Answer<'o>, Reason> {
        M3Sealed::check_prefix(message)?;
        let (prefix, plaintext) = open_after_prefix(&self.initiator_key, 0, &self.th3.0, message)?;
        let proved = match self.prove(prefix, plaintext, responder, now, gate) {
            Ok(proved) => proved,
            Err(reason) => {
                let refuse = Refuse {
                    code: RefuseCode::BadCredential,
                    argument: 0,
                };
                return Ok(M3Answer::Refused {
                    refuse: self.emit_refuse(&refuse, out)?,
                    reason,
                });
            }
        };
        match gate.admit(&proved.claims) {
            Ok(admission) => self.emit_m4(proved, &admission, out),
            Err(refuse) => {
                let reason = Reason::NotAdmitted;
                Ok(M3Answer::Refused {
                    refuse: self.emit_refuse(&refuse, out)?,
                    reason,
                })
            }
        }
    }

    fn prove(
        &self,
        prefix: &[u8],
        plaintext: &[u8],
        responder: &Responder<'_>,
        now: &Now,
        gate: &dyn Gate,
    ) -> Result<ProvedPeer, Reason> {
        let m3 = M3Sealed::parse(plaintext)?;
        let Credential::Token(token) = m3.credential;
        let claims = verify_token(&token, responder, now.unix, gate)?;
        let key = claims.claims().key;
        let th4 = self
            .th3
            .m3_signed(prefix, m3.signed_part, &token.hash(), &key);
        verify(&key, Label::Initiator, &th4.0, &m3.signature)
            .map_err(|_| Reason::InitiatorSignature)?;
        let master = self.secret.to_master(&th4.signature(&m3.signature));
        Ok(ProvedPeer {
            claims,
            master,
            max_payload_len: m3.max_payload_len,
        })
    }

    fn emit_m4<'o>(
        &self,
        peer: ProvedPeer,
        admission: &Admission,
        out: &'o mut [u8],
    ) -> Result<M3Answer<'o>, Reason> {
        let expires = UnixMillis::from_secs(peer.claims.claims().expires_at);
        let permissions = peer
            .claims
            .claims()
            .permissions
            .intersection(admission.permissions);
        let mut writer = Writer::new(out);
        M4Sealed::emit_prefix(&mut writer);
        M4Sealed {
            fin: *peer.master.fin().as_bytes(),
            session_id: admission.session_id,
            expires,
            permissions,
        }
        .emit(&mut writer);
        writer.zeros(TAG_LEN);
        let m4 = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(m4.len(), M4_LEN);
        seal_after_prefix(&peer.master.m4_key(), 0, &peer.master.transcript().0, m4)?;
        let established = Established {
            role: Role::Responder,
            secrets: peer.master.traffic(),
            peer_max_payload_len: peer.max_payload_len,
            session_id: admission.session_id,
            expires,
            permissions,
        };
        Ok(M3Answer::Open {
            m4,
            established,
            claims: peer.claims,
        })
    }

    fn emit_refuse<'o>(&self, refuse: &Refuse, out: &'o mut [u8]) -> Result<&'o mut [u8], Reason> {
        let mut writer = Writer::new(out);
        Refuse::emit_prefix(&mut writer);
        refuse.emit(&mut writer);
        writer.zeros(TAG_LEN);
        let message = writer.finish().map_err(|_| Reason::Length)?;
        debug_assert_eq!(message.len(), REFUSE_LEN);
        seal_after_prefix(&self.responder_key, REFUSE_SEQ, &self.th3.0, message)?;
        Ok(message)
    }
}

/// A peer whose token and signature hold.
struct ProvedPeer {
    claims: VerifiedClaims,
    master: Master,
    max_payload_len: u16,
}

fn verify_token(
    token: &UnpackedToken<'_>,
    responder: &Responder<'_>,
    now: UnixMillis,
    gate: &dyn Gate,
) -> Result<VerifiedClaims, Reason> {
    let policy = Policy::link(responder.audience, now);
    let candidate = Candidate::check(token, responder.anchors, &policy)?;
    if gate.is_revoked(candidate.claims()) {
        return Err(Reason::Revoked);
    }
    Ok(candidate.verify_signature()?)
}
