//! Cookies: what a hub under load asks of strangers.

use moorline_core::cookie::{Cookies, Screened};
use moorline_core::crypto::{Hash, Mac};
use moorline_core::entropy::Entropy;
use moorline_core::reason::Reason;
use moorline_core::time::Instant;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{Line, M0, M0_LEN, M1, Starred};

use super::site::{finish, on_link, on_resumed_link};
use crate::channel::loss::{Ends, on_channel};
use crate::fixture::{FixedEntropy, World};
use crate::pair::{End, Message, Pair, Seen, copy};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §2.10";

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: CLAUSE,
        run,
    }
}

pub(crate) static CASES: &[Case] = &[
    case(
        "a hub under load answers an M1 without a cookie with M0, and one with its cookie with M2",
        challenged,
    ),
    case(
        "a cookie is the published code over address, minute and M1, under a key of the minute",
        layout,
    ),
    case(
        "a cookie for another address, another M1 or with any flipped bit counts as none",
        wrong,
    ),
    case(
        "a cookie holds in its minute and in the next one, and no longer",
        minutes,
    ),
    case(
        "a hub that is not under load asks for no cookie and looks at none",
        unasked,
    ),
    case(
        "no answer to an M1 is longer than three times as much, and what is no M1 has none",
        amplification,
    ),
    case(
        "an initiator answers three M0 with the same M1 but for the cookie, and a fourth not",
        three,
    ),
    case(
        "an M0 for another connection, of another length or version, or after M2, is dropped",
        misplaced,
    ),
    case(
        "an M0 on a stream ends the connection, and on a channel it is dropped",
        elsewhere,
    ),
    case(
        "an M1 that comes again with a cookie is the same M1, and has the same M2",
        same_m1,
    ),
];

/// The address of the agent, and that of somebody else.
const ADDRESS: &[u8] = &[192, 0, 2, 7, 0x16, 0x33];
const OTHER: &[u8] = &[192, 0, 2, 7, 0x16, 0x34];

/// A hub's cookies, and what they are drawn from.
struct Hub {
    cookies: Cookies,
    entropy: FixedEntropy,
}

/// What a hub made of an M1.
#[derive(Debug, PartialEq)]
enum Made {
    Pass,
    Challenge([u8; M0_LEN]),
    Refused(Reason),
}

impl Hub {
    fn new(millis: u64) -> Result<Self, Failure> {
        let mut entropy = FixedEntropy::new("cookies");
        let cookies = Cookies::new(Instant(millis), &mut entropy).map_err(|_| Failure {
            condition: "there is entropy",
            file: file!(),
            line: line!(),
            step: 0,
        })?;
        Ok(Self { cookies, entropy })
    }

    fn screen(&mut self, m1: &[u8], address: &[u8], is_under_load: bool, millis: u64) -> Made {
        let mut out = [0; M0_LEN];
        let screened = self.cookies.screen(
            m1,
            address,
            is_under_load,
            Instant(millis),
            &mut self.entropy,
            &mut out,
        );
        match screened {
            Ok(Screened::Pass) => Made::Pass,
            Ok(Screened::Challenge(m0)) => Made::Challenge(m0.try_into().unwrap_or([0; M0_LEN])),
            Err(reason) => Made::Refused(reason),
        }
    }

    /// Returns the M0 that asks for the cookie of `m1`.
    fn m0(&mut self, m1: &[u8], millis: u64) -> [u8; M0_LEN] {
        match self.screen(m1, ADDRESS, true, millis) {
            Made::Challenge(m0) => m0,
            _ => [0; M0_LEN],
        }
    }
}

/// Returns `m1`, which has no cookie, with the one in `m0`.
fn with_cookie(m1: &[u8], m0: &[u8]) -> Message {
    let mut message = Message::new();
    let cookie = m0.get(8..).unwrap_or_default();
    for part in [
        &m1[..3],
        &[m1[3] + 20],
        &m1[4..53],
        &[20],
        cookie,
        &m1[54..],
    ] {
        let _ = message.extend_from_slice(part);
    }
    message
}

fn challenged() -> Result<(), Failure> {
    for ends in [on_link, on_resumed_link] {
        ends(&mut |agent, hub, m1| {
            let mut cookies = Hub::new(0)?;
            let m0 = cookies.m0(&m1, 10);
            ensure!(m0.len() == M0_LEN && m0[..4] == [0, 1, 0, 24] && m0[4..8] == m1[13..17]);
            let (again, seen) = agent.hand(&m0, 20);
            let again = again.unwrap_or_default();
            ensure!(seen == Seen::Nothing && again == with_cookie(&m1, &m0));
            ensure!(cookies.screen(&again, ADDRESS, true, 30) == Made::Pass);
            // Transcript and binder are those of an M1 without it.
            finish(agent, hub, again);
            ensure!(agent.view().is_some() && agent.view() == hub.view());
            ensure!(hub.datagram.connection().is_open());
            Ok(())
        })?;
    }
    Ok(())
}

fn layout() -> Result<(), Failure> {
    on_link(&mut |_, _, m1| {
        let mut key = [0; 32];
        ensure!(FixedEntropy::new("cookies").fill(&mut key).is_ok());
        let minute = 29_000_000u32;
        let millis = u64::from(minute) * 60_000 + 59_999;
        let m0 = Hub::new(millis)?.m0(&m1, millis);
        let bucket = minute.to_be_bytes();
        let mac = Mac::of(&key, &[ADDRESS, &bucket, Hash::of(&[&m1]).as_bytes()]);
        ensure!(m0[8..12] == bucket && m0[12..] == mac.as_bytes()[..16]);
        let m1_parsed = M1::parse(&m1, Line::Datagram);
        ensure!(m1_parsed.is_ok_and(|m1| M0::parse(&m0, m1.id).is_ok()));
        Ok(())
    })
}

fn wrong() -> Result<(), Failure> {
    on_link(&mut |_, _, m1| {
        let mut hub = Hub::new(0)?;
        let m0 = hub.m0(&m1, 0);
        let right = with_cookie(&m1, &m0);
        ensure!(hub.screen(&right, ADDRESS, true, 0) == Made::Pass);
        // The same answer as to none, and to the address that it came from.
        let elsewhere = hub.screen(&right, OTHER, true, 0);
        ensure!(elsewhere == hub.screen(&m1, OTHER, true, 0));
        ensure!(elsewhere != Made::Challenge(m0));
        for at in 54..74 {
            for bit in 0..8 {
                let mut broken = right.clone();
                broken[at] ^= 1 << bit;
                let made = hub.screen(&broken, ADDRESS, true, 0);
                ensure!(made == Made::Challenge(m0), at);
            }
        }
        // Another share, and another mtu.
        for at in [21, 52, 12] {
            let mut other = right.clone();
            other[at] ^= 1;
            let made = hub.screen(&other, ADDRESS, true, 0);
            ensure!(matches!(made, Made::Challenge(_)), at);
        }
        Ok(())
    })
}

fn minutes() -> Result<(), Failure> {
    on_link(&mut |_, _, m1| {
        for (asked, shown, holds) in [
            (0, 59_999, true),
            (59_999, 60_000, true),
            (0, 119_999, true),
            (59_999, 120_000, false),
            (0, 600_000, false),
        ] {
            let mut hub = Hub::new(0)?;
            let m1 = with_cookie(&m1, &hub.m0(&m1, asked));
            let made = hub.screen(&m1, ADDRESS, true, shown);
            let step = usize::try_from(shown).unwrap_or(0);
            ensure!((made == Made::Pass) == holds, step);
            ensure!(holds || matches!(made, Made::Challenge(_)), step);
        }
        // Each minute has its own key, and the one before goes when the minute after next is first looked at.
        let mut hub = Hub::new(0)?;
        let first = hub.m0(&m1, 0);
        let second = hub.m0(&m1, 60_000);
        let third = hub.m0(&m1, 120_000);
        ensure!(first[12..] != second[12..] && second[12..] != third[12..]);
        let shown = |m0| with_cookie(&m1, m0);
        ensure!(hub.screen(&shown(&first), ADDRESS, true, 120_000) == Made::Challenge(third));
        ensure!(hub.screen(&shown(&second), ADDRESS, true, 120_000) == Made::Pass);
        ensure!(hub.screen(&shown(&third), ADDRESS, true, 120_000) == Made::Pass);
        Ok(())
    })
}

fn unasked() -> Result<(), Failure> {
    on_link(&mut |_, _, m1| {
        let mut hub = Hub::new(0)?;
        ensure!(hub.screen(&m1, ADDRESS, false, 0) == Made::Pass);
        let wrong = with_cookie(&m1, &[7; M0_LEN]);
        ensure!(hub.screen(&wrong, ADDRESS, false, 0) == Made::Pass);
        ensure!(matches!(
            hub.screen(&wrong, ADDRESS, true, 0),
            Made::Challenge(_)
        ));
        Ok(())
    })
}

fn amplification() -> Result<(), Failure> {
    let both: [(Ends, usize); 2] = [(on_link, 160), (on_resumed_link, 111)];
    for (ends, m2_len) in both {
        ends(&mut |_, hub, m1| {
            let mut cookies = Hub::new(0)?;
            ensure!(m1.len() == 112 && cookies.m0(&m1, 0).len() == 28);
            for len in 0..m1.len() {
                let made = cookies.screen(&m1[..len], ADDRESS, true, 0);
                ensure!(matches!(made, Made::Refused(_)), len);
                let (none, seen) = hub.hand(&m1[..len], 0);
                ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)), len);
            }
            // Nor is another version answered, which on a stream it is.
            let mut other = m1.clone();
            other[1] = 2;
            ensure!(cookies.screen(&other, ADDRESS, true, 0) == Made::Refused(Reason::Version));
            let (none, seen) = hub.hand(&other, 0);
            ensure!(none.is_none() && seen == Seen::Dropped(Reason::Version));
            let (m2, _) = hub.hand(&m1, 0);
            ensure!(m2.is_some_and(|m2| m2.len() == m2_len && m2.len() <= 3 * m1.len()));
            Ok(())
        })?;
    }
    Ok(())
}

fn three() -> Result<(), Failure> {
    on_link(&mut |agent, hub, m1| {
        let id = m1[13..17].try_into().map_or(0, u32::from_be_bytes);
        let mut last = m1.clone();
        for count in 1..=5u8 {
            let mut out = [0; M0_LEN];
            let m0 = M0 {
                cookie: [count; 20],
            };
            let m0 = m0.emit(id, &mut out).map(|m0| copy(m0)).unwrap_or_default();
            let (again, seen) = agent.hand(&m0, 100 * u64::from(count));
            if count <= 3 {
                let again = again.unwrap_or_default();
                ensure!(seen == Seen::Nothing && again == with_cookie(&m1, &m0));
                ensure!(Starred::of(&again).hash(&[]) == Hash::of(&[&m1]));
                last = again;
            } else {
                ensure!(again.is_none() && seen == Seen::Dropped(Reason::OutOfPlace));
            }
        }
        // What is sent again unasked has the last cookie.
        let due = agent.datagram.deadline().map_or(0, |due| due.0);
        let (again, _) = agent.wait(due);
        ensure!(due == 1_300 && again == Some(last.clone()));
        finish(agent, hub, last);
        ensure!(agent.view().is_some() && agent.view() == hub.view());
        Ok(())
    })
}

fn misplaced() -> Result<(), Failure> {
    on_link(&mut |agent, hub, m1| {
        let m0 = Hub::new(0)?.m0(&m1, 0);
        for at in 0..8 {
            let mut broken = m0;
            broken[at] ^= 1;
            let (none, seen) = agent.hand(&broken, 0);
            ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)), at);
        }
        let mut longer = copy(&m0);
        let _ = longer.push(0);
        for broken in [&m0[..27], &longer, &m0[..1]] {
            let (none, seen) = agent.hand(broken, 0);
            ensure!(none.is_none() && seen == Seen::Dropped(Reason::Length));
        }
        // The hub takes none.
        let (none, seen) = hub.hand(&m0, 0);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        let (m2, _) = hub.hand(&m1, 0);
        let (m3, _) = agent.hand(&m2.unwrap_or_default(), 0);
        let (none, seen) = agent.hand(&m0, 0);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        let (m4, _) = hub.hand(&m3.unwrap_or_default(), 0);
        let (_, seen) = agent.hand(&m4.unwrap_or_default(), 0);
        ensure!(seen == Seen::Open);
        let (none, seen) = agent.hand(&m0, 0);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        Ok(())
    })?;
    // After the handshake's time nothing is sent any more.
    on_link(&mut |agent, _, m1| {
        let m0 = Hub::new(0)?.m0(&m1, 0);
        let (none, seen) = agent.hand(&m0, 15_000);
        ensure!(none.is_none() && matches!(seen, Seen::Closed(_)));
        Ok(())
    })
}

fn elsewhere() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    for id in [0, 1] {
        let mut out = [0; M0_LEN];
        let m0 = M0 { cookie: [7; 20] }.emit(id, &mut out);
        let m0 = m0.map(|m0| copy(m0)).unwrap_or_default();
        let pair = Pair::start(&world, token, moorline_core::connection::Settings::DEFAULT)?;
        let Pair {
            initiator,
            responder,
            ..
        } = pair;
        for mut end in [initiator, responder] {
            let end: &mut End<'_> = &mut end;
            let (none, seen) = end.hand(&m0, 0);
            ensure!(none.is_none() && matches!(seen, Seen::Closed(_)));
        }
    }
    on_channel(&mut |commander, _, m1| {
        let mut out = [0; M0_LEN];
        let id = m1[13..17].try_into().map_or(0, u32::from_be_bytes);
        let m0 = M0 { cookie: [7; 20] }.emit(id, &mut out);
        let m0 = m0.map(|m0| copy(m0)).unwrap_or_default();
        let (none, seen) = commander.hand(&m0, 0);
        ensure!(none.is_none() && seen == Seen::Dropped(Reason::OutOfPlace));
        Ok(())
    })
}

fn same_m1() -> Result<(), Failure> {
    on_link(&mut |_, hub, m1| {
        let (m2, _) = hub.hand(&m1, 0);
        let m0 = Hub::new(0)?.m0(&m1, 0);
        let (again, seen) = hub.hand(&with_cookie(&m1, &m0), 100);
        ensure!(seen == Seen::Nothing && again == m2 && m2.is_some());
        // A length of a cookie that does not exist makes it no M1 at all.
        let mut broken = with_cookie(&m1, &m0);
        broken[53] = 19;
        let (none, seen) = hub.hand(&broken, 100);
        ensure!(none.is_none() && matches!(seen, Seen::Dropped(_)));
        Ok(())
    })
}
