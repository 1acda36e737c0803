//! The other claims of the profile: subject, id, role, permissions and agents.

use moorline_core::token::{Base64Reason, Member, TokenReason};

use super::forge::{Forgery, case};
use crate::{Case, Failure};

const CLAUSE: &str = "PROTOCOL.md §4";
const AGENTS: &str = "\"agt\":\"harbour\"";
const PERMISSIONS: &str = "[\"agent.command.*\",\"chat.send\"]";

pub(crate) static CASES: &[Case] = &[
    case("a token without sub is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"sub\":\"crane-7\",", "")
            .refused(TokenReason::Missing(Member::Subject))
    }),
    case("an empty sub is refused", CLAUSE, || {
        subject("", TokenReason::Length(Member::Subject))
    }),
    case("a sub of 32 characters is read", CLAUSE, || {
        Forgery::agent()
            .payload("crane-7", "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-789")
            .good_but_for_signature()
    }),
    case("a sub of 33 characters is refused", CLAUSE, || {
        subject(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-7890",
            TokenReason::Length(Member::Subject),
        )
    }),
    case("a sub with a blank is refused", CLAUSE, || {
        subject("crane 7", TokenReason::Character(Member::Subject))
    }),
    case("a sub with a slash is refused", CLAUSE, || {
        subject("../crane", TokenReason::Character(Member::Subject))
    }),
    case(
        "a sub with a letter that looks like another is refused",
        CLAUSE,
        || {
            // CYRILLIC SMALL LETTER A
            subject("cr\u{430}ne-7", TokenReason::Character(Member::Subject))
        },
    ),
    case("a sub that is a number is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"crane-7\"", "7")
            .refused(TokenReason::WrongType(Member::Subject))
    }),
    case("a token without jti is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"jti\":\"AAECAwQFBgcICQoLDA0ODw\",", "")
            .refused(TokenReason::Missing(Member::TokenId))
    }),
    case("a jti of 21 characters is refused", CLAUSE, || {
        jti(
            "AAECAwQFBgcICQoLDA0OD",
            TokenReason::Length(Member::TokenId),
        )
    }),
    case("a jti of 23 characters is refused", CLAUSE, || {
        jti(
            "AAECAwQFBgcICQoLDA0ODwA",
            TokenReason::Length(Member::TokenId),
        )
    }),
    case(
        "a jti with unused bits that are not zero is refused",
        CLAUSE,
        || {
            jti(
                "AAECAwQFBgcICQoLDA0ODx",
                encoding(Base64Reason::TrailingBits),
            )
        },
    ),
    case("a jti with a plus sign is refused", CLAUSE, || {
        jti("AAECAwQFBgcICQoLDA0O+w", encoding(Base64Reason::Character))
    }),
    case("a padded jti is refused", CLAUSE, || {
        jti("AAECAwQFBgcICQoLDA0OD=", encoding(Base64Reason::Padding))
    }),
    case("a jti that is a number is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"AAECAwQFBgcICQoLDA0ODw\"", "1")
            .refused(TokenReason::WrongType(Member::TokenId))
    }),
    case("a token without role is refused", CLAUSE, || {
        Forgery::agent()
            .payload("\"role\":\"agent\",", "")
            .refused(TokenReason::Missing(Member::Role))
    }),
    case("the reserved role daemon is refused", CLAUSE, || {
        role("\"daemon\"", TokenReason::RoleReserved)
    }),
    case("an unknown role is refused", CLAUSE, || {
        role("\"root\"", TokenReason::RoleUnknown)
    }),
    case("a role in other case is refused", CLAUSE, || {
        role("\"Agent\"", TokenReason::RoleUnknown)
    }),
    case("an array of roles is refused", CLAUSE, || {
        role("[\"agent\"]", TokenReason::WrongType(Member::Role))
    }),
    case(
        "a permission that is not in the table is refused",
        CLAUSE,
        || {
            permissions(
                "[\"agent.command.selfdestruct\"]",
                TokenReason::PermissionUnknown,
            )
        },
    ),
    case("a permission in other case is refused", CLAUSE, || {
        permissions("[\"Chat.send\"]", TokenReason::PermissionUnknown)
    }),
    case(
        "a pattern that covers no permission is refused",
        CLAUSE,
        || permissions("[\"nobody.*\"]", TokenReason::PermissionUnknown),
    ),
    case("a pattern that cuts a label is refused", CLAUSE, || {
        permissions("[\"agent.command.l*\"]", TokenReason::PermissionUnknown)
    }),
    case("a permission that stands twice is refused", CLAUSE, || {
        permissions(
            "[\"chat.send\",\"chat.send\"]",
            TokenReason::Repeated(Member::Permissions),
        )
    }),
    case(
        "a permission that a pattern covers already is refused",
        CLAUSE,
        || {
            permissions(
                "[\"chat.send\",\"chat.*\"]",
                TokenReason::Repeated(Member::Permissions),
            )
        },
    ),
    case("permissions as one string are refused", CLAUSE, || {
        permissions("\"chat.send\"", TokenReason::WrongType(Member::Permissions))
    }),
    case("permissions as a number are refused", CLAUSE, || {
        permissions("4294967295", TokenReason::WrongType(Member::Permissions))
    }),
    case("a permission that is no string is refused", CLAUSE, || {
        permissions("[true]", TokenReason::WrongType(Member::Permissions))
    }),
    case("agents in an agent's token are refused", CLAUSE, || {
        Forgery::agent()
            .member(AGENTS)
            .refused(TokenReason::ScopeOfAgent)
    }),
    case("an empty array of agents is refused", CLAUSE, || {
        agents("[]", TokenReason::Count(Member::Agents))
    }),
    case("an agent that is named twice is refused", CLAUSE, || {
        agents(
            "[\"AAECAwQFBgcICQoLDA0ODw\",\"AAECAwQFBgcICQoLDA0ODw\"]",
            TokenReason::Repeated(Member::Agents),
        )
    }),
    case("nine agents are refused", CLAUSE, nine_agents),
    case("an agent's id of 21 characters is refused", CLAUSE, || {
        agents(
            "[\"AAECAwQFBgcICQoLDA0OD\"]",
            TokenReason::Length(Member::Agents),
        )
    }),
    case(
        "an agent's id with unused bits that are not zero is refused",
        CLAUSE,
        || {
            let reason = TokenReason::Encoding(Member::Agents, Base64Reason::TrailingBits);
            agents("[\"AAECAwQFBgcICQoLDA0ODx\"]", reason)
        },
    ),
    case("an empty group is refused", CLAUSE, || {
        agents("\"\"", TokenReason::Length(Member::Agents))
    }),
    case("a group for all is refused", CLAUSE, || {
        agents("\"*\"", TokenReason::Character(Member::Agents))
    }),
    case("agents null are refused", CLAUSE, || {
        agents("null", TokenReason::WrongType(Member::Agents))
    }),
    case(
        "an offline token of an agent is refused",
        "PROTOCOL.md §12.2",
        || {
            Forgery::agent()
                .header("at+jwt", "ml-off+jwt")
                .refused(TokenReason::OfflineRole)
        },
    ),
    case(
        "an offline token for a group is refused",
        "PROTOCOL.md §12.2",
        || {
            Forgery::commander()
                .header("at+jwt", "ml-off+jwt")
                .refused(TokenReason::OfflineScope)
        },
    ),
    case(
        "an offline token for two agents is refused",
        "PROTOCOL.md §12.2",
        || {
            Forgery::offline()
                .payload("[\"AAEC", "[\"AQECAwQFBgcICQoLDA0ODw\",\"AAEC")
                .refused(TokenReason::OfflineScope)
        },
    ),
    case(
        "an offline token for no agent is refused",
        "PROTOCOL.md §12.2",
        || {
            Forgery::offline()
                .payload(",\"agt\":[\"AAECAwQFBgcICQoLDA0ODw\"]", "")
                .refused(TokenReason::OfflineScope)
        },
    ),
];

fn subject(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent().payload("crane-7", value).refused(reason)
}

fn jti(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent()
        .payload("AAECAwQFBgcICQoLDA0ODw", value)
        .refused(reason)
}

const fn encoding(reason: Base64Reason) -> TokenReason {
    TokenReason::Encoding(Member::TokenId, reason)
}

fn role(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent().payload("\"agent\"", value).refused(reason)
}

fn permissions(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::commander()
        .payload(PERMISSIONS, value)
        .refused(reason)
}

fn agents(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::commander()
        .payload("\"agt\":\"harbour\"", "\"agt\":@")
        .payload("@", value)
        .refused(reason)
}

/// The payload is only the scope, since nine ids leave no room beside the claims: nothing has been missed yet.
fn nine_agents() -> Result<(), Failure> {
    let nine = concat!(
        "{\"agt\":[\"AAECAwQFBgcICQoLDA0ODg\",\"AQECAwQFBgcICQoLDA0ODg\",\"AgECAwQFBgcICQoLDA0ODg\",",
        "\"AwECAwQFBgcICQoLDA0ODg\",\"BAECAwQFBgcICQoLDA0ODg\",\"BQECAwQFBgcICQoLDA0ODg\",",
        "\"BgECAwQFBgcICQoLDA0ODg\",\"BwECAwQFBgcICQoLDA0ODg\",\"CAECAwQFBgcICQoLDA0ODg\"]}",
    );
    Forgery::agent()
        .payload(super::forge::AGENT, nine)
        .refused(TokenReason::Count(Member::Agents))
}
