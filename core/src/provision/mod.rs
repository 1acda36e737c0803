//! What a device is given before its first boot, as it lies in flash.
//!
//! ```text
//! magic 4 | version u8 | len u16 | road u8 | host_len u8 | host | root 65 | root_counter u32
//! | pin_count u8 | pins 65 each
//! | audience_len u8 | audience | group_len u8 | group | anchor_count u8 | anchors
//! | scalar 32 | token_len u16 | token | SHA-256 of all before, 32
//!
//! anchor = kid_len u8 | kid | issuer_len u8 | issuer | key 65
//! ```
//!
//! `road` is 1 for a network and 2 for a serial line. `len` counts everything, from the magic to the end of the hash.
//! What follows in flash is not looked at. The hash finds damage, not forgery: who can write the flash can write the key
//! as well.

mod road;

#[cfg(test)]
mod tests;

pub use road::Road;
use road::split_host;

use crate::crypto::{HASH_LEN, Hash, PUBLIC_KEY_LEN, PublicKey, Secret};
use crate::token::{
    MAX_ISSUER_LEN, MAX_KID_LEN, MAX_SUBJECT_LEN, MAX_UNPACKED_LEN, TokenReason, TrustAnchor,
    TrustAnchors, UnpackedToken,
};
use crate::trust::{MAX_KEYS, TrustStore};
use crate::wire::{Reader, TooSmall, Truncated, Writer};

/// Longest host in bytes: [`crate::framing::emit_request`] is dimensioned for it.
pub const MAX_HOST_LEN: usize = 64;

/// Most issuer's keys in an image.
pub const MAX_PROVISION_ANCHORS: usize = 4;

/// Longest image in bytes.
pub const MAX_PROVISION_LEN: usize = MIN_LEN
    + MAX_HOST_LEN
    + (MAX_KEYS - 1) * PUBLIC_KEY_LEN
    + MAX_ISSUER_LEN
    + MAX_SUBJECT_LEN
    + MAX_PROVISION_ANCHORS * MAX_ANCHOR_LEN
    + MAX_UNPACKED_LEN;

/// Longest anchor in bytes.
const MAX_ANCHOR_LEN: usize = 1 + MAX_KID_LEN + 1 + MAX_ISSUER_LEN + PUBLIC_KEY_LEN;

/// Length of what stands before the road: the magic, the version and the length.
const HEADER_LEN: usize = MAGIC.len() + 1 + 2;

/// Length of an image with one pin and nothing in its other parts.
const MIN_LEN: usize =
    HEADER_LEN + 1 + 1 + ROOT_LEN + 1 + PUBLIC_KEY_LEN + 3 + SCALAR_LEN + 2 + HASH_LEN;

/// Length of the root key and its counter.
const ROOT_LEN: usize = PUBLIC_KEY_LEN + 4;

const MAGIC: [u8; 4] = *b"MLPV";
const VERSION: u8 = 4;
const SCALAR_LEN: usize = 32;

/// What a device is given: how it reaches its hub and where that is, which hub that is, and who the device is.
///
/// The scalar is not checked to be one of the curve, and the token not to name its key: who makes the signing key
/// of it finds out.
#[derive(Debug)]
pub struct Provision<'a> {
    road: Road,
    host: &'a str,
    trust: TrustStore,
    site: Site<'a>,
    scalar: Secret<SCALAR_LEN>,
    token: UnpackedToken<'a>,
}

/// Where a device belongs: what it needs to judge a commander's token by itself.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// The audience that a commander's token must name: the hub's name.
    pub audience: &'a str,
    /// The group that the device belongs to.
    pub group: Option<&'a str>,
    /// The issuers whose tokens count, 1 to [`MAX_PROVISION_ANCHORS`].
    pub anchors: TrustAnchors,
}

/// Why there is nothing to start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProvisionError {
    /// Nothing was written: the flash is erased, or reads as zeros.
    Blank,
    /// What was written is something else.
    Magic,
    /// The image has a version that is not known here.
    Version(u8),
    /// The image is longer than the flash that is there, or has a length that no image has.
    Length,
    /// The image is damaged.
    Checksum,
    /// No road is called that.
    Road,
    /// The host is empty, over [`MAX_HOST_LEN`], has a character that a host has not, or a port that is none.
    Host,
    /// There is no pin, or more than [`MAX_KEYS`].
    PinCount,
    /// A pin or the root key is not a point on the curve.
    Pin,
    /// The audience or the group is none that a token can name.
    Site,
    /// There is no issuer's key, more than [`MAX_PROVISION_ANCHORS`], or one that is none.
    Anchor,
    /// The token is not one.
    Token(TokenReason),
    /// A part ends after the image, or the image after its last part.
    Layout,
}

impl From<Truncated> for ProvisionError {
    fn from(_: Truncated) -> Self {
        Self::Layout
    }
}

impl<'a> Provision<'a> {
    /// Puts together what a device is given. `host` is `HOST` or `HOST:PORT`: where a device on a network connects to,
    /// and what its request for the WebSocket names. Without a port it is 80. Of `trust`, which says who the hub is, a key that
    /// has not proved itself is left out.
    ///
    /// # Errors
    ///
    /// [`ProvisionError::Host`], [`ProvisionError::Site`], [`ProvisionError::Anchor`].
    pub fn new(
        road: Road,
        host: &'a str,
        trust: TrustStore,
        site: Site<'a>,
        scalar: Secret<SCALAR_LEN>,
        token: UnpackedToken<'a>,
    ) -> Result<Self, ProvisionError> {
        // The host stands in a line of HTTP: a space or a line break would start something else.
        let plain = host.bytes().all(|byte| byte.is_ascii_graphic());
        if host.len() > MAX_HOST_LEN || !plain || split_host(host).is_none() {
            return Err(ProvisionError::Host);
        }
        let has_name = |name: &str, max| (1..=max).contains(&name.len());
        let group_fits = site
            .group
            .is_none_or(|group| has_name(group, MAX_SUBJECT_LEN));
        if !has_name(site.audience, MAX_ISSUER_LEN) || !group_fits {
            return Err(ProvisionError::Site);
        }
        if !(1..=MAX_PROVISION_ANCHORS).contains(&site.anchors.iter().count()) {
            return Err(ProvisionError::Anchor);
        }
        Ok(Self {
            road,
            host,
            trust,
            site,
            scalar,
            token,
        })
    }

    /// Reads the image at the front of `flash`.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn parse(flash: &'a [u8]) -> Result<Self, ProvisionError> {
        let mut reader = Reader::new(checked(flash)?);
        let road = Road::from_byte(reader.u8()?).ok_or(ProvisionError::Road)?;
        let host = parse_text(&mut reader, ProvisionError::Host)?;
        let trust = parse_trust(&mut reader)?;
        let audience = parse_text(&mut reader, ProvisionError::Site)?;
        let group = parse_text(&mut reader, ProvisionError::Site)?;
        let site = Site {
            audience,
            group: (!group.is_empty()).then_some(group),
            anchors: parse_anchors(&mut reader)?,
        };
        let scalar = Secret::new(*reader.array()?);
        let token_len = usize::from(reader.u16()?);
        let token =
            UnpackedToken::parse_exact(reader.bytes(token_len)?).map_err(ProvisionError::Token)?;
        reader.finish()?;
        Self::new(road, host, trust, site, scalar, token)
    }

    /// Writes the image to `out`; [`MAX_PROVISION_LEN`] bytes always do. It has the private key in it.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let token = self.token.as_bytes();
        let pin_count = self.trust.keys().count();
        let group = self.site.group.unwrap_or_default();
        let anchors_len: usize = self.site.anchors.iter().map(anchor_len).sum();
        let len = MIN_LEN
            + self.host.len()
            + (pin_count - 1) * PUBLIC_KEY_LEN
            + self.site.audience.len()
            + group.len()
            + anchors_len
            + token.len();
        let mut writer = Writer::new(out);
        writer
            .bytes(&MAGIC)
            .u8(VERSION)
            .u16(u16::try_from(len).unwrap_or(u16::MAX))
            .u8(self.road.to_byte());
        emit_text(&mut writer, self.host);
        writer
            .bytes(&self.trust.root().to_bytes())
            .u32(self.trust.root_counter())
            .u8(u8::try_from(pin_count).unwrap_or(u8::MAX));
        for key in self.trust.keys() {
            writer.bytes(&key.to_bytes());
        }
        emit_text(&mut writer, self.site.audience);
        emit_text(&mut writer, group);
        let anchor_count = self.site.anchors.iter().count();
        writer.u8(u8::try_from(anchor_count).unwrap_or(u8::MAX));
        for anchor in self.site.anchors.iter() {
            emit_text(&mut writer, anchor.kid());
            emit_text(&mut writer, anchor.issuer());
            writer.bytes(&anchor.key().to_bytes());
        }
        writer
            .bytes(self.scalar.expose())
            .u16(u16::try_from(token.len()).unwrap_or(u16::MAX))
            .bytes(token)
            .zeros(HASH_LEN);
        let image = writer.finish()?;
        if let Some((content, hash)) = image.split_last_chunk_mut() {
            *hash = Hash::of(&[content]).0;
        }
        Ok(image)
    }

    /// Returns the road that the device takes.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road
    }

    /// Returns the host that the request for the WebSocket names.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// Returns where a device on a network connects to: a name or an address, without brackets, and a port.
    #[must_use]
    pub fn place(&self) -> (&'a str, u16) {
        // It was split before.
        split_host(self.host).unwrap_or((self.host, 0))
    }

    /// Returns the keys of the hub.
    #[must_use]
    pub fn trust(&self) -> &TrustStore {
        &self.trust
    }

    /// Returns where the device belongs.
    #[must_use]
    pub fn site(&self) -> &Site<'a> {
        &self.site
    }

    /// Returns the private scalar of the device.
    #[must_use]
    pub fn scalar(&self) -> &Secret<SCALAR_LEN> {
        &self.scalar
    }

    /// Returns the token of the device.
    #[must_use]
    pub fn token(&self) -> UnpackedToken<'a> {
        self.token
    }
}

/// Returns what stands between the header and the hash, once both are right.
fn checked(flash: &[u8]) -> Result<&[u8], ProvisionError> {
    let mut reader = Reader::new(flash);
    let magic: &[u8; MAGIC.len()] = reader.array().map_err(|_| ProvisionError::Length)?;
    if *magic == [0xFF; MAGIC.len()] || *magic == [0; MAGIC.len()] {
        return Err(ProvisionError::Blank);
    }
    if *magic != MAGIC {
        return Err(ProvisionError::Magic);
    }
    let version = reader.u8().map_err(|_| ProvisionError::Length)?;
    if version != VERSION {
        return Err(ProvisionError::Version(version));
    }
    let len = usize::from(reader.u16().map_err(|_| ProvisionError::Length)?);
    if !(MIN_LEN..=MAX_PROVISION_LEN).contains(&len) {
        return Err(ProvisionError::Length);
    }
    let image = flash.get(..len).ok_or(ProvisionError::Length)?;
    let (content, hash) = image.split_last_chunk().ok_or(ProvisionError::Length)?;
    if Hash::of(&[content]) != Hash(*hash) {
        return Err(ProvisionError::Checksum);
    }
    content.get(HEADER_LEN..).ok_or(ProvisionError::Length)
}

fn parse_trust(reader: &mut Reader<'_>) -> Result<TrustStore, ProvisionError> {
    let root = parse_key(reader)?;
    let root_counter = reader.u32()?;
    let pin_count = usize::from(reader.u8()?);
    if !(1..=MAX_KEYS).contains(&pin_count) {
        return Err(ProvisionError::PinCount);
    }
    let mut trust = TrustStore::new(root, root_counter, parse_key(reader)?);
    for _ in 1..pin_count {
        if !trust.add(parse_key(reader)?) {
            return Err(ProvisionError::PinCount);
        }
    }
    Ok(trust)
}

fn parse_text<'a>(
    reader: &mut Reader<'a>,
    otherwise: ProvisionError,
) -> Result<&'a str, ProvisionError> {
    let len = usize::from(reader.u8()?);
    str::from_utf8(reader.bytes(len)?).map_err(|_| otherwise)
}

fn emit_text(writer: &mut Writer<'_>, text: &str) {
    writer
        .u8(u8::try_from(text.len()).unwrap_or(u8::MAX))
        .bytes(text.as_bytes());
}

fn parse_anchors(reader: &mut Reader<'_>) -> Result<TrustAnchors, ProvisionError> {
    let anchor_count = usize::from(reader.u8()?);
    if !(1..=MAX_PROVISION_ANCHORS).contains(&anchor_count) {
        return Err(ProvisionError::Anchor);
    }
    let mut anchors = TrustAnchors::new();
    for _ in 0..anchor_count {
        let kid = parse_text(reader, ProvisionError::Anchor)?;
        let issuer = parse_text(reader, ProvisionError::Anchor)?;
        let key = PublicKey::from_bytes(reader.array()?).ok_or(ProvisionError::Anchor)?;
        let anchor = TrustAnchor::new(issuer, kid, key).map_err(|_| ProvisionError::Anchor)?;
        anchors.insert(anchor).map_err(|_| ProvisionError::Anchor)?;
    }
    Ok(anchors)
}

fn anchor_len(anchor: &TrustAnchor) -> usize {
    1 + anchor.kid().len() + 1 + anchor.issuer().len() + PUBLIC_KEY_LEN
}

fn parse_key(reader: &mut Reader<'_>) -> Result<PublicKey, ProvisionError> {
    PublicKey::from_bytes(reader.array()?).ok_or(ProvisionError::Pin)
}
