//! A new token within a session (PROTOCOL.md §5.7).

use moorline_core::connection::{Closure, NewToken, Settings};
use moorline_core::crypto::SigningKey;
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::UnixMillis;
use moorline_core::token::{
    AgentScope, MAX_UNPACKED_LEN, NewClaims, Permissions, Role, TokenKind, TokenReason,
    UnpackedToken, mint,
};

use super::ending::PATIENT;
use crate::fixture::{Door, HUB, ISSUER, KID, NOW, World, agent_id, signing_key};
use crate::pair::{End, LINE_LEN, Message, Pair, Seen, copy};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.7";

pub(crate) static CASES: &[Case] = &[
    case(
        "a session goes on under a newer token, with its end and its permissions",
        goes_on,
    ),
    case(
        "a newer token may name a new key, which is proved in this session",
        new_key,
    ),
    case(
        "a token that may not follow is refused, and the session stays as it was",
        refused,
    ),
    case(
        "a proof by another key, missing or not due is refused",
        proofs,
    ),
    case(
        "a gate that does not take the token refuses it, and so does one that says nothing",
        gate_refuses,
    ),
    case(
        "a token that is shown again gets the same answer and changes nothing",
        again,
    ),
    case(
        "of two tokens within a second only the first is judged",
        rate,
    ),
    case(
        "the ticket of a session leads to one under the newer token",
        ticket,
    ),
    case(
        "only an initiator shows a token, and only when the session is open",
        roles,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

/// The second of the cases at which new tokens are issued.
const LATER: u64 = 1_800;

/// What a token of the cases says: it is a commander's, of one hour.
#[derive(Clone, Copy)]
struct Says<'a> {
    subject: &'a str,
    role: Role,
    permissions: &'a [&'a str],
    generation: u32,
    /// Seconds after the start of the cases.
    issued_at: u64,
    key: &'a SigningKey,
    issuer: &'a SigningKey,
}

impl<'a> Says<'a> {
    fn first(world: &'a World) -> Self {
        Self {
            subject: "alice",
            role: Role::Commander,
            permissions: &["agent.command.*", "agent.list"],
            generation: 2,
            issued_at: 0,
            key: &world.agent,
            issuer: &world.issuer,
        }
    }

    fn newer(world: &'a World) -> Self {
        Self {
            issued_at: LATER,
            ..Self::first(world)
        }
    }

    fn token<'o>(&self, out: &'o mut [u8; MAX_UNPACKED_LEN]) -> Result<UnpackedToken<'o>, Failure> {
        let issued_at = NOW.secs() + self.issued_at;
        let agents = match self.role {
            Role::Agent => AgentScope::None,
            Role::Commander => AgentScope::of_agents(&[agent_id()]).unwrap_or_default(),
        };
        let new = NewClaims {
            kind: TokenKind::Access,
            kid: KID,
            issuer: ISSUER,
            audience: &[HUB],
            subject: self.subject,
            key: *self.key.public_key(),
            role: self.role,
            permissions: self.permissions,
            agents,
            generation: self.generation,
            issued_at,
            not_before: None,
            expires_at: issued_at + 3600,
            jti: [7; 16],
        };
        mint(&new, self.issuer, &[], out).map_err(|_| Failure {
            condition: "the token can be minted",
            file: file!(),
            line: line!(),
            step: 0,
        })
    }
}

/// A session of the first token, open since the time 0, at a hub that renews.
fn with_session(run: fn(&World, Pair<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = Says::first(&world).token(&mut buffer)?;
    let mut pair = Pair::between(
        world.initiator(token),
        None,
        world.responder(),
        Door {
            renews: true,
            ..Door::default()
        },
        PATIENT,
        0,
    )?;
    pair.finish(0)?;
    run(&world, pair)
}

/// Shows `token` at `millis`; returns what the responder saw, and what the initiator made of the answer.
fn show(
    pair: &mut Pair<'_>,
    token: UnpackedToken<'_>,
    key: Option<&SigningKey>,
    millis: u64,
) -> Result<(Seen, Seen), Failure> {
    let frame = shown(&mut pair.initiator, token, key)?;
    let (answer, at_responder) = pair.responder.hand(&frame, millis);
    ensure!(answer.is_some());
    let (none, at_initiator) = pair.initiator.hand(&answer.unwrap_or_default(), millis);
    ensure!(none.is_none());
    Ok((at_responder, at_initiator))
}

fn shown(
    end: &mut End<'_>,
    token: UnpackedToken<'_>,
    key: Option<&SigningKey>,
) -> Result<Message, Failure> {
    let mut out = [0; LINE_LEN];
    let new = NewToken { token, key };
    let frame = end.connection.renew(&new, &mut end.entropy, &mut out);
    ensure!(frame.is_ok());
    Ok(frame.map(copy).unwrap_or_default())
}

/// What an end takes the session for.
fn view(end: &End<'_>) -> Option<(UnixMillis, Permissions)> {
    let facts = end.connection.facts()?;
    Some((facts.expires, facts.permissions))
}

/// Checks that both ends still speak, and take the session for what it was at the start.
fn is_as_before(pair: &mut Pair<'_>, millis: u64) -> Result<(), Failure> {
    let commands = Permissions::from_pattern("agent.command.*").unwrap_or(Permissions::NONE);
    let all = commands.union(Permissions::AGENT_LIST);
    let first = Some((NOW.plus(3_600_000), all));
    ensure!(view(&pair.initiator) == first);
    ensure!(view(&pair.responder) == first);
    let said = pair.initiator.say(b"on")?;
    ensure!(matches!(
        pair.responder.hand(&said, millis),
        (None, Seen::Application(_))
    ));
    Ok(())
}

fn goes_on() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let says = Says {
            permissions: &["agent.command.ping"],
            generation: 3,
            ..Says::newer(world)
        };
        let token = says.token(&mut buffer)?;
        let seen = show(&mut pair, token, None, LATER * 1000)?;
        ensure!(seen == (Seen::Renewed, Seen::Renewed));
        let terms = Some((
            NOW.plus((LATER + 3600) * 1000),
            Permissions::AGENT_COMMAND_PING,
        ));
        ensure!(view(&pair.initiator) == terms);
        ensure!(view(&pair.responder) == terms);
        // The first token has expired; the session has not.
        let millis = 3_600_000;
        let said = pair.initiator.say(b"still here")?;
        ensure!(matches!(
            pair.responder.hand(&said, millis).1,
            Seen::Application(_)
        ));
        let expired = Seen::Closed(Closure::Refused(Reason::Expired));
        ensure!(pair.responder.wait((LATER + 3600) * 1000).1 == expired);
        ensure!(pair.initiator.wait((LATER + 3600) * 1000).1 == expired);
        Ok(())
    })
}

fn new_key() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let key = signing_key("alice's new key")?;
        let says = Says {
            key: &key,
            ..Says::newer(world)
        };
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = says.token(&mut buffer)?;
        let seen = show(&mut pair, token, Some(&key), LATER * 1000)?;
        ensure!(seen == (Seen::Renewed, Seen::Renewed));
        // From now on it is the new key that needs no proof.
        let says = Says {
            issued_at: LATER + 2,
            ..says
        };
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = says.token(&mut buffer)?;
        let seen = show(&mut pair, token, None, (LATER + 2) * 1000)?;
        ensure!(seen == (Seen::Renewed, Seen::Renewed));
        let says = Says {
            issued_at: LATER + 4,
            ..Says::newer(world)
        };
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = says.token(&mut buffer)?;
        let seen = show(&mut pair, token, None, (LATER + 4) * 1000)?;
        ensure!(seen.0 == Seen::RenewalRefused(Reason::KeyProof));
        Ok(())
    })
}

const REFUSED: Seen = Seen::RenewalRefused(Reason::RefusedCredential);

fn refused() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let other_issuer = signing_key("another issuer")?;
        let newer = Says::newer(world);
        let wrong = [
            (
                Says {
                    subject: "bob",
                    ..newer
                },
                TokenReason::RenewalIdentity,
            ),
            (
                Says {
                    role: Role::Agent,
                    permissions: &[],
                    ..newer
                },
                TokenReason::RenewalRole,
            ),
            (
                Says {
                    generation: 1,
                    ..newer
                },
                TokenReason::RenewalGeneration,
            ),
            (
                Says {
                    issued_at: 0,
                    permissions: &["agent.command.ping"],
                    ..newer
                },
                TokenReason::RenewalNotNewer,
            ),
            (
                Says {
                    issued_at: LATER + 600,
                    ..newer
                },
                TokenReason::IssuedInFuture,
            ),
            (
                Says {
                    issuer: &other_issuer,
                    ..newer
                },
                TokenReason::SignatureInvalid,
            ),
        ];
        let mut millis = LATER * 1000;
        for (step, (says, reason)) in wrong.into_iter().enumerate() {
            let mut buffer = [0; MAX_UNPACKED_LEN];
            let token = says.token(&mut buffer)?;
            let (at_responder, at_initiator) = show(&mut pair, token, None, millis)?;
            ensure!(
                at_responder == Seen::RenewalRefused(Reason::Token(reason)),
                step
            );
            ensure!(at_initiator == REFUSED, step);
            is_as_before(&mut pair, millis)?;
            millis += 1000;
        }
        pair.responder.door.revoked = true;
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = newer.token(&mut buffer)?;
        let seen = show(&mut pair, token, None, millis)?;
        ensure!(seen == (Seen::RenewalRefused(Reason::Revoked), REFUSED));
        is_as_before(&mut pair, millis)?;
        // Nothing of this stands in the way of a token that is good.
        pair.responder.door.revoked = false;
        let seen = show(&mut pair, token, None, millis + 1000)?;
        ensure!(seen == (Seen::Renewed, Seen::Renewed));
        Ok(())
    })
}

fn proofs() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let (new, other) = (signing_key("alice's new key")?, signing_key("another key")?);
        let says = Says {
            key: &new,
            ..Says::newer(world)
        };
        let (mut buffer, mut old_buffer) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
        let token = says.token(&mut buffer)?;
        let of_old_key = Says::newer(world).token(&mut old_buffer)?;
        let shows = [
            (token, None),
            (token, Some(&other)),
            (token, Some(&world.agent)),
            (of_old_key, Some(&world.agent)),
        ];
        let mut millis = LATER * 1000;
        for (step, (token, key)) in shows.into_iter().enumerate() {
            let seen = show(&mut pair, token, key, millis)?;
            ensure!(
                seen == (Seen::RenewalRefused(Reason::KeyProof), REFUSED),
                step
            );
            is_as_before(&mut pair, millis)?;
            millis += 1000;
        }
        Ok(())
    })
}

fn gate_refuses() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        pair.responder.door.renews = false;
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = Says::newer(world).token(&mut buffer)?;
        let millis = LATER * 1000;
        let seen = show(&mut pair, token, None, millis)?;
        ensure!(seen == (Seen::RenewalRefused(Reason::NotAdmitted), REFUSED));
        is_as_before(&mut pair, millis)
    })
}

fn again() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = Says::newer(world).token(&mut buffer)?;
        let millis = LATER * 1000;
        let frame = shown(&mut pair.initiator, token, None)?;
        let (lost, seen) = pair.responder.hand(&frame, millis);
        ensure!(lost.is_some() && seen == Seen::Renewed);
        let terms = view(&pair.responder);
        // The initiator does not know; it shows the token once more, under the next number.
        let frame = shown(&mut pair.initiator, token, None)?;
        let (_, seen) = pair.responder.hand(&frame, millis + 100);
        ensure!(seen == Seen::Nothing);
        ensure!(view(&pair.responder) == terms);
        Ok(())
    })
}

fn rate() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let millis = LATER * 1000;
        let bob = Says {
            subject: "bob",
            ..Says::newer(world)
        };
        let (mut buffer, mut other) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
        let seen = show(&mut pair, bob.token(&mut other)?, None, millis)?;
        let identity = Reason::Token(TokenReason::RenewalIdentity);
        ensure!(seen == (Seen::RenewalRefused(identity), REFUSED));
        let token = Says::newer(world).token(&mut buffer)?;
        let seen = show(&mut pair, token, None, millis + 999)?;
        ensure!(seen == (Seen::RenewalRefused(Reason::RenewalRate), REFUSED));
        let seen = show(&mut pair, token, None, millis + 1000)?;
        ensure!(seen == (Seen::Renewed, Seen::Renewed));
        Ok(())
    })
}

fn ticket() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = Says::first(&world).token(&mut buffer)?;
    let mut initiator = world.initiator(token);
    initiator.offer.wants_ticket = true;
    let door = Door {
        renews: true,
        gives_tickets: true,
        ..Door::default()
    };
    let mut pair = Pair::between(initiator, None, world.responder(), door, PATIENT, 0)?;
    pair.finish(0)?;
    let old = pair.initiator.connection.take_ticket();
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let newer = Says {
        permissions: &["agent.command.ping"],
        ..Says::newer(&world)
    };
    let newer = newer.token(&mut buffer)?;
    let millis = LATER * 1000;
    let seen = show(&mut pair, newer, None, millis)?;
    ensure!(seen == (Seen::Renewed, Seen::Renewed));
    let (ticket_new, _) = pair.responder.wait(millis);
    let (none, seen) = pair.initiator.hand(&ticket_new.unwrap_or_default(), millis);
    ensure!(none.is_none() && seen == Seen::Nothing);
    let new = pair.initiator.connection.take_ticket();
    ensure!(old.is_some() && new.is_some());
    ensure!(pair.responder.door.tickets.len() == 1);
    for (ticket, resumes) in [(old, false), (new, true)] {
        let mut next = Pair::between(
            initiator,
            ticket.as_ref(),
            world.responder(),
            pair.responder.door.clone(),
            Settings::default(),
            millis,
        )?;
        next.finish(millis)?;
        let facts = next.responder.connection.facts();
        ensure!(facts.is_some_and(|facts| facts.resumed == resumes));
        if resumes {
            let terms = (
                NOW.plus((LATER + 3600) * 1000),
                Permissions::AGENT_COMMAND_PING,
            );
            ensure!(view(&next.responder) == Some(terms));
            ensure!(view(&next.initiator) == Some(terms));
        }
    }
    Ok(())
}

fn roles() -> Result<(), Failure> {
    with_session(|world, mut pair| {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = Says::newer(world).token(&mut buffer)?;
        let new = NewToken { token, key: None };
        let mut out = [0; LINE_LEN];
        let end = &mut pair.responder;
        let shown = end.connection.renew(&new, &mut end.entropy, &mut out);
        ensure!(shown == Err(Error::NotInitiator));
        let end = &mut pair.initiator;
        let _ = end.connection.close(Alert::new(AlertCode::Close), &mut out);
        let shown = end.connection.renew(&new, &mut end.entropy, &mut out);
        ensure!(shown == Err(Error::NotOpen));
        Ok(())
    })
}
