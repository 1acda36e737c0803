//! The initiator: an agent or a commander.

use super::key_schedule::{HandshakeSecret, Master};
use super::transcript::{AfterM1, AfterM2, AfterM3};
use super::{
    Established, Label, Pins, REFUSE_SEQ, Role, open_after_prefix, open_in_place,
    seal_after_prefix, sign, verify,
};
use crate::crypto::{AeadKey, EphemeralKey, SIGNATURE_LEN, SigningKey, TAG_LEN};
use crate::entropy::{Entropy, draw};
use crate::limits::{MAX_PAYLOAD_LEN, MIN_PAYLOAD_LEN};
use crate::reason::{Error, Reason};
use crate::time::{TimeQuality, UnixMillis};
use crate::token::UnpackedToken;
use crate::wire::{
    Flags, KIND_TOKEN, M1, M2_CLEAR_LEN, M2Clear, M2Sealed, M3_MIN_LEN, M3_PREFIX_LEN, M4Sealed,
    MessageType, Mode, Refuse, RefuseCode, SuiteList, Writer, emit_head,
};

/// Who an initiator is and whom it takes for the hub.
#[derive(Debug, Clone, Copy)]
pub struct Initiator<'k> {
    /// The key that the token names.
    pub key: &'k SigningKey,
    /// The token that it presents.
    pub token: UnpackedToken<'k>,
    /// The keys of the hub.
    pub pins: &'k Pins,
    /// What it announces.
    pub offer: Offer,
}

/// What an initiator announces of itself.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Largest transport unit that it takes, in bytes; at least 160.
    pub mtu: u16,
    /// Longest payload of a frame that it takes, in bytes; 64 to 16,384.
    pub max_payload_len: u16,
    /// Whether it has no clock.
    pub no_clock: bool,
}

/// The wait for M2.
#[derive(Debug)]
pub struct AwaitM2<'k> {
    initiator: Initiator<'k>,
    ephemeral: EphemeralKey,
    th0: AfterM1,
}

impl<'k> AwaitM2<'k> {
    /// Writes M1 to `out` and returns the wait with it.
    ///
    /// `ephemeral` may have been made at any time before; it serves this handshake alone.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`]; [`Error::PayloadTooLong`] when the offer's payload is out of range.
    pub fn start<'o>(
        initiator: Initiator<'k>,
        ephemeral: EphemeralKey,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o mut [u8]), Error> {
        if !(MIN_PAYLOAD_LEN..=MAX_PAYLOAD_LEN)
            .contains(&usize::from(initiator.offer.max_payload_len))
        {
            return Err(Error::PayloadTooLong {
                limit: MAX_PAYLOAD_LEN,
            });
        }
        let m1 = M1 {
            suites: SuiteList::DEFAULT,
            mode: Mode::Full,
            flags: Flags {
                no_clock: initiator.offer.no_clock,
                wants_ticket: false,
            },
            mtu: initiator.offer.mtu,
            hint: initiator.pins.hint(),
            share: ephemeral.share(),
        };
        let bytes = m1.emit(out)?;
        let th0 = AfterM1::new(bytes);
        Ok((
            Self {
                initiator,
                ephemeral,
                th0,
            },
            bytes,
        ))
    }

    /// Checks M2 in the order of PROTOCOL.md §2.7 and writes M3 to `out`. `message` is decrypted where it stands.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails; an `out` that does not take M3 is [`Reason::Length`].
    pub fn handle_m2<'o>(
        &self,
        message: &mut [u8],
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(AwaitM4, &'o mut [u8]), Reason> {
        let hub = self.open_m2(message)?;
        let (m3, th5) = self.emit_m3(&hub, entropy, out)?;
        let next = AwaitM4 {
            master: hub.secret.to_master(&th5),
            responder_key: hub.responder_key,
            th3: hub.th3,
            m2: hub.m2,
        };
        Ok((next, m3))
    }

    fn open_m2(&self, message: &mut [u8]) -> Result<ProvedHub, Reason> {
        let clear = M2Clear::parse(message)?;
        if clear.mode != Mode::Full {
            return Err(Reason::Mode);
        }
        let (clear_bytes, sealed) = message
            .split_at_mut_checked(M2_CLEAR_LEN)
            .ok_or(Reason::Length)?;
        let th1 = self.th0.m2_clear(clear_bytes);
        let secret = HandshakeSecret::agree(&self.ephemeral, &clear.share, &self.th0)?;
        let responder_key = secret.responder_key(&th1);
        let plaintext = open_in_place(&responder_key, 0, th1.0.as_bytes(), sealed)?;
        let m2 = M2Sealed::parse(plaintext)?;
        let key = self
            .initiator
            .pins
            .find(&m2.key_id)
            .ok_or(Reason::NotPinned)?;
        let th2 = th1.m2_signed(M2Sealed::signed_part(plaintext), key);
        verify(key, Label::Responder, &th2.0, &m2.signature)
            .map_err(|_| Reason::ResponderSignature)?;
        Ok(ProvedHub {
            secret,
            responder_key,
            th3: th2.signature(&m2.signature),
            m2,
        })
    }

    fn emit_m3<'o>(
        &self,
        hub: &ProvedHub,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(&'o mut [u8], AfterM3), Reason> {
        let token = self.initiator.token;
        if token.as_bytes().len() > usize::from(hub.m2.limits.max_token_len) {
            return Err(Reason::PeerLimit);
        }
        let mut writer = Writer::new(out);
        emit_head(
            &mut writer,
            MessageType::M3,
            M3_MIN_LEN + token.as_bytes().len(),
        );
        writer
            .u32(0)
            .u8(0)
            .u16(self.initiator.offer.max_payload_len)
            .u8(KIND_TOKEN)
            .bytes(token.as_bytes())
            .zeros(SIGNATURE_LEN + TAG_LEN);
        let m3 = writer.finish().map_err(|_| Reason::Length)?;
        let signed_end = M3_MIN_LEN - SIGNATURE_LEN - TAG_LEN + token.as_bytes().len();
        let (signed, proof) = m3.split_at_mut_checked(signed_end).ok_or(Reason::Length)?;
        let (prefix, signed) = signed
            .split_at_checked(M3_PREFIX_LEN)
            .ok_or(Reason::Length)?;
        let key = self.initiator.key;
        let th4 = hub
            .th3
            .m3_signed(prefix, signed, &token.hash(), key.public_key());
        let signature = sign(key, Label::Initiator, &th4.0, &*draw::<32>(entropy)?);
        *proof.first_chunk_mut().ok_or(Reason::Length)? = signature.0;
        seal_after_prefix(&hub.secret.initiator_key(&hub.th3), 0, &hub.th3.0, m3)?;
        Ok((m3, th4.signature(&signature)))
    }
}

/// A hub whose M2 held.
struct ProvedHub {
    secret: HandshakeSecret,
    responder_key: AeadKey,
    th3: AfterM2,
    m2: M2Sealed,
}

/// The wait for M4, or for a REFUSE.
#[derive(Debug)]
pub struct AwaitM4 {
    master: Master,
    responder_key: AeadKey,
    th3: AfterM2,
    m2: M2Sealed,
}

impl AwaitM4 {
    /// Returns the hub's clock as M2 had it. The hub is proved; the time may be taken.
    #[must_use]
    pub fn hub_time(&self) -> (UnixMillis, TimeQuality) {
        (self.m2.time, self.m2.quality)
    }

    /// Checks M4 in the order of PROTOCOL.md §2.7. `message` is decrypted where it stands; `now` is the hub's time.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails; [`Reason::RefusedCredential`] or [`Reason::RefusedOverload`] when
    /// the hub refuses.
    pub fn handle_m4(&self, message: &mut [u8], now: UnixMillis) -> Result<Established, Reason> {
        if message.first() == Some(&MessageType::Refuse.code()) {
            return Err(self.open_refuse(message)?);
        }
        M4Sealed::check_prefix(message)?;
        let th5 = self.master.transcript();
        let (_, plaintext) = open_after_prefix(&self.master.m4_key(), 0, &th5.0, message)?;
        let m4 = M4Sealed::parse(plaintext)?;
        if !self.master.fin().verifies(&m4.fin) {
            return Err(Reason::Confirmation);
        }
        if m4.expires <= now {
            return Err(Reason::SessionExpired);
        }
        Ok(Established {
            role: Role::Initiator,
            secrets: self.master.traffic(),
            peer_max_payload_len: self.m2.limits.max_payload_len,
            session_id: m4.session_id,
            expires: m4.expires,
            permissions: m4.permissions,
        })
    }

    fn open_refuse(&self, message: &mut [u8]) -> Result<Reason, Reason> {
        Refuse::check_prefix(message)?;
        let (_, plaintext) =
            open_after_prefix(&self.responder_key, REFUSE_SEQ, &self.th3.0, message)?;
        Ok(match Refuse::parse(plaintext)?.code {
            RefuseCode::BadCredential => Reason::RefusedCredential,
            RefuseCode::Overload => Reason::RefusedOverload,
        })
    }
}
