//! What an agent checks of a command, in order, and what it answers.

use moorline_core::crypto::{Hash, Share, SigningKey, Suite};
use moorline_core::offline::{
    CounterEntry, Counters, Inbox, Prekeys, RefusalCode, ReplyOutcome, TokenForm,
};
use moorline_core::reason::Reason;
use moorline_core::time::{TimeQuality, UnixMillis};
use moorline_core::token::{AgentScope, MAX_UNPACKED_LEN, NewClaims, TokenKind, TokenReason, mint};

use super::forge::Draft;
use super::reference::Agreed;
use super::site::{Ask, DAY, Ends, Failing, Made, Site, missing, with_ends};
use crate::fixture::{NOW, at, signing_key};
use crate::pair::Message;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "of all faults that a command has the first in the order is the reason, with its index, and nothing runs",
        clause: "PROTOCOL.md §12.5",
        run: order,
    },
    Case {
        name: "a token that is not known by its hash is asked for, and known from then on",
        clause: "PROTOCOL.md §12.2",
        run: || with_ends(Suite::Aes256Gcm, token_needed),
    },
    Case {
        name: "a token that is known by its hash is looked at every time",
        clause: "PROTOCOL.md §12.2",
        run: || with_ends(Suite::Aes256Gcm, known_token),
    },
    Case {
        name: "an ordinary token of a commander gives commands within its hour, to agents of its group",
        clause: "PROTOCOL.md §12.2",
        run: || with_ends(Suite::Aes256Gcm, ordinary_token),
    },
    Case {
        name: "a command runs until its not_after, which is at most the end of its token",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, not_after),
    },
    Case {
        name: "a clock behind the floor is not believed",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, clock_behind),
    },
    Case {
        name: "the agent's own list takes permissions away",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, own_list),
    },
    Case {
        name: "a command whose counter cannot be stored does not run, and a counter that may be stored is used up",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, storage_fails),
    },
    Case {
        name: "more commands than the rate allows are dropped, a kept reply to one that ran among them",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, rate),
    },
    Case {
        name: "a signature under another label, of another token, prekey, agent or command is none",
        clause: "PROTOCOL.md §12.2, §3.2",
        run: || with_ends(Suite::Aes256Gcm, signatures),
    },
];

/// The faults of a command in the order of the checks: why it is refused, and index and arg of the answer.
const FAULTS: [(Reason, Option<(u8, u64)>); 21] = [
    (Reason::OtherAgent, None),
    (Reason::PrekeyUnknown, None),
    (Reason::ZeroSharedSecret, None),
    (Reason::Unsealed, None),
    (Reason::Reserved, None),
    (Reason::CounterStale, Some((2, 5))),
    (Reason::NoTime, Some((4, 1))),
    (Reason::NotAfter, Some((4, 2))),
    (Reason::TokenNeeded, Some((3, 0))),
    (Reason::Token(TokenReason::Expired), None),
    (Reason::OutOfScope, None),
    (Reason::Revoked, None),
    (Reason::Token(TokenReason::SignatureInvalid), None),
    (Reason::OtherKey, None),
    (Reason::CommandSignature, None),
    (Reason::NotAfter, Some((4, 2))),
    (Reason::Malformed, Some((4, 7))),
    (Reason::NotPermitted, Some((4, 3))),
    (Reason::CounterTooFar, Some((4, 4))),
    (Reason::NoRoom, Some((4, 5))),
    (Reason::Storage, Some((4, 6))),
];

fn order() -> Result<(), Failure> {
    for first in 0..=FAULTS.len() {
        with_ends(Suite::Aes256Gcm, |ends| {
            let (agreed, frame) = faulty(ends, first)?;
            let answered = ends.hand(&frame);
            match FAULTS.get(first) {
                None => ensure!(answered.is_ok_and(|(made, _)| made == Made::Ran), first),
                Some((reason, None)) => ensure!(answered == Err(*reason), first),
                Some((reason, Some((index, argument)))) => {
                    let head = Agreed::reply_head(*index, *argument, &frame);
                    let reply = agreed.reply(&head, &frame, &[0]);
                    ensure!(answered == Ok((Made::Refused(*reason), reply)), first);
                }
            }
            ensure!(ends.host.runs == i64::from(first == FAULTS.len()), first);
            let is_stored = ends.host.stored.iter().any(Option::is_some);
            ensure!(is_stored == (first == FAULTS.len()), first);
            Ok(())
        })?;
    }
    Ok(())
}

/// Returns a command that has all faults from the one called `first` on, and nothing wrong before it.
fn faulty(ends: &mut Ends<'_>, first: usize) -> Result<(Agreed, Message), Failure> {
    let has = |fault: usize| fault >= first;
    let other = signing_key("hub")?;
    let mut says: NewClaims<'static> = ends.site.commander_says();
    let (mut signer, mut issuer) = (&ends.site.commander, &ends.site.issuer);
    if has(20) {
        ends.host.fails = Some(Failing::Before);
    }
    if has(19) {
        fill(ends, if has(5) { 7 } else { 8 })?;
    }
    let mut draft = Draft::new(ends, 5);
    if has(18) {
        draft.head.counter = (1 << 32) + 1;
    }
    if has(17) {
        draft.content = b"\x01\x06reboot\x00";
    }
    if has(16) {
        draft.content = b"\x01\x03led\x01\x02on\x00";
    }
    if has(15) {
        draft.head.not_after = says.expires_at * 1000 + 1;
    }
    if has(14) {
        signer = &other;
    }
    if has(13) {
        says.key = *other.public_key();
    }
    if has(12) {
        issuer = &other;
    }
    ends.host.revoked = has(11);
    if has(10) {
        says.agents =
            AgentScope::of_agents(&[moorline_core::token::AgentId([1; 16])]).unwrap_or_default();
    }
    if has(9) {
        says.issued_at -= 3600;
        says.expires_at = NOW.secs();
    }
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = mint(&says, issuer, &[], &mut buffer);
    let token = token.map_err(|_| missing("the token can be minted"))?;
    draft.token = token.as_bytes();
    draft.token_hash = token.hash().0;
    let unknown = [3; 32];
    if has(8) {
        draft.form = 1;
        draft.token = &unknown;
    }
    if has(7) {
        draft.head.not_after = ends.floor.0;
    }
    if has(6) {
        ends.now.quality = TimeQuality::Unknown;
    }
    if has(5) {
        draft.head.counter = 5;
        take_five(ends)?;
    }
    if has(4) {
        draft.form |= 4;
    }
    if has(2) {
        draft.head.share = Share([0; 32]);
    }
    if has(1) {
        draft.head.prekey = 9;
    }
    if has(0) {
        draft.head.agent = [1; 16];
    }
    draft.signer = signer;
    let (agreed, mut frame) = draft.frame();
    if has(3)
        && let Some(last) = frame.last_mut()
    {
        *last ^= 1;
    }
    Ok((agreed, frame))
}

/// Returns the entry of the key whose hash is `key`, at `counter`.
fn entry(key: &[u8; 32], counter: u64) -> Result<CounterEntry, Failure> {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(key);
    bytes[32..40].copy_from_slice(&counter.to_be_bytes());
    bytes[40..48].copy_from_slice(&(NOW.0 + DAY).to_be_bytes());
    CounterEntry::from_bytes(&bytes).map_err(|_| missing("the entry can be read"))
}

/// Starts the agent anew with the counters of `count` others.
fn fill(ends: &mut Ends<'_>, count: u8) -> Result<(), Failure> {
    let mut counters = Counters::new();
    for number in 0..count {
        ensure!(
            counters
                .restore(number.into(), entry(&[number; 32], 9)?)
                .is_ok()
        );
    }
    restart(ends, counters)
}

/// Has the agent know the commander's counter to be 5, beside those that it knows.
fn take_five(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut counters = Counters::new();
    for (place, held) in ends.inbox.counters().iter() {
        ensure!(counters.restore(place, *held).is_ok());
    }
    let key = ends.site.commander.public_key().hash();
    ensure!(counters.restore(7, entry(key.as_bytes(), 5)?).is_ok());
    restart(ends, counters)
}

fn restart(ends: &mut Ends<'_>, counters: Counters) -> Result<(), Failure> {
    let prekeys = Prekeys::from_bytes(&ends.kept);
    let prekeys = prekeys.map_err(|_| missing("the prekeys can be read again"))?;
    ends.inbox = Inbox::new(prekeys, counters);
    Ok(())
}

fn token_needed(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let by_hash = |counter| Ask {
        form: TokenForm::Hash,
        ..Ask::number(counter)
    };
    let (pending, frame) = ends.seal(&by_hash(1))?;
    let (made, mut reply) = ends.hand(&frame).unwrap_or((Made::Ran, Message::new()));
    ensure!(made == Made::Refused(Reason::TokenNeeded));
    ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::TokenNeeded));
    // In full, with the same counter.
    let (_, frame) = ends.seal(&Ask::number(1))?;
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    let (_, frame) = ends.seal(&by_hash(2))?;
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    // It is in no storage.
    ends.reboot()?;
    let (_, frame) = ends.seal(&by_hash(3))?;
    ensure!(ends.refusal(&frame) == Some(Reason::TokenNeeded));
    Ok(())
}

fn known_token(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(1))?;
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    let mut ask = Ask {
        form: TokenForm::Hash,
        ..Ask::number(2)
    };
    let (_, frame) = ends.seal(&ask)?;
    ends.host.revoked = true;
    ensure!(ends.hand(&frame) == Err(Reason::Revoked));
    ends.host.revoked = false;
    ask.not_after = UnixMillis(NOW.0 + 3 * DAY);
    ends.now = at(2 * DAY);
    let (_, frame) = ends.seal(&ask)?;
    ensure!(ends.hand(&frame) == Err(Reason::Token(TokenReason::Expired)));
    ensure!(ends.host.runs == 1);
    Ok(())
}

fn ordinary_token(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let mut says = ends.site.commander_says();
    says.kind = TokenKind::Access;
    says.expires_at = NOW.secs() + 3600;
    says.agents = AgentScope::of_group("harbour").unwrap_or_default();
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = ends.site.token(&says, &mut buffer)?;
    let mut draft = Draft::new(ends, 1);
    draft.token = token.as_bytes();
    draft.token_hash = token.hash().0;
    // A day is longer than its hour.
    ensure!(ends.refusal(&draft.frame().1) == Some(Reason::NotAfter));
    draft.head.not_after = NOW.0 + 3_600_000;
    let (_, frame) = draft.frame();
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    says.agents = AgentScope::of_group("harbour-2").unwrap_or_default();
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = ends.site.token(&says, &mut buffer)?;
    draft.token = token.as_bytes();
    draft.token_hash = token.hash().0;
    draft.head.counter = 2;
    ensure!(ends.hand(&draft.frame().1) == Err(Reason::OutOfScope));
    Ok(())
}

fn not_after(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let end = NOW.0 + 2 * DAY;
    let mut counter = 0;
    for (now, not_after, runs) in [
        (0, NOW.0, false),
        (0, NOW.0 + 1, true),
        (DAY, NOW.0 + DAY, false),
        (DAY, end, true),
        (DAY, end + 1, false),
        (2 * DAY - 1, end, true),
    ] {
        ends.now = at(now);
        counter += 1;
        let (_, frame) = ends.seal(&Ask {
            not_after: UnixMillis(not_after),
            ..Ask::number(counter)
        })?;
        let refused = ends.refusal(&frame);
        let expected = (!runs).then_some(Reason::NotAfter);
        ensure!(refused == expected, usize::try_from(counter).unwrap_or(0));
    }
    Ok(())
}

fn clock_behind(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(1))?;
    ends.floor = UnixMillis(NOW.0 + DAY - 1);
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    let (_, frame) = ends.seal(&Ask::number(2))?;
    ends.floor = UnixMillis(NOW.0 + DAY);
    ensure!(ends.refusal(&frame) == Some(Reason::NotAfter));
    // The token ended by the floor, not by the clock.
    let (_, frame) = ends.seal(&Ask {
        not_after: UnixMillis(NOW.0 + 3 * DAY),
        ..Ask::number(2)
    })?;
    ends.floor = UnixMillis(NOW.0 + 2 * DAY);
    ensure!(ends.hand(&frame) == Err(Reason::Token(TokenReason::Expired)));
    Ok(())
}

fn own_list(ends: &mut Ends<'_>) -> Result<(), Failure> {
    // The token has ping, led and echo; the agent allows led and echo.
    for (counter, name, runs) in [(1, "ping", false), (2, "led", true), (3, "echo", true)] {
        let (pending, frame) = ends.seal(&Ask {
            name,
            ..Ask::number(counter)
        })?;
        let answered = ends.hand(&frame).map(|(_, reply)| reply);
        let mut reply = answered.unwrap_or_default();
        let outcome = pending.open(&mut reply);
        ensure!(matches!(outcome, Ok(ReplyOutcome::Result(_))) == runs);
        let refused = Ok(ReplyOutcome::Refused(RefusalCode::NotPermitted));
        ensure!((outcome == refused) != runs);
    }
    Ok(())
}

fn storage_fails(ends: &mut Ends<'_>) -> Result<(), Failure> {
    for (failing, counter) in [(Failing::Before, 1), (Failing::After, 2)] {
        let (pending, frame) = ends.seal(&Ask::number(counter))?;
        ends.host.fails = Some(failing);
        let (made, mut reply) = ends.hand(&frame).unwrap_or((Made::Ran, Message::new()));
        ensure!(made == Made::Refused(Reason::Storage) && ends.host.runs == 0);
        let refused = ReplyOutcome::Refused(RefusalCode::Storage);
        ensure!(pending.open(&mut reply) == Ok(refused));
        ensure!(ends.host.stored[0].is_some() == (failing == Failing::After));
        // It is not known what is in storage: the command counts as taken.
        ends.host.fails = None;
        let (made, mut reply) = ends.hand(&frame).unwrap_or((Made::Ran, Message::new()));
        ensure!(made == Made::Refused(Reason::CommandRepeated));
        ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::Lost));
    }
    // After a restart the storage has the last word: here it says that the second one was taken.
    ends.reboot()?;
    let (_, frame) = ends.seal(&Ask::number(2))?;
    ensure!(ends.refusal(&frame) == Some(Reason::CounterStale));
    let (_, frame) = ends.seal(&Ask::number(3))?;
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    ensure!(ends.host.runs == 1);
    Ok(())
}

fn rate(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(1))?;
    for step in 0..8 {
        ensure!(ends.hand_at_once(&frame).is_ok(), step);
    }
    ensure!(ends.hand_at_once(&frame) == Err(Reason::CommandRate));
    ends.now.instant = ends.now.instant.plus(999);
    ensure!(ends.hand_at_once(&frame) == Err(Reason::CommandRate));
    ends.now.instant = ends.now.instant.plus(1);
    let answered = ends.hand_at_once(&frame);
    ensure!(answered.is_ok_and(|(made, _)| made == Made::Repeated));
    ensure!(ends.hand_at_once(&frame) == Err(Reason::CommandRate));
    // What is for others, or for no prekey, costs nothing and counts for nothing.
    ends.now.instant = ends.now.instant.plus(1_000);
    for step in 0..20 {
        let mut draft = Draft::new(ends, 2);
        draft.head.prekey = 2;
        let refused = ends.hand_at_once(&draft.frame().1);
        ensure!(refused == Err(Reason::PrekeyUnknown), step);
    }
    ensure!(ends.hand_at_once(&frame).is_ok());
    Ok(())
}

fn signatures(ends: &mut Ends<'_>) -> Result<(), Failure> {
    for (step, label) in ["prekey", "reply", "initiator", "responder"]
        .into_iter()
        .enumerate()
    {
        let mut draft = Draft::new(ends, 1);
        draft.label = label;
        ensure!(
            ends.hand(&draft.frame().1) == Err(Reason::CommandSignature),
            step
        );
    }
    let mut draft = Draft::new(ends, 1);
    draft.token_hash = Hash::of(&[b"another"]).0;
    ensure!(ends.hand(&draft.frame().1) == Err(Reason::CommandSignature));
    // Another prekey or agent in t is another k.
    let mut draft = Draft::new(ends, 1);
    draft.prefix.exp += 1;
    ensure!(ends.hand(&draft.frame().1) == Err(Reason::Unsealed));
    let mut draft = Draft::new(ends, 1);
    draft.agent_key = other_key()?.public_key().to_bytes();
    ensure!(ends.hand(&draft.frame().1) == Err(Reason::Unsealed));
    let draft = Draft::new(ends, 1);
    ensure!(draft.head.agent == Site::id().0);
    ensure!(
        ends.hand(&draft.frame().1)
            .is_ok_and(|(made, _)| made == Made::Ran)
    );
    Ok(())
}

fn other_key() -> Result<SigningKey, Failure> {
    signing_key("hub")
}
