//! How an agent makes prekeys, keeps their private halves, and wipes them.

use moorline_core::crypto::{Secret, Suite};
use moorline_core::offline::{Counters, Inbox, PREKEYS_LEN, Prekeys};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::{Now, TimeQuality, UnixMillis};

use super::site::{Ask, DAY, Ends, Made, Site, with_ends};
use crate::fixture::{FixedEntropy, NOW, at};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "commands to the last prekey and the last but one run, those to an older one do not",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, rotation),
    },
    Case {
        name: "a suite may change from one prekey to the next",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, suites),
    },
    Case {
        name: "no command to a prekey that has expired is taken, and its private half is wiped",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, expiry),
    },
    Case {
        name: "prekeys come back from storage, and what is no state is refused",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::ChaCha20Poly1305, storage),
    },
    Case {
        name: "a prekey is due when there is none and a day after the last, and none is made without the time",
        clause: "PROTOCOL.md §12.1",
        run: due,
    },
    Case {
        name: "an agent that keeps nothing through a reset goes on above its earlier ids, and opens nothing of before",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, forgetful),
    },
    Case {
        name: "without the time the floor ends prekeys",
        clause: "PROTOCOL.md §12.1",
        run: || with_ends(Suite::Aes256Gcm, floor),
    },
];

fn rotation(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, to_first) = ends.seal(&Ask::number(1))?;
    let (_, to_first_too) = ends.seal(&Ask::number(2))?;
    let bundle = ends.rotate(Suite::Aes256Gcm)?;
    ensure!(ends.inbox.prekeys.ids().eq([2, 1]));
    ensure!(
        ends.hand(&to_first)
            .is_ok_and(|(made, _)| made == Made::Ran)
    );
    ends.fetch(&bundle)?;
    ensure!(ends.prekey.id() == 2);
    let (_, to_second) = ends.seal(&Ask::number(3))?;
    ends.rotate(Suite::Aes256Gcm)?;
    ensure!(ends.inbox.prekeys.ids().eq([3, 2]));
    ensure!(ends.hand(&to_first_too) == Err(Reason::PrekeyUnknown));
    ensure!(
        ends.hand(&to_second)
            .is_ok_and(|(made, _)| made == Made::Ran)
    );
    ensure!(ends.host.runs == 2);
    Ok(())
}

fn suites(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let bundle = ends.rotate(Suite::ChaCha20Poly1305)?;
    let (_, one) = ends.seal(&Ask::number(1))?;
    ends.fetch(&bundle)?;
    ensure!(ends.prekey.suite() == Suite::ChaCha20Poly1305);
    let (_, two) = ends.seal(&Ask::number(2))?;
    for frame in [one, two] {
        ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    }
    Ok(())
}

fn expiry(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(1))?;
    let end = ends.prekey.expires();
    ensure!(end == UnixMillis(NOW.0 + 7 * DAY));
    ends.now = at(7 * DAY);
    ensure!(ends.hand(&frame) == Err(Reason::PrekeyUnknown));
    ensure!(ends.try_seal(&Ask::number(2)).err() == Some(Error::PrekeyExpired));
    let last = UnixMillis(end.0 - 1);
    ensure!(!ends.inbox.prekeys.wipe_expired(last));
    ensure!(ends.inbox.prekeys.ids().eq([1]));
    ensure!(ends.inbox.prekeys.wipe_expired(end));
    ensure!(ends.inbox.prekeys.ids().next().is_none());
    // Nothing of it goes to storage but the count, and the next id is the next.
    let mut nothing = [0; PREKEYS_LEN];
    nothing[3] = 1;
    ensure!(*ends.inbox.prekeys.to_bytes().expose() == nothing);
    ends.kept = ends.inbox.prekeys.to_bytes();
    ends.reboot()?;
    ends.rotate(Suite::Aes256Gcm)?;
    ensure!(ends.inbox.prekeys.ids().eq([2]));
    Ok(())
}

fn storage(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(1))?;
    let bundle = ends.rotate(Suite::Aes256Gcm)?;
    ends.reboot()?;
    ensure!(ends.inbox.prekeys.ids().eq([2, 1]));
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    ends.fetch(&bundle)?;
    let (_, frame) = ends.seal(&Ask::number(2))?;
    ensure!(ends.hand(&frame).is_ok_and(|(made, _)| made == Made::Ran));
    // Byte 3: the last id; byte 4: the newest one's suite; byte 52: the older one's id.
    for (step, value) in [(3, 1), (4, 9), (52, 0xff)] {
        let mut bytes = *ends.kept.expose();
        bytes[step] = value;
        let read = Prekeys::from_bytes(&Secret::new(bytes));
        ensure!(read.err() == Some(Reason::Malformed), step);
    }
    Ok(())
}

fn due() -> Result<(), Failure> {
    let site = Site::new()?;
    let mut prekeys = Prekeys::new();
    let mut entropy = FixedEntropy::new("due");
    let mut make = |prekeys: &mut Prekeys, now: &Now| {
        let made = prekeys.rotate(Suite::Aes256Gcm, Site::id(), &site.agent, now, &mut entropy);
        made.err()
    };
    let unknown = Now {
        quality: TimeQuality::Unknown,
        ..at(0)
    };
    ensure!(!prekeys.is_due(&unknown) && prekeys.is_due(&at(0)));
    ensure!(make(&mut prekeys, &unknown) == Some(Error::NoClock));
    ensure!(make(&mut prekeys, &at(0)).is_none());
    ensure!(!prekeys.is_due(&at(DAY - 1)) && prekeys.is_due(&at(DAY)));
    Ok(())
}

fn floor(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, frame) = ends.seal(&Ask::number(1))?;
    ends.now.quality = TimeQuality::Unknown;
    ends.floor = UnixMillis(NOW.0 + 7 * DAY - 1);
    ensure!(ends.refusal(&frame) == Some(Reason::NoTime));
    ends.floor = UnixMillis(NOW.0 + 7 * DAY);
    ensure!(ends.hand(&frame) == Err(Reason::PrekeyUnknown));
    Ok(())
}

fn forgetful(ends: &mut Ends<'_>) -> Result<(), Failure> {
    let (_, before) = ends.seal(&Ask::number(1))?;
    ensure!(ends.hand(&before).is_ok_and(|(made, _)| made == Made::Ran));
    let (_, unread) = ends.seal(&Ask::number(2))?;
    for seconds in [1_000_000, 1_000_060] {
        ends.inbox = Inbox::new(Prekeys::starting_after(seconds), Counters::new());
        ends.host.stored = Default::default();
        let bundle = ends.rotate(Suite::Aes256Gcm)?;
        ensure!(ends.inbox.prekeys.ids().eq([seconds + 1]));
        ends.fetch(&bundle)?;
        // The counters are gone, and so is what opens every command that they counted.
        ensure!(ends.hand(&before) == Err(Reason::PrekeyUnknown));
        ensure!(ends.hand(&unread) == Err(Reason::PrekeyUnknown));
    }
    // Even under the same id.
    ends.inbox = Inbox::new(Prekeys::starting_after(0), Counters::new());
    ends.rotate(Suite::Aes256Gcm)?;
    ensure!(ends.inbox.prekeys.ids().eq([1]));
    ensure!(ends.hand(&before) == Err(Reason::Unsealed));
    ensure!(ends.host.runs == 1);
    Ok(())
}
