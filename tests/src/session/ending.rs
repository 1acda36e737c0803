//! Close, alerts and expiry (PROTOCOL.md §5.5).

use moorline_core::connection::{Closure, Heartbeat, Settings};
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;

use crate::fixture::World;
use crate::pair::{LINE_LEN, Pair, Seen, copy};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.5";

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "a sealed close is the peer's last word, and nothing after it is taken",
        clause: CLAUSE,
        run: || with_pair(close),
    },
    Case {
        name: "every alert reaches the peer with its code and argument",
        clause: CLAUSE,
        run: alerts,
    },
    Case {
        name: "a close does not hide that a frame before it is missing",
        clause: CLAUSE,
        run: || with_pair(close_after_gap),
    },
    Case {
        name: "a forged close ends the connection as a fault and is not taken for the peer's word",
        clause: CLAUSE,
        run: || with_pair(forged_close),
    },
    Case {
        name: "both ends stop when the token expires, each with a sealed alert",
        clause: CLAUSE,
        run: || with_pair(expiry),
    },
    Case {
        name: "a message that comes after the token has expired is not taken, whoever missed the deadline",
        clause: CLAUSE,
        run: || with_pair(late),
    },
    Case {
        name: "a fault of the peer is answered with one alert that does not say which it was",
        clause: CLAUSE,
        run: faults,
    },
];

/// A peer that is silent for a day, so that it is the expiry that ends the session.
pub(crate) const PATIENT: Settings = Settings {
    max_payload_len: 1024,
    handshake_millis: 15_000,
    heartbeat: Heartbeat {
        ping_after: 86_400_000,
        dead_after: 86_400_000,
    },
    fresh_updates: false,
};

pub(super) fn with_pair(run: fn(Pair<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    run(Pair::open(&world, token, PATIENT)?)
}

fn close(mut pair: Pair<'_>) -> Result<(), Failure> {
    let mut out = [0; LINE_LEN];
    let later = pair.initiator.say(b"before")?;
    let alert = Alert::new(AlertCode::Close);
    let close = pair.initiator.connection.close(alert, &mut out).map(copy);
    ensure!(!pair.initiator.connection.is_open());
    ensure!(pair.initiator.say(b"after").is_err());
    ensure!(matches!(
        pair.responder.hand(&later, 0),
        (None, Seen::Application(_))
    ));
    let seen = pair.responder.hand(&close.clone().unwrap_or_default(), 0);
    ensure!(seen == (None, Seen::Closed(Closure::ByPeer(alert))));
    ensure!(!pair.responder.connection.is_open());
    let seen = pair.responder.hand(&close.unwrap_or_default(), 0);
    ensure!(seen == (None, Seen::Closed(Closure::Refused(Reason::OutOfPlace))));
    Ok(())
}

fn alerts() -> Result<(), Failure> {
    let codes = [
        (AlertCode::Close, 0),
        (AlertCode::Expired, 1),
        (AlertCode::Revoked, 2),
        (AlertCode::Limit, 3),
        (AlertCode::Protocol, 4),
        (AlertCode::Overload, 5),
        (AlertCode::BadCredential, 7),
        (AlertCode::GoingAway, 8),
        (AlertCode::Superseded, 9),
    ];
    for (code, number) in codes {
        let argument = 0x0102_0304;
        let alert = Alert { code, argument };
        ensure!(alert.emit() == [number, 1, 2, 3, 4], usize::from(number));
        ensure!(
            Alert::parse(&alert.emit()) == Ok(alert),
            usize::from(number)
        );
        ensure!(AlertCode::from_code(number) == Some(code));
    }
    ensure!((0..=255).filter_map(AlertCode::from_code).count() == codes.len());
    with_pair(|mut pair| {
        let mut out = [0; LINE_LEN];
        let alert = Alert {
            code: AlertCode::GoingAway,
            argument: 60_000,
        };
        let sent = pair.responder.connection.close(alert, &mut out).map(copy);
        let seen = pair.initiator.hand(&sent.unwrap_or_default(), 0);
        ensure!(seen == (None, Seen::Closed(Closure::ByPeer(alert))));
        Ok(())
    })
}

fn close_after_gap(mut pair: Pair<'_>) -> Result<(), Failure> {
    let mut out = [0; LINE_LEN];
    let _cut = pair.initiator.say(b"cut out")?;
    let alert = Alert::new(AlertCode::Close);
    let close = pair.initiator.connection.close(alert, &mut out).map(copy);
    let (_, seen) = pair.responder.hand(&close.unwrap_or_default(), 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Sequence)));
    Ok(())
}

fn forged_close(mut pair: Pair<'_>) -> Result<(), Failure> {
    let forged = crate::reference::frame(&[0; 32], 0x22, 0, 0, &[0; 5]);
    let (sent, seen) = pair.responder.hand(&forged, 0);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Unsealed)));
    let (_, seen) = pair.initiator.hand(&sent.unwrap_or_default(), 0);
    let alert = Alert::new(AlertCode::Protocol);
    ensure!(seen == Seen::Closed(Closure::ByPeer(alert)));
    Ok(())
}

fn expiry(mut pair: Pair<'_>) -> Result<(), Failure> {
    let hour = 3_600_000;
    let expired = Alert::new(AlertCode::Expired);
    for end in [&mut pair.initiator, &mut pair.responder] {
        ensure!(
            end.connection
                .facts()
                .is_some_and(|facts| facts.expires_at.0 == hour)
        );
        ensure!(
            end.connection
                .deadline()
                .is_some_and(|deadline| deadline.0 == hour)
        );
        ensure!(end.wait(hour - 1) == (None, Seen::Nothing));
    }
    let (sent, seen) = pair.responder.wait(hour);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Expired)));
    // The alert arrives at a clock that is a little behind.
    let (none, seen) = pair.initiator.hand(&sent.unwrap_or_default(), hour - 1);
    ensure!(none.is_none() && seen == Seen::Closed(Closure::ByPeer(expired)));
    Ok(())
}

fn late(mut pair: Pair<'_>) -> Result<(), Failure> {
    let hour = 3_600_000;
    let said = pair.initiator.say(b"in time at its sender")?;
    let (sent, seen) = pair.responder.hand(&said, hour);
    ensure!(seen == Seen::Closed(Closure::Refused(Reason::Expired)));
    let (_, seen) = pair.initiator.hand(&sent.unwrap_or_default(), hour - 1);
    let expired = Alert::new(AlertCode::Expired);
    ensure!(seen == Seen::Closed(Closure::ByPeer(expired)));
    Ok(())
}

fn faults() -> Result<(), Failure> {
    let protocol = [
        Reason::Unsealed,
        Reason::Sequence,
        Reason::Replayed,
        Reason::Epoch,
        Reason::Malformed,
        Reason::Length,
        Reason::UnknownType,
        Reason::KeyUpdate,
        Reason::FrameCount,
        Reason::ZeroSharedSecret,
    ];
    for (step, reason) in protocol.into_iter().enumerate() {
        ensure!(
            Alert::for_reason(reason) == Alert::new(AlertCode::Protocol),
            step
        );
    }
    for (step, (reason, code)) in [
        (Reason::Expired, AlertCode::Expired),
        (Reason::TooLong, AlertCode::Limit),
        (Reason::Forgeries, AlertCode::Limit),
        (Reason::KeyUpdateRate, AlertCode::Limit),
        (Reason::KeyUpdateTimeout, AlertCode::Limit),
        (Reason::LastEpoch, AlertCode::Limit),
        (Reason::Silent, AlertCode::GoingAway),
    ]
    .into_iter()
    .enumerate()
    {
        ensure!(Alert::for_reason(reason) == Alert::new(code), step);
    }
    Ok(())
}
