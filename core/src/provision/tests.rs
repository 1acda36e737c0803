use super::{
    HASH_LEN, HEADER_LEN, MAX_KEYS, MAX_PROVISION_LEN, Provision, ProvisionError, ROOT_LEN, Road,
    Site, split_host,
};
use crate::crypto::{Hash, Secret, SigningKey};
use crate::token::{TokenReason, TrustAnchor, TrustAnchors, UnpackedToken};
use crate::trust::TrustStore;

const HOST: &str = "hub.example:7443";
const TOKEN: [u8; 3 + 2 + 2 + 64] = {
    let mut token = [0x22; 71];
    token[0] = 2;
    token[1] = 0;
    token[2] = 2;
    token
};
const ROOT: usize = HEADER_LEN + 1 + 1 + HOST.len();
const FIRST_PIN: usize = ROOT + ROOT_LEN + 1;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_scalar(&Secret::new([byte; 32])).expect("a small scalar is in range")
}

fn trust(count: usize) -> TrustStore {
    let mut trust = TrustStore::new(*key(21).public_key(), 7, *key(1).public_key());
    for byte in 1..count {
        let byte = u8::try_from(byte).expect("a few pins");
        assert!(trust.add(*key(byte + 1).public_key()));
    }
    trust
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
    let provision = Provision::new(
        Road::Network,
        HOST,
        trust(2),
        site(),
        Secret::new([9; 32]),
        token,
    );
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
    assert_eq!(provision.road(), Road::Network);
    assert_eq!(provision.host(), HOST);
    assert_eq!(provision.place(), ("hub.example", 7443));
    assert_eq!(provision.trust(), &trust(2));
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
    for count in 1..=MAX_KEYS {
        let provision = Provision::new(
            Road::Network,
            HOST,
            trust(count),
            site(),
            Secret::new([9; 32]),
            token,
        );
        let mut out = [0; MAX_PROVISION_LEN];
        let image = provision.expect("the host is one").emit(&mut out);
        let parsed = Provision::parse(image.expect("it fits")).expect("it is good");
        assert_eq!(parsed.trust(), &trust(count));
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
    assert_eq!(refusal(HEADER_LEN + 1, 0xFF), Some(ProvisionError::Host));
    assert_eq!(refusal(HEADER_LEN + 2, b' '), Some(ProvisionError::Host));
    assert_eq!(refusal(HEADER_LEN + 2, 0x80), Some(ProvisionError::Host));
    for road in [0, 3, 0xFF] {
        assert_eq!(refusal(HEADER_LEN, road), Some(ProvisionError::Road));
    }
    assert_eq!(refusal(pin_count, 0), Some(ProvisionError::PinCount));
    assert_eq!(refusal(pin_count, 5), Some(ProvisionError::PinCount));
    assert_eq!(refusal(ROOT, 2), Some(ProvisionError::Pin));
    assert_eq!(refusal(ROOT + 1, 0), Some(ProvisionError::Pin));
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
        let refused = Provision::new(
            Road::SerialLine,
            host,
            trust(1),
            site(),
            Secret::new([9; 32]),
            token,
        );
        assert_eq!(refused.err(), Some(ProvisionError::Host), "{host}");
    }
    assert!(
        Provision::new(
            Road::Network,
            &long[1..],
            trust(1),
            site(),
            Secret::new([9; 32]),
            token
        )
        .is_ok()
    );
}

#[test]
fn each_road_is_kept() {
    let token = UnpackedToken::parse_exact(&TOKEN).expect("the lengths are right");
    for road in [Road::Network, Road::SerialLine] {
        let provision = Provision::new(road, HOST, trust(1), site(), Secret::new([9; 32]), token);
        let mut out = [0; MAX_PROVISION_LEN];
        let image = provision.expect("the host is one").emit(&mut out);
        let parsed = Provision::parse(image.expect("it fits")).expect("it is good");
        assert_eq!(parsed.road(), road);
    }
}

#[test]
fn an_image_of_an_earlier_version_is_named_by_it() {
    let mut flash = [0xFF; MAX_PROVISION_LEN];
    image(&mut flash);
    for version in [1, 2, 3, 5] {
        flash[4] = version;
        let refused = Provision::parse(&flash).err();
        assert_eq!(refused, Some(ProvisionError::Version(version)));
    }
}

#[test]
fn a_host_has_a_name_and_a_port() {
    for (host, split) in [
        ("hub.example:7443", Some(("hub.example", 7443))),
        ("10.0.2.2:65535", Some(("10.0.2.2", 65535))),
        ("hub", Some(("hub", 80))),
        ("[fe80::1]:1", Some(("fe80::1", 1))),
        ("[fe80::1]", Some(("fe80::1", 80))),
        ("", None),
        (":7443", None),
        ("hub:", None),
        ("hub:0", None),
        ("hub:65536", None),
        ("hub:+80", None),
        ("hub:http", None),
        ("hub:80:80", None),
        ("fe80::1", None),
        ("[fe80::1", None),
        ("[]:80", None),
        ("[fe80::1]80", None),
    ] {
        assert_eq!(split_host(host), split, "{host}");
    }
}
