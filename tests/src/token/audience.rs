//! For whom a token is, and from whom.

use moorline_core::time::UnixMillis;
use moorline_core::token::{Member, Policy, Role, TokenReason};

use super::forge::{Forgery, GROUP, HUB, NOW, case};
use crate::{Case, Failure};

const CLAUSE: &str = "RFC 8725 §3.9";
const MISMATCH: TokenReason = TokenReason::AudienceMismatch;

pub(crate) static CASES: &[Case] = &[
    case("a token without aud is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"aud\":\"hub.example\",", "")
            .refused(TokenReason::Missing(Member::Audience))
    }),
    case("a token for another hub is refused", CLAUSE, || {
        audience("\"other.example\"", MISMATCH)
    }),
    case(
        "a token for a name that begins as ours is refused",
        CLAUSE,
        || audience("\"hub.example.evil\"", MISMATCH),
    ),
    case(
        "a token for the beginning of our name is refused",
        CLAUSE,
        || audience("\"hub.exampl\"", MISMATCH),
    ),
    case(
        "a token for our name in other case is refused",
        CLAUSE,
        || audience("\"HUB.example\"", MISMATCH),
    ),
    case(
        "a token for our name with a dot after it is refused",
        CLAUSE,
        || audience("\"hub.example.\"", MISMATCH),
    ),
    case("a token for everybody is refused", CLAUSE, || {
        audience("\"*\"", MISMATCH)
    }),
    case("a token for others only is refused", CLAUSE, || {
        audience("[\"a\",\"b\"]", MISMATCH)
    }),
    case(
        "a token for four of which we are the last is good",
        "RFC 7519 §4.1.3",
        || {
            Forgery::agent()
                .payload("\"hub.example\"", "[\"a\",\"b\",\"c\",\"hub.example\"]")
                .good_but_for_signature()
        },
    ),
    case(
        "a token for five of which we are the last is refused",
        "PROTOCOL.md §4",
        || {
            audience(
                "[\"a\",\"b\",\"c\",\"d\",\"hub.example\"]",
                TokenReason::Count(Member::Audience),
            )
        },
    ),
    case(
        "a token for five of which we are the first is refused",
        "PROTOCOL.md §4",
        || {
            audience(
                "[\"hub.example\",\"a\",\"b\",\"c\",\"d\"]",
                TokenReason::Count(Member::Audience),
            )
        },
    ),
    case("a token for nobody is refused", "PROTOCOL.md §4", || {
        audience("[]", TokenReason::Count(Member::Audience))
    }),
    case(
        "a token for one audience twice is refused",
        "PROTOCOL.md §4",
        || {
            audience(
                "[\"hub.example\",\"hub.example\"]",
                TokenReason::Repeated(Member::Audience),
            )
        },
    ),
    case(
        "aud with something that is no string is refused",
        "PROTOCOL.md §4",
        || {
            audience(
                "[\"hub.example\",1]",
                TokenReason::WrongType(Member::Audience),
            )
        },
    ),
    case(
        "aud with an array in its array is refused",
        "PROTOCOL.md §4",
        || {
            audience(
                "[[\"hub.example\"]]",
                TokenReason::WrongType(Member::Audience),
            )
        },
    ),
    case("aud null is refused", "PROTOCOL.md §4", || {
        audience("null", TokenReason::WrongType(Member::Audience))
    }),
    case("an empty aud is refused", "PROTOCOL.md §4", || {
        audience("\"\"", TokenReason::Length(Member::Audience))
    }),
    case("aud of 65 bytes is refused", "PROTOCOL.md §4", || {
        let mut long = [b'a'; 67];
        (long[0], long[66]) = (b'"', b'"');
        Forgery::agent()
            .payload("\"hub.example\"", long)
            .refused(TokenReason::Length(Member::Audience))
    }),
    case("aud with a blank is refused", "PROTOCOL.md §4", || {
        audience("\"hub.example \"", TokenReason::Character(Member::Audience))
    }),
    case(
        "a token of another issuer under our issuer's key is refused",
        "RFC 8725 §3.8",
        || issuer("https://other.example", TokenReason::IssuerMismatch),
    ),
    case(
        "an issuer with a slash at its end is another",
        "RFC 8725 §3.8",
        || issuer("https://issuer.example/", TokenReason::IssuerMismatch),
    ),
    case(
        "an issuer in other case is another",
        "RFC 8725 §3.8",
        || issuer("https://Issuer.example", TokenReason::IssuerMismatch),
    ),
    case("an empty issuer is refused", "PROTOCOL.md §4", || {
        issuer("", TokenReason::Length(Member::Issuer))
    }),
    case(
        "an issuer of 65 bytes is refused",
        "PROTOCOL.md §4",
        || {
            Forgery::agent()
                .payload("https://issuer.example", [b'a'; 65])
                .refused(TokenReason::Length(Member::Issuer))
        },
    ),
    case("a token without iss is refused", "RFC 8725 §3.8", || {
        Forgery::agent()
            .payload("\"iss\":\"https://issuer.example\",", "")
            .refused(TokenReason::Missing(Member::Issuer))
    }),
    case(
        "an agent's token is refused where a channel expects a commander",
        "PROTOCOL.md §4",
        || {
            on_channel(
                Forgery::agent(),
                Role::Commander,
                Some(TokenReason::RoleNotAccepted),
            )
        },
    ),
    case(
        "a commander's token is refused where a channel expects an agent",
        "PROTOCOL.md §4",
        || {
            on_channel(
                Forgery::commander(),
                Role::Agent,
                Some(TokenReason::RoleNotAccepted),
            )
        },
    ),
    case(
        "a commander's token is good where a channel expects a commander",
        "PROTOCOL.md §4",
        || on_channel(Forgery::commander(), Role::Commander, None),
    ),
    case(
        "an agent's token is refused for an offline command",
        "PROTOCOL.md §12.5",
        || {
            Forgery::agent()
                .payload(HUB, GROUP)
                .policy(Policy::offline_command(GROUP, UnixMillis::from_secs(NOW)))
                .refused(TokenReason::RoleNotAccepted)
        },
    ),
    case(
        "a link narrowed to agents refuses a commander",
        "PROTOCOL.md §4",
        || {
            Forgery::commander()
                .policy(Policy::link(HUB, UnixMillis::from_secs(NOW)).only(Role::Agent))
                .refused(TokenReason::RoleNotAccepted)
        },
    ),
    case(
        "narrowing a channel to the other role does not turn it",
        "PROTOCOL.md §4",
        || {
            let channel = Policy::channel(HUB, Role::Agent, UnixMillis::from_secs(NOW));
            Forgery::commander()
                .policy(channel.only(Role::Commander))
                .refused(TokenReason::RoleNotAccepted)
        },
    ),
];

fn audience(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent()
        .payload("\"hub.example\"", value)
        .refused(reason)
}

fn issuer(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent()
        .payload("https://issuer.example", value)
        .refused(reason)
}

fn on_channel(token: Forgery, role: Role, reason: Option<TokenReason>) -> Result<(), Failure> {
    let policy = Policy::channel(GROUP, role, UnixMillis::from_secs(NOW));
    let token = token
        .payload("\"hub.example\"", "[\"hub.example\",\"harbour\"]")
        .policy(policy);
    match reason {
        Some(reason) => token.refused(reason),
        None => token.good_but_for_signature(),
    }
}
