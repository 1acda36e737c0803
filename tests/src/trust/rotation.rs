//! A handshake with a hub whose key has changed (PROTOCOL.md §2.3, §7.1).

use moorline_core::connection::{Closure, Connection, Context, Event, Settings};
use moorline_core::crypto::{Hash, SigningKey};
use moorline_core::handshake::{
    AwaitM2, Earlier, M2Answer, RespondAs, Responder, SingleUse, Succession, Wanted,
};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::reason::Reason;
use moorline_core::token::{AgentId, MAX_UNPACKED_LEN};
use moorline_core::trust::{STATEMENT_LEN, Signer, TrustStore};
use moorline_core::wire::{Form, Line, M2_LEN, M2_ROTATED_LEN, M2Signed};

use super::site::{Shelf, by_key, by_root, key, signed, trusting};
use crate::fixture::{Door, FixedEntropy, World, at, ephemeral_key, signing_key};
use crate::pair::{Message, Pair, copy};
use crate::reference::{Agreed, extend};
use crate::vectors::announcement;
use crate::{Case, Failure, ensure};

pub(crate) static CASES: &[Case] = &[
    case(
        "an initiator that expects the hub's key before follows to the new one, and stores it before M3",
        follows,
    ),
    case(
        "an initiator that was away for one of two rotations follows by one statement",
        away,
    ),
    case(
        "a statement of a stranger, a copy of an earlier one, and one about another key lead to no M3",
        refused,
    ),
    case(
        "an initiator that cannot store whom it trusts sends no M3, and the handshake is over",
        not_stored,
    ),
    case(
        "a right statement with a wrong signature of M2 stores nothing",
        wrong_signature,
    ),
    case(
        "an M2 with a statement of another length, or with one where its kind has none, is refused",
        lengths,
    ),
    case(
        "a hub answers an initiator that expects its current key, or one that it never had, without a statement",
        unknown,
    ),
    case(
        "an initiator that expects a key that is long gone follows by the root's word alone",
        long_gone,
    ),
    case(
        "after the root has revoked a key its holder is refused, with a statement and without",
        revoked,
    ),
    case(
        "of a key that is trusted already no statement is looked at",
        known,
    ),
    case(
        "the next key becomes the current one in a handshake, and is stored so before M3",
        promoted,
    ),
    case(
        "a ticket of a key that is not trusted any more is not offered",
        ticket,
    ),
];

const fn case(name: &'static str, run: fn() -> Result<(), Failure>) -> Case {
    Case {
        name,
        clause: "PROTOCOL.md §7.1",
        run,
    }
}

/// A hub and what it says of the keys that it had before.
struct Hub {
    keys: [SigningKey; 1],
    earlier: [Earlier; 2],
    by_root: Option<[u8; STATEMENT_LEN]>,
}

impl Hub {
    /// Returns the hub whose key is called `current`, with a statement for each of two keys before it.
    fn new(current: &str, earlier: [(&str, [u8; STATEMENT_LEN]); 2]) -> Result<Self, Failure> {
        let [(one, of_one), (two, of_two)] = earlier;
        let of = |hash: Hash, statement| Earlier {
            key: hash,
            statement,
        };
        Ok(Self {
            keys: [signing_key(current)?],
            earlier: [of(key(one)?.hash(), of_one), of(key(two)?.hash(), of_two)],
            by_root: None,
        })
    }

    /// Returns the hub whose key is called `current`, with this statement for the key called `earlier`.
    fn after(
        earlier: &str,
        current: &str,
        statement: [u8; STATEMENT_LEN],
    ) -> Result<Self, Failure> {
        Self::new(current, [(earlier, statement), ("never", statement)])
    }

    fn responder<'h>(&'h self, world: &'h World) -> Responder<'h> {
        Responder {
            keys: &self.keys,
            respond_as: RespondAs::Hub(
                Form::Stream,
                Succession {
                    earlier: &self.earlier,
                    by_root: self.by_root.as_ref(),
                },
            ),
            ..world.responder()
        }
    }
}

/// What became of M2.
struct Tried {
    m2: Message,
    refused: Option<Reason>,
    /// Whether the whole handshake went through.
    is_open: bool,
}

/// Runs a handshake between an initiator that trusts `trust` and `hub`.
fn attempt(
    world: &World,
    trust: &TrustStore,
    hub: &Hub,
    shelf: &mut Shelf,
) -> Result<Tried, Failure> {
    attempt_with(world, trust, hub, shelf, |_| {})
}

/// As [`attempt`], with `change` made to M2.
#[inline(never)]
fn attempt_with(
    world: &World,
    trust: &TrustStore,
    hub: &Hub,
    shelf: &mut Shelf,
    change: impl FnOnce(&mut Message),
) -> Result<Tried, Failure> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let mut initiator = world.initiator(world.agent_token(&mut buffer)?);
    initiator.wanted = Wanted::Hub(trust, Form::Stream);
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let mut entropy = FixedEntropy::new("initiator");
    let single_use = SingleUse::from(ephemeral_key("initiator ephemeral"));
    let started = AwaitM2::start(initiator, single_use, &at(0), &mut entropy, &mut out);
    let (wait, m1) = started.map_err(|_| FAILED)?;
    let m1 = copy(m1);
    ensure!(m1[17..21] == trust.current().hash().prefix::<4>());
    let responder = hub.responder(world);
    let mut hub_entropy = FixedEntropy::new("responder");
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let door = &mut Door::default();
    let answered = responder.handle_m1(&m1, &at(0), &mut None, door, &mut hub_entropy, &mut out);
    let (next, m2) = answered.map_err(|_| FAILED)?;
    let mut m2 = copy(m2);
    change(&mut m2);
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let handled = wait.handle_m2(&mut m2.clone(), &at(0), shelf, &mut entropy, &mut out);
    let refused = handled.as_ref().err().copied();
    let mut is_open = false;
    if let Ok((M2Answer::Full(_), m3)) = handled {
        let (m3, mut out) = (&mut copy(m3), [0; MAX_HANDSHAKE_LEN]);
        let now = &at(0);
        is_open = next
            .handle_m3(m3, &responder, now, door, &mut hub_entropy, &mut out)
            .is_ok_and(|answer| matches!(answer, moorline_core::handshake::M3Answer::Open { .. }));
    } else {
        ensure!(out == [0; MAX_HANDSHAKE_LEN]);
    }
    Ok(Tried {
        m2,
        refused,
        is_open,
    })
}

const FAILED: Failure = Failure {
    condition: "M1 is written and answered",
    file: file!(),
    line: line!(),
    step: 0,
};

fn follows() -> Result<(), Failure> {
    let world = World::new()?;
    let trust = trusting("a")?;
    let hub = Hub::after("a", "b", by_key("a", 1, "b")?)?;
    let mut shelf = Shelf::default();
    let tried = attempt(&world, &trust, &hub, &mut shelf)?;
    ensure!(tried.is_open && tried.m2.len() == M2_ROTATED_LEN && M2_ROTATED_LEN == 310);
    ensure!(tried.m2[..4] == [2, 1, 0x01, 0x32]);
    ensure!(shelf.asked == 1);
    let kept = shelf.kept.take();
    ensure!(kept.is_some());
    let Some(kept) = kept else { return Ok(()) };
    ensure!(*kept.current() == key("b")? && kept.keys().count() == 2);
    // From now on nothing is said about it and nothing is stored.
    let tried = attempt(&world, &kept, &hub, &mut shelf)?;
    ensure!(tried.is_open && tried.m2.len() == M2_LEN && shelf.asked == 1);
    // A hub that went back to its key before is taken too.
    let before = Hub::after("never", "a", by_key("never", 1, "a")?)?;
    ensure!(attempt(&world, &kept, &before, &mut shelf)?.is_open && shelf.asked == 1);
    Ok(())
}

fn away() -> Result<(), Failure> {
    let world = World::new()?;
    let statements = [("b", by_key("b", 1, "c")?), ("a", by_key("a", 2, "c")?)];
    let hub = Hub::new("c", statements)?;
    for (step, pinned) in ["a", "b"].into_iter().enumerate() {
        let mut shelf = Shelf::default();
        let tried = attempt(&world, &trusting(pinned)?, &hub, &mut shelf)?;
        ensure!(tried.is_open, step);
        let kept = shelf.kept.take();
        ensure!(
            kept.is_some_and(|kept| kept.current() == hub.keys[0].public_key()),
            step
        );
    }
    Ok(())
}

fn refused() -> Result<(), Failure> {
    let world = World::new()?;
    let mut trust = trusting("a")?;
    // It has heard the second word of this key, and of the root.
    let earlier = [by_root(1, "z", None)?, by_root(2, "a", None)?];
    for statement in earlier.iter().chain([&by_key("a", 2, "n")?]) {
        ensure!(super::site::refusal(&mut trust, statement).is_none());
    }
    let mut flipped = by_key("a", 3, "b")?;
    flipped[90] ^= 1;
    let old = Reason::RotationOld;
    let nobody = Reason::RotationSignature;
    let refused = [
        (by_key("a", 2, "b")?, old),
        (by_key("a", 1, "b")?, old),
        (by_root(2, "b", None)?, old),
        (by_root(1, "b", None)?, old),
        (by_key("stranger", 3, "b")?, nobody),
        (by_key("b", 3, "b")?, nobody),
        (by_key("z", 3, "b")?, nobody),
        (by_key("n", 3, "b")?, nobody),
        (signed(Signer::Root, "a", 3, "b", None)?, nobody),
        (signed(Signer::Current, "root", 3, "b", None)?, nobody),
        (flipped, nobody),
        // The right word, for another key than the one that signs M2.
        (by_key("a", 3, "c")?, Reason::RotationKey),
        (by_root(3, "c", None)?, Reason::RotationKey),
        ([0; STATEMENT_LEN], Reason::PublicKey),
    ];
    let mut shelf = Shelf::default();
    for (step, (statement, reason)) in refused.into_iter().enumerate() {
        let hub = Hub::after("a", "b", statement)?;
        let tried = attempt(&world, &trust, &hub, &mut shelf)?;
        ensure!(tried.refused == Some(reason), step);
    }
    ensure!(shelf.asked == 0);
    for statement in [by_key("a", 3, "b")?, by_root(3, "b", None)?] {
        let hub = Hub::after("a", "b", statement)?;
        ensure!(attempt(&world, &trust, &hub, &mut shelf)?.is_open);
    }
    Ok(())
}

fn not_stored() -> Result<(), Failure> {
    let world = World::new()?;
    let trust = trusting("a")?;
    let hub = Hub::after("a", "b", by_key("a", 1, "b")?)?;
    let mut shelf = Shelf {
        is_broken: true,
        ..Shelf::default()
    };
    let tried = attempt(&world, &trust, &hub, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::Storage) && shelf.asked == 1);
    for form in [Form::Stream, Form::Datagram] {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let mut initiator = world.initiator(world.agent_token(&mut buffer)?);
        initiator.wanted = Wanted::Hub(&trust, form);
        let mut responder = hub.responder(&world);
        if let RespondAs::Hub(own, _) = &mut responder.respond_as {
            *own = form;
        }
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let entropy = &mut FixedEntropy::new("initiator");
        let ephemeral = ephemeral_key("initiator ephemeral");
        let settings = Settings::DEFAULT;
        let started =
            Connection::initiate(initiator, ephemeral, settings, &at(0), entropy, &mut out);
        let (mut connection, m1) = started.map_err(|_| FAILED)?;
        let (m1, mut out) = (copy(m1), [0; MAX_HANDSHAKE_LEN]);
        let door = &Door::default();
        let answered = responder.handle_m1(&m1, &at(0), &mut None, door, entropy, &mut out);
        let mut m2 = copy(answered.map_err(|_| FAILED)?.1);
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut context = Context {
            now: at(0),
            entropy,
            responding: None,
            keeper: &mut shelf,
        };
        let outcome = connection.handle_message(&mut m2, &mut context, &mut out);
        ensure!(outcome.send.is_none());
        let storage = Closure::Refused(Reason::Storage);
        ensure!(matches!(outcome.event, Some(Event::Closed(closure)) if closure == storage));
    }
    ensure!(shelf.asked == 3 && shelf.kept.is_none());
    Ok(())
}

/// Returns an M2 for an initiator that expects `a`, of a hub that says `kind`, the name of `b` and then `rest`, signed by
/// the key called `signer`. It answers M1 with the ephemeral key of the cases.
fn forged(
    world: &World,
    trust: &TrustStore,
    (kind, rest): (u8, &[u8]),
    signer: &str,
    m2_len: usize,
) -> Result<Message, Failure> {
    let mut m1 = crate::vectors::m1(world, &ephemeral_key("initiator ephemeral").share());
    m1[17..21].copy_from_slice(&trust.current().hash().prefix::<4>());
    let ephemeral = ephemeral_key("hub ephemeral");
    let mut clear = crate::reference::m2_clear(1, 0, &ephemeral.share());
    let len = u16::try_from(m2_len - 4).unwrap_or(0).to_be_bytes();
    clear[2..4].copy_from_slice(&len);
    let initiators = ephemeral_key("initiator ephemeral").share();
    let agreed = Agreed::new(&m1, &clear, &ephemeral, &initiators).ok_or(FAILED)?;
    let mut says = announcement(world);
    says.kind = kind;
    says.key_id = key("b")?.hash().prefix();
    let mut signed = Message::new();
    extend(&mut signed, &says.bytes());
    extend(&mut signed, rest);
    let named = key("b")?.to_bytes();
    let m2 = agreed.m2(&signed, &named, &signing_key(signer)?, &[]);
    Ok(m2.message)
}

fn wrong_signature() -> Result<(), Failure> {
    let world = World::new()?;
    let trust = trusting("a")?;
    let statement = by_key("a", 1, "b")?;
    let hub = Hub::after("a", "b", statement)?;
    let mut shelf = Shelf::default();
    for (step, (signer, reason)) in [
        ("b", None),
        ("a", Some(Reason::ResponderSignature)),
        ("stranger", Some(Reason::ResponderSignature)),
    ]
    .into_iter()
    .enumerate()
    {
        let m2 = forged(&world, &trust, (1, &statement), signer, M2_ROTATED_LEN)?;
        let swap = |message: &mut Message| *message = m2;
        let tried = attempt_with(&world, &trust, &hub, &mut shelf, swap)?;
        ensure!(tried.refused == reason, step);
        ensure!(shelf.asked == 1, step);
    }
    Ok(())
}

fn lengths() -> Result<(), Failure> {
    let world = World::new()?;
    let trust = trusting("a")?;
    let statement = by_key("a", 1, "b")?;
    let hub = Hub::after("a", "b", statement)?;
    let mut shelf = Shelf::default();
    let mut longer = Message::new();
    extend(&mut longer, &statement);
    extend(&mut longer, &[0]);
    let length = Some(Reason::Length);
    let kind = Some(Reason::CredentialKind);
    let cases: [(u8, &[u8], Option<Reason>); 9] = [
        (1, &statement, None),
        (1, &statement[..149], length),
        (1, &longer, length),
        (1, &[], length),
        (0, &statement, length),
        (0, &longer, length),
        (2, &statement, kind),
        (3, &statement, kind),
        (255, &statement, kind),
    ];
    for (step, (kind, rest, reason)) in cases.into_iter().enumerate() {
        let m2 = forged(&world, &trust, (kind, rest), "b", M2_LEN + rest.len())?;
        let swap = |message: &mut Message| *message = m2;
        let tried = attempt_with(&world, &trust, &hub, &mut shelf, swap)?;
        ensure!(tried.refused == reason, step);
    }
    // On a channel there is none of this kind.
    let mut plaintext = Message::new();
    let mut says = announcement(&world);
    says.kind = 1;
    says.window = 64;
    extend(&mut plaintext, &says.bytes());
    extend(&mut plaintext, &statement);
    extend(&mut plaintext, &[0; 64]);
    ensure!(M2Signed::parse(&plaintext, Line::Datagram).is_ok());
    let on_channel = M2Signed::parse(&plaintext, Line::Channel(AgentId([7; 16])));
    ensure!(on_channel.err() == kind);
    Ok(())
}

fn unknown() -> Result<(), Failure> {
    let world = World::new()?;
    let mut hub = Hub::after("a", "b", by_key("a", 1, "b")?)?;
    hub.by_root = Some(by_root(1, "b", None)?);
    let mut shelf = Shelf::default();
    let tried = attempt(&world, &trusting("b")?, &hub, &mut shelf)?;
    ensure!(tried.is_open && tried.m2.len() == M2_LEN);
    hub.by_root = None;
    let tried = attempt(&world, &trusting("elsewhere")?, &hub, &mut shelf)?;
    ensure!(tried.m2.len() == M2_LEN && tried.refused == Some(Reason::NotPinned));
    ensure!(shelf.asked == 0);
    Ok(())
}

fn long_gone() -> Result<(), Failure> {
    let world = World::new()?;
    let mut hub = Hub::after("f", "g", by_key("f", 1, "g")?)?;
    let mut shelf = Shelf::default();
    let trust = trusting("a")?;
    let tried = attempt(&world, &trust, &hub, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::NotPinned));
    hub.by_root = Some(by_root(1, "g", None)?);
    ensure!(attempt(&world, &trust, &hub, &mut shelf)?.is_open);
    // Another hub's root says nothing here.
    hub.by_root = Some(signed(Signer::Root, "another root", 1, "g", None)?);
    let tried = attempt(&world, &trust, &hub, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::RotationSignature) && shelf.asked == 1);
    Ok(())
}

fn revoked() -> Result<(), Failure> {
    let world = World::new()?;
    let mut shelf = Shelf::default();
    let hub = Hub::after("a", "b", by_root(1, "b", Some("a"))?)?;
    ensure!(attempt(&world, &trusting("a")?, &hub, &mut shelf)?.is_open);
    let kept = shelf.kept.take();
    ensure!(kept.is_some());
    let Some(kept) = kept else { return Ok(()) };
    // The thief has the key, what it said before, and what the new key would be asked for.
    let thief = Hub::after("b", "a", by_key("a", 9, "a")?)?;
    let tried = attempt(&world, &kept, &thief, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::RotationKey));
    let thief = Hub::after("never", "a", by_key("a", 9, "a")?)?;
    let tried = attempt(&world, &kept, &thief, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::NotPinned));
    let next = Hub::after("b", "thief", by_key("a", 9, "thief")?)?;
    let tried = attempt(&world, &kept, &next, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::RotationSignature));
    ensure!(shelf.kept.is_none() && shelf.asked == 1);
    Ok(())
}

fn known() -> Result<(), Failure> {
    let world = World::new()?;
    let mut trust = trusting("a")?;
    ensure!(trust.add(key("b")?));
    let mut shelf = Shelf::default();
    for (step, statement) in [[0xFF; STATEMENT_LEN], by_key("a", 1, "b")?]
        .into_iter()
        .enumerate()
    {
        let hub = Hub::after("a", "b", statement)?;
        let tried = attempt(&world, &trust, &hub, &mut shelf)?;
        ensure!(tried.is_open && tried.m2.len() == M2_ROTATED_LEN, step);
    }
    ensure!(shelf.asked == 0);
    Ok(())
}

fn promoted() -> Result<(), Failure> {
    let world = World::new()?;
    let mut trust = trusting("a")?;
    ensure!(super::site::refusal(&mut trust, &by_key("a", 1, "b")?).is_none());
    let hub = Hub::after("never", "b", by_key("never", 1, "b")?)?;
    let mut shelf = Shelf {
        is_broken: true,
        ..Shelf::default()
    };
    let tried = attempt(&world, &trust, &hub, &mut shelf)?;
    ensure!(tried.refused == Some(Reason::Storage) && tried.m2.len() == M2_LEN);
    shelf.is_broken = false;
    ensure!(attempt(&world, &trust, &hub, &mut shelf)?.is_open);
    let kept = shelf.kept.take();
    ensure!(kept.is_some_and(|kept| kept.current() == hub.keys[0].public_key()));
    // The key that vouched is still the hub's, if it has not changed yet.
    let before = Hub::after("never", "a", by_key("never", 1, "a")?)?;
    ensure!(attempt(&world, &trust, &before, &mut shelf)?.is_open && shelf.asked == 2);
    Ok(())
}

fn ticket() -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let mut initiator = world.initiator(token);
    initiator.offer.wants_ticket = true;
    let door = Door {
        gives_tickets: true,
        ..Door::default()
    };
    let settings = Settings::DEFAULT;
    let mut pair = Pair::between(
        initiator,
        None,
        world.responder(),
        door.clone(),
        settings,
        0,
    )?;
    pair.finish(0)?;
    let ticket = pair.initiator.connection.take_ticket().ok_or(FAILED)?;
    let door = pair.responder.door.clone();
    // The hub has gone on from the key that gave it: what is older than the key before stays no longer.
    let mut trust = trusting("hub")?;
    for (step, (statement, offers)) in [
        (by_key("hub", 1, "b")?, true),
        (by_key("b", 1, "c")?, false),
        (by_root(1, "hub", None)?, true),
        (by_root(2, "d", Some("hub"))?, false),
    ]
    .into_iter()
    .enumerate()
    {
        ensure!(
            super::site::refusal_of_proved(&mut trust, &statement).is_none(),
            step
        );
        let mut initiator = initiator;
        initiator.wanted = Wanted::Hub(&trust, Form::Stream);
        let responder = world.responder();
        let pair = Pair::between(
            initiator,
            Some(&ticket),
            responder,
            door.clone(),
            settings,
            0,
        )?;
        ensure!((pair.m1[9] == 1) == offers, step);
    }
    Ok(())
}
