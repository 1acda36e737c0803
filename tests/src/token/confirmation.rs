//! Attacks on the holder's key.

use moorline_core::token::{Base64Reason, JsonReason, Member, TokenReason};

use super::forge::{Forgery, case};
use crate::{Case, Failure};

const CLAUSE: &str = "RFC 7800 §3.2";
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

pub(crate) static CASES: &[Case] = &[
    case(
        "a token without cnf, which anyone could show, is refused",
        CLAUSE,
        || {
            Forgery::agent()
                .payload("\"cnf\":{\"jwk\"", "\"cnx\":{\"jwk\"")
                .refused(TokenReason::Missing(Member::Confirmation))
        },
    ),
    case("cnf null is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"cnf\":{\"jwk\"", "\"cnf\":null,\"cnx\":{\"jwk\"")
            .refused(TokenReason::WrongType(Member::Confirmation))
    }),
    case("an empty cnf is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"cnf\":{\"jwk\"", "\"cnf\":{},\"cnx\":{\"jwk\"")
            .refused(TokenReason::Missing(Member::Key))
    }),
    case("cnf with a kid is refused", "RFC 7800 §3.4", || {
        Forgery::agent()
            .payload("\"cnf\":{", "\"cnf\":{\"kid\":\"k\",")
            .refused(TokenReason::ConfirmationMemberNotAllowed)
    }),
    case("cnf with jku is refused", "RFC 7800 §3.5", || {
        Forgery::agent()
            .payload("\"cnf\":{", "\"cnf\":{\"jku\":\"https://evil.example\",")
            .refused(TokenReason::ConfirmationMemberNotAllowed)
    }),
    case("a second jwk in cnf is refused", "RFC 7800 §3.1", || {
        Forgery::agent()
            .payload("}},\"role\"", "},\"jwk\":{}},\"role\"")
            .refused(TokenReason::PayloadJson(JsonReason::DuplicateMember))
    }),
    case("a jwk that is a string is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"jwk\":{", "\"jwk\":\"k\",\"x\":{")
            .refused(TokenReason::WrongType(Member::Key))
    }),
    case("a key with its private part is refused", CLAUSE, || {
        key(
            "\"kty\":\"EC\"",
            "\"kty\":\"EC\",\"d\":\"AAAA\"",
            TokenReason::KeyMemberNotAllowed,
        )
    }),
    case(
        "a key with a member that we do not use is refused",
        "PROTOCOL.md §4",
        || {
            key(
                "\"kty\":\"EC\"",
                "\"kty\":\"EC\",\"use\":\"sig\"",
                TokenReason::KeyMemberNotAllowed,
            )
        },
    ),
    case("kty RSA is refused", "RFC 7518 §6.1", || {
        key("\"EC\"", "\"RSA\"", TokenReason::KeyTypeNotAllowed)
    }),
    case("kty oct is refused", "RFC 7518 §6.1", || {
        key("\"EC\"", "\"oct\"", TokenReason::KeyTypeNotAllowed)
    }),
    case("kty OKP is refused", "RFC 7518 §6.1", || {
        key("\"EC\"", "\"OKP\"", TokenReason::KeyTypeNotAllowed)
    }),
    case("kty in small letters is refused", "RFC 7518 §6.1", || {
        key("\"EC\"", "\"ec\"", TokenReason::KeyTypeNotAllowed)
    }),
    case("a key without kty is refused", "RFC 7517 §4.1", || {
        key("\"kty\":\"EC\",", "", TokenReason::Missing(Member::KeyType))
    }),
    case("crv P-384 is refused", "RFC 7518 §6.2.1.1", || {
        key("P-256", "P-384", TokenReason::CurveNotAllowed)
    }),
    case("crv secp256k1 is refused", "RFC 7518 §6.2.1.1", || {
        key("P-256", "secp256k1", TokenReason::CurveNotAllowed)
    }),
    case("a key without crv is refused", "RFC 7518 §6.2.1.1", || {
        key(
            "\"crv\":\"P-256\",",
            "",
            TokenReason::Missing(Member::Curve),
        )
    }),
    case("a key without x is refused", "RFC 7518 §6.2.1.2", || {
        key(
            "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",",
            "",
            missing(Member::X),
        )
    }),
    case("a key without y is refused", "RFC 7518 §6.2.1.3", || {
        key(
            ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"",
            "",
            missing(Member::Y),
        )
    }),
    case("a point off the curve is refused", "RFC 8725 §3.4", || {
        // The last byte of y is one less.
        key("I5a0", "I5aw", TokenReason::KeyNotOnCurve)
    }),
    case("x and y exchanged are refused", "RFC 8725 §3.4", || {
        Forgery::agent()
            .payload(X, "@")
            .payload(Y, X)
            .payload("@", Y)
            .refused(TokenReason::KeyNotOnCurve)
    }),
    case(
        "zero coordinates, which some read as infinity, are refused",
        "RFC 8725 §3.4",
        || {
            const ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
            Forgery::agent()
                .payload(X, ZERO)
                .payload(Y, ZERO)
                .refused(TokenReason::KeyNotOnCurve)
        },
    ),
    case(
        "x at the field's prime is refused",
        "RFC 8725 §3.4",
        || {
            key(
                X,
                "_____wAAAAEAAAAAAAAAAAAAAAD_______________8",
                TokenReason::KeyNotOnCurve,
            )
        },
    ),
    case(
        "x over the field's prime, the same point unreduced, is refused",
        "RFC 8725 §3.4",
        || {
            // x = p + 5, and a y that belongs to x = 5.
            Forgery::agent()
                .payload(X, "_____wAAAAEAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAQ")
                .payload(Y, "RZJDuapYGAb-kTvOmYF63hHKUDxk2aPFM0FcCDJI-8w")
                .refused(TokenReason::KeyNotOnCurve)
        },
    ),
    case("the same point reduced is read", "RFC 8725 §3.4", || {
        Forgery::agent()
            .payload(X, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAU")
            .payload(Y, "RZJDuapYGAb-kTvOmYF63hHKUDxk2aPFM0FcCDJI-8w")
            .good_but_for_signature()
    }),
    case("x of all ones is refused", "RFC 8725 §3.4", || {
        key(
            X,
            "__________________________________________8",
            TokenReason::KeyNotOnCurve,
        )
    }),
    case(
        "a coordinate without its leading zero byte is refused",
        "RFC 7518 §6.2.1.2",
        || {
            key(
                X,
                "zc4ncPbEXUGDy-5v20t7WAczNXvp7xO6z248e9FURQ",
                TokenReason::Length(Member::X),
            )
        },
    ),
    case(
        "a coordinate with a zero byte more is refused",
        "RFC 7518 §6.2.1.2",
        || {
            key(
                X,
                "AH_Nzidw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF",
                TokenReason::Length(Member::X),
            )
        },
    ),
    case(
        "a padded coordinate is refused",
        "RFC 7518 §6.2.1.2",
        || key("I5a0\"", "I5a0=\"", TokenReason::Length(Member::Y)),
    ),
    case(
        "a coordinate with unused bits that are not zero is refused",
        "RFC 7518 §6.2.1.2",
        || {
            key(
                "I5a0",
                "I5a1",
                TokenReason::Encoding(Member::Y, Base64Reason::TrailingBits),
            )
        },
    ),
    case(
        "a coordinate in the other base64 alphabet is refused",
        "RFC 7518 §6.2.1.2",
        || {
            key(
                "x_FEzRu",
                "x/FEzRu",
                TokenReason::Encoding(Member::Y, Base64Reason::Character),
            )
        },
    ),
    case(
        "a coordinate that is a number is refused",
        "RFC 7518 §6.2.1.2",
        || {
            key(
                "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"",
                "5",
                TokenReason::WrongType(Member::X),
            )
        },
    ),
    case(
        "another holder's key in a signed token is refused by the signature",
        CLAUSE,
        || {
            Forgery::agent()
                .payload(X, "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y")
                .payload(Y, "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk")
                .refused(TokenReason::SignatureInvalid)
        },
    ),
    case(
        "the key's y negated in a signed token is refused by the signature",
        CLAUSE,
        || {
            Forgery::agent()
                .payload(Y, "OA67MeRCZIJ40yASRhFGC0yWopJW9NtSdbnc13p3GlI")
                .refused(TokenReason::SignatureInvalid)
        },
    ),
];

fn key(from: &str, to: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent().payload(from, to).refused(reason)
}

const fn missing(member: Member) -> TokenReason {
    TokenReason::Missing(member)
}
