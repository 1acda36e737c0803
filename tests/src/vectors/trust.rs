//! The published example of trust, `core/vectors/trust-v1.json`: what is said of a hub's and of an issuer's next key, and a
//! handshake with a hub whose key has changed (PROTOCOL.md §2.3, §7.1 and §7.5).

mod json;

pub(super) use json::write;
use moorline_core::connection::{Context, Settings};
use moorline_core::crypto::{Hash, SigningKey};
use moorline_core::handshake::{Earlier, RespondAs, Responder, Succession};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::trust::{
    IssuerKeys, IssuerStatement, Rotation, STATEMENT_LEN, Signer, Statement, TrustMemory,
};
use moorline_core::wire::Form;

use super::writer::is_published;
use super::{Run, UNREACHED, announcement, draw, ephemeral};
use crate::fixture::{Door, FixedEntropy, ISSUER, World, at, ephemeral_key, signing_key};
use crate::pair::{Message, Pair, Seen, copy};
use crate::reference::{Agreed, Answered, Block, Proved, extend, m2_clear_to};
use crate::{Case, Failure, ensure};

/// The published file.
const PUBLISHED: &str = include_str!("../../../core/vectors/trust-v1.json");

/// What the hub's next key is called in the fixture.
const NEXT_HUB: &str = "hub's next key";

/// What the issuer's next key is called in the fixture.
const NEXT_ISSUER: &str = "issuer's next key";

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the published example of trust is what the second derivation gives",
        clause: "PROTOCOL.md §7.1",
        run: || is_published(PUBLISHED, json::write),
    },
    Case {
        name: "core signs every published statement about a hub's key, byte for byte, and takes it",
        clause: "PROTOCOL.md §7.1",
        run: rotations,
    },
    Case {
        name: "core signs every published statement about an issuer's key, byte for byte, and takes it",
        clause: "PROTOCOL.md §7.5",
        run: issuers,
    },
    Case {
        name: "core sends the published M2 with a statement and the M3 that answers it, byte for byte",
        clause: "PROTOCOL.md §2.3",
        run: handshake,
    },
];

/// One statement, and how it is made.
struct Said {
    name: &'static str,
    label: &'static str,
    signer: &'static str,
    hedge: Block,
    /// What it says: all but the signature.
    says: [u8; 86],
    /// What ES256 signs.
    content: Message,
    statement: [u8; STATEMENT_LEN],
}

impl Said {
    /// Derives the statement that the key called `signer` makes under `label`: `next` follows. `named` is the name at its
    /// end.
    fn new(
        name: &'static str,
        label: &'static str,
        signer: &'static str,
        counter: u32,
        next: &str,
        named: [u8; 16],
    ) -> Result<Self, Failure> {
        let mut says = [0; 86];
        says[0] = u8::from(signer != "root");
        says[1..5].copy_from_slice(&counter.to_be_bytes());
        says[5..70].copy_from_slice(&signing_key(next)?.public_key().to_bytes());
        says[70..].copy_from_slice(&named);
        let mut content = Message::new();
        let hashed = Hash::of(&[&says]).0;
        for part in [&[0x20; 64], &b"ML1 "[..], label.as_bytes(), &[0], &hashed] {
            extend(&mut content, part);
        }
        let hedge = draw(&mut FixedEntropy::new(name));
        let key = signing_key(signer)?;
        let mut statement = [0; STATEMENT_LEN];
        statement[..86].copy_from_slice(&says);
        statement[86..].copy_from_slice(&key.sign(&Hash::of(&[&content]), &hedge).0);
        Ok(Self {
            name,
            label,
            signer,
            hedge,
            says,
            content,
            statement,
        })
    }
}

/// Returns the name of the key called `name` in statements.
fn name_of(name: &str) -> Result<[u8; 16], Failure> {
    Ok(signing_key(name)?.public_key().hash().prefix())
}

/// Derives both statements about the hub's key: its own, and the root's, which revokes it.
fn of_hub() -> Result<[Said; 2], Failure> {
    Ok([
        Said::new(
            "the hub's key on the next one",
            "rotation",
            "hub",
            1,
            NEXT_HUB,
            [0; 16],
        )?,
        Said::new(
            "the root on the hub's next key, with the one before revoked",
            "rotation",
            "root",
            1,
            NEXT_HUB,
            name_of("hub")?,
        )?,
    ])
}

/// Derives both statements about the issuer's key: its own, and the root's, which leaves no other.
fn of_issuer() -> Result<[Said; 2], Failure> {
    let by = name_of("issuer")?;
    let root = name_of("root")?;
    Ok([
        Said::new(
            "the issuer's key on the next one",
            "issuer",
            "issuer",
            0,
            NEXT_ISSUER,
            by,
        )?,
        Said::new(
            "the root on the issuer's next key",
            "issuer",
            "root",
            2,
            NEXT_ISSUER,
            root,
        )?,
    ])
}

/// A handshake of the initiator of the example with its hub, whose key has changed.
struct Rotated {
    agreed: Agreed,
    /// The plaintext of M2 before the signature.
    m2_signed: Message,
    answered: Answered,
    proved: Proved,
}

impl Rotated {
    /// Derives the handshake that begins with the M1 of `run`. `statement` leads to the hub's next key.
    fn new(world: &World, run: &Run, statement: &[u8; STATEMENT_LEN]) -> Result<Self, Failure> {
        let key = signing_key(NEXT_HUB)?;
        let own = ephemeral_key("initiator ephemeral");
        let peer = ephemeral(&draw(&mut FixedEntropy::new("responder")));
        let clear = m2_clear_to(1, 0, 310, [[0; 4]; 2], &peer.share());
        let agreed = Agreed::new(&run.m1, &clear, &own, &peer.share()).ok_or(UNREACHED)?;
        let mut announced = announcement(world);
        announced.kind = 1;
        announced.key_id = key.public_key().hash().prefix();
        let mut m2_signed = copy(&announced.bytes());
        extend(&mut m2_signed, statement);
        let answered = agreed.m2(
            &m2_signed,
            &key.public_key().to_bytes(),
            &key,
            &run.hedges[0],
        );
        let proved = answered.m3(
            &run.m3_signed,
            &run.token_hash,
            &world.agent.public_key().to_bytes(),
            &world.agent,
            &run.hedges[1],
        );
        Ok(Self {
            agreed,
            m2_signed,
            answered,
            proved,
        })
    }
}

fn rotations() -> Result<(), Failure> {
    let world = World::new()?;
    let mut trust = world.trust.clone();
    let next = *signing_key(NEXT_HUB)?.public_key();
    for (step, said) in of_hub()?.iter().enumerate() {
        let by_root = said.signer == "root";
        let rotation = Rotation {
            signer: if by_root {
                Signer::Root
            } else {
                Signer::Current
            },
            counter: 1,
            key: next,
            revoked: by_root.then_some(name_of("hub")?),
        };
        let signed = rotation.sign(&signing_key(said.signer)?, &said.hedge);
        ensure!(signed == Ok(said.statement), step);
        let parsed = Statement::parse(&said.statement);
        ensure!(parsed.is_ok_and(|parsed| trust.take(&parsed).is_ok()), step);
    }
    // The root's word is the last one.
    ensure!(*trust.current() == next);
    Ok(())
}

fn issuers() -> Result<(), Failure> {
    let world = World::new()?;
    let [by_issuer, by_root] = of_issuer()?;
    let next = *signing_key(NEXT_ISSUER)?.public_key();
    let made = IssuerStatement::by_issuer(&world.issuer, &next, &by_issuer.hedge);
    ensure!(made == by_issuer.statement);
    let made = IssuerStatement::by_root(&world.root, 2, &next, &by_root.hedge);
    ensure!(made == by_root.statement);
    for (step, said) in [by_issuer, by_root].iter().enumerate() {
        let mut keys = IssuerKeys::of(ISSUER, &world.anchors, 1).ok_or(UNREACHED)?;
        ensure!(
            keys.take(&said.statement, world.root.public_key()).is_ok(),
            step
        );
        ensure!(keys.newest() == name_of(NEXT_ISSUER)?, step);
    }
    Ok(())
}

fn handshake() -> Result<(), Failure> {
    let world = World::new()?;
    let run = Run::new(&world)?;
    let [said, _] = of_hub()?;
    let published = Rotated::new(&world, &run, &said.statement)?;
    let keys: [SigningKey; 1] = [signing_key(NEXT_HUB)?];
    let earlier = [Earlier {
        key: world.hub[0].public_key().hash(),
        statement: said.statement,
    }];
    let responder = Responder {
        keys: &keys,
        respond_as: RespondAs::Hub(
            Form::Stream,
            Succession {
                earlier: &earlier,
                by_root: None,
            },
        ),
        ..world.responder()
    };
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let initiator = world.initiator(world.agent_token(&mut buffer)?);
    let (door, settings) = (Door::default(), Settings::default());
    let mut pair = Pair::between(initiator, None, responder, door, settings, 0)?;
    ensure!(pair.m1 == run.m1);
    let (m2, _) = pair.responder.hand(&run.m1, 0);
    ensure!(m2.is_some_and(|m2| m2 == published.answered.message));

    let mut kept = TrustMemory::new();
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let mut context = Context {
        now: at(0),
        entropy: &mut pair.initiator.entropy,
        responding: None,
        keeper: &mut kept,
    };
    let m2 = &mut published.answered.message.clone();
    let outcome = pair
        .initiator
        .connection
        .handle_message(m2, &mut context, &mut out);
    ensure!(
        outcome
            .send
            .is_some_and(|m3| *m3 == *published.proved.message)
    );
    ensure!(
        kept.get()
            .is_some_and(|trust| trust.current() == keys[0].public_key())
    );
    let (_, seen) = pair.responder.hand(&published.proved.message, 0);
    ensure!(seen == Seen::Open);
    Ok(())
}
