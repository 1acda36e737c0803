//! The form in which a token travels.

use super::base64url::{self, DecodeError};
use super::limits::{
    MAX_COMPACT_LEN, MAX_HEADER_LEN, MAX_PAYLOAD_LEN, MAX_UNPACKED_LEN, UNPACKED_PREFIX_LEN,
};
use super::reason::TokenReason;
use crate::crypto::{Hash, SIGNATURE_LEN, Signature};
use crate::wire::{Reader, TooSmall, Writer};

/// A token whose parts are measured and nothing more: it may be nonsense.
///
/// ```text
/// header_len u8 | payload_len u16 | header JSON | payload JSON | signature 64
/// ```
///
/// The signature is over the base64url text of the parts (RFC 7515 §5.1), which the receiver writes itself: a
/// quarter less travels, and there is one text only (PROTOCOL.md §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackedToken<'a> {
    bytes: &'a [u8],
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8; SIGNATURE_LEN],
}

impl<'a> UnpackedToken<'a> {
    /// Measures the token at the front of `bytes`; returns it and its length in bytes.
    ///
    /// # Errors
    ///
    /// [`TokenReason::HeaderTooLong`], [`TokenReason::PayloadTooLong`], [`TokenReason::PartEmpty`] and
    /// [`TokenReason::Truncated`].
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), TokenReason> {
        let mut reader = Reader::new(bytes);
        let header_len = usize::from(reader.u8().map_err(|_| TokenReason::Truncated)?);
        let payload_len = usize::from(reader.u16().map_err(|_| TokenReason::Truncated)?);
        if header_len > MAX_HEADER_LEN {
            return Err(TokenReason::HeaderTooLong);
        }
        if payload_len > MAX_PAYLOAD_LEN {
            return Err(TokenReason::PayloadTooLong);
        }
        if header_len == 0 || payload_len == 0 {
            return Err(TokenReason::PartEmpty);
        }
        let header = reader
            .bytes(header_len)
            .map_err(|_| TokenReason::Truncated)?;
        let payload = reader
            .bytes(payload_len)
            .map_err(|_| TokenReason::Truncated)?;
        let signature = reader.array().map_err(|_| TokenReason::Truncated)?;
        let consumed = bytes.len() - reader.remaining();
        let bytes = bytes.get(..consumed).ok_or(TokenReason::Truncated)?;
        Ok((
            Self {
                bytes,
                header,
                payload,
                signature,
            },
            consumed,
        ))
    }

    /// Measures the token that `bytes` are.
    ///
    /// # Errors
    ///
    /// As [`UnpackedToken::parse`], and [`TokenReason::TrailingBytes`].
    pub fn parse_exact(bytes: &'a [u8]) -> Result<Self, TokenReason> {
        let (token, consumed) = Self::parse(bytes)?;
        if consumed == bytes.len() {
            Ok(token)
        } else {
            Err(TokenReason::TrailingBytes)
        }
    }

    /// Unpacks the compact form of RFC 7515 §7.1 to the front of `out`; [`MAX_UNPACKED_LEN`] bytes always do.
    ///
    /// # Errors
    ///
    /// The first fault: the whole length, the number of parts, then each part from left to right.
    pub fn from_compact(compact: &[u8], out: &'a mut [u8]) -> Result<Self, TokenReason> {
        if compact.len() > MAX_COMPACT_LEN {
            return Err(TokenReason::CompactTooLong);
        }
        let mut parts = compact.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenReason::PartCount);
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(TokenReason::PartEmpty);
        }
        // One byte more than a signature has, so that a longer one is told from a malformed one.
        let mut longer = [0; SIGNATURE_LEN + 1];
        let (prefix, rest) = out
            .split_at_mut_checked(UNPACKED_PREFIX_LEN)
            .ok_or(TokenReason::OutputTooSmall)?;
        let header_len = unpack_part(header, MAX_HEADER_LEN, TokenReason::HeaderTooLong, rest)?;
        let (_, rest) = rest
            .split_at_mut_checked(header_len)
            .ok_or(TokenReason::OutputTooSmall)?;
        let payload_len = unpack_part(payload, MAX_PAYLOAD_LEN, TokenReason::PayloadTooLong, rest)?;
        let (_, rest) = rest
            .split_at_mut_checked(payload_len)
            .ok_or(TokenReason::OutputTooSmall)?;
        let signature_len = unpack_part(
            signature,
            SIGNATURE_LEN,
            TokenReason::SignatureLength,
            &mut longer,
        )?;
        if signature_len != SIGNATURE_LEN {
            return Err(TokenReason::SignatureLength);
        }
        let signature = longer
            .get(..SIGNATURE_LEN)
            .ok_or(TokenReason::SignatureLength)?;
        rest.get_mut(..SIGNATURE_LEN)
            .ok_or(TokenReason::OutputTooSmall)?
            .copy_from_slice(signature);
        let mut writer = Writer::new(prefix);
        writer
            .u8(u8::try_from(header_len).map_err(|_| TokenReason::HeaderTooLong)?)
            .u16(u16::try_from(payload_len).map_err(|_| TokenReason::PayloadTooLong)?);
        let len = UNPACKED_PREFIX_LEN + header_len + payload_len + SIGNATURE_LEN;
        Self::parse_exact(out.get(..len).ok_or(TokenReason::OutputTooSmall)?)
    }

    /// Writes the compact form of RFC 7515 §7.1 to the front of `out`; [`MAX_COMPACT_LEN`] bytes always do.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn to_compact<'out>(&self, out: &'out mut [u8]) -> Result<&'out str, TooSmall> {
        let mut writer = Writer::new(out);
        base64url::encode_in_chunks(self.header, |text| {
            writer.bytes(text);
        });
        writer.u8(b'.');
        base64url::encode_in_chunks(self.payload, |text| {
            writer.bytes(text);
        });
        writer.u8(b'.');
        base64url::encode_in_chunks(self.signature, |text| {
            writer.bytes(text);
        });
        // All of it is ASCII.
        writer
            .finish()
            .map(|text| core::str::from_utf8(text).unwrap_or_default())
    }

    /// Puts a token together at the front of `out`.
    pub(super) fn assemble(
        header: &[u8],
        payload: &[u8],
        signature: &Signature,
        out: &'a mut [u8],
    ) -> Result<Self, AssembleError> {
        let refused = AssembleError::Refused;
        let header_len =
            u8::try_from(header.len()).map_err(|_| refused(TokenReason::HeaderTooLong))?;
        let payload_len =
            u16::try_from(payload.len()).map_err(|_| refused(TokenReason::PayloadTooLong))?;
        let mut writer = Writer::new(out);
        writer
            .u8(header_len)
            .u16(payload_len)
            .bytes(header)
            .bytes(payload)
            .bytes(&signature.0);
        let bytes = writer.finish().map_err(AssembleError::TooSmall)?;
        Self::parse_exact(bytes).map_err(refused)
    }

    /// Returns the token hash, by which a token is named: over all the bytes, the signature included.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&[self.bytes])
    }

    /// Returns the bytes that travel, at most [`MAX_UNPACKED_LEN`].
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        debug_assert!(self.bytes.len() <= MAX_UNPACKED_LEN);
        self.bytes
    }

    /// Returns the header's JSON text, unread.
    #[must_use]
    pub fn header(&self) -> &'a [u8] {
        self.header
    }

    /// Returns the payload's JSON text, unread.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns the signature, unverified.
    #[must_use]
    pub fn signature(&self) -> Signature {
        Signature(*self.signature)
    }
}

/// Why a token was not put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AssembleError {
    /// A part is empty or over its limit.
    Refused(TokenReason),
    /// The caller's buffer does not take the token.
    TooSmall(TooSmall),
}

/// Decodes a part of at most `max` bytes to the front of `out` and returns its length in bytes.
fn unpack_part(
    text: &[u8],
    max: usize,
    too_long: TokenReason,
    out: &mut [u8],
) -> Result<usize, TokenReason> {
    // What is malformed is called so, whatever its length.
    let fits = text.len() <= base64url::encoded_len(max);
    match base64url::decode(text, out) {
        Ok(bytes) if bytes.len() <= max => Ok(bytes.len()),
        Err(DecodeError::Text(reason)) => Err(TokenReason::Base64(reason)),
        Err(DecodeError::OutputTooSmall) if fits => Err(TokenReason::OutputTooSmall),
        _ => Err(too_long),
    }
}
