//! What an issuer has revoked, for machines that cannot ask it (PROTOCOL.md §7.4).

use core::cmp::Ordering;

use heapless::Vec;

use crate::crypto::{Hash, SIGNATURE_LEN, Signature, SigningKey};
use crate::handshake::{Label, sign, verify};
use crate::reason::Reason;
use crate::token::{Claims, Holder, MAX_KID_LEN, TrustAnchors};
use crate::wire::{Reader, TooSmall, Writer};

/// Most entries of a list.
pub const MAX_REVOKED: usize = 16;

/// Length of one entry in bytes.
const ENTRY_LEN: usize = 1 + 16;

/// Longest list in bytes.
pub const MAX_REVOKE_LIST_LEN: usize =
    4 + MAX_KID_LEN + 1 + MAX_REVOKED * ENTRY_LEN + SIGNATURE_LEN;

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Revoked {
    /// The token with this `jti`.
    Token([u8; 16]),
    /// Every token for the key whose hash begins so.
    Key([u8; 16]),
    /// The tokens of a subject whose generation is lower.
    Subject {
        /// `H(iss | 0x00 | sub)[..12]`.
        name: [u8; 12],
        /// The least generation that is still good.
        least: u32,
    },
}

impl Revoked {
    /// Returns the entry that revokes all tokens of the subject that `issuer` calls `subject` below the generation
    /// `least`.
    #[must_use]
    pub fn subject(issuer: &str, subject: &str, least: u32) -> Self {
        let name = Hash::of(&[issuer.as_bytes(), b"\0", subject.as_bytes()]).prefix();
        Self::Subject { name, least }
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Token(jti) => writer.u8(1).bytes(jti),
            Self::Key(name) => writer.u8(2).bytes(name),
            Self::Subject { name, least } => writer.u8(3).bytes(name).u32(*least),
        };
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        Ok(match reader.u8()? {
            1 => Self::Token(*reader.array()?),
            2 => Self::Key(*reader.array()?),
            3 => Self::Subject {
                name: *reader.array()?,
                least: reader.u32()?,
            },
            _ => return Err(Reason::Malformed),
        })
    }

    fn names(&self, holder: &Holder) -> bool {
        match self {
            Self::Token(jti) => holder.jti() == jti,
            Self::Key(name) => holder.key().prefix::<16>() == *name,
            Self::Subject { name, least } => {
                holder.identity().starts_with(name) && holder.generation() < *least
            }
        }
    }
}

/// The list of one issuer's key: all that it has revoked and that has not expired, not a change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeList {
    counter: u32,
    /// The hash of the issuer's key.
    issuer: Hash,
    entries: Vec<Revoked, MAX_REVOKED>,
}

impl RevokeList {
    /// Writes the list with these entries, signed by the issuer's `key`, which tokens call `kid`, to `out`.
    /// `counter` is above that of every list before; `hedge` is 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it, or there are more than [`MAX_REVOKED`] entries.
    pub fn emit<'o>(
        counter: u32,
        kid: &str,
        entries: &[Revoked],
        key: &SigningKey,
        hedge: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8], TooSmall> {
        let needed = MAX_REVOKE_LIST_LEN;
        let count = u8::try_from(entries.len()).map_err(|_| TooSmall { needed })?;
        let pad = MAX_KID_LEN.checked_sub(kid.len());
        let pad = pad
            .filter(|_| entries.len() <= MAX_REVOKED)
            .ok_or(TooSmall { needed })?;
        let mut writer = Writer::new(out);
        writer
            .u32(counter)
            .bytes(kid.as_bytes())
            .zeros(pad)
            .u8(count);
        for entry in entries {
            entry.emit(&mut writer);
        }
        writer.zeros(SIGNATURE_LEN);
        let list = writer.finish()?;
        if let Some((signed, place)) = list.split_last_chunk_mut::<SIGNATURE_LEN>() {
            *place = sign(key, Label::Revocation, &Hash::of(&[signed]), hedge).0;
        }
        Ok(list)
    }

    /// Checks `bytes`: length, kid, entries, and the signature of the issuer's key among `anchors` that it names.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails.
    pub fn check(bytes: &[u8], anchors: &TrustAnchors) -> Result<Self, Reason> {
        Self::check_newer(bytes, anchors, |_| false)
    }

    /// As [`RevokeList::check`]; a list that `is_old` costs no look at its signature.
    fn check_newer(
        bytes: &[u8],
        anchors: &TrustAnchors,
        is_old: impl FnOnce(&Self) -> bool,
    ) -> Result<Self, Reason> {
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or(Reason::Length)?;
        let mut reader = Reader::new(signed);
        let counter = reader.u32()?;
        let kid = reader.array::<MAX_KID_LEN>()?;
        let count = usize::from(reader.u8()?);
        if count > MAX_REVOKED {
            return Err(Reason::Length);
        }
        let mut entries = Vec::new();
        for _ in 0..count {
            let entry = Revoked::parse(&mut reader)?;
            entries.push(entry).map_err(|_| Reason::Length)?;
        }
        reader.finish()?;
        let end = kid.iter().position(|byte| *byte == 0).unwrap_or(kid.len());
        let (kid, pad) = kid.split_at_checked(end).ok_or(Reason::Length)?;
        if pad.iter().any(|byte| *byte != 0) {
            return Err(Reason::Padding);
        }
        let kid = core::str::from_utf8(kid).map_err(|_| Reason::Malformed)?;
        let anchor = anchors.find(kid).ok_or(Reason::RevocationSignature)?;
        let list = Self {
            counter,
            issuer: anchor.key().hash(),
            entries,
        };
        if is_old(&list) {
            return Err(Reason::RevocationOld);
        }
        let signature = Signature(*signature);
        verify(
            anchor.key(),
            Label::Revocation,
            &Hash::of(&[signed]),
            &signature,
        )
        .map_err(|_| Reason::RevocationSignature)?;
        Ok(list)
    }

    /// Returns the place of its key among `anchors`, and that key's issuer.
    fn anchor<'a>(&self, anchors: &'a TrustAnchors) -> Option<(usize, &'a str)> {
        let mut places = anchors.iter().enumerate();
        let (place, anchor) = places.find(|(_, anchor)| anchor.key().hash() == self.issuer)?;
        Some((place, anchor.issuer()))
    }

    /// Compares the keys of this list and `other` by their age; nothing when they are not of one issuer.
    fn precedence(&self, other: &Self, anchors: &TrustAnchors) -> Option<Ordering> {
        let ((place, issuer), (others, other)) = (self.anchor(anchors)?, other.anchor(anchors)?);
        (issuer == other).then(|| place.cmp(&others))
    }

    /// Returns whether it names the holder of a session.
    #[must_use]
    pub fn names(&self, holder: &Holder) -> bool {
        self.entries.iter().any(|entry| entry.names(holder))
    }
}

/// The newest lists, one for each of up to `N` issuers' keys.
#[derive(Debug)]
pub struct Revocations<const N: usize>(Vec<RevokeList, N>);

impl<const N: usize> Revocations<N> {
    /// Returns it empty.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes a list in, which replaces an older one of the same issuer: under the same key, or under one that stands before
    /// it in `anchors`. Lists of keys that are not there any more go.
    ///
    /// # Errors
    ///
    /// As [`RevokeList::check`]; [`Reason::RevocationOld`] when there is one under a newer key, or under the same one and its
    /// counter is not above that one's; [`Reason::NoRoom`].
    pub fn take(&mut self, bytes: &[u8], anchors: &TrustAnchors) -> Result<&RevokeList, Reason> {
        let is_old = |list: &RevokeList| {
            self.0
                .iter()
                .any(|own| match list.precedence(own, anchors) {
                    Some(Ordering::Less) => true,
                    Some(Ordering::Equal) => list.counter <= own.counter,
                    Some(Ordering::Greater) | None => false,
                })
        };
        let list = RevokeList::check_newer(bytes, anchors, is_old)?;
        self.0
            .retain(|own| own.anchor(anchors).is_some() && list.precedence(own, anchors).is_none());
        self.0.push(list).map_err(|_| Reason::NoRoom)?;
        self.0.last().ok_or(Reason::NoRoom)
    }

    /// Returns whether a list names the token with these claims.
    #[must_use]
    pub fn names(&self, claims: &Claims) -> bool {
        let holder = Holder::of_claims(claims);
        self.0.iter().any(|list| list.names(&holder))
    }
}

impl<const N: usize> Default for Revocations<N> {
    fn default() -> Self {
        Self::new()
    }
}
