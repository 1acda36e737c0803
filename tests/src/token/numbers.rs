//! Numbers that two readers may understand differently.

use moorline_core::token::{JsonReason, Member, TokenReason};

use super::forge::{Forgery, case};
use crate::{Case, Failure};

const CLAUSE: &str = "PROTOCOL.md §4";
const NOT_AN_INTEGER: TokenReason = TokenReason::NotAnInteger(Member::ExpiresAt);
const TOO_LARGE: TokenReason = TokenReason::TooLarge(Member::ExpiresAt);
const WRONG_TYPE: TokenReason = TokenReason::WrongType(Member::ExpiresAt);
const NUMBER: TokenReason = TokenReason::PayloadJson(JsonReason::Number);
const SYNTAX: TokenReason = TokenReason::PayloadJson(JsonReason::Syntax);

pub(crate) static CASES: &[Case] = &[
    case("exp NaN is refused", "RFC 8259 §6", || exp("NaN", SYNTAX)),
    case("exp Infinity is refused", "RFC 8259 §6", || {
        exp("Infinity", SYNTAX)
    }),
    case("exp -Infinity is refused", "RFC 8259 §6", || {
        exp("-Infinity", NUMBER)
    }),
    case("exp with an exponent is refused", CLAUSE, || {
        exp("1e10", NOT_AN_INTEGER)
    }),
    case("exp with a capital exponent is refused", CLAUSE, || {
        exp("18E8", NOT_AN_INTEGER)
    }),
    case("a negative exp is refused", CLAUSE, || {
        exp("-1", NOT_AN_INTEGER)
    }),
    case("exp of minus zero is refused", CLAUSE, || {
        exp("-0", NOT_AN_INTEGER)
    }),
    case("exp with a fraction is refused", CLAUSE, || {
        exp("1800003600.5", NOT_AN_INTEGER)
    }),
    case("exp with a fraction of zero is refused", CLAUSE, || {
        exp("1800003600.0", NOT_AN_INTEGER)
    }),
    case("exp with a leading zero is refused", "RFC 8259 §6", || {
        exp("01800003600", NUMBER)
    }),
    case("exp with a plus sign is refused", "RFC 8259 §6", || {
        exp("+1800003600", SYNTAX)
    }),
    case("exp in hexadecimal is refused", "RFC 8259 §6", || {
        exp("0x6b49d200", SYNTAX)
    }),
    case("exp of 2^53 is refused", "RFC 7493 §2.2", || {
        exp("9007199254740992", TOO_LARGE)
    }),
    case("exp of 2^53 + 1 is refused", "RFC 7493 §2.2", || {
        exp("9007199254740993", TOO_LARGE)
    }),
    case(
        "exp of 2^64 + our time is refused and does not wrap",
        CLAUSE,
        || exp("18446744075509555216", TOO_LARGE),
    ),
    case("exp of 10^100 in digits is refused", CLAUSE, || {
        let mut digits = [b'0'; 101];
        digits[0] = b'1';
        Forgery::agent()
            .payload("1800003600", digits)
            .refused(TOO_LARGE)
    }),
    case("exp of 10^400 is refused", CLAUSE, || {
        exp("1e400", NOT_AN_INTEGER)
    }),
    case("exp as a string is refused", CLAUSE, || {
        exp("\"1800003600\"", WRONG_TYPE)
    }),
    case("exp null is refused", CLAUSE, || exp("null", WRONG_TYPE)),
    case("exp true is refused", CLAUSE, || exp("true", WRONG_TYPE)),
    case("exp as an array is refused", CLAUSE, || {
        exp("[1800003600]", WRONG_TYPE)
    }),
    case("exp as an object is refused", CLAUSE, || {
        exp("{}", WRONG_TYPE)
    }),
    case(
        "exp at the largest integer is read, and its life refused",
        "RFC 7493 §2.2",
        || exp("9007199254740991", TokenReason::LifetimeTooLong),
    ),
    case("a token without exp is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"exp\":1800003600,", "")
            .refused(TokenReason::Missing(Member::ExpiresAt))
    }),
    case("a token without iat is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"iat\":1800000000,", "")
            .refused(TokenReason::Missing(Member::IssuedAt))
    }),
    case("iat as a string is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"iat\":1800000000", "\"iat\":\"0\"")
            .refused(TokenReason::WrongType(Member::IssuedAt))
    }),
    case("nbf null is refused", CLAUSE, || {
        Forgery::agent()
            .member("\"nbf\":null")
            .refused(TokenReason::WrongType(Member::NotBefore))
    }),
    case("a negative nbf is refused", CLAUSE, || {
        Forgery::agent()
            .member("\"nbf\":-5")
            .refused(TokenReason::NotAnInteger(Member::NotBefore))
    }),
    case("gen of 2^32 is refused and does not wrap", CLAUSE, || {
        Forgery::agent()
            .payload("\"gen\":3", "\"gen\":4294967296")
            .refused(TokenReason::TooLarge(Member::Generation))
    }),
    case("gen of 2^32 - 1 is read", CLAUSE, || {
        Forgery::agent()
            .payload("\"gen\":3", "\"gen\":4294967295")
            .good_but_for_signature()
    }),
    case("a token without gen is refused", CLAUSE, || {
        Forgery::agent()
            .payload(",\"gen\":3", "")
            .refused(TokenReason::Missing(Member::Generation))
    }),
];

fn exp(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent()
        .payload("1800003600", value)
        .refused(reason)
}
