//! Silence, pings and pongs (PROTOCOL.md §5.6).

use moorline_core::connection::{Closure, Settings};
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;

use crate::fixture::World;
use crate::pair::{Pair, Seen};
use crate::vectors::Run;
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.6";

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a silent peer is asked whether it is there, and its answer is timed",
        clause: CLAUSE,
        run: || with_pair(answered),
    },
    Case {
        name: "a peer that stays silent is asked again and then given up",
        clause: CLAUSE,
        run: || with_pair(silent),
    },
    Case {
        name: "any frame of the peer is a sign of life",
        clause: CLAUSE,
        run: || with_pair(sign_of_life),
    },
    Case {
        name: "a pong to nothing asked, or a second one, is no answer",
        clause: CLAUSE,
        run: || with_pair(unasked),
    },
];

fn with_pair(run: fn(Pair<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    run(Pair::open(&world, token, Settings::default())?)
}

fn answered(mut pair: Pair<'_>) -> Result<(), Failure> {
    ensure!(
        pair.initiator
            .connection
            .deadline()
            .is_some_and(|at| at.0 == 20_000)
    );
    ensure!(pair.initiator.wait(19_999) == (None, Seen::Nothing));
    let (ping, _) = pair.initiator.wait(20_000);
    let (pong, seen) = pair.responder.hand(&ping.unwrap_or_default(), 20_040);
    ensure!(seen == Seen::Nothing);
    let (none, seen) = pair.initiator.hand(&pong.unwrap_or_default(), 20_080);
    ensure!(none.is_none() && seen == Seen::RoundTrip);
    ensure!(
        pair.initiator
            .connection
            .deadline()
            .is_some_and(|at| at.0 == 40_080)
    );
    Ok(())
}

fn silent(mut pair: Pair<'_>) -> Result<(), Failure> {
    for now in [20_000, 40_000] {
        let (ping, seen) = pair.initiator.wait(now);
        ensure!(ping.is_some() && seen == Seen::Nothing);
        let (none, _) = pair.initiator.wait(now + 19_999);
        ensure!(none.is_none());
    }
    let (sent, seen) = pair.initiator.wait(60_000);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Silent)));
    ensure!(sent.is_some());
    Ok(())
}

fn sign_of_life(mut pair: Pair<'_>) -> Result<(), Failure> {
    for now in [15_000, 30_000, 75_000, 120_000] {
        let said = pair.responder.say(b"still here")?;
        let (none, _) = pair.initiator.hand(&said, now);
        ensure!(none.is_none());
        let deadline = pair.initiator.connection.deadline();
        ensure!(deadline.is_some_and(|at| at.0 == now + 20_000));
    }
    Ok(())
}

fn unasked(mut pair: Pair<'_>) -> Result<(), Failure> {
    let secret = Run::new(&World::new()?)?.epoch_0[1];
    let pong = |seq, number| crate::reference::frame(&secret, 0x21, 0, seq, &[4, number]);
    ensure!(pair.initiator.hand(&pong(0, 0), 1) == (None, Seen::Nothing));
    let (ping, _) = pair.initiator.wait(30_000);
    ensure!(ping.is_some());
    ensure!(pair.initiator.hand(&pong(1, 2), 30_001) == (None, Seen::Nothing));
    ensure!(pair.initiator.hand(&pong(2, 1), 30_002) == (None, Seen::RoundTrip));
    ensure!(pair.initiator.hand(&pong(3, 1), 30_003) == (None, Seen::Nothing));
    // It was no fault either: the session goes on.
    let alert = Alert::new(AlertCode::Close);
    let mut out = [0; 64];
    ensure!(pair.initiator.connection.close(alert, &mut out).is_some());
    Ok(())
}
