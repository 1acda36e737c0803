//! What a handshake that nobody disturbs leads to.

use moorline_core::connection::Settings;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{M1_LEN, M2_LEN, M3_MIN_LEN, M4_LEN};

use crate::fixture::{NOW, SESSION_ID, World};
use crate::pair::{Pair, Seen};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[Case {
    name: "a handshake opens both ends with the same facts",
    clause: "PROTOCOL.md §2",
    run: opens_both_ends,
}];

fn opens_both_ends() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut pair = Pair::start(&world, token, Settings::default())?;
    ensure!(pair.m1.len() == M1_LEN);
    let (m2, seen) = pair.responder.hand(&pair.m1, 0);
    ensure!(seen == Seen::Nothing);
    let m2 = m2.unwrap_or_default();
    ensure!(m2.len() == M2_LEN);
    let (m3, seen) = pair.initiator.hand(&m2, 10);
    ensure!(seen == Seen::Nothing);
    let m3 = m3.unwrap_or_default();
    ensure!(m3.len() == M3_MIN_LEN + token.as_bytes().len());
    let (m4, seen) = pair.responder.hand(&m3, 10);
    ensure!(seen == Seen::Open);
    let m4 = m4.unwrap_or_default();
    ensure!(m4.len() == M4_LEN);
    let (none, seen) = pair.initiator.hand(&m4, 10);
    ensure!(seen == Seen::Open && none.is_none());
    let ours = pair.initiator.connection.facts().copied();
    let theirs = pair.responder.connection.facts().copied();
    ensure!(ours.is_some_and(|facts| facts.session_id == SESSION_ID));
    ensure!(ours.map(|facts| facts.expires) == theirs.map(|facts| facts.expires));
    ensure!(ours.map(|facts| facts.permissions) == theirs.map(|facts| facts.permissions));
    ensure!(
        pair.initiator
            .connection
            .clock()
            .is_some_and(|clock| clock.time.0 == NOW.0 + 5)
    );

    let frame = pair.initiator.say(b"hello hub")?;
    let (_, seen) = pair.responder.hand(&frame, 20);
    ensure!(matches!(seen, Seen::Application(payload) if &*payload == b"hello hub"));
    let frame = pair.responder.say(b"hello agent")?;
    let (_, seen) = pair.initiator.hand(&frame, 20);
    ensure!(matches!(seen, Seen::Application(payload) if &*payload == b"hello agent"));
    Ok(())
}
