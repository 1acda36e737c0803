//! M3, the initiator's token and proof (PROTOCOL.md §2.4).

use crate::crypto::{Hash, MAC_LEN, SIGNATURE_LEN, Signature, TAG_LEN};
use crate::limits::{MAX_PAYLOAD_LEN, MIN_PAYLOAD_LEN};
use crate::reason::Reason;
use crate::token::UnpackedToken;
use crate::wire::{Enrolment, MessageType, Reader, Writer, emit_head, parse_head};

/// Length of the head and connection id of M3 in bytes.
pub const M3_PREFIX_LEN: usize = 8;

/// Length of M3 without credential and padding in bytes.
pub const M3_MIN_LEN: usize = M3_PREFIX_LEN + 3 + 1 + SIGNATURE_LEN + TAG_LEN;

/// Length of M3 in mode 1 in bytes.
pub const M3_PRESHARED_LEN: usize = M3_PREFIX_LEN + MAC_LEN;

/// Most bytes of padding.
pub const MAX_PAD_LEN: usize = 63;

/// The kind of credential that is a token in full.
const KIND_TOKEN: u8 = 0;

/// The kind of credential that is a code and a key.
const KIND_ENROLMENT: u8 = 2;

/// Who the initiator is. By reference, kind 1, is reserved (PROTOCOL.md §2.4).
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A token, unpacked.
    Token(UnpackedToken<'a>),
    /// A code, and a key that no token names yet.
    Enrolment(Enrolment<'a>),
}

impl Credential<'_> {
    /// Returns how many bytes it has in M3, its kind not counted.
    pub(crate) fn wire_len(&self) -> usize {
        match self {
            Self::Token(token) => token.as_bytes().len(),
            Self::Enrolment(enrolment) => enrolment.wire_len(),
        }
    }

    /// Returns the hash that stands for it in the transcript.
    pub(crate) fn hash(&self) -> Hash {
        match self {
            Self::Token(token) => token.hash(),
            Self::Enrolment(enrolment) => enrolment.hash(),
        }
    }

    /// Writes its kind and itself.
    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Token(token) => {
                writer.u8(KIND_TOKEN).bytes(token.as_bytes());
            }
            Self::Enrolment(enrolment) => enrolment.emit(writer.u8(KIND_ENROLMENT)),
        }
    }
}

/// The plaintext of the sealed part of M3.
#[derive(Debug, Clone, Copy)]
pub struct M3Sealed<'a> {
    /// Longest payload of a frame that the initiator takes, in bytes.
    pub max_payload_len: u16,
    /// Who the initiator is.
    pub credential: Credential<'a>,
    /// The initiator's signature.
    pub signature: Signature,
    /// The plaintext before the signature, which the signature is made over.
    pub signed_part: &'a [u8],
}

impl<'a> M3Sealed<'a> {
    /// Checks what is not sealed of the M3 in `message`, which is for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn check_prefix(message: &[u8], id: u32) -> Result<(), Reason> {
        check_prefix(message, id)?;
        if message.len() < M3_MIN_LEN {
            Err(Reason::Length)
        } else {
            Ok(())
        }
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout; a token that cannot be measured.
    pub fn parse(plaintext: &'a [u8]) -> Result<Self, Reason> {
        let signed_len = plaintext
            .len()
            .checked_sub(SIGNATURE_LEN)
            .ok_or(Reason::Length)?;
        let (signed_part, signature) = plaintext
            .split_at_checked(signed_len)
            .ok_or(Reason::Length)?;
        let signature = Signature(*Reader::new(signature).array()?);
        let mut reader = Reader::new(signed_part);
        if reader.u8()? != 0 {
            return Err(Reason::Reserved);
        }
        let max_payload_len = reader.u16()?;
        if !(MIN_PAYLOAD_LEN..=MAX_PAYLOAD_LEN).contains(&usize::from(max_payload_len)) {
            return Err(Reason::PeerLimit);
        }
        let (credential, pad) = match reader.u8()? {
            KIND_TOKEN => {
                let rest = reader.rest();
                let (token, token_len) = UnpackedToken::parse(rest)?;
                let pad = rest.get(token_len..).ok_or(Reason::Length)?;
                (Credential::Token(token), pad)
            }
            KIND_ENROLMENT => {
                let enrolment = Enrolment::parse(&mut reader)?;
                (Credential::Enrolment(enrolment), reader.rest())
            }
            _ => return Err(Reason::CredentialKind),
        };
        if pad.len() > MAX_PAD_LEN || pad.iter().any(|byte| *byte != 0) {
            return Err(Reason::Padding);
        }
        Ok(Self {
            max_payload_len,
            credential,
            signature,
            signed_part,
        })
    }
}

/// M3 in mode 1: the initiator's confirmation, in clear.
#[derive(Debug, Clone, Copy)]
pub struct M3Confirmed {
    /// The confirmation.
    pub fin: [u8; MAC_LEN],
}

impl M3Confirmed {
    /// Reads an M3 for the connection `id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8], id: u32) -> Result<Self, Reason> {
        check_prefix(message, id)?;
        let mut reader = Reader::new(message);
        reader.bytes(M3_PREFIX_LEN)?;
        let fin = *reader.array()?;
        reader.finish()?;
        Ok(Self { fin })
    }

    /// Returns head and connection id, over which the confirmation is made.
    #[must_use]
    pub fn prefix(id: u32) -> [u8; M3_PREFIX_LEN] {
        let mut prefix = [0; M3_PREFIX_LEN];
        let mut writer = Writer::new(&mut prefix);
        emit_head(&mut writer, MessageType::M3, M3_PRESHARED_LEN);
        writer.u32(id);
        prefix
    }
}

fn check_prefix(message: &[u8], id: u32) -> Result<(), Reason> {
    let (kind, mut reader) = parse_head(message)?;
    if kind != MessageType::M3 {
        return Err(Reason::OutOfPlace);
    }
    if reader.u32()? == id {
        Ok(())
    } else {
        Err(Reason::ConnectionId)
    }
}
