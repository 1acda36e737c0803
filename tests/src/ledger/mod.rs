//! The ledger of everything that is sealed: no key and nonce seal two plaintexts, ever (PROTOCOL.md §3.4).
//!
//! Links and channels are opened, resumed, refused, updated and cut off, with ends that lose power and come back with
//! what they had stored, or with what they had stored some time before. A witness opens every message that core seals
//! under the key and nonce that a second derivation gives it, and enters both into a book.

pub(crate) mod end;
mod scene;
mod witness;

use heapless::Vec;
use heapless::index_map::FnvIndexMap;
use moorline_core::connection::Settings;
use moorline_core::crypto::{Hash, Secret};
use moorline_core::handshake::{Initiator, Responder, TICKET_LEN, Ticket, TicketRecord};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};

use self::end::{Drawn, End};
use self::scene::Scene;
use self::witness::{Heard, Parties, Witness};
use crate::channel::site::Site;
use crate::fixture::{Door, MAX_TICKETS, World};
use crate::{Case, Failure, ensure};

/// What is entered: a key by its first 12 bytes and a nonce, with the first 8 bytes of the tag, which stand for the
/// message. Returns what was entered for this key and nonce before.
pub type Book<'b> = dyn FnMut([u8; 24], u64) -> Option<u64> + 'b;

/// What happened, so that nothing passes because nothing did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Pairs of key and nonce, each of which sealed one message.
    pub sealed: u64,
    /// Messages that were sent again, byte for byte.
    pub repeated: u64,
    /// Sessions on links.
    pub links: u64,
    /// Sessions on channels.
    pub channels: u64,
    /// Of both, those that rest on a ticket.
    pub resumed: u64,
    /// Of these, those whose ticket had been used before, as a storage that is put back has it.
    pub reused: u64,
    /// Handshakes that were refused with a sealed word.
    pub refused: u64,
    /// Second answers to one M1, by a responder that lost power after the first.
    pub answered_again: u64,
    /// Key updates.
    pub updates: u64,
    /// The highest epoch of a session.
    pub highest_epoch: u32,
    /// Ends that lost power in the middle of a session.
    pub power_cuts: u64,
}

impl Tally {
    fn note(&mut self, heard: Heard) {
        match heard {
            Heard::Clear => {}
            Heard::Sealed => self.sealed += 1,
            Heard::Repeated => self.repeated += 1,
        }
    }
}

pub(crate) static CASES: &[Case] = &[Case {
    name: "no key and nonce seal two messages, through updates, resumptions and losses of power",
    clause: "PROTOCOL.md §3.4",
    run: || {
        let mut map: FnvIndexMap<[u8; 24], u64, 1024> = FnvIndexMap::new();
        let tally = play(SEALS, 2, &mut |pair, message| {
            map.insert(pair, message).unwrap_or(Some(0))
        })?;
        ensure!(tally.sealed >= SEALS && tally.updates > 0);
        Ok(())
    },
}];

/// What the case seals, and a few more: a session that has opened ends there.
const SEALS: u64 = 300;

/// What an initiator and a responder keep through a loss of power.
#[derive(Clone, Default)]
struct Storage {
    ticket: Option<[u8; TICKET_LEN]>,
    records: Vec<TicketRecord, MAX_TICKETS>,
}

/// Both ends of a line, between two lives of them.
struct Place<'k> {
    initiator: Initiator<'k>,
    responder: Responder<'k>,
    parties: Parties,
    stored: Storage,
    /// What was stored before the last session, and whether that rested on the ticket in it.
    before: (Storage, bool),
}

impl<'k> Place<'k> {
    fn new(
        initiator: Initiator<'k>,
        responder: Responder<'k>,
        token: UnpackedToken<'_>,
        channel: Option<[u8; 16]>,
    ) -> Result<Self, Failure> {
        let [key] = responder.keys else {
            return Err(Failure {
                condition: "the responder has one key",
                file: file!(),
                line: line!(),
                step: 0,
            });
        };
        let mut initiator = initiator;
        initiator.offer.wants_ticket = true;
        Ok(Self {
            parties: Parties {
                channel,
                responder_key: key.public_key().to_bytes(),
                token_hash: Hash::of(&[token.as_bytes()]).0,
                initiator_key: initiator.key.public_key().to_bytes(),
                ticket: None,
            },
            initiator,
            responder,
            stored: Storage::default(),
            before: (Storage::default(), false),
        })
    }

    /// Both ends live once, from M1 to the end of the session, which comes when `seals` messages are in the book.
    fn live(
        &mut self,
        seals: u64,
        chance: &mut Chance,
        seed: u64,
        tally: &mut Tally,
        book: &mut Book<'_>,
    ) -> Result<(), Failure> {
        let plan = chance.below(8);
        let (is_revoked, is_put_back) = (plan == 0, plan == 1 || plan == 2);
        if is_put_back {
            self.stored = self.before.0.clone();
        } else if plan == 3 {
            self.stored = Storage::default();
        }
        let was_used = is_put_back && self.before.1;
        self.before.0 = self.stored.clone();
        let ticket = self.stored.ticket.map(Secret::new);
        let parties = Parties {
            ticket: self
                .stored
                .ticket
                .and_then(|ticket| ticket[17..].first_chunk().copied()),
            ..self.parties
        };
        let mut life = || Drawn::new(seed, chance.draw());
        let drawn = [life(), life(), life()];
        let settings = Settings {
            fresh_updates: chance.below(2) == 0,
            ..Settings::default()
        };
        let door = Door {
            revoked: is_revoked,
            gives_tickets: true,
            tickets: self.stored.records.clone(),
            ..Door::default()
        };
        let form = self.initiator.wanted.line().form();
        let [ours, theirs, ghost] = drawn;
        let ticket = ticket.and_then(|ticket| Ticket::from_bytes(&ticket).ok());
        let (initiator, m1) = End::initiator(self.initiator, ticket, settings, ours)?;
        let responder = |drawn| End::responder(self.responder, form, door.clone(), settings, drawn);
        let witness = Witness::new(parties);
        let mut scene = Scene::new([initiator, responder(theirs)], form, witness, *chance);
        scene.send(0, m1.clone(), tally, book)?;
        if scene.chance.below(4) == 0 {
            scene.answer_in_vain(&mut responder(ghost), &m1, tally, book)?;
        }
        let steps = (1 << scene.chance.below(12)) + 150;
        for _ in 0..if scene.chance.below(256) == 0 {
            60_000
        } else {
            steps
        } {
            scene.step(tally, book)?;
            if tally.sealed >= seals && scene.has_opened() {
                break;
            }
        }
        scene.end(is_revoked, tally, book)?;
        let is_resumed = scene.has_opened() && scene.witness.is_resumed();
        tally.resumed += u64::from(is_resumed);
        tally.reused += u64::from(is_resumed && was_used);
        self.before.1 = is_resumed;
        *chance = scene.chance;
        self.stored = scene.store();
        Ok(())
    }
}

/// Opens and closes sessions until `seals` messages are in `book`, as `seed` has it; a failure's step is the number
/// of messages before it.
///
/// # Errors
///
/// What did not hold.
pub fn play(seals: u64, seed: u64, book: &mut Book<'_>) -> Result<Tally, Failure> {
    let mut buffers = [[0; MAX_UNPACKED_LEN]; 3];
    let [agent, commander, own] = &mut buffers;
    let world = World::new()?;
    let token = world.agent_token(agent)?;
    let site = Site::new()?;
    let shown = site.token(&site.commander_says(), commander)?;
    let own = site.token(&site.agent_says(), own)?;
    let mut places = [
        Place::new(world.initiator(token), world.responder(), token, None)?,
        Place::new(
            site.initiator(shown),
            site.responder(own),
            shown,
            Some(Site::id().0),
        )?,
    ];
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    while tally.sealed < seals {
        let place = &mut places[chance.below(2)];
        place
            .live(seals, &mut chance, seed, &mut tally, book)
            .map_err(|failure| Failure {
                step: usize::try_from(tally.sealed).unwrap_or(usize::MAX),
                ..failure
            })?;
    }
    Ok(tally)
}

/// Numbers that are the same for the same seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// Draws a number (xorshift64, Marsaglia 2003).
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Draws a number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(1).max(1);
        usize::try_from((self.draw() >> 20) % count).unwrap_or(0)
    }
}
