//! What a responder takes for a credential in M3 (PROTOCOL.md §2.4, §2.7).

use moorline_core::crypto::Hash;
use moorline_core::reason::Reason;
use moorline_core::token::{
    AgentScope, MAX_UNPACKED_LEN, Member, NewClaims, Role, TokenKind, TokenReason, mint,
};
use moorline_core::wire::MAX_PAD_LEN;

use super::forge::Forger;
use super::stages::{Stages, Verdict};
use crate::fixture::{Door, FixedEntropy, HUB, ISSUER, KID, NOW, World, signing_key};
use crate::pair::Message;
use crate::reference::extend;
use crate::vectors::m3_signed;
use crate::{Case, Failure, ensure};

const fn case(name: &'static str, clause: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case { name, clause, run }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "an M3 that says nothing wrong opens, also when a second derivation made it",
        "PROTOCOL.md §2.4",
        || {
            with_stages(|stages, forger| {
                let verdict = stages
                    .verdict_on_m3(&forger.presenting(&forger.run.token), &mut Door::default());
                ensure!(verdict == Verdict::Open);
                Ok(())
            })
        },
    ),
    case(
        "a stolen token without its holder's key is refused for the signature",
        "PROTOCOL.md §3.2",
        stolen,
    ),
    case(
        "a signature under the label of the responder is not the initiator's",
        "PROTOCOL.md §3.2",
        wrong_label,
    ),
    case(
        "a signature over another token's hash is refused",
        "PROTOCOL.md §3.3",
        other_token,
    ),
    case(
        "a token that is expired, not yet valid or for another hub is refused for just that",
        "PROTOCOL.md §2.7",
        claims,
    ),
    case(
        "a token of another issuer is refused, whatever it calls itself",
        "PROTOCOL.md §2.7",
        foreign_issuer,
    ),
    case(
        "an offline token does not open a link",
        "PROTOCOL.md §4",
        offline,
    ),
    case(
        "a revoked token is refused before its signature is looked at",
        "PROTOCOL.md §2.7",
        revoked,
    ),
    case(
        "a peer that policy does not admit is told to come back, by a REFUSE with the time",
        "PROTOCOL.md §2.6",
        overload,
    ),
    case(
        "credentials by reference and of unknown kinds are refused",
        "PROTOCOL.md §2.4",
        kinds,
    ),
    case("padding is up to 63 zeros", "PROTOCOL.md §2.4", padding),
    case(
        "reserved flags and a longest payload out of range are refused in M3",
        "PROTOCOL.md §2.4",
        fields,
    ),
    case(
        "a token in M3 that cannot be measured is refused for just that",
        "PROTOCOL.md §2.4",
        unmeasured,
    ),
    case(
        "an M3 too short for a signature is refused without an answer",
        "PROTOCOL.md §2.4",
        || {
            with_stages(|stages, forger| {
                let answered = forger.answered();
                let prefix = crate::reference::prefix(3, 91);
                let short =
                    answered
                        .initiator
                        .sealed(0, &[&answered.th3, &prefix], &prefix, &[&[0; 67]]);
                let verdict = stages.verdict_on_m3(&short, &mut Door::default());
                ensure!(verdict == Verdict::Dropped(Reason::Length));
                Ok(())
            })
        },
    ),
    case(
        "an M3 under another sequence number or key is not opened",
        "PROTOCOL.md §3.4",
        other_keys,
    ),
    case(
        "an M3 replayed into another handshake is refused without an answer",
        "PROTOCOL.md §3.3",
        replayed,
    ),
];

fn with_stages(run: fn(&Stages<'_>, &Forger<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?);
    // Used where they are: `?` would make a second one of each, and the stack of a small board is full of them.
    match (&stages, &Forger::new(&world)) {
        (Ok(stages), Ok(forger)) => run(stages, forger),
        (Err(failure), _) | (_, Err(failure)) => Err(*failure),
    }
}

/// Checks that `m3` is refused for `reason`, and that the initiator learns no more than that it is.
fn refused(
    stages: &Stages<'_>,
    m3: &Message,
    door: &mut Door,
    reason: Reason,
    step: usize,
) -> Result<(), Failure> {
    let verdict = stages.verdict_on_m3(m3, door);
    ensure!(
        matches!(verdict, Verdict::Refused(_, logged) if logged == reason),
        step
    );
    let Verdict::Refused(refuse, _) = verdict else {
        return Ok(());
    };
    ensure!(refuse.len() == 29, step);
    ensure!(
        stages.refusal_of_m4(&refuse) == Some(Reason::RefusedCredential),
        step
    );
    ensure!(door.admitted == 0, step);
    Ok(())
}

fn stolen() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let thief = signing_key("thief")?;
        let token = &forger.run.token;
        let signed = m3_signed(1024, 0, token);
        let hash = &forger.run.token_hash;
        // Over the holder's key in the transcript, and over the thief's.
        for (step, named) in [forger.world.agent.public_key(), thief.public_key()]
            .into_iter()
            .enumerate()
        {
            let m3 = forger
                .answered()
                .m3(&signed, hash, &named.to_bytes(), &thief, &[]);
            let reason = Reason::InitiatorSignature;
            refused(stages, &m3.message, &mut Door::default(), reason, step)?;
        }
        let named = thief.public_key().to_bytes();
        let m3 = forger
            .answered()
            .m3(&signed, hash, &named, &forger.world.agent, &[]);
        let reason = Reason::InitiatorSignature;
        refused(stages, &m3.message, &mut Door::default(), reason, 2)
    })
}

fn wrong_label() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let signed = m3_signed(1024, 0, &forger.run.token);
        let agent = &forger.world.agent;
        let (hash, named) = (&forger.run.token_hash, agent.public_key().to_bytes());
        for (step, label) in ["responder", "token update", ""].into_iter().enumerate() {
            let m3 = forger
                .answered()
                .m3_under(label, &signed, hash, &named, agent, &[]);
            let reason = Reason::InitiatorSignature;
            refused(stages, &m3.message, &mut Door::default(), reason, step)?;
        }
        Ok(())
    })
}

fn other_token() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let signed = m3_signed(1024, 0, &forger.run.token);
        let m3 = forger.m3(&signed, b"another token", &forger.world.agent);
        refused(
            stages,
            &m3,
            &mut Door::default(),
            Reason::InitiatorSignature,
            0,
        )
    })
}

/// Returns the claims of a good token for the agent of `world`.
fn good(world: &World) -> NewClaims<'static> {
    NewClaims {
        kind: TokenKind::Access,
        kid: KID,
        issuer: ISSUER,
        audience: &[HUB],
        subject: "boiler-1",
        key: *world.agent.public_key(),
        role: Role::Agent,
        permissions: &[],
        agents: AgentScope::None,
        generation: 1,
        issued_at: NOW.secs(),
        not_before: None,
        expires_at: NOW.secs() + 3600,
        jti: Hash::of(&[b"another"]).prefix(),
    }
}

/// Presents a token with `change` made to good claims, and checks that it is refused for `reason`.
fn presents(
    stages: &Stages<'_>,
    forger: &Forger<'_>,
    change: impl FnOnce(&mut NewClaims<'static>),
    reason: TokenReason,
    step: usize,
) -> Result<(), Failure> {
    let mut new = good(forger.world);
    change(&mut new);
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = mint(&new, &forger.world.issuer, &[], &mut buffer);
    ensure!(token.is_ok(), step);
    let m3 = token.map_or(Message::new(), |token| forger.presenting(token.as_bytes()));
    refused(
        stages,
        &m3,
        &mut Door::default(),
        Reason::Token(reason),
        step,
    )
}

fn claims() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        type Change = fn(&mut NewClaims<'static>);
        let changes: [(Change, TokenReason); 6] = [
            (
                |new| {
                    new.issued_at -= 3600;
                    new.expires_at = NOW.secs();
                },
                TokenReason::Expired,
            ),
            (|new| new.issued_at += 61, TokenReason::IssuedInFuture),
            (
                |new| new.not_before = Some(NOW.secs() + 61),
                TokenReason::NotYetValid,
            ),
            (
                |new| new.audience = &["hub2.example"],
                TokenReason::AudienceMismatch,
            ),
            (|new| new.kid = "k2", TokenReason::KidUnknown),
            (
                |new| new.issuer = "https://other.example",
                TokenReason::IssuerMismatch,
            ),
        ];
        for (step, (change, reason)) in changes.into_iter().enumerate() {
            presents(stages, forger, change, reason, step)?;
        }
        Ok(())
    })
}

fn foreign_issuer() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let other = signing_key("another issuer")?;
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = mint(&good(forger.world), &other, &[], &mut buffer);
        let m3 = token.map_or(Message::new(), |token| forger.presenting(token.as_bytes()));
        let reason = Reason::Token(TokenReason::SignatureInvalid);
        refused(stages, &m3, &mut Door::default(), reason, 0)
    })
}

fn offline() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let change = |new: &mut NewClaims<'static>| {
            new.kind = TokenKind::Offline;
            new.role = Role::Commander;
            let agent = moorline_core::token::AgentId([1; 16]);
            new.agents = AgentScope::of_agents(&[agent]).unwrap_or_default();
        };
        presents(stages, forger, change, TokenReason::TypeNotAccepted, 0)
    })
}

fn revoked() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let mut door = Door {
            revoked: true,
            ..Door::default()
        };
        refused(stages, &stages.m3, &mut door, Reason::Revoked, 0)?;
        // Also when the issuer's signature would not hold.
        let mut token = forger.run.token.clone();
        let last = token.len() - 1;
        token[last] ^= 1;
        refused(
            stages,
            &forger.presenting(&token),
            &mut door,
            Reason::Revoked,
            1,
        )
    })
}

fn overload() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let mut door = Door {
            full: true,
            ..Door::default()
        };
        let verdict = stages.verdict_on_m3(&stages.m3, &mut door);
        let expected = forger.answered().refuse(5, 1000);
        ensure!(verdict == Verdict::Refused(expected.clone(), Reason::NotAdmitted));
        ensure!(stages.refusal_of_m4(&expected) == Some(Reason::RefusedOverload));
        Ok(())
    })
}

fn kinds() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let token = forger.run.token.clone();
        let by_hash = crate::pair::copy(&forger.run.token_hash);
        for (kind, credential) in [(1, &by_hash), (3, &token), (255, &token)] {
            let signed = m3_signed(1024, kind, credential);
            let m3 = forger.m3(&signed, credential, &forger.world.agent);
            let reason = Reason::CredentialKind;
            refused(stages, &m3, &mut Door::default(), reason, usize::from(kind))?;
        }
        Ok(())
    })
}

fn padding() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let padded = |len: usize| {
            let mut signed = m3_signed(1024, 0, &forger.run.token);
            for _ in 0..len {
                extend(&mut signed, &[0]);
            }
            signed
        };
        let token = &forger.run.token;
        let agent = &forger.world.agent;
        for len in [1, MAX_PAD_LEN] {
            let m3 = forger.m3(&padded(len), token, agent);
            let verdict = stages.verdict_on_m3(&m3, &mut Door::default());
            ensure!(verdict == Verdict::Open, len);
        }
        let m3 = forger.m3(&padded(MAX_PAD_LEN + 1), token, agent);
        refused(
            stages,
            &m3,
            &mut Door::default(),
            Reason::Padding,
            MAX_PAD_LEN + 1,
        )?;
        for place in 1..=3 {
            let mut signed = padded(3);
            let at = signed.len() - place;
            signed[at] = 1;
            let m3 = forger.m3(&signed, token, agent);
            refused(stages, &m3, &mut Door::default(), Reason::Padding, place)?;
        }
        Ok(())
    })
}

fn fields() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let (token, agent) = (&forger.run.token, &forger.world.agent);
        for bit in 0..8 {
            let mut signed = m3_signed(1024, 0, token);
            signed[0] = 1 << bit;
            let m3 = forger.m3(&signed, token, agent);
            refused(stages, &m3, &mut Door::default(), Reason::Reserved, bit)?;
        }
        for payload in [0, 63, 16_385, u16::MAX] {
            let m3 = forger.m3(&m3_signed(payload, 0, token), token, agent);
            let step = usize::from(payload);
            refused(stages, &m3, &mut Door::default(), Reason::PeerLimit, step)?;
        }
        for payload in [64, 16_384] {
            let m3 = forger.m3(&m3_signed(payload, 0, token), token, agent);
            let verdict = stages.verdict_on_m3(&m3, &mut Door::default());
            ensure!(verdict == Verdict::Open, usize::from(payload));
        }
        Ok(())
    })
}

fn unmeasured() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let token = &forger.run.token;
        let changes: [(&[u8], Reason); 6] = [
            (&[], Reason::Token(TokenReason::Truncated)),
            (&[41, 1], Reason::Token(TokenReason::Truncated)),
            (&[0, 0, 1, b'{'], Reason::Token(TokenReason::PartEmpty)),
            (&[97, 0, 1], Reason::Token(TokenReason::HeaderTooLong)),
            (&[1, 2, 1], Reason::Token(TokenReason::PayloadTooLong)),
            (
                &token[..token.len() - 1],
                Reason::Token(TokenReason::Truncated),
            ),
        ];
        for (step, (credential, reason)) in changes.into_iter().enumerate() {
            let signed = m3_signed(1024, 0, credential);
            let m3 = forger.m3(&signed, credential, &forger.world.agent);
            refused(stages, &m3, &mut Door::default(), reason, step)?;
        }
        let mut renamed = token.clone();
        // `alg` becomes `blg`.
        renamed[5] = b'b';
        let m3 = forger.presenting(&renamed);
        let reason = Reason::Token(TokenReason::HeaderMemberNotAllowed);
        refused(stages, &m3, &mut Door::default(), reason, 6)?;
        let missing = Reason::Token(TokenReason::Missing(Member::Algorithm));
        let mut bare = Message::new();
        extend(&mut bare, &[2, 0, 2]);
        extend(&mut bare, b"{}{}");
        extend(&mut bare, &[1; 64]);
        refused(
            stages,
            &forger.presenting(&bare),
            &mut Door::default(),
            missing,
            7,
        )
    })
}

fn other_keys() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let answered = forger.answered();
        let signed = &forger.run.m3_signed;
        let prefix = crate::reference::prefix(3, 8 + signed.len() + 80);
        let signature = &forger.run.proved.signature;
        let (i, r) = (&answered.initiator, &answered.responder);
        for (step, (keys, seq, hash)) in [
            (i, 1, &answered.th3),
            (i, 0, &answered.th2),
            (r, 0, &answered.th3),
        ]
        .into_iter()
        .enumerate()
        {
            let m3 = keys.sealed(seq, &[hash, &prefix], &prefix, &[signed, signature]);
            let verdict = stages.verdict_on_m3(&m3, &mut Door::default());
            ensure!(verdict == Verdict::Dropped(Reason::Unsealed), step);
        }
        Ok(())
    })
}

fn replayed() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let mut door = Door::default();
        let other = crate::vectors::m1(
            forger.world,
            &crate::fixture::ephemeral_key("another").share(),
        );
        let answered = super::stages::answer(forger.world, &other);
        ensure!(answered.is_ok());
        if let Ok((wait, _)) = answered {
            let mut out = [0; 256];
            let responder = forger.world.responder();
            let now = crate::fixture::at(0);
            let mut m3 = stages.m3.clone();
            let answer = wait.handle_m3(
                &mut m3,
                &responder,
                &now,
                &mut door,
                &mut FixedEntropy::new("tickets"),
                &mut out,
            );
            ensure!(answer.err() == Some(Reason::Unsealed));
        }
        ensure!(door.admitted == 0);
        Ok(())
    })
}
