//! Messages of a session about itself (PROTOCOL.md §5.6). The order of the variants is their number: it only grows.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::codec;
use crate::crypto::{PUBLIC_KEY_LEN, PublicKey, SIGNATURE_LEN, Signature};
use crate::limits::MIN_PAYLOAD_LEN;
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::{MAX_SUBJECT_LEN, MAX_UNPACKED_LEN, Permissions};
use crate::trust::MAX_ISSUER_KEYS;
use crate::wire::{NewTicket, Terms};

/// A control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control<'a> {
    /// Asks for the keys of epoch `next`.
    KeyUpdate {
        /// The epoch asked for.
        next: u32,
        /// A fresh share, when the update is to heal.
        dh: Option<[u8; 32]>,
    },
    /// Agrees to an update.
    KeyAck {
        /// The epoch agreed to.
        next: u32,
        /// A fresh share, when the question had one.
        dh: Option<[u8; 32]>,
    },
    /// The first frame of an epoch.
    KeyDone {
        /// How many frames its sender sent in the epoch before.
        count: u32,
    },
    /// Asks for a [`Control::Pong`] with the same number.
    Ping(u32),
    /// Answers a [`Control::Ping`].
    Pong(u32),
    /// The responder's first frame after a handshake without signatures.
    Welcome(Welcome),
    /// What the next handshake may rest on, in place of the ticket before it.
    TicketNew(NewTicket),
    /// Shows a token that is to follow the session's.
    #[serde(borrow)]
    TokenUpdate(TokenUpdate<'a>),
    /// Answers a [`Control::TokenUpdate`].
    TokenResult(TokenResult),
    /// Gives a newcomer its first token.
    Enrolled(Enrolled<'a>),
}

/// A token that is to follow the session's (PROTOCOL.md §5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUpdate<'a> {
    /// The token, unpacked.
    pub token: &'a [u8],
    /// The signature of the key that it names, in two halves, when that is another one than the session proved.
    proof: Option<([u8; 32], [u8; 32])>,
}

impl<'a> TokenUpdate<'a> {
    /// Returns the message that shows `token`.
    #[must_use]
    pub fn new(token: &'a [u8], proof: Option<&Signature>) -> Self {
        let proof = proof.map(|proof| {
            let (mut r, mut s) = ([0; 32], [0; 32]);
            let (halves, _) = proof.0.as_chunks::<32>();
            for (to, from) in [&mut r, &mut s].into_iter().zip(halves) {
                *to = *from;
            }
            (r, s)
        });
        Self { token, proof }
    }

    /// Returns the signature of the new key.
    #[must_use]
    pub fn proof(&self) -> Option<Signature> {
        self.proof.map(|(r, s)| {
            let mut bytes = [0; SIGNATURE_LEN];
            for (to, from) in bytes.iter_mut().zip(r.iter().chain(&s)) {
                *to = *from;
            }
            Signature(bytes)
        })
    }
}

/// What a newcomer gets (PROTOCOL.md §2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled<'a> {
    /// Its token, unpacked.
    pub token: &'a [u8],
    /// The public keys of the issuer, 1 to [`MAX_ISSUER_KEYS`], the newest last: with them it judges the tokens of others.
    pub issuer_keys: &'a [u8],
    /// The group that it belongs to, or reaches.
    pub group: Option<&'a str>,
}

impl<'a> Enrolled<'a> {
    /// Returns the issuer's keys, the newest last; nothing when they are not as many as they may be, or one is none.
    #[must_use]
    pub fn keys(&self) -> Option<Vec<PublicKey, MAX_ISSUER_KEYS>> {
        read_keys(self.issuer_keys)
    }
}

fn read_keys(bytes: &[u8]) -> Option<Vec<PublicKey, MAX_ISSUER_KEYS>> {
    let (keys, rest) = bytes.as_chunks::<PUBLIC_KEY_LEN>();
    let mut all = Vec::new();
    for key in keys {
        all.push(PublicKey::from_bytes(key)?).ok()?;
    }
    (rest.is_empty() && !all.is_empty()).then_some(all)
}

/// Returns whether these are issuer's keys, as many as they may be. Inlined, the keys would be on the stack of every frame
/// that is opened; asked of an [`Enrolled`], every frame's outcome would be copied once more.
#[inline(never)]
pub(crate) fn are_keys(bytes: &[u8]) -> bool {
    read_keys(bytes).is_some()
}

/// What became of a token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenResult {
    /// The hash of the token.
    pub token: [u8; 32],
    /// When the session ends now, in milliseconds since 1970, and what the initiator may do; nothing when the token is
    /// refused.
    pub terms: Option<(u64, u32)>,
}

/// What M4 says, in a session that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What both ends call the session in their logs; it is no secret.
    session_id: [u8; 8],
    /// When the session ends, in milliseconds since 1970.
    expires: u64,
    /// What the initiator may do.
    permissions: u32,
    /// What the next handshake may rest on.
    ticket: Option<NewTicket>,
}

impl Welcome {
    /// Returns the message that says `terms`.
    #[must_use]
    pub fn new(terms: &Terms) -> Self {
        Self {
            session_id: terms.session_id,
            expires: terms.expires.0,
            permissions: terms.permissions.bits(),
            ticket: terms.ticket,
        }
    }

    /// Returns what it says.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] for a permission or a ticket that does not exist.
    pub fn terms(&self) -> Result<Terms, Reason> {
        if self.ticket.is_some_and(|ticket| ticket.life == 0) {
            return Err(Reason::Malformed);
        }
        Ok(Terms {
            session_id: self.session_id,
            expires: UnixMillis(self.expires),
            permissions: Permissions::from_bits(self.permissions).ok_or(Reason::Malformed)?,
            ticket: self.ticket,
        })
    }
}

impl<'a> Control<'a> {
    /// Longest encoding in bytes of a message without a token, that of a Welcome: variant, session id, varints of 64 and 32 bits, option, and a
    /// ticket of id, nonce and varint.
    pub const MAX_LEN: usize = 1 + 8 + 10 + 5 + 1 + 16 + 8 + 5;

    const FITS: () = assert!(
        Self::MAX_LEN <= MIN_PAYLOAD_LEN,
        "every peer takes every control message that holds no token"
    );

    /// Longest encoding of a message with a token in bytes: variant, length and token; option and signature, or length and
    /// keys, option, length and group.
    pub const MAX_LEN_WITH_TOKEN: usize =
        1 + 2 + MAX_UNPACKED_LEN + 2 + MAX_ISSUER_KEYS * PUBLIC_KEY_LEN + 1 + 1 + MAX_SUBJECT_LEN;

    /// Decodes the payload of a control frame.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Reason> {
        codec::decode(payload)
    }

    /// Encodes the payload of a control frame.
    pub(crate) fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8], Reason> {
        let () = Self::FITS;
        codec::encode(self, out)
            .map(|bytes| &*bytes)
            .map_err(|_| Reason::Length)
    }
}
