//! A statement about the hub's key on a datagram link (PROTOCOL.md §2.11, §7.1).

use moorline_core::handshake::{Earlier, RespondAs, Succession, Wanted};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::TrustMemory;
use moorline_core::wire::{Form, M2_LEN, M2_ROTATED_LEN};

use super::bench::{Agent, Peer, Sent};
use super::site::{initiator, responder};
use crate::fixture::World;
use crate::pair::Seen;
use crate::trust::site::{by_key, key, trusting};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "an M2 with a statement comes in fragments where it must, and the link opens",
        clause: "PROTOCOL.md §2.11",
        run: fragments,
    },
    Case {
        name: "no M2 with a statement is longer than three times an M1, fragments and all",
        clause: "PROTOCOL.md §2.2",
        run: amplification,
    },
];

/// Hands `work` an agent that takes datagrams of `mtu` bytes and expects the hub's key before, and what the hub answers.
fn after_m1(
    mtu: u16,
    work: &mut dyn for<'k> FnMut(&mut Agent<'k>, &mut Peer<'k, 1024>, Sent) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let world = World::new()?;
    let trust = trusting("a")?;
    let earlier = [Earlier {
        key: key("a")?.hash(),
        statement: by_key("a", 1, "hub")?,
    }];
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let mut expecting = initiator(&world, world.agent_token(&mut buffer)?);
    expecting.wanted = Wanted::Hub(&trust, Form::Datagram);
    expecting.offer.mtu = mtu;
    let mut answering = responder(&world);
    answering.respond_as = RespondAs::Hub(
        Form::Datagram,
        Succession {
            earlier: &earlier,
            by_root: None,
        },
    );
    let (mut agent, m1) = Agent::start(expecting, None)?;
    let mut hub = Peer::hub(answering);
    ensure!(m1.len() == 112);
    let (sent, _) = hub.hand(&m1, 0)?;
    work(&mut agent, &mut hub, sent)
}

fn fragments() -> Result<(), Failure> {
    after_m1(256, &mut |agent, hub, m2| {
        ensure!(m2.len() == 2 && m2.iter().all(|part| part[0] == 0x0F));
        // In the other order, and one of them twice.
        let (none, seen) = agent.hand(&m2[1], 1)?;
        ensure!(none.is_empty() && seen == Seen::Nothing);
        let (none, _) = agent.hand(&m2[1], 2)?;
        ensure!(none.is_empty());
        let (m3, _) = agent.hand(&m2[0], 3)?;
        ensure!(!m3.is_empty());
        let kept = agent.kept.get().map(|kept| *kept.current());
        ensure!(kept == Some(key("hub")?));
        // M2 again gets M3 again, and stores nothing again.
        agent.kept = TrustMemory::new();
        let (again, _) = agent.hand_all(&m2, 4)?;
        ensure!(again == m3 && agent.kept.get().is_none());
        let (m4, seen) = hub.hand_all(&m3, 5)?;
        ensure!(seen == Seen::Open);
        let (_, seen) = agent.hand_all(&m4, 6)?;
        ensure!(seen == Seen::Open);
        Ok(())
    })
}

fn amplification() -> Result<(), Failure> {
    for mtu in [160, 167, 168, 171, 200, 255] {
        after_m1(mtu, &mut |_, _, m2| {
            let all: usize = m2.iter().map(|part| part.len()).sum();
            ensure!(all <= 3 * 112, usize::from(mtu));
            ensure!((all == M2_LEN) == (mtu < 168), usize::from(mtu));
            ensure!(
                m2.iter().all(|part| part.len() <= usize::from(mtu)),
                usize::from(mtu)
            );
            ensure!(mtu < 168 || all == M2_ROTATED_LEN + 24, usize::from(mtu));
            Ok(())
        })?;
    }
    Ok(())
}
