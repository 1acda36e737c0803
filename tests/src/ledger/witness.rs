//! Who knows every scalar, hears every message, and opens each one under the key and nonce that PROTOCOL.md gives it.

use heapless::Vec;
use moorline_core::crypto::{AeadKey, Hash, Secret, Share, Suite};

use super::Book;
use super::end::Drawn;
use crate::pair::{Message, copy};
use crate::reference::{Block, Keys, Step, extracted, frame_keys, label};
use crate::{Failure, ensure};

/// What a witness knows of the two ends before they speak.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties {
    /// The agent's id on a channel; nothing on a link.
    pub(super) channel: Option<[u8; 16]>,
    /// KR.
    pub(super) responder_key: [u8; 65],
    /// The hash of the initiator's token.
    pub(super) token_hash: Block,
    /// KI.
    pub(super) initiator_key: [u8; 65],
    /// The secret of the ticket that is offered.
    pub(super) ticket: Option<Block>,
}

/// What a message was to the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing in it is sealed.
    Clear,
    /// It was sealed under a key and nonce that had sealed nothing.
    Sealed,
    /// It is a message that was sent before, byte for byte.
    Repeated,
}

/// The secrets of one handshake and of its session.
pub(super) struct Witness {
    parties: Parties,
    suite: Suite,
    is_resumed: bool,
    /// The share in M1, as the responder has got it.
    offered: Block,
    th0: Block,
    th3: Block,
    th5: Block,
    hs: Block,
    master: Block,
    responder: Keys,
    /// The handshake's messages and Welcome: in datagram form they may be sent again for 30 seconds, whatever the epoch is then.
    flights: Vec<Message, 5>,
    /// What each end sends under, the newest epoch last.
    epochs: [Vec<Epoch, 3>; 2],
    /// The last question of each end: for which epoch, with which share.
    asked: [(u32, Option<Block>); 2],
}

struct Epoch {
    number: u32,
    secret: Block,
    keys: Keys,
    cipher: AeadKey,
}

impl Epoch {
    fn new(suite: Suite, number: u32, secret: Block) -> Self {
        let keys = frame_keys(&secret);
        Self {
            number,
            secret,
            keys,
            cipher: cipher(suite, &keys),
        }
    }
}

fn cipher(suite: Suite, keys: &Keys) -> AeadKey {
    AeadKey::new(suite, &Secret::new(keys.key), Secret::new(keys.iv))
}

fn block(bytes: &[u8]) -> Block {
    bytes.first_chunk().copied().unwrap_or_default()
}

impl Witness {
    /// Returns who has heard nothing yet.
    pub(super) fn new(parties: Parties) -> Self {
        let none = Keys {
            key: [0; 32],
            iv: [0; 12],
        };
        Self {
            parties,
            offered: [0; 32],
            suite: Suite::Aes256Gcm,
            is_resumed: false,
            th0: [0; 32],
            th3: [0; 32],
            th5: [0; 32],
            hs: [0; 32],
            master: [0; 32],
            responder: none,
            flights: Vec::new(),
            epochs: [Vec::new(), Vec::new()],
            asked: [(0, None); 2],
        }
    }

    /// Returns whether the session rests on a ticket.
    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Notes what has come to the responder: the M1 that it answers may be another than the one that was sent.
    pub(super) fn arrives(&mut self, message: &[u8]) {
        if message.first() == Some(&0x01) && message.len() > 53 {
            self.offered = block(&message[21..]);
            self.th0 = match &self.parties.channel {
                Some(id) => Hash::of(&[b"ML1 channel v1\0", id, message]).0,
                None => Hash::of(&[b"ML1 link v1\0", message]).0,
            };
        }
    }

    /// Opens what end `from` has sent, and enters key and nonce. `drawn` is what each end has drawn.
    ///
    pub(super) fn hear(
        &mut self,
        from: usize,
        message: &[u8],
        drawn: [&Drawn; 2],
        book: &mut Book<'_>,
    ) -> Result<Heard, Failure> {
        if self.flights.iter().any(|flight| **flight == *message) {
            return Ok(Heard::Repeated);
        }
        let is_welcome = from == 1 && self.is_resumed && message.starts_with(&[0x21, 0]);
        if message.first().is_some_and(|first| *first < 0x10) || is_welcome {
            // Those of one handshake fit; later frames that look like a Welcome need no place.
            let _ = self.flights.push(copy(message));
        }
        match message.first() {
            Some(0x01 | 0x08) => Ok(Heard::Clear),
            Some(0x02) => self.hear_m2(message, drawn[1], book),
            Some(0x03) => self.hear_m3(message, book),
            Some(0x04) => {
                let keys = Keys::of(&self.master, "m4 key", "m4 iv", &self.th5);
                self.open(&keys, 0, &self.th5, message, 8, book)
                    .map(|opened| opened.0)
            }
            Some(0x07) => self
                .open(&self.responder, 2, &self.th3, message, 8, book)
                .map(|opened| opened.0),
            _ => self.hear_frame(from, message, drawn, book),
        }
    }

    /// Opens `message` after its first `clear` bytes under `keys`, with `hash` and these bytes as the data beside it.
    fn open(
        &self,
        keys: &Keys,
        seq: u64,
        hash: &Block,
        message: &[u8],
        clear: usize,
        book: &mut Book<'_>,
    ) -> Result<(Heard, Message), Failure> {
        let mut aad = Message::new();
        let _ = aad.extend_from_slice(hash);
        // M2's clear part is in its hash.
        if clear == 8 {
            let _ = aad.extend_from_slice(&message[..8]);
        }
        opened(
            &cipher(self.suite, keys),
            keys,
            seq,
            &aad,
            &message[clear..],
            book,
        )
    }

    fn hear_m2(&mut self, m2: &[u8], drawn: &Drawn, book: &mut Book<'_>) -> Result<Heard, Failure> {
        ensure!(m2.len() > 46);
        self.is_resumed = m2[5] == 1;
        self.suite = Suite::from_number(m2[4]).unwrap_or(Suite::Aes256Gcm);
        let th1 = Hash::of(&[&self.th0, &m2[..46]]).0;
        let own = drawn.key_of(&Share(block(&m2[14..])));
        let dh = own.and_then(|own| own.agree(&Share(self.offered)));
        let dh = dh.map_or([0; 32], |dh| *dh.expose());
        let ticket = self.parties.ticket.filter(|_| self.is_resumed);
        let early = extracted(&[0; 32], &ticket.unwrap_or_default());
        self.hs = extracted(&label(&early, "derived", &self.th0), &dh);
        self.responder = Keys::of(&self.hs, "r key", "r iv", &th1);
        let (heard, opened) = self.open(&self.responder, 0, &th1, m2, 46, book)?;
        let last = if self.is_resumed { 32 } else { 64 };
        let (p2, proof) = opened.split_at(opened.len() - last);
        let th2 = if self.is_resumed {
            Hash::of(&[&th1, p2]).0
        } else {
            Hash::of(&[&th1, p2, &self.parties.responder_key]).0
        };
        self.th3 = Hash::of(&[&th2, proof]).0;
        Ok(heard)
    }

    fn hear_m3(&mut self, m3: &[u8], book: &mut Book<'_>) -> Result<Heard, Failure> {
        let th3 = self.th3;
        let (th4, proof, heard) = if self.is_resumed {
            (Hash::of(&[&th3, &m3[..8]]).0, copy(&m3[8..]), Heard::Clear)
        } else {
            let keys = Keys::of(&self.hs, "i key", "i iv", &th3);
            let (heard, opened) = self.open(&keys, 0, &th3, m3, 8, book)?;
            let (p3, proof) = opened.split_at(opened.len() - 64);
            let parts: [&[u8]; 5] = [
                &th3,
                &m3[..8],
                p3,
                &self.parties.token_hash,
                &self.parties.initiator_key,
            ];
            (Hash::of(&parts).0, copy(proof), heard)
        };
        self.th5 = Hash::of(&[&th4, &proof]).0;
        self.master = extracted(&label(&self.hs, "derived", &self.th5), &[0; 32]);
        self.epochs = ["i2r", "r2i"].map(|name| {
            let secret = label(&self.master, name, &self.th5);
            let mut epochs = Vec::new();
            let _ = epochs.push(Epoch::new(self.suite, 0, secret));
            epochs
        });
        Ok(heard)
    }

    fn hear_frame(
        &mut self,
        from: usize,
        frame: &[u8],
        drawn: [&Drawn; 2],
        book: &mut Book<'_>,
    ) -> Result<Heard, Failure> {
        let header = if self.parties.channel.is_some() {
            12
        } else {
            8
        };
        ensure!(frame.len() >= header + 16);
        let (aad, sealed) = frame.split_at(header);
        let seq = aad.last_chunk().copied().map_or(0, u32::from_be_bytes);
        let epoch = self.epochs[from]
            .iter()
            .find(|epoch| epoch.number.to_le_bytes()[0] == frame[1]);
        let Some(epoch) = epoch else {
            return Err(Failure {
                condition: "the epoch of a frame follows from what was said",
                file: file!(),
                line: line!(),
                step: 0,
            });
        };
        let (number, keys) = (epoch.number, &epoch.keys);
        let (heard, payload) = opened(&epoch.cipher, keys, seq.into(), aad, sealed, book)?;
        match (frame[0], key_message(&payload)) {
            (0x21, Some((0, next, share))) => self.asked[from] = (next, share),
            (0x21, Some((1, next, share))) if next == number + 1 => {
                self.step(from, next, share, drawn)?;
            }
            _ => {}
        }
        Ok(heard)
    }

    /// End `answerer` has answered a question for the epoch `next`: both ends' secrets of it are known from here on.
    fn step(
        &mut self,
        answerer: usize,
        next: u32,
        answered: Option<Block>,
        drawn: [&Drawn; 2],
    ) -> Result<(), Failure> {
        let starter = 1 - answerer;
        let is_known = self.epochs[answerer]
            .iter()
            .any(|epoch| epoch.number == next);
        if is_known {
            return Ok(());
        }
        let (about, asked) = self.asked[starter];
        ensure!(about == next);
        let own = asked.and_then(|share| drawn[starter].key_of(&Share(share)));
        let dh = match (own, answered) {
            (Some(own), Some(peer)) => own.agree(&Share(peer)),
            _ => None,
        };
        ensure!(dh.is_some() == asked.is_some() && asked.is_some() == answered.is_some());
        let dh = dh.map_or([0; 32], |dh| *dh.expose());
        let none = [0; 32];
        let step = Step::new(next, &asked.unwrap_or(none), &answered.unwrap_or(none), dh);
        for epochs in &mut self.epochs {
            let Some(newest) = epochs.last() else {
                continue;
            };
            ensure!(newest.number + 1 == next);
            let secret = step.next(&newest.secret);
            if epochs.is_full() {
                epochs.remove(0);
            }
            let _ = epochs.push(Epoch::new(self.suite, next, secret));
        }
        Ok(())
    }
}

/// Opens `sealed` as the message `seq` of `keys`, and enters it.
fn opened(
    cipher: &AeadKey,
    keys: &Keys,
    seq: u64,
    aad: &[u8],
    sealed: &[u8],
    book: &mut Book<'_>,
) -> Result<(Heard, Message), Failure> {
    let (body, tag) = sealed.split_at(sealed.len().saturating_sub(16));
    let tag: [u8; 16] = tag.first_chunk().copied().unwrap_or_default();
    let mut body = copy(body);
    ensure!(cipher.open_in_place(seq, aad, &mut body, &tag));
    let mut pair = [0; 24];
    pair[..12].copy_from_slice(&keys.key[..12]);
    pair[12..].copy_from_slice(&keys.iv);
    for (to, from) in pair[16..].iter_mut().zip(seq.to_be_bytes()) {
        *to ^= from;
    }
    let message = tag.first_chunk().copied().map_or(0, u64::from_be_bytes);
    let before = book(pair, message);
    ensure!(before.is_none_or(|before| before == message));
    let heard = if before.is_none() {
        Heard::Sealed
    } else {
        Heard::Repeated
    };
    Ok((heard, body))
}

/// Returns variant, epoch and share of a KeyUpdate or KeyAck (PROTOCOL.md §5.6); nothing of another message.
fn key_message(payload: &[u8]) -> Option<(u8, u32, Option<Block>)> {
    let (variant @ 0..=1, mut rest) = payload.split_first().map(|(first, rest)| (*first, rest))?
    else {
        return None;
    };
    let (mut next, mut shift) = (0, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        next |= u32::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (has_share, share) = rest.split_first()?;
    Some((variant, next, (*has_share == 1).then(|| block(share))))
}
