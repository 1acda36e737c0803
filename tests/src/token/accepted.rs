//! Tokens that are accepted, and what they say.

use core::fmt::Write;

use moorline_core::token::{
    AgentId, AgentScope, Permissions, Role, TokenKind, UnpackedToken, UnverifiedClaims,
};

use super::forge::{AGENT_SIGNATURE, Forgery, NOW, case};
use crate::jws::{X, Y};
use crate::{Case, ensure};

const CLAUSE: &str = "PROTOCOL.md §4";

pub(crate) static CASES: &[Case] = &[
    case(
        "a valid agent's token is accepted and says what its issuer wrote",
        CLAUSE,
        || {
            let claims = Forgery::agent().accepted()?;
            ensure!(claims.kind == TokenKind::Access);
            ensure!(claims.kid == "k1");
            ensure!(claims.issuer == "https://issuer.example");
            ensure!(claims.subject == "crane-7");
            let key = claims.key.to_bytes();
            ensure!(key[1..33] == X && key[33..] == Y);
            ensure!(claims.role == Role::Agent);
            ensure!(claims.permissions == Permissions::NONE);
            ensure!(claims.agents == AgentScope::None);
            ensure!(claims.generation == 3);
            ensure!(claims.issued_at == NOW);
            ensure!(claims.not_before == NOW);
            ensure!(claims.expires_at == NOW + 3600);
            ensure!(claims.jti == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
            Ok(())
        },
    ),
    case(
        "a valid commander's token is accepted with its permissions and agents",
        CLAUSE,
        || {
            let claims = Forgery::commander().signed().accepted()?;
            ensure!(claims.role == Role::Commander);
            ensure!(claims.permissions.names().count() == 10);
            ensure!(claims.permissions.contains(Permissions::CHAT_SEND));
            ensure!(
                claims
                    .permissions
                    .contains(Permissions::AGENT_COMMAND_REBOOT)
            );
            ensure!(!claims.permissions.contains(Permissions::HUB_ADMIN));
            let agent = AgentId([0; 16]);
            ensure!(claims.agents.reaches(&agent, &["quay", "harbour"]));
            ensure!(!claims.agents.reaches(&agent, &["quay"]));
            ensure!(!claims.agents.reaches(&agent, &[]));
            Ok(())
        },
    ),
    case(
        "a valid offline token is accepted where commands are",
        "PROTOCOL.md §12.2",
        || {
            let claims = Forgery::offline().signed().accepted()?;
            ensure!(claims.kind == TokenKind::Offline);
            let named = AgentId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
            ensure!(claims.agents.reaches(&named, &[]));
            ensure!(!claims.agents.reaches(&AgentId([0; 16]), &["harbour"]));
            Ok(())
        },
    ),
    case(
        "the issuer's signature without a hedge is always the same",
        "RFC 6979 §3.2",
        || {
            let bytes = Forgery::agent().signature([0; 64]).signed().bytes();
            ensure!(bytes.ends_with(&AGENT_SIGNATURE));
            Ok(())
        },
    ),
    case(
        "claims that we do not know are ignored",
        "RFC 7519 §4",
        || {
            let unknown = concat!(
                r#""azp":"x\n\u00e9\ud83d\ude00","n":-1.5e-3,"t":[true,null,{}],"#,
                r#""o":{"iss":"other","exp":{"gen":0}}"#,
            );
            let claims = Forgery::agent().member(unknown).signed().accepted()?;
            ensure!(claims.issuer == "https://issuer.example");
            ensure!(claims.generation == 3);
            Ok(())
        },
    ),
    case(
        "a name within an unknown claim does not stand for a claim after it",
        CLAUSE,
        || {
            let claims = Forgery::agent()
                .payload("{\"iss\"", "{\"o\":{\"iss\":\"other\",\"gen\":9},\"iss\"")
                .signed()
                .accepted()?;
            ensure!(claims.issuer == "https://issuer.example");
            ensure!(claims.generation == 3);
            Ok(())
        },
    ),
    case(
        "members in another order and with white space are the same claims",
        "RFC 8259 §4",
        || {
            let claims = Forgery::agent()
                .header(
                    "\"alg\":\"ES256\",\"typ\":\"at+jwt\"",
                    "\r\n\t\"typ\" : \"at+jwt\" ,\n\"alg\":\"ES256\"",
                )
                .payload(
                    "{\"kty\":\"EC\",\"crv\":\"P-256\",",
                    "{\"crv\":\"P-256\" , ",
                )
                .payload("5a0\"}", "5a0\",\"kty\" :\"EC\" }")
                .signed()
                .accepted()?;
            ensure!(claims == Forgery::agent().accepted()?);
            Ok(())
        },
    ),
    case("a holder reads its own token", CLAUSE, || {
        let bytes = Forgery::agent().signature([0; 64]).bytes();
        let own =
            UnpackedToken::parse_exact(&bytes).and_then(|token| UnverifiedClaims::decode(&token));
        let claims = Forgery::agent().accepted()?;
        ensure!(own.is_ok_and(|own| *own.claims_unverified() == claims));
        Ok(())
    }),
    case(
        "an agent's id comes from its issuer and subject",
        "PROTOCOL.md §8",
        || {
            let claims = Forgery::agent().accepted()?;
            ensure!(claims.agent_id() == Some(AgentId::of("https://issuer.example", "crane-7")));
            // sha256("ML1 agent" 00 "https://issuer.example" 00 "crane-7"), its first half
            let id = "8cab27d9e7a946c897b4fbceffac2648".parse();
            ensure!(id.ok() == claims.agent_id());
            ensure!(
                Forgery::commander()
                    .signed()
                    .accepted()?
                    .agent_id()
                    .is_none()
            );
            ensure!(AgentId::of("a", "bc") != AgentId::of("ab", "c"));
            Ok(())
        },
    ),
    case(
        "an agent's id is read in small letters and whole or not at all",
        "PROTOCOL.md §8",
        || {
            let texts = [
                "",
                "0",
                "000102030405060708090a0b0c0d0e",
                "000102030405060708090a0b0c0d0e0",
                "000102030405060708090a0b0c0d0e0f0",
                "000102030405060708090a0b0c0d0e0f00",
                "000102030405060708090A0b0c0d0e0f",
                "0x0102030405060708090a0b0c0d0e0f",
                "+00102030405060708090a0b0c0d0e0f",
            ];
            for (step, text) in texts.into_iter().enumerate() {
                ensure!(text.parse::<AgentId>().is_err(), step);
            }
            let id = AgentId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xC2, 13, 14, 0xF5]);
            let text = "000102030405060708090a0bc20d0ef5";
            ensure!(text.parse() == Ok(id));
            let mut written = heapless::String::<32>::new();
            ensure!(write!(written, "{id}").is_ok() && written == text);
            Ok(())
        },
    ),
];
