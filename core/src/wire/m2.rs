//! M2, the responder's share, identity and proof (PROTOCOL.md §2.3).

use crate::crypto::{MAC_LEN, SHARE_LEN, SIGNATURE_LEN, Share, Signature, Suite, TAG_LEN};
use crate::limits::{MAX_PAYLOAD_LEN, MAX_WINDOW, MIN_MTU, MIN_PAYLOAD_LEN, MIN_WINDOW};
use crate::reason::Reason;
use crate::time::{TimeQuality, UnixMillis};
use crate::token::UnpackedToken;
use crate::trust::{KEY_NAME_LEN, KeyName, STATEMENT_LEN};
use crate::wire::{
    ConnectionIds, Form, Line, MessageType, Mode, Reader, Writer, emit_head, parse_head,
};

/// Length of M2 in bytes in mode 0 on a link.
pub const M2_LEN: usize =
    M2_CLEAR_LEN + ANNOUNCEMENT_LEN + 1 + KEY_NAME_LEN + SIGNATURE_LEN + TAG_LEN;

/// Length of M2 in bytes in mode 0 on a link, with a statement about the responder's key.
pub const M2_ROTATED_LEN: usize = M2_LEN + STATEMENT_LEN;

/// Length of M2 in bytes in mode 1.
pub const M2_PRESHARED_LEN: usize = M2_CLEAR_LEN + ANNOUNCEMENT_LEN + MAC_LEN + TAG_LEN;

/// Length of the part of M2 that is not sealed.
pub const M2_CLEAR_LEN: usize = 46;

/// Length of what the responder says of its clock and its limits.
const ANNOUNCEMENT_LEN: usize = 17;

/// The kind of credential that names the responder's key by the hash of it.
const KIND_KEY_HASH: u8 = 0;

/// The kind of credential that names it so, and has a statement about it.
const KIND_ROTATED: u8 = 1;

/// The kind of credential that is a token.
const KIND_TOKEN: u8 = 2;

/// The part of M2 that is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct M2Clear {
    /// The suite chosen.
    pub suite: Suite,
    /// The mode chosen.
    pub mode: Mode,
    /// Both ends' connection ids, as the responder sees them.
    pub ids: ConnectionIds,
    /// The responder's ephemeral share.
    pub share: Share,
}

impl M2Clear {
    /// Reads the clear part of the M2 in `message`, which answers the M1 of connection id `initiator_id`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8], line: Line, initiator_id: u32) -> Result<Self, Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::M2 {
            return Err(Reason::OutOfPlace);
        }
        let suite = Suite::from_number(reader.u8()?).ok_or(Reason::Suite)?;
        let mode = Mode::from_code(reader.u8()?).ok_or(Reason::Mode)?;
        if reader.u32()? != initiator_id {
            return Err(Reason::ConnectionId);
        }
        let own = line.form().check_id(reader.u32()?)?;
        let share = Share(*reader.array::<SHARE_LEN>()?);
        let ids = ConnectionIds {
            own,
            peer: initiator_id,
        };
        Ok(Self {
            suite,
            mode,
            ids,
            share,
        })
    }

    /// Checks that `message`, whose clear part this is, has the length of its mode.
    ///
    /// # Errors
    ///
    /// [`Reason::Length`].
    pub fn check_len(&self, message: &[u8], line: Line) -> Result<(), Reason> {
        let fits = match (self.mode, line) {
            (Mode::Resume | Mode::External, _) => message.len() == M2_PRESHARED_LEN,
            (Mode::Full, Line::Stream | Line::Datagram) => {
                matches!(message.len(), M2_LEN | M2_ROTATED_LEN)
            }
            // A token is measured once it is opened.
            (Mode::Full, Line::Channel(_)) => message.len() > M2_LEN,
        };
        if fits { Ok(()) } else { Err(Reason::Length) }
    }

    /// Writes the clear part of an M2 of `len` bytes, [`M2_CLEAR_LEN`] bytes.
    pub fn emit(&self, len: usize, writer: &mut Writer<'_>) {
        emit_head(writer, MessageType::M2, len);
        writer
            .u8(self.suite.number())
            .u8(self.mode.code())
            .u32(self.ids.peer)
            .u32(self.ids.own)
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

/// What a responder says of its clock and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// The responder's clock.
    pub time: UnixMillis,
    /// How sure that clock is.
    pub quality: TimeQuality,
    /// What the responder takes.
    pub limits: Limits,
    /// How many sequence numbers its replay window judges; 0 on a stream.
    pub window: u16,
}

impl Announcement {
    fn parse(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        let time = UnixMillis(reader.u64()?);
        let quality = TimeQuality::from_code(reader.u8()?).ok_or(Reason::TimeQuality)?;
        let mtu = reader.u16()?;
        let max_payload_len = reader.u16()?;
        let window = reader.u16()?;
        let max_token_len = reader.u16()?;
        let window_in_range = match form {
            Form::Stream => window == 0,
            Form::Datagram => (MIN_WINDOW..=MAX_WINDOW).contains(&window),
        };
        let payload_in_range =
            (MIN_PAYLOAD_LEN..=MAX_PAYLOAD_LEN).contains(&usize::from(max_payload_len));
        if mtu < MIN_MTU || !payload_in_range || !window_in_range {
            return Err(Reason::PeerLimit);
        }
        let limits = Limits {
            mtu,
            max_payload_len,
            max_token_len,
        };
        Ok(Self {
            time,
            quality,
            limits,
            window,
        })
    }

    /// Writes it.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer
            .u64(self.time.0)
            .u8(self.quality.code())
            .u16(self.limits.mtu)
            .u16(self.limits.max_payload_len)
            .u16(self.window)
            .u16(self.limits.max_token_len);
    }
}

/// Who a responder is.
#[derive(Debug, Clone, Copy)]
pub enum ResponderCredential<'a> {
    /// The first 16 bytes of the hash of a hub's key.
    KeyId(KeyName),
    /// The same, and a statement about that key, which nobody has looked at.
    Rotated(KeyName, &'a [u8; STATEMENT_LEN]),
    /// An agent's token, on a channel.
    Token(UnpackedToken<'a>),
}

impl ResponderCredential<'_> {
    /// Returns the length of an M2 with this credential.
    #[must_use]
    pub fn message_len(&self) -> usize {
        match self {
            Self::KeyId(_) => M2_LEN,
            Self::Rotated(..) => M2_ROTATED_LEN,
            Self::Token(token) => M2_LEN - KEY_NAME_LEN + token.as_bytes().len(),
        }
    }

    /// Writes kind and credential.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        match self {
            Self::KeyId(id) => writer.u8(KIND_KEY_HASH).bytes(id),
            Self::Rotated(id, statement) => writer.u8(KIND_ROTATED).bytes(id).bytes(*statement),
            Self::Token(token) => writer.u8(KIND_TOKEN).bytes(token.as_bytes()),
        };
    }
}

/// The plaintext of the sealed part of M2 in mode 0.
#[derive(Debug, Clone, Copy)]
pub struct M2Signed<'a> {
    /// The responder's clock and limits.
    pub announcement: Announcement,
    /// Who the responder is.
    pub credential: ResponderCredential<'a>,
    /// The responder's signature.
    pub signature: Signature,
    /// The plaintext before the signature, which the signature is made over.
    pub signed_part: &'a [u8],
}

impl<'a> M2Signed<'a> {
    /// Reads the plaintext.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(plaintext: &'a [u8], line: Line) -> Result<Self, Reason> {
        let signed_len = plaintext
            .len()
            .checked_sub(SIGNATURE_LEN)
            .ok_or(Reason::Length)?;
        let mut reader = Reader::new(plaintext);
        let announcement = Announcement::parse(&mut reader, line.form())?;
        let is_channel = matches!(line, Line::Channel(_));
        let credential = match reader.u8()? {
            KIND_KEY_HASH if !is_channel => ResponderCredential::KeyId(*reader.array()?),
            KIND_ROTATED if !is_channel => {
                ResponderCredential::Rotated(*reader.array()?, reader.array()?)
            }
            KIND_TOKEN if is_channel => {
                let rest = plaintext
                    .get(ANNOUNCEMENT_LEN + 1..signed_len)
                    .ok_or(Reason::Length)?;
                let (token, token_len) = UnpackedToken::parse(rest)?;
                reader.bytes(token_len)?;
                ResponderCredential::Token(token)
            }
            _ => return Err(Reason::CredentialKind),
        };
        let signature = Signature(*reader.array()?);
        reader.finish()?;
        let signed_part = plaintext.get(..signed_len).ok_or(Reason::Length)?;
        Ok(Self {
            announcement,
            credential,
            signature,
            signed_part,
        })
    }
}

/// The plaintext of the sealed part of M2 in mode 1.
#[derive(Debug, Clone, Copy)]
pub struct M2Confirmed<'a> {
    /// The responder's clock and limits.
    pub announcement: Announcement,
    /// The responder's confirmation.
    pub fin: [u8; MAC_LEN],
    /// The plaintext before the confirmation, which the confirmation is made over.
    pub confirmed_part: &'a [u8],
}

impl<'a> M2Confirmed<'a> {
    /// Reads the plaintext.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(plaintext: &'a [u8], form: Form) -> Result<Self, Reason> {
        let mut reader = Reader::new(plaintext);
        let announcement = Announcement::parse(&mut reader, form)?;
        let fin = *reader.array()?;
        reader.finish()?;
        let confirmed_part = plaintext.get(..ANNOUNCEMENT_LEN).ok_or(Reason::Length)?;
        Ok(Self {
            announcement,
            fin,
            confirmed_part,
        })
    }
}
