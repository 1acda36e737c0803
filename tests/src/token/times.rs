//! Times and lives of tokens.

use moorline_core::time::UnixMillis;
use moorline_core::token::{Policy, TokenReason};

use super::forge::{Forgery, GROUP, HUB, NOW, case};
use crate::Case;

const CLAUSE: &str = "PROTOCOL.md §4";

pub(crate) static CASES: &[Case] = &[
    case(
        "a token is refused in the second of its exp",
        CLAUSE,
        || {
            Forgery::agent()
                .at(NOW + 3600)
                .refused(TokenReason::Expired)
        },
    ),
    case("a token is good one second before its exp", CLAUSE, || {
        Forgery::agent().at(NOW + 3599).good_but_for_signature()
    }),
    case(
        "a token is good in the last millisecond before its exp",
        CLAUSE,
        || {
            let now = UnixMillis((NOW + 3600) * 1000 - 1);
            Forgery::agent()
                .policy(Policy::link(HUB, now))
                .good_but_for_signature()
        },
    ),
    case(
        "a token is refused at any time after its exp",
        CLAUSE,
        || {
            Forgery::agent()
                .at(u64::MAX / 1000)
                .refused(TokenReason::Expired)
        },
    ),
    case("a token from 60 seconds ahead is good", CLAUSE, || {
        Forgery::agent().at(NOW - 60).good_but_for_signature()
    }),
    case("a token from 61 seconds ahead is refused", CLAUSE, || {
        Forgery::agent()
            .at(NOW - 61)
            .refused(TokenReason::IssuedInFuture)
    }),
    case(
        "a token is refused at the beginning of time",
        CLAUSE,
        || Forgery::agent().at(0).refused(TokenReason::IssuedInFuture),
    ),
    case("a token is good 60 seconds before its nbf", CLAUSE, || {
        Forgery::agent()
            .member("\"nbf\":1800001000")
            .at(NOW + 940)
            .good_but_for_signature()
    }),
    case(
        "a token is refused 61 seconds before its nbf",
        CLAUSE,
        || {
            Forgery::agent()
                .member("\"nbf\":1800001000")
                .at(NOW + 939)
                .refused(TokenReason::NotYetValid)
        },
    ),
    case("a token with nbf before iat is good", CLAUSE, || {
        Forgery::agent()
            .member("\"nbf\":0")
            .good_but_for_signature()
    }),
    case("a token with nbf at exp is good", CLAUSE, || {
        Forgery::agent()
            .member("\"nbf\":1800003600")
            .at(1_800_003_599)
            .good_but_for_signature()
    }),
    case("a token with nbf after exp is refused", CLAUSE, || {
        Forgery::agent()
            .member("\"nbf\":1800003601")
            .refused(TokenReason::ExpiresBeforeValid)
    }),
    case("a token with exp at iat is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"exp\":1800003600", "\"exp\":1800000000")
            .refused(TokenReason::ExpiresBeforeIssued)
    }),
    case("a token with exp before iat is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"iat\":1800000000", "\"iat\":1800003601")
            .refused(TokenReason::ExpiresBeforeIssued)
    }),
    case("an agent's token of 24 hours is good", CLAUSE, || {
        Forgery::agent()
            .payload("1800003600", "1800086400")
            .good_but_for_signature()
    }),
    case(
        "an agent's token of 24 hours and a second is refused",
        CLAUSE,
        || {
            Forgery::agent()
                .payload("1800003600", "1800086401")
                .refused(TokenReason::LifetimeTooLong)
        },
    ),
    case("a commander's token of an hour is good", CLAUSE, || {
        Forgery::commander().good_but_for_signature()
    }),
    case(
        "a commander's token of an hour and a second is refused",
        CLAUSE,
        || {
            Forgery::commander()
                .payload("1800003600", "1800003601")
                .refused(TokenReason::LifetimeTooLong)
        },
    ),
    case("an offline token of seven days is good", CLAUSE, || {
        Forgery::offline()
            .payload("1800003600", "1800604800")
            .good_but_for_signature()
    }),
    case(
        "an offline token of seven days and a second is refused",
        CLAUSE,
        || {
            Forgery::offline()
                .payload("1800003600", "1800604801")
                .refused(TokenReason::LifetimeTooLong)
        },
    ),
    case("an old iat does not lengthen a life", CLAUSE, || {
        Forgery::agent()
            .payload("\"iat\":1800000000", "\"iat\":0")
            .refused(TokenReason::LifetimeTooLong)
    }),
    case(
        "an agent's token vouches for prekeys for seven days after its exp",
        "PROTOCOL.md §12.5",
        || prekey(NOW + 3600 + 604_800 - 1).good_but_for_signature(),
    ),
    case(
        "an agent's token vouches for no prekey after that",
        "PROTOCOL.md §12.5",
        || prekey(NOW + 3600 + 604_800).refused(TokenReason::Expired),
    ),
];

fn prekey(now: u64) -> Forgery {
    let policy = Policy::prekey_bundle(GROUP, UnixMillis::from_secs(now));
    Forgery::agent().payload(HUB, GROUP).policy(policy)
}
