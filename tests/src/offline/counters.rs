//! That a command runs once at most: repeats, restarts, full tables, and copies of one command.

use moorline_core::crypto::Suite;
use moorline_core::message::Value;
use moorline_core::offline::{
    CommandAnswer, CounterEntry, Counters, Inbox, MAX_CACHED_REPLY_LEN, MAX_COUNTERS,
    OfflineContext, PendingReply, Prekeys, ReplyOutcome, TokenForm,
};
use moorline_core::reason::Reason;
use moorline_core::time::UnixMillis;

use super::site::{Ask, DAY, Ends, Made, missing, with_ends};
use crate::fixture::NOW;
use crate::pair::{LINE_LEN, Message, copy};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the same command gets the same reply, byte for byte, and does not run again",
        clause: "PROTOCOL.md §12.3",
        run: || with_ends(Suite::Aes256Gcm, repeated),
    },
    Case {
        name: "after a restart the reply to the last command is lost, and the command does not run again",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, restarted),
    },
    Case {
        name: "a counter that is not above the last one is stale, and the last one is said",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, stale),
    },
    Case {
        name: "a reply that is too long to keep is sent once and lost after that",
        clause: "PROTOCOL.md §12.3",
        run: || with_ends(Suite::Aes256Gcm, too_long),
    },
    Case {
        name: "a result that is held back and a command that is played again never give index 3",
        clause: "PROTOCOL.md §12.5",
        run: || with_ends(Suite::Aes256Gcm, held_back),
    },
    Case {
        name: "of two copies of a command with one counter one runs, also when the token comes to be known in between",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, copies),
    },
    Case {
        name: "a full table refuses a new commander, evicts nobody, and has room when the floor has passed an entry",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, full),
    },
    Case {
        name: "an entry that has given way cannot be brought back by an old command",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, given_way),
    },
    Case {
        name: "an agent that is built for one commander, no replies and no tokens runs a command once",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, small),
    },
    Case {
        name: "a key whose name begins like another's gets no entry beside it",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, same_name),
    },
    Case {
        name: "a counter may jump by 2^32 and no further",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, jump),
    },
    Case {
        name: "if an agent's storage is put back a command runs again, and no head stands for two results",
        clause: "PROTOCOL.md §12.3, §12.7",
        run: || with_ends(Suite::Aes256Gcm, put_back),
    },
    Case {
        name: "an entry comes back to the place where it was stored, also behind a place that was not",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, places),
    },
    Case {
        name: "an entry lives as long as the longest token under which a command was taken",
        clause: "PROTOCOL.md §12.6",
        run: || with_ends(Suite::Aes256Gcm, latest_end),
    },
];

/// Hands `frame` in, which must be answered, and returns what became of it and the reply.
fn answered(ends: &mut Ends<'_>, frame: &Message) -> Result<(Made, Message), Failure> {
    let answer = ends.hand(frame);
    ensure!(answer.is_ok());
    Ok(answer.unwrap_or((Made::Ran, Message::new())))
}

/// Returns the number of the run that `reply` tells of.
fn run_of(pending: &PendingReply, reply: &Message) -> Option<i64> {
    match pending.open(&mut reply.clone()) {
        Ok(ReplyOutcome::Result(reply)) => match reply.fields.get(1).map(|field| field.value) {
            Some(Value::Int(run)) => Some(run),
            _ => None,
        },
        _ => None,
    }
}

fn repeated(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame) = ends.seal(&Ask::number(1))?;
    let (made, first) = answered(ends, &frame)?;
    ensure!(made == Made::Ran && run_of(&pending, &first) == Some(1));
    for step in 0..3 {
        let (made, again) = answered(ends, &frame)?;
        ensure!(made == Made::Repeated && again == first, step);
    }
    ensure!(ends.host.runs == 1 && ends.host.stores == 1);
    // The next one ends that: it is stale.
    let (_, next) = ends.seal(&Ask::number(2))?;
    ensure!(answered(ends, &next)?.0 == Made::Ran);
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::CounterStale));
    Ok(())
}

fn restarted(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame) = ends.seal(&Ask::number(1))?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    ends.reboot()?;
    let (made, mut reply) = answered(ends, &frame)?;
    ensure!(made == Made::Refused(Reason::CommandRepeated));
    ensure!(answered(ends, &frame)?.1 == reply);
    ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::Lost));
    ensure!(ends.host.runs == 1);
    Ok(())
}

fn stale(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(7))?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    for counter in [0, 6, 7] {
        let (pending, frame) = ends.seal(&Ask::number(counter))?;
        let (made, mut reply) = answered(ends, &frame)?;
        ensure!(made == Made::Refused(Reason::CounterStale));
        ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::Stale { counter: 7 }));
    }
    let (_, frame) = ends.seal(&Ask::number(8))?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    ensure!(ends.host.runs == 2);
    Ok(())
}

fn too_long(ends: &mut Ends<'_>) -> Result<(), Failure> {
    ends.host.is_long = true;
    let (pending, frame) = ends.seal(&Ask::number(1))?;
    let (made, reply) = answered(ends, &frame)?;
    ensure!(made == Made::Ran && reply.len() > MAX_CACHED_REPLY_LEN);
    ensure!(run_of(&pending, &reply) == Some(1));
    let (made, mut reply) = answered(ends, &frame)?;
    ensure!(made == Made::Refused(Reason::CommandRepeated));
    ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::Lost));
    ensure!(ends.host.runs == 1);
    Ok(())
}

fn held_back(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, first) = ends.seal(&Ask::number(1))?;
    ensure!(answered(ends, &first)?.0 == Made::Ran);
    let (_, frame) = ends.seal(&Ask {
        form: TokenForm::Hash,
        ..Ask::number(2)
    })?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    // After the restart the token is not known; the counter speaks before the token does.
    ends.reboot()?;
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::CommandRepeated));
    let (_, next) = ends.seal(&Ask::number(3))?;
    ensure!(answered(ends, &next)?.0 == Made::Ran);
    ends.reboot()?;
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::CounterStale));
    ensure!(ends.host.runs == 3);
    Ok(())
}

fn copies(ends: &mut Ends<'_>) -> Result<(), Failure> {
    // The hub holds this one back; its token is in full.
    let (_, earlier) = ends.seal(&Ask::number(1))?;
    let (pending, copy) = ends.seal(&Ask {
        form: TokenForm::Hash,
        ..Ask::number(2)
    })?;
    let (made, mut reply) = answered(ends, &copy)?;
    ensure!(made == Made::Refused(Reason::TokenNeeded));
    ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::TokenNeeded));
    let (pending, again) = ends.seal(&Ask::number(2))?;
    // Now it delivers: the token comes to be known, and the first copy can run.
    ensure!(answered(ends, &earlier)?.0 == Made::Ran);
    ensure!(answered(ends, &copy)?.0 == Made::Ran);
    let (made, mut reply) = answered(ends, &again)?;
    ensure!(made == Made::Refused(Reason::CounterStale));
    ensure!(pending.open(&mut reply) == Ok(ReplyOutcome::Stale { counter: 2 }));
    ensure!(ends.host.runs == 2);
    Ok(())
}

/// Returns the entry of the key whose hash is `key`, which ends at `end`.
fn entry(key: &[u8; 32], end: u64) -> CounterEntry {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(key);
    bytes[39] = 9;
    bytes[40..48].copy_from_slice(&end.to_be_bytes());
    let read = CounterEntry::from_bytes(&bytes);
    read.unwrap_or_else(|_| unreachable!("64 bytes are an entry"))
}

/// Starts the agent anew with `entries` in storage.
fn store(ends: &mut Ends<'_>, entries: impl Iterator<Item = CounterEntry>) -> Result<(), Failure> {
    ends.host.stored = Default::default();
    for (place, entry) in ends.host.stored.iter_mut().zip(entries) {
        *place = Some(entry);
    }
    ends.reboot()
}

fn full(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let end = NOW.0 + DAY / 2;
    let others = (0..8).map(|number| entry(&[number; 32], end + u64::from(number)));
    store(ends, others)?;
    let before = ends.host.stored;
    let (_, frame) = ends.seal(&Ask::number(1))?;
    // The clock has passed all ends; the floor has not.
    ends.now.unix = UnixMillis(end + 100);
    ends.floor = UnixMillis(end - 1);
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::NoRoom));
    ensure!(ends.host.stores == 0 && ends.host.stored == before);
    ensure!(ends.inbox.counters().iter().count() == MAX_COUNTERS);
    ends.floor = UnixMillis(end);
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    let own = ends.site.commander.public_key().hash();
    ensure!(
        ends.inbox
            .counters()
            .iter()
            .any(|(place, entry)| place == 0 && *entry.key() == own)
    );
    ensure!(ends.host.stored[1..] == before[1..]);
    ensure!(ends.host.stored[0].map(|entry| entry.counter()) == Some(1));
    Ok(())
}

fn given_way(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask {
        not_after: UnixMillis(NOW.0 + 2 * DAY),
        ..Ask::number(1)
    })?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    // The floor passes the token's end: the entry may go, and the command with it.
    ends.floor = UnixMillis(NOW.0 + 2 * DAY);
    store(ends, core::iter::empty())?;
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::NotAfter));
    ensure!(ends.host.runs == 1);
    Ok(())
}

fn small(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let prekeys = Prekeys::from_bytes(&ends.kept).map_err(|_| missing("the prekeys"))?;
    let mut inbox = Inbox::<1, 0, 0>::new(prekeys, Counters::new());
    let agent = ends.site.offline_agent();
    let (_, first) = ends.seal(&Ask::number(1))?;
    let by_hash = Ask {
        form: TokenForm::Hash,
        ..Ask::number(2)
    };
    let (_, second) = ends.seal(&by_hash)?;
    let mut other = [0; 32];
    other[0] = 1;
    // It ran; its reply was not kept; the token was not either; and nobody else has room.
    for (step, frame, refused) in [
        (0, &first, None),
        (1, &first, Some(Reason::CommandRepeated)),
        (2, &second, Some(Reason::TokenNeeded)),
    ] {
        let mut frame = copy(frame);
        let mut out = [0; LINE_LEN];
        let mut context = OfflineContext {
            now: ends.now,
            floor: ends.floor,
            entropy: &mut ends.entropy,
            shell: &mut ends.host,
        };
        let answer = inbox.handle_command(&mut frame, &agent, &mut context, &mut out);
        let reason = match answer {
            Ok(CommandAnswer::Refused { reason, .. }) => Some(reason),
            Ok(CommandAnswer::Ran { .. }) => None,
            _ => return Err(missing("it is answered")),
        };
        ensure!(reason == refused, step);
    }
    ensure!(ends.host.runs == 1);
    let mut full: Counters<1> = Counters::new();
    ensure!(full.restore(1, entry(&other, 0)) == Err(Reason::NoRoom));
    Ok(())
}

fn same_name(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let own = ends.site.commander.public_key().hash().0;
    let mut key = own;
    key[8] ^= 1;
    store(ends, core::iter::once(entry(&key, NOW.0 + DAY)))?;
    let (_, frame) = ends.seal(&Ask::number(9))?;
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::CounterStale));
    let (_, frame) = ends.seal(&Ask::number(10))?;
    ensure!(answered(ends, &frame)?.0 == Made::Refused(Reason::NoRoom));
    ensure!(ends.host.runs == 0 && ends.host.stores == 0);
    // No two entries like that come back from storage either.
    let mut counters: Counters = Counters::new();
    ensure!(counters.restore(0, entry(&own, 0)).is_ok());
    ensure!(counters.restore(1, entry(&key, 0)) == Err(Reason::Malformed));
    Ok(())
}

fn jump(ends: &mut Ends<'_>) -> Result<(), Failure> {
    for (counter, reason) in [
        ((1 << 32) + 1, Some(Reason::CounterTooFar)),
        (u64::MAX, Some(Reason::CounterTooFar)),
        (1 << 32, None),
        ((2 << 32) + 1, Some(Reason::CounterTooFar)),
        (2 << 32, None),
    ] {
        let (_, frame) = ends.seal(&Ask::number(counter))?;
        ensure!(ends.refusal(&frame) == reason);
    }
    Ok(())
}

fn put_back(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (pending, frame) = ends.seal(&Ask {
        is_signed: true,
        ..Ask::number(1)
    })?;
    let before = ends.host.stored;
    let (made, first) = answered(ends, &frame)?;
    ensure!(made == Made::Ran);
    ends.host.stored = before;
    ends.reboot()?;
    let (made, second) = answered(ends, &frame)?;
    ensure!(made == Made::Ran && ends.host.runs == 2);
    ensure!(first[..26] != second[..26]);
    ensure!(run_of(&pending, &first) == Some(1) && run_of(&pending, &second) == Some(2));
    Ok(())
}

fn places(ends: &mut Ends<'_>) -> Result<(), Failure> {
    ends.host.stored[3] = Some(entry(&[1; 32], NOW.0 + DAY));
    ends.reboot()?;
    let (_, frame) = ends.seal(&Ask::number(1))?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    ensure!(ends.host.stored[0].is_some() && ends.host.stored[1].is_none());
    ensure!(ends.host.stored[3] == Some(entry(&[1; 32], NOW.0 + DAY)));
    Ok(())
}

fn latest_end(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let key = ends.site.commander.public_key().hash();
    let far = NOW.0 + 5 * DAY;
    store(ends, core::iter::once(entry(key.as_bytes(), far)))?;
    let (_, frame) = ends.seal(&Ask::number(10))?;
    ensure!(answered(ends, &frame)?.0 == Made::Ran);
    let stored = ends.host.stored[0].map(|entry| entry.to_bytes());
    ensure!(stored.is_some_and(|bytes| bytes[40..48] == far.to_be_bytes()));
    // The places are those of the storage: what is more is refused, and what is there stays.
    let mut counters: Counters = Counters::new();
    for number in 0..8 {
        ensure!(
            counters
                .restore(number.into(), entry(&[number; 32], 0))
                .is_ok()
        );
    }
    ensure!(counters.restore(8, entry(&[8; 32], 0)) == Err(Reason::NoRoom));
    ensure!(counters.restore(7, entry(&[8; 32], 0)) == Err(Reason::Malformed));
    let inbox: Inbox = Inbox::new(Prekeys::new(), counters);
    ensure!(inbox.counters().iter().count() == MAX_COUNTERS);
    ensure!(CounterEntry::from_bytes(&[0; 63]) == Err(Reason::Length));
    Ok(())
}
