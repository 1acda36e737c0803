//! Attacks on the JSON of a token.

use moorline_core::token::{JsonReason, Member, TokenReason};

use super::forge::{AGENT, Forgery, HEADER, case};
use crate::{Case, Failure};

pub(crate) static CASES: &[Case] = &[
    case("a second alg is refused", "RFC 7515 §4", || {
        Forgery::agent()
            .header("\"alg\":\"ES256\"", "\"alg\":\"ES256\",\"alg\":\"ES256\"")
            .refused(TokenReason::HeaderJson(JsonReason::DuplicateMember))
    }),
    case(
        "alg written with an escape in its name is refused",
        "PROTOCOL.md §4",
        || {
            Forgery::agent()
                .header("\"alg\":", "\"al\\u0067\":\"ES256\",\"alg\":")
                .refused(TokenReason::HeaderJson(JsonReason::EscapedName))
        },
    ),
    case(
        "a byte order mark before the header is refused",
        "RFC 8259 §8.1",
        || {
            Forgery::agent()
                .header("{", "\u{feff}{")
                .refused(TokenReason::HeaderJson(JsonReason::ByteOrderMark))
        },
    ),
    case(
        "bytes after the header's object are refused",
        "RFC 8259 §2",
        || {
            Forgery::agent()
                .header("}", "}{}")
                .refused(TokenReason::HeaderJson(JsonReason::TrailingBytes))
        },
    ),
    case(
        "a header that is an array is refused",
        "RFC 7515 §4",
        || {
            Forgery::agent()
                .header(HEADER, "[\"ES256\"]")
                .refused(TokenReason::HeaderJson(JsonReason::NotAnObject))
        },
    ),
    case("a second exp is refused", "RFC 7519 §4", || {
        added("\"exp\":1900000000", JsonReason::DuplicateMember)
    }),
    case("a second cnf is refused", "RFC 7519 §4", || {
        added("\"cnf\":{}", JsonReason::DuplicateMember)
    }),
    case("a second x in the key is refused", "RFC 7519 §4", || {
        let twice = "\"kty\":\"EC\",\"kty\":\"EC\"";
        payload("\"kty\":\"EC\"", twice, JsonReason::DuplicateMember)
    }),
    case(
        "an unknown claim that stands twice is refused",
        "PROTOCOL.md §4",
        || added("\"a\":1,\"a\":1", JsonReason::DuplicateMember),
    ),
    case(
        "a name that stands twice in an object of an unknown claim is refused",
        "PROTOCOL.md §4",
        || {
            added(
                "\"a\":{\"b\":{\"c\":1,\"c\":2}}",
                JsonReason::DuplicateMember,
            )
        },
    ),
    case(
        "a claim written with an escape in its name is refused",
        "PROTOCOL.md §4",
        || added("\"ex\\u0070\":1900000000", JsonReason::EscapedName),
    ),
    case(
        "a byte order mark before the payload is refused",
        "RFC 8259 §8.1",
        || payload("{\"iss\"", "\u{feff}{\"iss\"", JsonReason::ByteOrderMark),
    ),
    case(
        "bytes after the payload's object are refused",
        "RFC 8259 §2",
        || {
            Forgery::agent()
                .append(b"x")
                .refused(TokenReason::PayloadJson(JsonReason::TrailingBytes))
        },
    ),
    case(
        "a zero byte after the payload's object is refused",
        "RFC 8259 §2",
        || {
            Forgery::agent()
                .append(b"\0")
                .refused(TokenReason::PayloadJson(JsonReason::TrailingBytes))
        },
    ),
    case(
        "a second object after the payload is refused",
        "RFC 8259 §2",
        || {
            Forgery::agent()
                .append(b"{\"exp\":1}")
                .refused(TokenReason::PayloadJson(JsonReason::TrailingBytes))
        },
    ),
    case(
        "a payload that is an array is refused",
        "RFC 7519 §7.2",
        || payload(AGENT, "[{}]", JsonReason::NotAnObject),
    ),
    case(
        "a payload that is a string is refused",
        "RFC 7519 §7.2",
        || payload(AGENT, "\"{}\"", JsonReason::NotAnObject),
    ),
    case(
        "a payload that ends early is refused",
        "RFC 8259 §2",
        || payload("\"gen\":3}", "\"gen\":3", JsonReason::Truncated),
    ),
    case(
        "a bomb of nested arrays is refused at the fourth level",
        "PROTOCOL.md §4",
        || added("\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", JsonReason::Depth),
    ),
    case(
        "a bomb of nested objects is refused at the fourth level",
        "PROTOCOL.md §4",
        || {
            added(
                "\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{",
                JsonReason::Depth,
            )
        },
    ),
    case(
        "more than 32 members are refused",
        "PROTOCOL.md §4",
        || {
            let many = concat!(
                "\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,",
                "\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\":1,\"u\":1,\"v\":1,",
                "\"w\":1,\"x\":1,\"y\":1,\"z\":1",
            );
            // The claims before it are left out, so that the payload is not too long: nothing has been missed yet.
            Forgery::agent()
                .payload(
                    AGENT,
                    "{@,\"A\":1,\"B\":1,\"C\":1,\"D\":1,\"E\":1,\"F\":1,\"G\":1}",
                )
                .payload("@", many)
                .refused(TokenReason::PayloadJson(JsonReason::MemberCount))
        },
    ),
    case(
        "there is room for the names of an object in the claims beside theirs",
        "PROTOCOL.md §4",
        || {
            // The last is there twice: every one before it was taken.
            added(
                concat!(
                    "\"o\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,",
                    "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1,",
                    "\"t\":1,\"u\":1,\"v\":1,\"w\":1,\"x\":1,\"y\":1,\"z\":1,\"z\":1}",
                ),
                JsonReason::DuplicateMember,
            )
        },
    ),
    case(
        "half of a surrogate pair is refused",
        "RFC 8259 §8.2",
        || added("\"a\":\"\\ud800\"", JsonReason::Surrogate),
    ),
    case(
        "the second half of a surrogate pair alone is refused",
        "RFC 8259 §8.2",
        || {
            added("\"a\":\"\\udc00\"", JsonReason::Surrogate)?;
            added("\"a\":\"\\udc00\\ud800\"", JsonReason::Surrogate)
        },
    ),
    case(
        "invalid UTF-8 in a string is refused",
        "RFC 8259 §8.1",
        || {
            Forgery::agent()
                .payload("crane-7", b"crane-\xff")
                .refused(TokenReason::PayloadJson(JsonReason::Utf8))
        },
    ),
    case("a surrogate in UTF-8 is refused", "RFC 3629 §3", || {
        Forgery::agent()
            .payload("crane-7", b"\xed\xa0\x80")
            .refused(TokenReason::PayloadJson(JsonReason::Utf8))
    }),
    case(
        "an overlong form of a slash in UTF-8 is refused",
        "RFC 3629 §3",
        || {
            Forgery::agent()
                .payload("crane-7", b"\xc0\xaf")
                .refused(TokenReason::PayloadJson(JsonReason::Utf8))
        },
    ),
    case("a comment is refused", "RFC 8259 §2", || {
        payload("\"gen\":3", "/* */\"gen\":3", JsonReason::Syntax)
    }),
    case(
        "a comment to the end of the line is refused",
        "RFC 8259 §2",
        || payload("\"gen\":3", "//\n\"gen\":3", JsonReason::Syntax),
    ),
    case(
        "a comma before the end of an object is refused",
        "RFC 8259 §4",
        || payload("\"gen\":3", "\"gen\":3,", JsonReason::Syntax),
    ),
    case(
        "a name without quotation marks is refused",
        "RFC 8259 §4",
        || payload("\"gen\":3", "gen:3", JsonReason::Syntax),
    ),
    case("single quotation marks are refused", "RFC 8259 §7", || {
        payload("\"crane-7\"", "'crane-7'", JsonReason::Syntax)
    }),
    case(
        "a raw line break in a string is refused",
        "RFC 8259 §7",
        || added("\"a\":\"\n\"", JsonReason::ControlCharacter),
    ),
    case("an unknown escape is refused", "RFC 8259 §7", || {
        added("\"a\":\"\\x41\"", JsonReason::Escape)
    }),
    case(
        "a vertical tab between members is refused",
        "RFC 8259 §2",
        || payload(",\"gen\"", ",\u{b}\"gen\"", JsonReason::Syntax),
    ),
    case(
        "a claim that we use and that has an escape is refused",
        "PROTOCOL.md §4",
        || {
            Forgery::agent()
                .payload("crane-7", "crane\\u002d7")
                .refused(TokenReason::Escaped(Member::Subject))
        },
    ),
    case(
        "an issuer written with an escaped slash is refused",
        "PROTOCOL.md §4",
        || {
            Forgery::agent()
                .payload("https://issuer.example", "https:\\/\\/issuer.example")
                .refused(TokenReason::Escaped(Member::Issuer))
        },
    ),
];

fn payload(from: &str, to: &str, reason: JsonReason) -> Result<(), Failure> {
    Forgery::agent()
        .payload(from, to)
        .refused(TokenReason::PayloadJson(reason))
}

fn added(member: &str, reason: JsonReason) -> Result<(), Failure> {
    Forgery::agent()
        .member(member)
        .refused(TokenReason::PayloadJson(reason))
}
