//! The published resumption: a handshake in mode 1 on a ticket, up to the Welcome (PROTOCOL.md §2.8).

use moorline_core::connection::Settings;
use moorline_core::crypto::{Hash, Mac};
use moorline_core::handshake::{Initiator, Ticket};
use moorline_core::token::UnpackedToken;

use super::{UNREACHED, announcement, draw, ephemeral, short};
use crate::fixture::{Door, FixedEntropy, NOW, SESSION_ID, World, ephemeral_key};
use crate::pair::{Message, Pair};
use crate::reference::{Block, Keys, extend, extracted, label, m2_clear, prefix};
use crate::{Failure, ensure};

/// Everything in one resumption.
#[derive(Debug, Clone)]
pub(crate) struct Resumption {
    /// The name of the ticket.
    pub(crate) id: [u8; 16],
    /// Its secret.
    pub(crate) secret: Block,
    /// The secret before the shares.
    pub(crate) early: Block,
    /// The proof that the initiator holds the ticket.
    pub(crate) binder: Block,
    /// M1.
    pub(crate) m1: Message,
    /// The hashes th0 to th5.
    pub(crate) th: [Block; 6],
    /// The clear part of M2.
    pub(crate) clear: [u8; 46],
    /// The handshake secret.
    pub(crate) hs: Block,
    /// The plaintext of M2 before the confirmation.
    pub(crate) m2_confirmed: [u8; 17],
    /// The confirmations: the responder's, the initiator's.
    pub(crate) fins: [Block; 2],
    /// M2.
    pub(crate) m2: Message,
    /// M3.
    pub(crate) m3: Message,
    /// The master secret.
    pub(crate) master: Block,
    /// The payload of the first frame, a Welcome without a ticket.
    pub(crate) welcome: Message,
    /// The first frame.
    pub(crate) frame: Message,
}

impl Resumption {
    /// Derives the resumption on `ticket` in `world`.
    pub(crate) fn new(world: &World, ticket: &Ticket) -> Result<Self, Failure> {
        let kept = ticket.to_bytes();
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        id.copy_from_slice(&kept.expose()[1..17]);
        secret.copy_from_slice(&kept.expose()[17..49]);
        let own = ephemeral_key("initiator ephemeral");
        let peer = ephemeral(&draw(&mut FixedEntropy::new("responder")));

        let early = extracted(&[0; 32], &secret);
        let mut m1 = m1_before_binder(world, &own.share().0, &id);
        let mac = |key: &Block, name, context: &[u8], over: &Block| {
            *Mac::of(&label::<32>(key, name, context), &[over]).as_bytes()
        };
        let bound = Hash::of(&[b"ML1 link v1\0", &m1]).0;
        let binder = mac(&early, "res binder", b"", &bound);
        extend(&mut m1, &binder);

        let mut clear = m2_clear(1, 1, &peer.share());
        clear[3] = 107;
        let th0 = Hash::of(&[b"ML1 link v1\0", &m1]).0;
        let th1 = Hash::of(&[&th0, &clear]).0;
        let dh = own.agree(&peer.share()).ok_or(UNREACHED)?;
        let hs = extracted(&label(&early, "derived", &th0), dh.expose());
        let mut m2_confirmed = [0; 17];
        m2_confirmed.copy_from_slice(&announcement(world).bytes()[..17]);
        let th2 = Hash::of(&[&th1, &m2_confirmed]).0;
        let fin_r = mac(&hs, "r fin", &th2, &th2);
        let th3 = Hash::of(&[&th2, &fin_r]).0;
        let sealing = Keys::of(&hs, "r key", "r iv", &th1);
        let m2 = sealing.sealed(0, &[&th1], &clear, &[&m2_confirmed, &fin_r]);
        let head = prefix(0x03, 40);
        let th4 = Hash::of(&[&th3, &head]).0;
        let fin_i = mac(&hs, "i fin", &th4, &th4);
        let mut m3 = Message::new();
        extend(&mut m3, &head);
        extend(&mut m3, &fin_i);
        let th5 = Hash::of(&[&th4, &fin_i]).0;
        let master = extracted(&label(&hs, "derived", &th5), &[0; 32]);

        let mut welcome = Message::new();
        extend(&mut welcome, &[5]);
        extend(&mut welcome, &SESSION_ID);
        varint(&mut welcome, (NOW.secs() + 3600) * 1000);
        // No permissions, and no ticket.
        extend(&mut welcome, &[0, 0]);
        let frame = short(&label(&master, "r2i", &th5), 0x21, 0, 0, &welcome);
        Ok(Self {
            id,
            secret,
            early,
            binder,
            m1,
            th: [th0, th1, th2, th3, th4, th5],
            clear,
            hs,
            m2_confirmed,
            fins: [fin_r, fin_i],
            m2,
            m3,
            master,
            welcome,
            frame: crate::pair::copy(&frame),
        })
    }
}

/// Returns the ticket of the example, and the door that takes it and gives no other.
pub(crate) fn ticket(world: &World, token: UnpackedToken<'_>) -> Result<(Ticket, Door), Failure> {
    let giving = Door {
        gives_tickets: true,
        ..Door::default()
    };
    let mut pair = between(world, token, None, giving)?;
    pair.finish(0)?;
    let ticket = pair.initiator.connection.take_ticket();
    ensure!(ticket.is_some());
    let mut door = pair.responder.door;
    door.gives_tickets = false;
    Ok((ticket.ok_or(UNREACHED)?, door))
}

/// Returns both ends of a handshake that offers `ticket`.
pub(crate) fn between<'k>(
    world: &'k World,
    token: UnpackedToken<'k>,
    ticket: Option<&Ticket>,
    door: Door,
) -> Result<Pair<'k>, Failure> {
    let mut initiator: Initiator<'k> = world.initiator(token);
    initiator.offer.wants_ticket = true;
    let settings = Settings::default();
    Pair::between(initiator, ticket, world.responder(), door, settings, 0)
}

/// Returns M1 in mode 1 without its last 32 bytes.
fn m1_before_binder(world: &World, share: &Block, id: &[u8; 16]) -> Message {
    let mut m1 = Message::new();
    extend(&mut m1, &[0x01, 1, 0, 98, 1, 1, 0, 0, 0, 1]);
    // No clock, a ticket is wanted; the highest version spoken is 1.
    extend(&mut m1, &[0x16]);
    extend(&mut m1, &1500u16.to_be_bytes());
    extend(&mut m1, &[0; 4]);
    extend(&mut m1, &world.hub[0].public_key().hash().prefix::<4>());
    extend(&mut m1, share);
    extend(&mut m1, &[0]);
    extend(&mut m1, id);
    m1
}

/// Adds `value` in postcard's form (PROTOCOL.md §10.1).
pub(crate) fn varint(message: &mut Message, mut value: u64) {
    while value > 0x7F {
        extend(message, &[value.to_le_bytes()[0] | 0x80]);
        value >>= 7;
    }
    extend(message, &[value.to_le_bytes()[0]]);
}
