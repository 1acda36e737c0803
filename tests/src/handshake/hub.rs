//! What an initiator takes for its hub: M2 that is sealed as it should be, by whom it should not (PROTOCOL.md §2.3).

use moorline_core::reason::Reason;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::NoKeeper;

use super::forge::{Forger, is_taken};
use super::stages::{Stages, answer};
use crate::fixture::{FixedEntropy, World, at, ephemeral_key, signing_key};
use crate::reference::{Agreed, Announcement, m2_clear};
use crate::vectors::{announcement, m1};
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "an M2 that says nothing wrong is taken, also when a second derivation made it",
        clause: "PROTOCOL.md §2.3",
        run: || {
            with_stages(|stages, forger| {
                ensure!(is_taken(stages, &forger.m2(|_| {})));
                Ok(())
            })
        },
    },
    Case {
        name: "each field of M2 that is out of its range is refused, and no M3 is sent",
        clause: "PROTOCOL.md §2.3",
        run: fields,
    },
    Case {
        name: "each field of M2 at the edge of its range is taken",
        clause: "PROTOCOL.md §2.3",
        run: edges,
    },
    Case {
        name: "a suite or mode in M2 that was not offered is refused before anything is computed",
        clause: "PROTOCOL.md §2.3",
        run: not_offered,
    },
    Case {
        name: "a hub whose key is not pinned never sees M3",
        clause: "PROTOCOL.md §7.1",
        run: wrong_hub,
    },
    Case {
        name: "the pinned key's name without its signature is refused",
        clause: "PROTOCOL.md §3.2",
        run: wrong_signature,
    },
    Case {
        name: "a signature under the label of the initiator is not the responder's",
        clause: "PROTOCOL.md §3.2",
        run: wrong_label,
    },
    Case {
        name: "every pinned key is taken, whichever of them the hub uses",
        clause: "PROTOCOL.md §7.1",
        run: second_pin,
    },
    Case {
        name: "the M2 of another handshake between the same ends is refused",
        clause: "PROTOCOL.md §3.3",
        run: replayed,
    },
    Case {
        name: "an M2 with the initiator's own share reflected is refused",
        clause: "PROTOCOL.md §3.3",
        run: reflected,
    },
    Case {
        name: "a token longer than the hub takes is not sent",
        clause: "PROTOCOL.md §2.3",
        run: || {
            with_stages(|stages, forger| {
                let len = stages.m3.len() - 92;
                let limit =
                    |limit: usize| forger.m2(|says| says.token = u16::try_from(limit).unwrap_or(0));
                ensure!(stages.refusal_of_m2(&limit(len - 1)) == Some(Reason::PeerLimit));
                ensure!(is_taken(stages, &limit(len)));
                Ok(())
            })
        },
    },
];

fn with_stages(run: fn(&Stages<'_>, &Forger<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let stages = Stages::new(&world, world.agent_token(&mut buffer)?);
    // Used where they are: `?` would make a second one of each, and the stack of a small board is full of them.
    match (&stages, &Forger::new(&world)) {
        (Ok(stages), Ok(forger)) => run(stages, forger),
        (Err(failure), _) | (_, Err(failure)) => Err(*failure),
    }
}

fn fields() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        type Change = fn(&mut Announcement);
        let changes: [(Change, Reason); 11] = [
            (|says| says.quality = 3, Reason::TimeQuality),
            (|says| says.quality = 255, Reason::TimeQuality),
            (|says| says.mtu = 159, Reason::PeerLimit),
            (|says| says.payload = 0, Reason::PeerLimit),
            (|says| says.payload = 63, Reason::PeerLimit),
            (|says| says.payload = 16_385, Reason::PeerLimit),
            (|says| says.window = 1, Reason::PeerLimit),
            (|says| says.kind = 1, Reason::Length),
            (|says| says.kind = 2, Reason::CredentialKind),
            (|says| says.kind = 255, Reason::CredentialKind),
            (|says| says.key_id[15] ^= 1, Reason::NotPinned),
        ];
        for (step, (change, reason)) in changes.into_iter().enumerate() {
            ensure!(
                stages.refusal_of_m2(&forger.m2(change)) == Some(reason),
                step
            );
        }
        Ok(())
    })
}

fn edges() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let changes: [fn(&mut Announcement); 6] = [
            |says| says.quality = 0,
            |says| says.quality = 1,
            |says| says.mtu = 160,
            |says| says.payload = 64,
            |says| says.payload = 16_384,
            |says| says.time = u64::MAX,
        ];
        for (step, change) in changes.into_iter().enumerate() {
            ensure!(is_taken(stages, &forger.m2(change)), step);
        }
        Ok(())
    })
}

fn not_offered() -> Result<(), Failure> {
    with_stages(|stages, _| {
        for (at, value, reason) in [
            (4, 0, Reason::Suite),
            (4, 2, Reason::Suite),
            (4, 255, Reason::Suite),
            (5, 1, Reason::Mode),
            (5, 2, Reason::Mode),
            (5, 3, Reason::Mode),
            (5, 255, Reason::Mode),
        ] {
            let mut m2 = stages.m2.clone();
            m2[at] = value;
            let step = at * 256 + usize::from(value);
            ensure!(stages.refusal_of_m2(&m2) == Some(reason), step);
        }
        Ok(())
    })
}

fn wrong_hub() -> Result<(), Failure> {
    let mut world = World::new()?;
    world.expect_hub("another hub")?;
    let mut out = [0; 1024];
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let ephemeral = ephemeral_key("initiator ephemeral");
    let started = moorline_core::handshake::AwaitM2::start(
        world.initiator(token),
        ephemeral.into(),
        &at(0),
        &mut FixedEntropy::new("initiator"),
        &mut out,
    );
    ensure!(started.is_ok());
    let Ok((wait, m1)) = started else {
        return Ok(());
    };
    let m2 = answer(&world, m1);
    ensure!(m2.is_ok());
    let (_, mut m2) = m2.map_err(|_| NOT_ANSWERED)?;
    let mut entropy = crate::fixture::FixedEntropy::new("initiator");
    let mut out = [0; 1024];
    let reason = wait
        .handle_m2(&mut m2, &at(0), &mut NoKeeper, &mut entropy, &mut out)
        .err();
    ensure!(reason == Some(Reason::NotPinned));
    ensure!(out == [0; 1024]);
    Ok(())
}

fn wrong_signature() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let (world, run) = (forger.world, &forger.run);
        let thief = signing_key("thief")?;
        let says = announcement(world).bytes();
        for (step, named) in [world.hub[0].public_key(), thief.public_key()]
            .into_iter()
            .enumerate()
        {
            let m2 = run.agreed.m2(&says, &named.to_bytes(), &thief, &[]);
            let reason = stages.refusal_of_m2(&m2.message);
            ensure!(reason == Some(Reason::ResponderSignature), step);
        }
        // The hub's own signature, over a transcript that names another key.
        let named = thief.public_key().to_bytes();
        let m2 = run.agreed.m2(&says, &named, &world.hub[0], &[]);
        ensure!(stages.refusal_of_m2(&m2.message) == Some(Reason::ResponderSignature));
        Ok(())
    })
}

fn wrong_label() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let hub = &forger.world.hub[0];
        let says = announcement(forger.world).bytes();
        let named = hub.public_key().to_bytes();
        for (step, label) in ["initiator", "Responder", "responder ", ""]
            .into_iter()
            .enumerate()
        {
            let m2 = forger.run.agreed.m2_under(label, &says, &named, hub, &[]);
            let reason = stages.refusal_of_m2(&m2.message);
            ensure!(reason == Some(Reason::ResponderSignature), step);
        }
        Ok(())
    })
}

fn second_pin() -> Result<(), Failure> {
    let mut world = World::new()?;
    world.expect_hub("older hub")?;
    ensure!(world.trust.add(*world.hub[0].public_key()));
    let mut buffer = [0; MAX_UNPACKED_LEN];
    // The whole handshake goes through.
    Stages::new(&world, world.agent_token(&mut buffer)?)?;
    ensure!(!world.trust.add(*world.hub[0].public_key()));
    ensure!(world.trust.add(*signing_key("third")?.public_key()));
    ensure!(world.trust.add(*signing_key("fourth")?.public_key()));
    ensure!(!world.trust.add(*signing_key("fifth")?.public_key()));
    Ok(())
}

fn replayed() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let other = m1(forger.world, &ephemeral_key("another").share());
        let m2 = answer(forger.world, &other);
        ensure!(m2.is_ok());
        let (_, m2) = m2.map_err(|_| NOT_ANSWERED)?;
        ensure!(stages.refusal_of_m2(&m2) == Some(Reason::Unsealed));
        Ok(())
    })
}

fn reflected() -> Result<(), Failure> {
    with_stages(|stages, forger| {
        let own = ephemeral_key("initiator ephemeral");
        let mut m2 = stages.m2.clone();
        m2[14..46].copy_from_slice(&own.share().0);
        ensure!(stages.refusal_of_m2(&m2) == Some(Reason::Unsealed));
        // Sealed by one who knows the initiator's scalar, and signed by the agent's key.
        let clear = m2_clear(1, 0, &own.share());
        let agreed = Agreed::new(&stages.m1, &clear, &own, &own.share());
        let mut says = announcement(forger.world);
        let agent = &forger.world.agent;
        says.key_id = agent.public_key().hash().prefix();
        let named = agent.public_key().to_bytes();
        let m2 = agreed.map(|agreed| agreed.m2(&says.bytes(), &named, agent, &[]).message);
        let reason = m2.and_then(|m2| stages.refusal_of_m2(&m2));
        ensure!(reason == Some(Reason::NotPinned));
        Ok(())
    })
}

const NOT_ANSWERED: Failure = Failure {
    condition: "the offer is answered",
    file: file!(),
    line: line!(),
    step: 0,
};
