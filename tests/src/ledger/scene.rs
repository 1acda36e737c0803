//! Two ends, the line between them, and a witness that hears both.

use heapless::Vec;
use moorline_core::message::{Alert, AlertCode};
use moorline_core::wire::Form;

use super::end::End;
use super::witness::{Heard, Witness};
use super::{Book, Chance, Storage, Tally};
use crate::pair::Message;
use crate::{Failure, ensure};

/// Most messages under way to one end.
const LINE_COUNT: usize = 8;

/// With so many under way an end says nothing unasked: room is left for answers.
const BUSY_COUNT: usize = 4;

/// Two ends in one life of theirs.
pub(super) struct Scene<'k> {
    ends: [End<'k>; 2],
    /// What is under way to each end.
    line: [Vec<Message, LINE_COUNT>; 2],
    form: Form,
    pub(super) witness: Witness,
    pub(super) chance: Chance,
    now: u64,
    has_opened: bool,
    ticket: Option<moorline_core::handshake::Ticket>,
}

impl<'k> Scene<'k> {
    pub(super) fn new(ends: [End<'k>; 2], form: Form, witness: Witness, chance: Chance) -> Self {
        Self {
            ends,
            line: [Vec::new(), Vec::new()],
            form,
            witness,
            chance,
            now: 0,
            has_opened: false,
            ticket: None,
        }
    }

    /// Returns whether both ends were in a session.
    pub(super) fn has_opened(&self) -> bool {
        self.has_opened
    }

    /// End `from` sends `message`.
    pub(super) fn send(
        &mut self,
        from: usize,
        message: Message,
        tally: &mut Tally,
        book: &mut Book<'_>,
    ) -> Result<(), Failure> {
        let drawn = [&self.ends[0].drawn, &self.ends[1].drawn];
        let heard = self.witness.hear(from, &message, drawn, book)?;
        tally.note(heard);
        tally.refused += u64::from(message.first() == Some(&0x07) && heard == Heard::Sealed);
        // A line that is full loses; a stream is never that full.
        let is_lost = self.line[1 - from].push(message).is_err();
        ensure!(!is_lost || self.form == Form::Datagram);
        Ok(())
    }

    /// A responder answers `m1` and loses power before anybody hears it.
    pub(super) fn answer_in_vain(
        &mut self,
        responder: &mut End<'k>,
        m1: &[u8],
        tally: &mut Tally,
        book: &mut Book<'_>,
    ) -> Result<(), Failure> {
        self.witness.arrives(m1);
        if let (Some(m2), _) = responder.hand(m1, 0) {
            let drawn = [&self.ends[0].drawn, &responder.drawn];
            let heard = self.witness.hear(1, &m2, drawn, book)?;
            ensure!(heard == Heard::Sealed);
            tally.note(heard);
            tally.answered_again += 1;
        }
        Ok(())
    }

    /// Something happens.
    pub(super) fn step(&mut self, tally: &mut Tally, book: &mut Book<'_>) -> Result<(), Failure> {
        let side = self.chance.below(2);
        match self.chance.below(64) {
            0 => self.ask(side, tally, book)?,
            1 => {
                self.ask(side, tally, book)?;
                self.ask(1 - side, tally, book)?;
            }
            2..=4 => self.pass(tally, book)?,
            5..=34 => self.say(side, tally, book)?,
            _ => self.deliver(side, tally, book)?,
        }
        if self.ends[0].is_open() && self.ends[1].is_open() {
            self.has_opened = true;
        }
        if let Some(ticket) = self.ends[0].take_ticket() {
            self.ticket = Some(ticket);
        }
        Ok(())
    }

    fn is_busy(&self, side: usize) -> bool {
        self.line[1 - side].len() > BUSY_COUNT
    }

    fn ask(&mut self, side: usize, tally: &mut Tally, book: &mut Book<'_>) -> Result<(), Failure> {
        if !self.is_busy(side)
            && let Some(asked) = self.ends[side].ask(self.now)
        {
            self.send(side, asked, tally, book)?;
        }
        Ok(())
    }

    fn say(&mut self, side: usize, tally: &mut Tally, book: &mut Book<'_>) -> Result<(), Failure> {
        let payload = [0x5A; 48];
        let len = self.chance.below(payload.len());
        if !self.is_busy(side)
            && let Some(said) = self.ends[side].say(&payload[..len])
        {
            self.send(side, said, tally, book)?;
        }
        Ok(())
    }

    /// Lets time pass; both ends attend to what is due.
    fn pass(&mut self, tally: &mut Tally, book: &mut Book<'_>) -> Result<(), Failure> {
        // What waits on a stream must not wait until its sender gives up: nothing disturbs a stream.
        let most = match self.form {
            Form::Stream => 300,
            Form::Datagram => 1_200,
        };
        self.now += u64::try_from(self.chance.below(most)).unwrap_or(0);
        for side in [0, 1] {
            if !self.is_busy(side)
                && let (Some(sent), _) = self.ends[side].wait(self.now)
            {
                self.send(side, sent, tally, book)?;
            }
        }
        Ok(())
    }

    /// Delivers a message to `side`: the next one of a stream, any one of datagrams, which may also be lost, come
    /// again later, or come garbled first.
    fn deliver(
        &mut self,
        side: usize,
        tally: &mut Tally,
        book: &mut Book<'_>,
    ) -> Result<(), Failure> {
        if self.line[side].is_empty() || self.line[1 - side].is_full() {
            return Ok(());
        }
        let message = match self.form {
            Form::Stream => self.line[side].remove(0),
            Form::Datagram => {
                let place = self.chance.below(self.line[side].len());
                match self.chance.below(32) {
                    0 => {
                        self.line[side].swap_remove(place);
                        return Ok(());
                    }
                    1 => self.line[side][place].clone(),
                    2 => {
                        let mut garbled = self.line[side][place].clone();
                        let bit = self.chance.below(garbled.len() * 8);
                        garbled[bit / 8] ^= 1 << (bit % 8);
                        garbled
                    }
                    _ => self.line[side].swap_remove(place),
                }
            }
        };
        if side == 1 {
            self.witness.arrives(&message);
        }
        if let (Some(answer), _) = self.ends[side].hand(&message, self.now) {
            self.send(side, answer, tally, book)?;
        }
        Ok(())
    }

    /// One end stops, in one way or another; the other goes on for a while.
    pub(super) fn end(
        &mut self,
        is_revoked: bool,
        tally: &mut Tally,
        book: &mut Book<'_>,
    ) -> Result<(), Failure> {
        let is_open = self.ends[0].is_open() && self.ends[1].is_open();
        match self.form {
            // Nothing disturbs a stream.
            Form::Stream => ensure!(is_open != is_revoked),
            Form::Datagram => ensure!(!is_open || !is_revoked),
        }
        if is_open {
            match self.form {
                Form::Stream => tally.links += 1,
                Form::Datagram => tally.channels += 1,
            }
        }
        let epoch = self.ends[0].epoch().max(self.ends[1].epoch());
        tally.updates += u64::from(epoch);
        tally.highest_epoch = tally.highest_epoch.max(epoch);
        let side = self.chance.below(2);
        match self.chance.below(3) {
            0 => {
                let alert = Alert::new(AlertCode::Close);
                if let Some(said) = self.ends[side].close(alert) {
                    self.line = [Vec::new(), Vec::new()];
                    self.send(side, said, tally, book)?;
                }
            }
            1 => {
                // Something that is no frame: on a stream its receiver says so, and is over.
                let (said, _) = self.ends[side].hand(&[0x20; 40], self.now);
                self.line = [Vec::new(), Vec::new()];
                if let Some(said) = said {
                    self.send(side, said, tally, book)?;
                }
            }
            _ => {
                tally.power_cuts += u64::from(is_open);
                for _ in 0..3 {
                    self.line = [Vec::new(), Vec::new()];
                    self.say(side, tally, book)?;
                }
            }
        }
        Ok(())
    }

    /// Returns what both ends keep.
    pub(super) fn store(self) -> Storage {
        let [_, responder] = self.ends;
        let mut records = responder.door.tickets;
        if records.is_full() {
            records.remove(0);
        }
        Storage {
            ticket: self.ticket.map(|ticket| *ticket.to_bytes().expose()),
            records,
        }
    }
}
