//! Enrolment over the line (PROTOCOL.md §2.9).

use moorline_core::connection::{Closure, NewToken};
use moorline_core::crypto::{PUBLIC_KEY_LEN, SigningKey};
use moorline_core::handshake::{Initiator, Shown, Wanted, WantedAgent};
use moorline_core::limits::ENROLMENT_MILLIS;
use moorline_core::message::{Alert, AlertCode, Enrolled};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::{Instant, Now};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::wire::{EnrolmentCode, M3_MIN_LEN};

use super::forge::Forger;
use super::stages::{Stages, Verdict};
use crate::fixture::{
    Door, ISSUER, World, agent_id, at, ephemeral_key, signing_key, token as token_of,
};
use crate::pair::{LINE_LEN, Message, Pair, Seen, copy};
use crate::session::ending::PATIENT;
use crate::vectors::m3_signed;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §2.9";

pub(crate) static CASES: &[Case] = &[
    case(
        "a newcomer with a code is enrolled under the key that it has made, and gets its token in the session",
        enrols,
    ),
    case(
        "a code is good once, and a wrong one is refused as a bad token is",
        once,
    ),
    case(
        "of two newcomers with one code the first is enrolled and the other refused",
        first_wins,
    ),
    case(
        "a code with a key that signs nothing is refused, and not spent",
        not_proved,
    ),
    case(
        "every flipped bit of a newcomer's M3 opens nothing and spends nothing",
        tampered,
    ),
    case(
        "a credential that is no code and key of a curve is refused before the code is looked up",
        malformed,
    ),
    case(
        "until it has shown its token a newcomer may say nothing else",
        says_nothing_else,
    ),
    case(
        "a token for another key than the newcomer's is refused",
        other_key,
    ),
    case(
        "a newcomer takes one to three keys of the issuer, each of them whole and on the curve",
        issuer_keys,
    ),
    case("a newcomer's session ends after a minute", ends),
    case(
        "a code has 8 to 32 bytes, opens links alone, and is taken by hubs alone",
        limits,
    ),
    case(
        "a hub enrols newcomers alone, and nobody else is told a token",
        newcomers_alone,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

/// The code of the cases.
pub(crate) const CODE: &[u8] = b"7Q2M-K9TX-4FBD";

/// Returns the newcomer, which makes the agent's key its own.
fn newcomer<'k>(world: &'k World, code: &'k [u8]) -> Result<Initiator<'k>, Failure> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    // What the initiator of an agent has but for its token.
    let agent = world.initiator(world.agent_token(&mut buffer)?);
    let (wanted, offer) = (
        Wanted::Hub(&world.trust, moorline_core::wire::Form::Stream),
        agent.offer,
    );
    Ok(Initiator {
        key: &world.agent,
        shows: Shown::Code(enrolment_code(code)?),
        wanted,
        offer,
    })
}

fn enrolment_code(bytes: &[u8]) -> Result<EnrolmentCode<'_>, Failure> {
    EnrolmentCode::new(bytes).ok_or(Failure {
        condition: "the code has a length that codes have",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

/// A hub that gave out the code.
pub(crate) fn door() -> Door {
    Door {
        code: Some(CODE),
        renews: true,
        ..Door::default()
    }
}

/// Both ends before the first message is delivered.
pub(crate) fn pair<'k>(world: &'k World, code: &'k [u8], door: Door) -> Result<Pair<'k>, Failure> {
    let newcomer = newcomer(world, code)?;
    Pair::between(newcomer, None, world.responder(), door, PATIENT, 0)
}

/// Both ends with the handshake done.
fn open(world: &World) -> Result<Pair<'_>, Failure> {
    let mut pair = pair(world, CODE, door())?;
    pair.finish(0)?;
    Ok(pair)
}

/// The hub gives the newcomer `token`.
pub(super) fn give(pair: &mut Pair<'_>, token: UnpackedToken<'_>) -> Result<Message, Failure> {
    let key = signing_key("issuer")?.public_key().to_bytes();
    give_with(pair, token, &key)
}

/// The hub gives the newcomer `token`, and says that these are the issuer's keys.
fn give_with(
    pair: &mut Pair<'_>,
    token: UnpackedToken<'_>,
    issuer_keys: &[u8],
) -> Result<Message, Failure> {
    let enrolled = Enrolled {
        token: token.as_bytes(),
        issuer_keys,
        group: None,
    };
    let mut out = [0; LINE_LEN];
    let frame = pair.responder.connection.enrol(&enrolled, &mut out);
    ensure!(frame.is_ok());
    Ok(frame.map(copy).unwrap_or_default())
}

/// The newcomer shows `token`.
pub(super) fn show(
    pair: &mut Pair<'_>,
    token: UnpackedToken<'_>,
    key: Option<&SigningKey>,
) -> Result<(Seen, Seen), Failure> {
    let mut out = [0; LINE_LEN];
    let new = NewToken { token, key };
    let end = &mut pair.initiator;
    let shown = end.connection.renew(&new, &mut end.entropy, &mut out);
    ensure!(shown.is_ok());
    let frame = shown.map(copy).unwrap_or_default();
    let (answer, at_responder) = pair.responder.hand(&frame, 10);
    let (_, at_initiator) = pair.initiator.hand(&answer.unwrap_or_default(), 10);
    Ok((at_responder, at_initiator))
}

fn enrols() -> Result<(), Failure> {
    let world = World::new()?;
    let mut pair = open(&world)?;
    ensure!(pair.responder.door.enrolled == Some(world.agent.public_key().hash()));
    ensure!(pair.responder.door.code.is_none());
    ensure!(pair.responder.door.admitted == 0);
    let none = pair
        .responder
        .connection
        .facts()
        .map(|facts| facts.permissions);
    ensure!(none.is_some_and(|none| none.is_empty()));
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let frame = give(&mut pair, token)?;
    let (none, seen) = pair.initiator.hand(&frame, 10);
    ensure!(none.is_none() && seen == Seen::Enrolled(copy(token.as_bytes())));
    ensure!(show(&mut pair, token, None)? == (Seen::Renewed, Seen::Renewed));
    // From here on it is a session like all others, for as long as the token lives.
    let said = pair.initiator.say(b"hello")?;
    let millis = ENROLMENT_MILLIS + 1;
    ensure!(matches!(
        pair.responder.hand(&said, millis).1,
        Seen::Application(_)
    ));
    let said = pair.responder.say(b"welcome")?;
    ensure!(matches!(
        pair.initiator.hand(&said, millis).1,
        Seen::Application(_)
    ));
    Ok(())
}

/// Runs a handshake; returns what the responder and the initiator saw of its end.
pub(super) fn ends_in(pair: &mut Pair<'_>) -> (Seen, Seen) {
    let (m2, _) = pair.responder.hand(&pair.m1, 0);
    let (m3, _) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
    let (answer, at_responder) = pair.responder.hand(&m3.unwrap_or_default(), 0);
    let (_, at_initiator) = pair.initiator.hand(&answer.unwrap_or_default(), 0);
    (at_responder, at_initiator)
}

pub(super) fn closed(reason: Reason) -> Seen {
    Seen::Closed(Closure::Refused(reason))
}

fn issuer_keys() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut keys = [[0; PUBLIC_KEY_LEN]; 4];
    for (place, name) in keys.iter_mut().zip(["issuer", "a", "b", "c"]) {
        *place = signing_key(name)?.public_key().to_bytes();
    }
    let off_curve = {
        let mut keys = keys;
        keys[1][PUBLIC_KEY_LEN - 1] ^= 1;
        keys
    };
    let (keys, off_curve) = (keys.as_flattened(), off_curve.as_flattened());
    let told: [(&[u8], bool); 8] = [
        (&keys[..PUBLIC_KEY_LEN], true),
        (&keys[..2 * PUBLIC_KEY_LEN], true),
        (&keys[..3 * PUBLIC_KEY_LEN], true),
        (&[], false),
        (keys, false),
        (&keys[..PUBLIC_KEY_LEN - 1], false),
        (&keys[..PUBLIC_KEY_LEN + 1], false),
        (&off_curve[..2 * PUBLIC_KEY_LEN], false),
    ];
    for (step, (issuer_keys, is_taken)) in told.into_iter().enumerate() {
        let mut pair = open(&world)?;
        let frame = give_with(&mut pair, token, issuer_keys)?;
        let (_, seen) = pair.initiator.hand(&frame, 10);
        let expected = if is_taken {
            Seen::Enrolled(copy(token.as_bytes()))
        } else {
            closed(Reason::Malformed)
        };
        ensure!(seen == expected, step);
    }
    Ok(())
}

fn once() -> Result<(), Failure> {
    let world = World::new()?;
    let mut first = open(&world)?;
    let used = core::mem::take(&mut first.responder.door);
    let refused = (
        closed(Reason::EnrolmentCode),
        closed(Reason::RefusedCredential),
    );
    let mut again = pair(&world, CODE, used)?;
    ensure!(ends_in(&mut again) == refused);
    for (step, wrong) in [
        &b"7Q2M-K9TX-4FBE"[..],
        b"7Q2M-K9TX-4FB",
        b"7Q2M-K9TX-4FBDD",
        b"\0\0\0\0\0\0\0\0",
    ]
    .into_iter()
    .enumerate()
    {
        let mut guess = pair(&world, wrong, door())?;
        ensure!(ends_in(&mut guess) == refused, step);
        ensure!(guess.responder.door.code.is_some(), step);
        ensure!(guess.responder.door.wrong_codes == 1, step);
    }
    Ok(())
}

fn first_wins() -> Result<(), Failure> {
    let world = World::new()?;
    let mut slow = pair(&world, CODE, door())?;
    let (m2, _) = slow.responder.hand(&slow.m1, 0);
    let (m3, _) = slow.initiator.hand(&m2.unwrap_or_default(), 0);
    // Between the look at the code and its use another has used it.
    slow.responder.door.spent_meanwhile = true;
    let (refuse, seen) = slow.responder.hand(&m3.unwrap_or_default(), 0);
    ensure!(seen == closed(Reason::NotAdmitted));
    let (_, seen) = slow.initiator.hand(&refuse.unwrap_or_default(), 0);
    ensure!(seen == closed(Reason::RefusedCredential));
    Ok(())
}

/// Returns what stands in M3 in place of a token.
fn credential(world: &World) -> Message {
    let mut credential = Message::new();
    let _ = credential.push(u8::try_from(CODE.len()).unwrap_or(0));
    let _ = credential.extend_from_slice(CODE);
    let _ = credential.extend_from_slice(&world.agent.public_key().to_bytes());
    credential
}

/// Runs `work` with a responder that waits for M3, and with who forges one.
pub(super) fn at_m3(
    work: fn(&Stages<'_>, &Forger<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?)?;
    work(&stages, &Forger::new(&world)?)
}

fn not_proved() -> Result<(), Failure> {
    at_m3(|stages, forger| {
        // Whoever has the code and not the key: a signature of another.
        let credential = credential(forger.world);
        let signed = m3_signed(1024, 2, &credential);
        let other = signing_key("another key")?;
        let mut door = door();
        let forged = forger.m3(&signed, &credential, &other);
        let verdict = stages.verdict_on_m3(&forged, &mut door);
        ensure!(matches!(
            verdict,
            Verdict::Refused(_, Reason::InitiatorSignature)
        ));
        ensure!(door.code.is_some() && door.enrolled.is_none());
        let m3 = forger.m3(&signed, &credential, &forger.world.agent);
        ensure!(matches!(
            stages.verdict_on_m3(&m3, &mut door),
            Verdict::Open
        ));
        ensure!(door.code.is_none() && door.enrolled.is_some());
        Ok(())
    })
}

fn tampered() -> Result<(), Failure> {
    at_m3(|stages, forger| {
        let credential = credential(forger.world);
        let signed = m3_signed(1024, 2, &credential);
        let m3 = forger.m3(&signed, &credential, &forger.world.agent);
        ensure!(m3.len() == M3_MIN_LEN + 1 + CODE.len() + PUBLIC_KEY_LEN);
        let mut door = door();
        for bit in 0..8 * m3.len() {
            let mut bytes = m3.clone();
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            let verdict = stages.verdict_on_m3(&bytes, &mut door);
            ensure!(matches!(verdict, Verdict::Dropped(_)), bit);
        }
        ensure!(door.code.is_some() && door.wrong_codes == 0);
        Ok(())
    })
}

fn malformed() -> Result<(), Failure> {
    at_m3(|stages, forger| {
        let good = credential(forger.world);
        let key = &good[1 + CODE.len()..];
        let mut door = door();
        let long = [b'A'; 33];
        for (step, (code, key, after, reason)) in [
            (&CODE[..7], key, &[][..], Reason::Length),
            (&long, key, &[], Reason::Length),
            (CODE, &key[..64], &[], Reason::Length),
            (CODE, &[4; PUBLIC_KEY_LEN], &[], Reason::PublicKey),
            (CODE, key, &[1], Reason::Padding),
            (CODE, key, &[0; 64], Reason::Padding),
        ]
        .into_iter()
        .enumerate()
        {
            let mut credential = Message::new();
            let _ = credential.push(u8::try_from(code.len()).unwrap_or(0));
            for part in [code, key, after] {
                let _ = credential.extend_from_slice(part);
            }
            let signed = m3_signed(1024, 2, &credential);
            let m3 = forger.m3(&signed, &good, &forger.world.agent);
            let verdict = stages.verdict_on_m3(&m3, &mut door);
            ensure!(
                matches!(verdict, Verdict::Refused(_, logged) if logged == reason),
                step
            );
        }
        ensure!(door.wrong_codes == 0 && door.code.is_some());
        Ok(())
    })
}

fn says_nothing_else() -> Result<(), Failure> {
    let world = World::new()?;
    let mut pair = open(&world)?;
    let said = pair.initiator.say(b"let me in")?;
    let (alert, seen) = pair.responder.hand(&said, 1);
    ensure!(seen == closed(Reason::OutOfPlace));
    let protocol = Seen::Closed(Closure::ByPeer(Alert::new(AlertCode::Protocol)));
    ensure!(pair.initiator.hand(&alert.unwrap_or_default(), 1).1 == protocol);
    Ok(())
}

fn other_key() -> Result<(), Failure> {
    let world = World::new()?;
    let mut pair = open(&world)?;
    let other = signing_key("another key")?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let role = moorline_core::token::Role::Agent;
    let key = *other.public_key();
    let token = token_of(role, "boiler-1", key, &world.issuer, &mut buffer)?;
    let refused = (
        Seen::RenewalRefused(Reason::KeyProof),
        Seen::RenewalRefused(Reason::RefusedCredential),
    );
    // Not even with a proof of that key: it is not the one that was enrolled.
    ensure!(show(&mut pair, token, Some(&other))? == refused);
    Ok(())
}

fn ends() -> Result<(), Failure> {
    let world = World::new()?;
    let mut pair = open(&world)?;
    let expired = closed(Reason::Expired);
    ensure!(pair.responder.wait(ENROLMENT_MILLIS - 1).1 == Seen::Nothing);
    ensure!(pair.responder.wait(ENROLMENT_MILLIS).1 == expired);
    ensure!(pair.initiator.wait(ENROLMENT_MILLIS).1 == expired);
    Ok(())
}

fn limits() -> Result<(), Failure> {
    for (len, is_code) in [(0, false), (7, false), (8, true), (32, true), (33, false)] {
        let bytes = [b'A'; 40];
        let code = bytes.get(..len).and_then(EnrolmentCode::new);
        ensure!(code.is_some() == is_code, len);
    }
    let world = World::new()?;
    let mut initiator = newcomer(&world, CODE)?;
    initiator.wanted = Wanted::Agent(WantedAgent {
        id: agent_id(),
        anchors: &world.anchors,
        audience: ISSUER,
    });
    let mut out = [0; LINE_LEN];
    let started = moorline_core::connection::Connection::initiate(
        initiator,
        ephemeral_key("initiator ephemeral"),
        PATIENT,
        &at(0),
        &mut crate::fixture::FixedEntropy::new("newcomer"),
        &mut out,
    );
    ensure!(matches!(started, Err(Error::NotALink)));
    // A hub that does not know the time cannot judge the window of a code.
    let mut pair = pair(&world, CODE, door())?;
    let (m2, _) = pair.responder.hand(&pair.m1, 0);
    let (m3, _) = pair.initiator.hand(&m2.unwrap_or_default(), 0);
    let (_, seen) = pair
        .responder
        .hand_at(&m3.unwrap_or_default(), Now::without_clock(Instant(0)));
    ensure!(seen == closed(Reason::EnrolmentCode));
    Ok(())
}

fn newcomers_alone() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut pair = Pair::open(&world, token, PATIENT)?;
    let key = world.issuer.public_key().to_bytes();
    let enrolled = Enrolled {
        token: token.as_bytes(),
        issuer_keys: &key,
        group: None,
    };
    let mut out = [0; LINE_LEN];
    let refused = pair.responder.connection.enrol(&enrolled, &mut out);
    ensure!(refused == Err(Error::NotEnrolling));
    let refused = pair.initiator.connection.enrol(&enrolled, &mut out);
    ensure!(refused == Err(Error::NotEnrolling));
    Ok(())
}
