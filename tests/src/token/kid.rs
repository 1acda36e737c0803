//! Attacks on `kid`.

use moorline_core::crypto::{PublicKey, Secret, SigningKey};
use moorline_core::token::{
    JsonReason, Member, TokenReason, TrustAnchor, TrustAnchorError, TrustAnchors,
};

use super::forge::{Forgery, ISSUER, anchors, case};
use crate::primitives::RFC_6979_KEY;
use crate::{Case, Failure, ensure, jws};

const CHARACTER: TokenReason = TokenReason::Character(Member::Kid);

pub(crate) static CASES: &[Case] = &[
    case(
        "a kid of no trust anchor is refused",
        "PROTOCOL.md §4",
        || kid("\"k2\"", TokenReason::KidUnknown),
    ),
    case("a kid in other case is refused", "PROTOCOL.md §4", || {
        kid("\"K1\"", TokenReason::KidUnknown)
    }),
    case(
        "a kid that begins with a trust anchor's is refused",
        "PROTOCOL.md §4",
        || kid("\"k11\"", TokenReason::KidUnknown),
    ),
    case("a kid of 16 characters is read", "PROTOCOL.md §4", || {
        kid("\"ABCxyz-_01234567\"", TokenReason::KidUnknown)
    }),
    case("an empty kid is refused", "PROTOCOL.md §4", || {
        kid("\"\"", TokenReason::Length(Member::Kid))
    }),
    case(
        "a kid of 17 characters is refused",
        "PROTOCOL.md §4",
        || kid("\"0123456789abcdefg\"", TokenReason::Length(Member::Kid)),
    ),
    case(
        "a kid of 200 bytes is refused by the header's length",
        "PROTOCOL.md §4",
        || {
            let mut long = [b'a'; 202];
            (long[0], long[201]) = (b'"', b'"');
            Forgery::agent()
                .header("\"k1\"", long)
                .refused(TokenReason::HeaderTooLong)
        },
    ),
    case("a kid that is a path is refused", "RFC 8725 §3.10", || {
        kid("\"../dev/null\"", CHARACTER)
    }),
    case(
        "a kid that is a query is refused",
        "RFC 8725 §3.10",
        || kid("\"' OR 1=1\"", CHARACTER),
    ),
    case("a kid with a dot is refused", "PROTOCOL.md §4", || {
        kid("\"k.1\"", CHARACTER)
    }),
    case(
        "a kid with a raw zero byte is refused",
        "RFC 8259 §7",
        || {
            kid(
                "\"k1\0\"",
                TokenReason::HeaderJson(JsonReason::ControlCharacter),
            )
        },
    ),
    case(
        "a kid with an escaped zero byte is refused",
        "PROTOCOL.md §4",
        || kid("\"k1\\u0000\"", TokenReason::Escaped(Member::Kid)),
    ),
    case(
        "a kid with a letter outside ASCII is refused",
        "PROTOCOL.md §4",
        || kid("\"k\u{e9}\"", CHARACTER),
    ),
    case(
        "a kid that is a number is refused",
        "PROTOCOL.md §4",
        || kid("1", TokenReason::WrongType(Member::Kid)),
    ),
    case("a kid that is null is refused", "PROTOCOL.md §4", || {
        kid("null", TokenReason::WrongType(Member::Kid))
    }),
    case("a second kid is refused", "RFC 7515 §4", || {
        kid(
            "\"k2\",\"kid\":\"k1\"",
            TokenReason::HeaderJson(JsonReason::DuplicateMember),
        )
    }),
    case("a header without kid is refused", "PROTOCOL.md §4", || {
        Forgery::agent()
            .header(",\"kid\":\"k1\"", "")
            .refused(TokenReason::Missing(Member::Kid))
    }),
    case(
        "a set takes eight anchors, each with a kid and a key of its own",
        "PROTOCOL.md §4",
        fills,
    ),
    case(
        "an anchor that was removed vouches for nothing",
        "PROTOCOL.md §4",
        removes,
    ),
    case(
        "an anchor with a kid or issuer that no token can have is refused",
        "PROTOCOL.md §4",
        || {
            let Some(key) = PublicKey::from_bytes(&RFC_6979_KEY) else {
                ensure!(false);
                return Ok(());
            };
            ensure!(TrustAnchor::new(ISSUER, "k.1", key) == Err(CHARACTER));
            ensure!(TrustAnchor::new(ISSUER, "", key) == Err(TokenReason::Length(Member::Kid)));
            let blank = TrustAnchor::new("an issuer", "k1", key);
            ensure!(blank == Err(TokenReason::Character(Member::Issuer)));
            Ok(())
        },
    ),
];

fn kid(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent().header("\"k1\"", value).refused(reason)
}

fn fills() -> Result<(), Failure> {
    let mut anchors = TrustAnchors::new();
    let kids = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    for (step, kid) in kids.into_iter().enumerate() {
        let scalar = [kid.bytes().next().unwrap_or(1); 32];
        let signer = SigningKey::from_scalar(&Secret::new(scalar));
        let anchor = signer.map(|signer| TrustAnchor::new(ISSUER, kid, *signer.public_key()));
        let Some(Ok(anchor)) = anchor else {
            ensure!(false, step);
            return Ok(());
        };
        let expected = if step < 8 {
            Ok(())
        } else {
            Err(TrustAnchorError::Full)
        };
        ensure!(anchors.insert(anchor) == expected, step);
    }
    ensure!(anchors.iter().count() == 8);
    Ok(())
}

fn removes() -> Result<(), Failure> {
    let mut anchors = anchors();
    let keys = (
        PublicKey::from_bytes(&RFC_6979_KEY),
        PublicKey::from_coordinates(&jws::X, &jws::Y),
    );
    let (Some(key), Some(other)) = keys else {
        ensure!(false);
        return Ok(());
    };
    let insert = |anchors: &mut TrustAnchors, kid, key| match TrustAnchor::new(ISSUER, kid, key) {
        Ok(anchor) => anchors.insert(anchor),
        Err(_) => Err(TrustAnchorError::Full),
    };
    ensure!(insert(&mut anchors, "k1", other) == Err(TrustAnchorError::KidRepeated));
    ensure!(insert(&mut anchors, "k2", key) == Err(TrustAnchorError::KeyRepeated));
    ensure!(insert(&mut anchors, "k2", other) == Ok(()));
    ensure!(
        anchors
            .find("k2")
            .is_some_and(|anchor| *anchor.key() == other)
    );
    ensure!(anchors.remove("k1").is_some());
    ensure!(anchors.remove("k1").is_none());
    ensure!(anchors.find("k1").is_none());
    ensure!(insert(&mut anchors, "k1", key) == Ok(()));
    Ok(())
}
