//! Attacks on the other members of the header.

use moorline_core::token::{Member, TokenReason};

use super::forge::{Forgery, case};
use crate::{Case, Failure};

const KEY: TokenReason = TokenReason::KeyInHeader;
const TRANSFORM: TokenReason = TokenReason::PayloadTransform;

pub(crate) static CASES: &[Case] = &[
    case("a header with jku is refused", "RFC 8725 §3.10", || {
        added("\"jku\":\"https://evil.example/k\"", KEY)
    }),
    case("a header with x5u is refused", "RFC 8725 §3.10", || {
        added("\"x5u\":\"https://evil.example/c\"", KEY)
    }),
    case("a header with x5c is refused", "PROTOCOL.md §4", || {
        added("\"x5c\":[\"MIIB\"]", KEY)
    }),
    case("a header with x5t is refused", "PROTOCOL.md §4", || {
        added("\"x5t\":\"AAAA\"", KEY)
    }),
    case(
        "a header with x5t#S256 is refused",
        "PROTOCOL.md §4",
        || added("\"x5t#S256\":\"AAAA\"", KEY),
    ),
    case(
        "a header with the attacker's key in jwk is refused",
        "RFC 8725 §3.10",
        || added("\"jwk\":{\"kty\":\"EC\",\"x\":\"AAAA\"}", KEY),
    ),
    case(
        "crit with an unknown extension is refused",
        "RFC 7515 §4.1.11",
        || added("\"crit\":[\"ext\"],\"ext\":1", TokenReason::CriticalHeader),
    ),
    case("an empty crit is refused", "RFC 7515 §4.1.11", || {
        added("\"crit\":[]", TokenReason::CriticalHeader)
    }),
    case(
        "crit that names alg is refused",
        "RFC 7515 §4.1.11",
        || added("\"crit\":[\"alg\"]", TokenReason::CriticalHeader),
    ),
    case(
        "crit that is no array is refused",
        "RFC 7515 §4.1.11",
        || added("\"crit\":true", TokenReason::CriticalHeader),
    ),
    case("b64 false is refused", "RFC 7797 §3", || {
        added("\"b64\":false", TRANSFORM)
    }),
    case("zip is refused", "RFC 8725 §3.6", || {
        added("\"zip\":\"DEF\"", TRANSFORM)
    }),
    case(
        "cty JWT, a token within the token, is refused",
        "RFC 7519 §5.2",
        || added("\"cty\":\"JWT\"", TRANSFORM),
    ),
    case(
        "an unknown header member is refused",
        "PROTOCOL.md §4",
        || added("\"foo\":1", TokenReason::HeaderMemberNotAllowed),
    ),
    case(
        "a header member that differs in case from a known one is refused",
        "PROTOCOL.md §4",
        || added("\"Alg\":\"none\"", TokenReason::HeaderMemberNotAllowed),
    ),
    case(
        "a claim in the header is refused",
        "PROTOCOL.md §4",
        || added("\"exp\":1900000000", TokenReason::HeaderMemberNotAllowed),
    ),
    case("typ JWT is refused", "RFC 8725 §3.11", || {
        typ("\"JWT\"", TokenReason::TypeNotAllowed)
    }),
    case(
        "typ of an identity token is refused",
        "RFC 8725 §3.11",
        || typ("\"id+jwt\"", TokenReason::TypeNotAllowed),
    ),
    case("typ in capitals is refused", "PROTOCOL.md §4", || {
        typ("\"AT+JWT\"", TokenReason::TypeNotAllowed)
    }),
    case(
        "typ with its media type in full is refused",
        "PROTOCOL.md §4",
        || typ("\"application/at+jwt\"", TokenReason::TypeNotAllowed),
    ),
    case("an empty typ is refused", "PROTOCOL.md §4", || {
        typ("\"\"", TokenReason::TypeNotAllowed)
    }),
    case("typ null is refused", "PROTOCOL.md §4", || {
        typ("null", TokenReason::WrongType(Member::Type))
    }),
    case("a header without typ is refused", "RFC 8725 §3.11", || {
        Forgery::agent()
            .header("\"typ\":\"at+jwt\",", "")
            .refused(TokenReason::Missing(Member::Type))
    }),
    case(
        "an offline token is refused on a link",
        "PROTOCOL.md §12.2",
        || {
            Forgery::offline()
                .payload("\"harbour\"", "\"hub.example\"")
                .at(super::forge::NOW)
                .refused(TokenReason::TypeNotAccepted)
        },
    ),
    case(
        "an empty header object is refused",
        "PROTOCOL.md §4",
        || {
            Forgery::agent()
                .header(super::forge::HEADER, "{}")
                .refused(TokenReason::Missing(Member::Algorithm))
        },
    ),
];

fn added(member: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent()
        .header("{", "{@,")
        .header("@", member)
        .refused(reason)
}

fn typ(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent().header("\"at+jwt\"", value).refused(reason)
}
