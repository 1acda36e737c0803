//! What a device is given before its first boot, as it lies in flash.
//!
//! ```text
//! magic 4 | version u8 | len u16 | host_len u8 | host | pin_count u8 | pins 65 each
//! | audience_len u8 | audience | group_len u8 | group | anchor_count u8 | anchors
//! | scalar 32 | token_len u16 | token | SHA-256 of all before, 32
//!
//! anchor = kid_len u8 | kid | issuer_len u8 | issuer | key 65
//! ```
//!
//! `len` counts everything, from the magic to the end of the hash. What follows in flash is not looked at. The hash
//! finds damage, not forgery: who can write the flash can write the key as well.

use crate::crypto::{HASH_LEN, Hash, PUBLIC_KEY_LEN, PublicKey, Secret};
use crate::handshake::{MAX_PINS, Pins};
use crate::token::{
    MAX_ISSUER_LEN, MAX_KID_LEN, MAX_SUBJECT_LEN, MAX_UNPACKED_LEN, TokenReason, TrustAnchor,
    TrustAnchors, UnpackedToken,
};
use crate::wire::{Reader, TooSmall, Truncated, Writer};

/// Longest host in bytes: [`crate::framing::emit_request`] is dimensioned for it.
pub const MAX_HOST_LEN: usize = 64;

/// Most issuer's keys in an image.
pub const MAX_PROVISION_ANCHORS: usize = 4;

/// Longest image in bytes.
pub const MAX_PROVISION_LEN: usize = MIN_LEN
    + MAX_HOST_LEN
    + (MAX_PINS - 1) * PUBLIC_KEY_LEN
    + MAX_ISSUER_LEN
    + MAX_SUBJECT_LEN
    + MAX_PROVISION_ANCHORS * MAX_ANCHOR_LEN
    + MAX_UNPACKED_LEN;

/// Longest anchor in bytes.
const MAX_ANCHOR_LEN: usize = 1 + MAX_KID_LEN + 1 + MAX_ISSUER_LEN + PUBLIC_KEY_LEN;

/// Length of what stands before the host: the magic, the version and the length.
const HEADER_LEN: usize = MAGIC.len() + 1 + 2;

/// Length of an image with one pin and nothing in its other parts.
const MIN_LEN: usize = HEADER_LEN + 1 + 1 + PUBLIC_KEY_LEN + 3 + SCALAR_LEN + 2 + HASH_LEN;

const MAGIC: [u8; 4] = *b"MLPV";
const VERSION: u8 = 2;
const SCALAR_LEN: usize = 32;

/// What a device is given: where its hub is, which hub that is, and who the device is.
///
/// The scalar is not checked to be one of the curve, and the token not to name its key: who makes the signing key
/// of it finds out.
#[derive(Debug)]
pub struct Provision<'a> {
    host: &'a str,
    pins: Pins,
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
    /// The host is empty, over [`MAX_HOST_LEN`], or has a character that a host has not.
    Host,
    /// There is no pin, or more than [`MAX_PINS`].
    PinCount,
    /// A pin is not a point on the curve.
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
    /// Puts together what a device is given. `host` is what the request for the WebSocket names, with the port unless
    /// it is the usual one.
    ///
    /// # Errors
    ///
    /// [`ProvisionError::Host`], [`ProvisionError::Site`], [`ProvisionError::Anchor`].
    pub fn new(
        host: &'a str,
        pins: Pins,
        site: Site<'a>,
        scalar: Secret<SCALAR_LEN>,
        token: UnpackedToken<'a>,
    ) -> Result<Self, ProvisionError> {
        // The host stands in a line of HTTP: a space or a line break would start something else.
        let plain = host.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || host.len() > MAX_HOST_LEN || !plain {
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
            host,
            pins,
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
        let host = parse_text(&mut reader, ProvisionError::Host)?;
        let pins = parse_pins(&mut reader)?;
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
        Self::new(host, pins, site, scalar, token)
    }

    /// Writes the image to `out`; [`MAX_PROVISION_LEN`] bytes always do. It has the private key in it.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let token = self.token.as_bytes();
        let pin_count = self.pins.keys().count();
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
            .u16(u16::try_from(len).unwrap_or(u16::MAX));
        emit_text(&mut writer, self.host);
        writer.u8(u8::try_from(pin_count).unwrap_or(u8::MAX));
        for key in self.pins.keys() {
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

    /// Returns the host that the request for the WebSocket names.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// Returns the keys of the hub.
    #[must_use]
    pub fn pins(&self) -> &Pins {
        &self.pins
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

fn parse_pins(reader: &mut Reader<'_>) -> Result<Pins, ProvisionError> {
    let pin_count = usize::from(reader.u8()?);
    if !(1..=MAX_PINS).contains(&pin_count) {
        return Err(ProvisionError::PinCount);
    }
    let mut pins = Pins::new(parse_pin(reader)?);
    for _ in 1..pin_count {
        if !pins.add(parse_pin(reader)?) {
            return Err(ProvisionError::PinCount);
        }
    }
    Ok(pins)
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

fn parse_pin(reader: &mut Reader<'_>) -> Result<PublicKey, ProvisionError> {
    PublicKey::from_bytes(reader.array()?).ok_or(ProvisionError::Pin)
}

#[cfg(test)]
mod tests {
    use super::{
        HASH_LEN, HEADER_LEN, MAX_PINS, MAX_PROVISION_LEN, Provision, ProvisionError, Site,
    };
    use crate::crypto::{Hash, Secret, SigningKey};
    use crate::handshake::Pins;
    use crate::token::{TokenReason, TrustAnchor, TrustAnchors, UnpackedToken};

    const HOST: &str = "hub.example:7443";
    const TOKEN: [u8; 3 + 2 + 2 + 64] = {
        let mut token = [0x22; 71];
        token[0] = 2;
        token[1] = 0;
        token[2] = 2;
        token
    };
    const FIRST_PIN: usize = HEADER_LEN + 1 + HOST.len() + 1;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_scalar(&Secret::new([byte; 32])).expect("a small scalar is in range")
    }

    fn pins(count: usize) -> Pins {
        let mut pins = Pins::new(*key(1).public_key());
        for byte in 1..count {
            let byte = u8::try_from(byte).expect("a few pins");
            assert!(pins.add(*key(byte + 1).public_key()));
        }
        pins
    }

    fn site() -> Site<'static> {
        let mut anchors = TrustAnchors::new();
        for (kid, byte) in [("k1", 11), ("k2", 12)] {
            let anchor = TrustAnchor::new("issuer", kid, *key(byte).public_key());
            anchors
                .insert(anchor.expect("a good name"))
                .expect("there is room");
        }
        Site {
            audience: "hub",
            group: Some("yard"),
            anchors,
        }
    }

    fn image(out: &mut [u8; MAX_PROVISION_LEN]) -> usize {
        let token = UnpackedToken::parse_exact(&TOKEN).expect("the lengths are right");
        let provision = Provision::new(HOST, pins(2), site(), Secret::new([9; 32]), token);
        let provision = provision.expect("the host is one");
        provision.emit(out).expect("the longest image fits").len()
    }

    /// Changes one byte of the content and makes the hash right again.
    fn refusal(at: usize, value: u8) -> Option<ProvisionError> {
        let mut out = [0xFF; MAX_PROVISION_LEN];
        let len = image(&mut out);
        out[at] = value;
        let hash = Hash::of(&[&out[..len - HASH_LEN]]);
        out[len - HASH_LEN..len].copy_from_slice(hash.as_bytes());
        Provision::parse(&out).err()
    }

    #[test]
    fn what_was_written_is_read_and_written_again_the_same() {
        let mut flash = [0xFF; MAX_PROVISION_LEN];
        let len = image(&mut flash);
        let provision = Provision::parse(&flash).expect("the image is good");
        assert_eq!(provision.host(), HOST);
        assert!(provision.pins().keys().eq(pins(2).keys()));
        let read = provision.site();
        assert_eq!((read.audience, read.group), ("hub", Some("yard")));
        assert!(read.anchors.iter().eq(site().anchors.iter()));
        assert!(provision.scalar().same_as(&Secret::new([9; 32])));
        assert_eq!(provision.token().as_bytes(), TOKEN);
        let mut again = [0xFF; MAX_PROVISION_LEN];
        assert_eq!(provision.emit(&mut again).map(|image| image.len()), Ok(len));
        assert_eq!(again, flash);
    }

    #[test]
    fn every_number_of_pins_up_to_the_most_is_kept() {
        let token = UnpackedToken::parse_exact(&TOKEN).expect("the lengths are right");
        for count in 1..=MAX_PINS {
            let provision = Provision::new(HOST, pins(count), site(), Secret::new([9; 32]), token);
            let mut out = [0; MAX_PROVISION_LEN];
            let image = provision.expect("the host is one").emit(&mut out);
            let parsed = Provision::parse(image.expect("it fits")).expect("it is good");
            assert!(parsed.pins().keys().eq(pins(count).keys()), "{count}");
        }
    }

    #[test]
    fn a_buffer_that_is_too_small_is_told_what_would_do() {
        let mut flash = [0xFF; MAX_PROVISION_LEN];
        let len = image(&mut flash);
        let provision = Provision::parse(&flash).expect("the image is good");
        for short in 0..len {
            let mut out = [0; MAX_PROVISION_LEN];
            let refused = provision.emit(&mut out[..short]).err();
            assert_eq!(refused.map(|error| error.needed), Some(len), "{short}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let mut flash = [0xFF; MAX_PROVISION_LEN];
        let len = image(&mut flash);
        for short in 0..len {
            let refused = Provision::parse(&flash[..short]).err();
            assert_eq!(refused, Some(ProvisionError::Length), "{short}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let mut flash = [0xFF; MAX_PROVISION_LEN];
        let len = image(&mut flash);
        for bit in 0..len * 8 {
            flash[bit / 8] ^= 1 << (bit % 8);
            let refused = Provision::parse(&flash).err();
            let expected = match bit / 8 {
                0..4 => ProvisionError::Magic,
                4 => ProvisionError::Version(flash[4]),
                // A length that an image could have leads to another place for the hash.
                5..7 if refused == Some(ProvisionError::Length) => ProvisionError::Length,
                _ => ProvisionError::Checksum,
            };
            assert_eq!(refused, Some(expected), "bit {bit}");
            flash[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn flash_that_nobody_wrote_is_blank() {
        for byte in [0x00, 0xFF] {
            let refused = Provision::parse(&[byte; 4096]).err();
            assert_eq!(refused, Some(ProvisionError::Blank));
        }
    }

    #[test]
    fn every_fault_behind_a_right_hash_has_its_name() {
        let pin_count = FIRST_PIN - 1;
        let audience = FIRST_PIN + 2 * 65;
        let group = audience + 1 + 3;
        let anchors = group + 1 + 4;
        let token_len = anchors + 1 + 2 * (1 + 2 + 1 + 6 + 65) + 32;
        assert_eq!(refusal(audience + 1, 0x80), Some(ProvisionError::Site));
        assert_eq!(refusal(group + 1, 0xFF), Some(ProvisionError::Site));
        assert_eq!(refusal(anchors, 0), Some(ProvisionError::Anchor));
        assert_eq!(refusal(anchors, 5), Some(ProvisionError::Anchor));
        assert_eq!(refusal(anchors + 2, b' '), Some(ProvisionError::Anchor));
        // The second kid is made the first's.
        assert_eq!(
            refusal(anchors + 1 + 75 + 2, b'1'),
            Some(ProvisionError::Anchor)
        );
        assert_eq!(refusal(anchors + 1 + 10, 5), Some(ProvisionError::Anchor));
        assert_eq!(refusal(HEADER_LEN, 0xFF), Some(ProvisionError::Host));
        assert_eq!(refusal(HEADER_LEN + 1, b' '), Some(ProvisionError::Host));
        assert_eq!(refusal(HEADER_LEN + 1, 0x80), Some(ProvisionError::Host));
        assert_eq!(refusal(pin_count, 0), Some(ProvisionError::PinCount));
        assert_eq!(refusal(pin_count, 5), Some(ProvisionError::PinCount));
        assert_eq!(refusal(FIRST_PIN, 2), Some(ProvisionError::Pin));
        assert_eq!(refusal(FIRST_PIN + 1, 0), Some(ProvisionError::Pin));
        assert_eq!(refusal(token_len, 1), Some(ProvisionError::Layout));
        let token = ProvisionError::Token;
        assert_eq!(
            refusal(token_len + 1, 70),
            Some(token(TokenReason::Truncated))
        );
        assert_eq!(
            refusal(token_len + 2, 0),
            Some(token(TokenReason::PartEmpty))
        );
        assert_eq!(
            refusal(token_len + 2, 1),
            Some(token(TokenReason::TrailingBytes))
        );
    }

    #[test]
    fn bytes_between_the_token_and_the_hash_are_refused() {
        let mut out = [0xFF; MAX_PROVISION_LEN];
        let len = image(&mut out) + 1;
        out[5..7].copy_from_slice(&u16::try_from(len).expect("it is short").to_be_bytes());
        let hash = Hash::of(&[&out[..len - HASH_LEN]]);
        out[len - HASH_LEN..len].copy_from_slice(hash.as_bytes());
        assert_eq!(Provision::parse(&out).err(), Some(ProvisionError::Layout));
    }

    #[test]
    fn only_what_fits_a_line_of_http_is_a_host() {
        let token = UnpackedToken::parse_exact(&TOKEN).expect("the lengths are right");
        let long = [b'a'; 65];
        let long = str::from_utf8(&long).expect("it is text");
        for host in ["", "two words", "hub\r\nX: y", "h\u{FC}b", long] {
            let refused = Provision::new(host, pins(1), site(), Secret::new([9; 32]), token);
            assert_eq!(refused.err(), Some(ProvisionError::Host), "{host}");
        }
        assert!(Provision::new(&long[1..], pins(1), site(), Secret::new([9; 32]), token).is_ok());
    }
}
