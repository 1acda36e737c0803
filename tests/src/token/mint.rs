//! What an issuer makes is what a verifier accepts.

use moorline_core::crypto::{PublicKey, Secret, SigningKey};
use moorline_core::token::{
    AgentId, AgentScope, MAX_UNPACKED_LEN, Member, MintError, NewClaims, Permissions, Role,
    TokenKind, TokenReason, mint,
};
use moorline_core::wire::TooSmall;

use super::forge::{AGENT_SIGNATURE, Bytes, Forgery, GROUP, HUB, ISSUER, KID, NOW, case, check};
use crate::jws::{X, Y};
use crate::primitives::RFC_6979_SCALAR;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §4";

pub(crate) static CASES: &[Case] = &[
    case(
        "an agent's token is minted as the very bytes of the valid one",
        CLAUSE,
        || {
            let bytes = minted(|_| {});
            ensure!(bytes == Forgery::agent().bytes());
            ensure!(bytes.ends_with(&AGENT_SIGNATURE));
            Ok(())
        },
    ),
    case(
        "a commander's token with all it can say is minted and verified",
        CLAUSE,
        || {
            let bytes = minted(|new| {
                new.audience = &[HUB, GROUP];
                new.role = Role::Commander;
                new.permissions = &["agent.command.led", "chat.*", "hub.status"];
                let agents = [AgentId([1; 16]), AgentId([2; 16])];
                new.agents = AgentScope::of_agents(&agents).unwrap_or_default();
                new.not_before = Some(NOW + 5);
                new.generation = u32::MAX;
            });
            let claims = check(&bytes, &Forgery::link());
            let permissions = Permissions::AGENT_COMMAND_LED
                .union(Permissions::CHAT_SEND)
                .union(Permissions::CHAT_BROADCAST)
                .union(Permissions::HUB_STATUS);
            ensure!(claims.is_ok_and(|claims| {
                claims.permissions == permissions
                    && claims.agents.reaches(&AgentId([2; 16]), &[])
                    && claims.not_before == NOW + 5
                    && claims.generation == u32::MAX
                    && claims.role == Role::Commander
            }));
            Ok(())
        },
    ),
    case(
        "an issuer that would end its string is not minted",
        CLAUSE,
        || {
            refused(
                |new| new.issuer = "x\",\"role\":\"commander",
                TokenReason::Character(Member::Issuer),
            )
        },
    ),
    case("an audience with a backslash is not minted", CLAUSE, || {
        refused(
            |new| new.audience = &["hub\\"],
            TokenReason::Character(Member::Audience),
        )
    }),
    case("no audience is not minted", CLAUSE, || {
        refused(
            |new| new.audience = &[],
            TokenReason::Count(Member::Audience),
        )
    }),
    case("five audiences are not minted", CLAUSE, || {
        let reason = TokenReason::Count(Member::Audience);
        refused(|new| new.audience = &["a", "b", "c", "d", "e"], reason)
    }),
    case(
        "a subject with a quotation mark is not minted",
        CLAUSE,
        || {
            refused(
                |new| new.subject = "crane\"",
                TokenReason::Character(Member::Subject),
            )
        },
    ),
    case("an empty subject is not minted", CLAUSE, || {
        refused(|new| new.subject = "", TokenReason::Length(Member::Subject))
    }),
    case("a kid of 17 characters is not minted", CLAUSE, || {
        refused(
            |new| new.kid = "0123456789abcdefg",
            TokenReason::Length(Member::Kid),
        )
    }),
    case("a life over the role's is not minted", CLAUSE, || {
        refused(
            |new| new.expires_at = NOW + 86_401,
            TokenReason::LifetimeTooLong,
        )
    }),
    case("an end at the beginning is not minted", CLAUSE, || {
        refused(|new| new.expires_at = NOW, TokenReason::ExpiresBeforeIssued)
    }),
    case("a time over 2^53 is not minted", CLAUSE, || {
        refused(
            |new| new.issued_at = u64::MAX,
            TokenReason::TooLarge(Member::IssuedAt),
        )
    }),
    case("an unknown permission is not minted", CLAUSE, || {
        refused(
            |new| new.permissions = &["agent.fly"],
            TokenReason::PermissionUnknown,
        )
    }),
    case(
        "a permission that stands twice is not minted",
        CLAUSE,
        || {
            let reason = TokenReason::Repeated(Member::Permissions);
            refused(|new| new.permissions = &["chat.send", "chat.*"], reason)
        },
    ),
    case("agents for an agent are not minted", CLAUSE, || {
        let group = |new: &mut NewClaims<'_>| {
            new.agents = AgentScope::of_group(GROUP).unwrap_or_default();
        };
        refused(group, TokenReason::ScopeOfAgent)
    }),
    case(
        "an offline token without its agent is not minted",
        "PROTOCOL.md §12.2",
        || {
            let offline = |new: &mut NewClaims<'_>| {
                new.kind = TokenKind::Offline;
                new.role = Role::Commander;
            };
            refused(offline, TokenReason::OfflineScope)
        },
    ),
    case("a payload over its limit is not minted", CLAUSE, || {
        let change = |new: &mut NewClaims<'_>| {
            new.role = Role::Commander;
            let ids: [_; 8] =
                core::array::from_fn(|at| AgentId([u8::try_from(at).unwrap_or(0); 16]));
            new.agents = AgentScope::of_agents(&ids).unwrap_or_default();
            new.permissions = &["agent.command.*", "agent.list"];
        };
        refused(change, TokenReason::PayloadTooLong)
    }),
    case(
        "a short buffer is told how many bytes would have done",
        CLAUSE,
        || {
            let needed = Forgery::agent().bytes().len();
            let (Some(new), Some(signer)) = (agent(), signer()) else {
                ensure!(false);
                return Ok(());
            };
            let mut out = [0; MAX_UNPACKED_LEN];
            let token = mint(&new, &signer, &[], &mut out[..needed - 1]);
            ensure!(token == Err(MintError::TooSmall(TooSmall { needed })));
            Ok(())
        },
    ),
];

/// What the valid agent's token says.
fn agent() -> Option<NewClaims<'static>> {
    Some(NewClaims {
        kind: TokenKind::Access,
        kid: KID,
        issuer: ISSUER,
        audience: &[HUB],
        subject: "crane-7",
        key: PublicKey::from_coordinates(&X, &Y)?,
        role: Role::Agent,
        permissions: &[],
        agents: AgentScope::None,
        generation: 3,
        issued_at: NOW,
        not_before: None,
        expires_at: NOW + 3600,
        jti: core::array::from_fn(|at| u8::try_from(at).unwrap_or(0)),
    })
}

fn signer() -> Option<SigningKey> {
    SigningKey::from_scalar(&Secret::new(RFC_6979_SCALAR))
}

/// Mints the valid agent's token with one change; returns its bytes, none when it was refused.
fn minted(change: fn(&mut NewClaims<'_>)) -> Bytes {
    let mut bytes = Bytes::new();
    if let (Some(mut new), Some(signer)) = (agent(), signer()) {
        change(&mut new);
        let mut out = [0; MAX_UNPACKED_LEN];
        if let Ok(token) = mint(&new, &signer, &[], &mut out) {
            // The longest token has room.
            let _ = bytes.extend_from_slice(token.as_bytes());
        }
    }
    bytes
}

fn refused(change: fn(&mut NewClaims<'_>), reason: TokenReason) -> Result<(), Failure> {
    let (Some(mut new), Some(signer)) = (agent(), signer()) else {
        ensure!(false);
        return Ok(());
    };
    change(&mut new);
    let mut out = [0; MAX_UNPACKED_LEN];
    ensure!(mint(&new, &signer, &[], &mut out) == Err(MintError::Refused(reason)));
    Ok(())
}
