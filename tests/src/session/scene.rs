//! Two sessions and a line between them that loses, repeats, reorders and garbles.
//!
//! Every frame that an end sends must have a number of its own in its epoch and direction, so that no key seals twice
//! under one nonce. Every frame that arrives whole is judged by a [`Watch`] too, and the session must say the same:
//! nothing authentic fails to open, and what is dropped is a repeat or too old.

use heapless::Vec;
use moorline_core::limits::{MAX_UPDATE_SENDS, SETTLED_MILLIS, UPDATE_REPEAT_MILLIS};
use moorline_core::reason::{Error, Reason};

use super::bench::{Bench, DATAGRAM_IDS, End, Made};
use super::watch::{MAX_SEQ, Watch};
use crate::pair::{Message, copy};
use crate::{Failure, ensure};

/// What a line does, each in 256ths of the occasions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Frames that are lost when they are sent.
    pub(super) lost: u64,
    /// Frames that are under way twice.
    pub(super) repeated: u64,
    /// Steps in which a frame under way arrives garbled first.
    pub(super) garbled: u64,
    /// Steps in which an old frame is played again.
    pub(super) replayed: u64,
    /// Steps in which one end sends many messages at once, all of which arrive or are lost.
    pub(super) bursts: u64,
}

impl Weather {
    pub(super) const CALM: Self = Self {
        lost: 0,
        repeated: 0,
        garbled: 0,
        replayed: 0,
        bursts: 0,
    };
}

/// What happened, so that nothing passes because nothing did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Frames that were lost.
    pub(super) lost: usize,
    /// Frames that arrived garbled.
    pub(super) garbled: usize,
    /// Frames that were dropped as repeats.
    pub(super) replays: usize,
    /// Frames that were dropped left of the window.
    pub(super) too_old: usize,
    /// Frames of the epoch before that were taken.
    pub(super) late: usize,
    /// Frames that were dropped since their epoch was over.
    pub(super) over: usize,
    /// Updates that both ends started at once.
    pub(super) collisions: usize,
    /// Updates that settled though the line was bad.
    pub(super) updates: usize,
    /// Sessions that ended since a question had no answer five times.
    pub(super) given_up: usize,
}

/// How a schedule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The session goes on.
    GoesOn,
    /// A question had no answer five times, and the session is over, as it should be.
    GivenUp,
}

/// A frame as it was sent.
#[derive(Debug, Clone)]
struct Sent {
    from: Side,
    epoch: u32,
    seq: u32,
    /// The number that it carries for the application.
    number: Option<u32>,
    bytes: Vec<u8, MAX_SENT_LEN>,
}

/// The longest frame here is a KeyUpdate with a share.
const MAX_SENT_LEN: usize = 72;

/// An end of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Initiator,
    Responder,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Initiator, Self::Responder];

    fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Initiator => 0,
            Self::Responder => 1,
        }
    }
}

/// Two sessions, what is under way between them, and what is known of them from outside.
pub(super) struct Scene {
    bench: Bench,
    weather: Weather,
    random: u64,
    now: u64,
    under_way: Vec<Sent, 24>,
    past: Vec<Sent, 16>,
    watches: [Watch; 2],
    /// The newest frame that each end has sent: its epoch and number.
    newest: [Option<(u32, u32)>; 2],
    /// When each end last asked for new keys.
    asked_at: [u64; 2],
    /// How many messages the applications have sent.
    said: u32,
    tally: Tally,
}

/// After so many epochs a session is replaced: the low byte of the epoch has come round twice.
const EPOCHS_PER_SESSION: u32 = 600;

/// More frames than a window judges.
const BURST: usize = 70;

impl Scene {
    pub(super) fn new(seed: u64) -> Result<Self, Failure> {
        Ok(Self {
            bench: Bench::over_datagrams()?,
            weather: Weather::CALM,
            random: seed,
            now: SETTLED_MILLIS,
            under_way: Vec::new(),
            past: Vec::new(),
            watches: [Watch::new(), Watch::new()],
            newest: [None; 2],
            asked_at: [0; 2],
            said: 0,
            tally: Tally::default(),
        })
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Plays one schedule in `weather` and lets the line heal; both ends must come to rest in one epoch, and then
    /// carry an undisturbed update through.
    pub(super) fn play(&mut self, weather: Weather) -> Result<(), Failure> {
        self.weather = weather;
        let storm = self.storm()?;
        self.weather = Weather::CALM;
        let outcome = match storm {
            Outcome::GoesOn => self.heal()?,
            Outcome::GivenUp => Outcome::GivenUp,
        };
        if outcome == Outcome::GivenUp {
            self.tally.given_up += 1;
        }
        if outcome == Outcome::GivenUp || self.watches[0].epoch() > EPOCHS_PER_SESSION {
            let tally = core::mem::take(&mut self.tally);
            *self = Self {
                tally,
                ..Self::new(self.random)?
            };
        }
        Ok(())
    }

    fn storm(&mut self) -> Result<Outcome, Failure> {
        let before = self.bench.initiator.session.epoch();
        match self.draw(4) {
            0 => drop(self.ask(Side::Initiator)?),
            1 => drop(self.ask(Side::Responder)?),
            2 => {
                let asked = [self.ask(Side::Initiator)?, self.ask(Side::Responder)?];
                ensure!(asked == [true; 2]);
                self.tally.collisions += 1;
            }
            _ => {}
        }
        for _ in 0..24 + self.draw(32) {
            self.now += match self.draw(32) {
                0 => 1000 + self.draw(2000),
                _ => self.draw(256),
            };
            if self.strikes(self.weather.bursts) {
                self.burst()?;
            }
            if self.strikes(self.weather.garbled) {
                self.garble()?;
            }
            if self.strikes(self.weather.replayed)
                && let Some(place) = self.pick(self.past.len())
            {
                let sent = self.past[place].clone();
                self.arrive(&sent)?;
            }
            let side = Side::BOTH[usize::from(self.draw(2) == 0)];
            match self.draw(8) {
                0 => drop(self.ask(side)?),
                1 | 2 => self.say(side)?,
                3 => {
                    for side in Side::BOTH {
                        if self.wait(side)? == Outcome::GivenUp {
                            return Ok(Outcome::GivenUp);
                        }
                    }
                }
                _ => self.deliver()?,
            }
        }
        let after = self.bench.initiator.session.epoch();
        self.tally.updates += usize::from(after > before);
        Ok(Outcome::GoesOn)
    }

    fn heal(&mut self) -> Result<Outcome, Failure> {
        self.drain()?;
        for _ in 0..8 {
            self.now += UPDATE_REPEAT_MILLIS;
            for side in Side::BOTH {
                if self.wait(side)? == Outcome::GivenUp {
                    return Ok(Outcome::GivenUp);
                }
            }
            self.drain()?;
        }
        let epoch = self.epoch_of_all()?;
        for side in Side::BOTH {
            self.now += SETTLED_MILLIS;
            ensure!(self.ask(side)?);
            self.say(Side::Initiator)?;
            self.say(Side::Responder)?;
            self.drain()?;
        }
        ensure!(self.epoch_of_all()? == epoch + 2);
        self.now += SETTLED_MILLIS;
        Ok(Outcome::GoesOn)
    }

    /// Returns the epoch in which both ends send, and in which both were heard.
    fn epoch_of_all(&self) -> Result<u32, Failure> {
        let epoch = self.bench.initiator.session.epoch();
        ensure!(self.bench.responder.session.epoch() == epoch);
        ensure!(self.watches.iter().all(|watch| watch.epoch() == epoch));
        Ok(epoch)
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Initiator => &mut self.bench.initiator,
            Side::Responder => &mut self.bench.responder,
        }
    }

    /// Asks for new keys, with and without fresh shares. Returns whether this is the moment to.
    fn ask(&mut self, side: Side) -> Result<bool, Failure> {
        let (fresh, now) = (self.draw(4) == 0, self.now);
        match self.end(side).ask(fresh, now) {
            Ok(frame) => {
                self.asked_at[side.index()] = now;
                self.send(side, &frame, None)?;
                Ok(true)
            }
            Err(error) => {
                ensure!(error == Error::NotSettled);
                Ok(false)
            }
        }
    }

    fn say(&mut self, side: Side) -> Result<(), Failure> {
        let (frame, number) = self.next_message(side)?;
        self.send(side, &frame, Some(number))
    }

    fn next_message(&mut self, side: Side) -> Result<(Message, u32), Failure> {
        self.said += 1;
        let number = self.said;
        let frame = self.end(side).say(&number.to_be_bytes())?;
        Ok((frame, number))
    }

    fn burst(&mut self) -> Result<(), Failure> {
        let side = Side::BOTH[usize::from(self.draw(2) == 0)];
        let arrives = self.draw(2) == 0;
        let room = self.newest[side.index()].is_none_or(|(_, seq)| seq < MAX_SEQ / 2);
        for _ in 0..if room { BURST } else { 0 } {
            let (frame, number) = self.next_message(side)?;
            let sent = self.account(side, &frame, Some(number))?;
            if arrives {
                self.arrive(&sent)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, side: Side) -> Result<Outcome, Failure> {
        let now = self.now;
        match self.end(side).wait(false, now) {
            Ok(Some(frame)) => self.send(side, &frame, None)?,
            Ok(None) => {}
            Err(reason) => {
                ensure!(reason == Reason::KeyUpdateTimeout);
                let least = u64::from(MAX_UPDATE_SENDS) * UPDATE_REPEAT_MILLIS;
                ensure!(now >= self.asked_at[side.index()] + least);
                return Ok(Outcome::GivenUp);
            }
        }
        Ok(Outcome::GoesOn)
    }

    /// Notes that `from` has sent `frame`, whose number must be new.
    fn account(
        &mut self,
        from: Side,
        frame: &Message,
        number: Option<u32>,
    ) -> Result<Sent, Failure> {
        let epoch = self.end(from).session.epoch();
        let [low, ..] = epoch.to_le_bytes();
        let id = DATAGRAM_IDS[from.other().index()];
        ensure!(frame.len() <= MAX_SENT_LEN);
        ensure!(frame[1] == low && frame[4..8] == id.to_be_bytes());
        let seq = frame[8..].first_chunk().copied().map(u32::from_be_bytes);
        let seq = seq.unwrap_or(MAX_SEQ);
        ensure!(seq < MAX_SEQ);
        let newest = &mut self.newest[from.index()];
        ensure!(*newest < Some((epoch, seq)));
        *newest = Some((epoch, seq));
        Ok(Sent {
            from,
            epoch,
            seq,
            number,
            bytes: frame.iter().copied().collect(),
        })
    }

    fn send(&mut self, from: Side, frame: &Message, number: Option<u32>) -> Result<(), Failure> {
        let sent = self.account(from, frame, number)?;
        if self.past.is_full() {
            self.past.remove(0);
        }
        let _ = self.past.push(sent.clone());
        if self.strikes(self.weather.lost) {
            self.tally.lost += 1;
            return Ok(());
        }
        if self.strikes(self.weather.repeated) {
            self.queue(sent.clone());
        }
        self.queue(sent);
        Ok(())
    }

    /// Puts a frame on the line; it is lost when the line is full.
    fn queue(&mut self, sent: Sent) {
        if self.under_way.push(sent).is_err() {
            self.tally.lost += 1;
        }
    }

    /// Delivers one of the frames under way.
    fn deliver(&mut self) -> Result<(), Failure> {
        match self.pick(self.under_way.len()) {
            Some(place) => {
                let sent = self.under_way.swap_remove(place);
                self.arrive(&sent)
            }
            None => Ok(()),
        }
    }

    fn drain(&mut self) -> Result<(), Failure> {
        for _ in 0..200 {
            self.deliver()?;
        }
        ensure!(self.under_way.is_empty());
        Ok(())
    }

    /// Delivers one of the frames under way with a bit flipped; it stays under way.
    fn garble(&mut self) -> Result<(), Failure> {
        let Some(place) = self.pick(self.under_way.len()) else {
            return Ok(());
        };
        let sent = self.under_way[place].clone();
        let mut bytes = copy(&sent.bytes);
        let bit = self.pick(bytes.len() * 8).unwrap_or(0);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let now = self.now;
        let made = self.end(sent.from.other()).hand(&bytes, now);
        ensure!(matches!(made, Ok((None, Made::Dropped(_)))), bit);
        self.tally.garbled += 1;
        Ok(())
    }

    /// Delivers a frame whole.
    fn arrive(&mut self, sent: &Sent) -> Result<(), Failure> {
        let (to, now) = (sent.from.other(), self.now);
        let watch = &mut self.watches[to.index()];
        // Nobody is two epochs ahead of the other.
        ensure!(sent.epoch <= watch.epoch() + 1);
        let expected = watch.judge(sent.epoch, sent.seq, now);
        let newest = watch.epoch();
        let handled = self.end(to).hand(&sent.bytes, now);
        let ahead = self.end(to).session.epoch();
        ensure!(ahead == newest || ahead == newest + 1);
        if let Err(reason) = expected {
            ensure!(handled == Ok((None, Made::Dropped(reason))));
            match reason {
                Reason::Replayed => self.tally.replays += 1,
                Reason::TooOld => self.tally.too_old += 1,
                _ => self.tally.over += 1,
            }
            return Ok(());
        }
        self.tally.late += usize::from(sent.epoch < newest);
        let made = match sent.number {
            Some(number) => Made::Application(copy(&number.to_be_bytes())),
            None => Made::Nothing,
        };
        match handled {
            Ok((answer, seen)) => {
                ensure!(seen == made);
                match answer {
                    Some(answer) => self.send(to, &answer, None),
                    None => Ok(()),
                }
            }
            Err(_) => {
                ensure!(handled.is_ok());
                Ok(())
            }
        }
    }

    /// Returns whether what happens in `share` of 256 occasions happens in this one.
    fn strikes(&mut self, share: u64) -> bool {
        self.draw(256) < share
    }

    fn pick(&mut self, count: usize) -> Option<usize> {
        let count = u64::try_from(count).unwrap_or(0);
        if count == 0 {
            return None;
        }
        usize::try_from(self.draw(count)).ok()
    }

    /// Draws a number below `count` (xorshift64, Marsaglia 2003).
    fn draw(&mut self, count: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) % count
    }
}
