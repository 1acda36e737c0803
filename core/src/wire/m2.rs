//! M2, the responder's share, identity and proof (PROTOCOL.md §2.3).

use crate::crypto::{SHARE_LEN, SIGNATURE_LEN, Share, Signature, TAG_LEN};
use crate::limits::{MAX_PAYLOAD_LEN, MIN_MTU, MIN_PAYLOAD_LEN};
use crate::reason::Reason;
use crate::time::{TimeQuality, UnixMillis};
use crate::wire::{MessageType, Mode, Reader, Suite, Writer, emit_head, parse_head};

/// Length of M2 in bytes.
pub const M2_LEN: usize = 160;

/// Length of the part of M2 that is not sealed.
pub const M2_CLEAR_LEN: usize = 46;

/// Length of what is sealed before the signature.
const SIGNED_LEN: usize = M2_LEN - M2_CLEAR_LEN - SIGNATURE_LEN - TAG_LEN;

/// The kind of credential that names the responder's key by the hash of it.
const KIND_KEY_HASH: u8 = 0;

/// The part of M2 that is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct M2Clear {
    /// The suite chosen.
    pub suite: Suite,
    /// The mode chosen.
    pub mode: Mode,
    /// The responder's ephemeral share.
    pub share: Share,
}

impl M2Clear {
    /// Reads the clear part of the M2 in `message`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8]) -> Result<Self, Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::M2 {
            return Err(Reason::OutOfPlace);
        }
        let suite = Suite::from_code(reader.u8()?).ok_or(Reason::Suite)?;
        let mode = Mode::from_code(reader.u8()?).ok_or(Reason::Mode)?;
        if reader.u32()? != 0 || reader.u32()? != 0 {
            return Err(Reason::ConnectionId);
        }
        let share = Share(*reader.array::<SHARE_LEN>()?);
        if reader.remaining() != M2_LEN - M2_CLEAR_LEN {
            return Err(Reason::Length);
        }
        Ok(Self { suite, mode, share })
    }

    /// Writes the clear part, [`M2_CLEAR_LEN`] bytes.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        emit_head(writer, MessageType::M2, M2_LEN);
        writer
            .u8(self.suite.code())
            .u8(self.mode.code())
            .u32(0)
            .u32(0)
            .bytes(&self.share.0);
    }
}

/// What one end takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Largest transport unit in bytes.
    pub mtu: u16,
    /// Longest payload of a frame in bytes.
    pub max_payload_len: u16,
    /// Longest unpacked token in bytes.
    pub max_token_len: u16,
}

/// The plaintext of the sealed part of M2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct M2Sealed {
    /// The responder's clock.
    pub time: UnixMillis,
    /// How sure that clock is.
    pub quality: TimeQuality,
    /// What the responder takes.
    pub limits: Limits,
    /// The first 16 bytes of the hash of the responder's key.
    pub key_id: [u8; 16],
    /// The responder's signature.
    pub signature: Signature,
}

impl M2Sealed {
    /// Length of the plaintext in bytes.
    pub const LEN: usize = SIGNED_LEN + SIGNATURE_LEN;

    /// Reads the plaintext.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(plaintext: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(plaintext);
        let time = UnixMillis(reader.u64()?);
        let quality = TimeQuality::from_code(reader.u8()?).ok_or(Reason::TimeQuality)?;
        let mtu = reader.u16()?;
        let max_payload_len = reader.u16()?;
        // A stream has no replay window.
        if reader.u16()? != 0 {
            return Err(Reason::PeerLimit);
        }
        let max_token_len = reader.u16()?;
        let payload_in_range =
            (MIN_PAYLOAD_LEN..=MAX_PAYLOAD_LEN).contains(&usize::from(max_payload_len));
        if mtu < MIN_MTU || !payload_in_range {
            return Err(Reason::PeerLimit);
        }
        if reader.u8()? != KIND_KEY_HASH {
            return Err(Reason::CredentialKind);
        }
        let key_id = *reader.array()?;
        let signature = Signature(*reader.array()?);
        reader.finish()?;
        let limits = Limits {
            mtu,
            max_payload_len,
            max_token_len,
        };
        Ok(Self {
            time,
            quality,
            limits,
            key_id,
            signature,
        })
    }

    /// Writes the plaintext up to the signature, which is made over it.
    pub fn emit_signed(&self, writer: &mut Writer<'_>) {
        writer
            .u64(self.time.0)
            .u8(self.quality.code())
            .u16(self.limits.mtu)
            .u16(self.limits.max_payload_len)
            .u16(0)
            .u16(self.limits.max_token_len)
            .u8(KIND_KEY_HASH)
            .bytes(&self.key_id);
    }

    /// Returns the part of `plaintext` that the signature is made over.
    #[must_use]
    pub fn signed_part(plaintext: &[u8]) -> &[u8] {
        plaintext.get(..SIGNED_LEN).unwrap_or_default()
    }
}
