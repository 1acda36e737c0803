//! The receiving direction of a session: its keys, and what has come under each of them (PROTOCOL.md §5.2 to §5.4).

use super::frame_keys::frame_key;
use super::{Shape, SlidingWindow};
use crate::crypto::{AeadKey, Secret, Suite, TAG_LEN};
use crate::limits::{HARD_SEALS, MAX_FAILED_OPENS, OLD_EPOCH_FRAMES, OLD_EPOCH_MILLIS};
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::{Form, FrameHeader, FrameType};

/// Opens what the peer sends.
#[derive(Debug)]
pub(super) struct Opener {
    suite: Suite,
    secret: Secret<32>,
    key: AeadKey,
    epoch: u32,
    arrivals: Arrivals,
    /// How many frames did not open under the key of the next epoch.
    next_failures: u32,
    before: Option<Before>,
}

/// What has come in an epoch.
#[derive(Debug)]
enum Arrivals {
    /// On a stream: every number below this one.
    InOrder(u32),
    /// In datagrams: some numbers.
    AnyOrder(Marks),
}

/// The numbers that have come in datagrams of one epoch.
#[derive(Debug)]
struct Marks {
    window: SlidingWindow<WINDOW_WORDS>,
    /// How many frames did not open under the key.
    failures: u32,
}

/// The epoch before, whose datagrams may still be under way. Its key is expanded for each of them: they are few, and
/// a key schedule is large.
#[derive(Debug)]
struct Before {
    secret: Secret<32>,
    marks: Marks,
    /// When the secret is wiped.
    until: Instant,
    /// How many frames of the newer epoch may come before that.
    frames_left: u8,
}

/// The epoch of a frame, as the receiver stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The one before its own.
    Before,
    /// Its own.
    This,
    /// The one that follows.
    Next,
}

/// A frame that opened.
pub(super) struct Opened<'m> {
    pub(super) kind: FrameType,
    pub(super) place: Place,
    pub(super) seq: u32,
    pub(super) payload: &'m mut [u8],
}

impl Opener {
    pub(super) fn new(suite: Suite, secret: Secret<32>, epoch: u32, form: Form) -> Self {
        let key = frame_key(suite, &secret);
        let arrivals = match form {
            Form::Stream => Arrivals::InOrder(0),
            Form::Datagram => Arrivals::AnyOrder(Marks::new()),
        };
        Self {
            suite,
            secret,
            key,
            epoch,
            arrivals,
            next_failures: 0,
            before: None,
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn secret(&self) -> &Secret<32> {
        &self.secret
    }

    /// Returns the number of frames opened in this epoch of a stream.
    pub(super) fn opened_count(&self) -> Option<u32> {
        match &self.arrivals {
            Arrivals::InOrder(next) => Some(*next),
            Arrivals::AnyOrder(_) => None,
        }
    }

    /// Opens `frame` where it stands, in this epoch, in the one before, or in the next, whose secret is `next`.
    ///
    /// The checks come in the order of PROTOCOL.md §2.7; nothing changes unless all hold, but that frames which do
    /// not open are counted. A frame of the next epoch is recorded by [`Opener::enter_next`].
    pub(super) fn open<'m>(
        &mut self,
        frame: &'m mut [u8],
        shape: Shape,
        next: Option<&Secret<32>>,
        max_payload_len: usize,
    ) -> Result<Opened<'m>, Reason> {
        // It names no frame but on a datagram link.
        if shape.mtu.is_none() && frame.first() == Some(&FrameType::Part.code()) {
            return Err(Reason::UnknownType);
        }
        let header = FrameHeader::parse(frame, shape.form, shape.ids.own)?;
        let place = self.place(header.epoch, next.is_some())?;
        if usize::from(header.sealed_len) > max_payload_len + TAG_LEN {
            return Err(Reason::TooLong);
        }
        self.check(place, header.seq)?;
        let (aad, sealed) = frame
            .split_at_mut_checked(shape.form.frame_header_len())
            .ok_or(Reason::Length)?;
        let (payload, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Reason::Length)?;
        let other = match place {
            Place::Before => self.before.as_ref().map(|before| &before.secret),
            Place::This => None,
            Place::Next => next,
        };
        let seq = u64::from(header.seq);
        let opens = match other {
            None => self.key.open_in_place(seq, aad, payload, tag),
            Some(secret) => frame_key(self.suite, secret).open_in_place(seq, aad, payload, tag),
        };
        if !opens {
            return Err(self.count_failure(place));
        }
        self.commit(place, header.seq)?;
        Ok(Opened {
            kind: header.kind,
            place,
            seq: header.seq,
            payload,
        })
    }

    /// Enters the next epoch, under `secret`, of which the frame `seq` has been opened. On a stream nothing more of
    /// this one can come.
    pub(super) fn enter_next(&mut self, secret: Secret<32>, seq: u32, now: Instant) {
        let form = match &self.arrivals {
            Arrivals::InOrder(_) => Form::Stream,
            Arrivals::AnyOrder(_) => Form::Datagram,
        };
        let mut next = Self::new(self.suite, secret, self.epoch + 1, form);
        match &mut next.arrivals {
            Arrivals::InOrder(expected) => *expected = seq + 1,
            Arrivals::AnyOrder(marks) => {
                marks.failures = self.next_failures;
                // No number of a new window is used.
                let _ = marks.window.commit(u64::from(seq));
            }
        }
        let left = core::mem::replace(self, next);
        if let Arrivals::AnyOrder(marks) = left.arrivals {
            self.before = Some(Before {
                secret: left.secret,
                marks,
                until: now.plus(OLD_EPOCH_MILLIS),
                frames_left: OLD_EPOCH_FRAMES - 1,
            });
        }
    }

    /// Wipes the secret of the epoch before when its time is up.
    pub(super) fn forget_before(&mut self, now: Instant) {
        if self.before_until().is_some_and(|until| now >= until) {
            self.before = None;
        }
    }

    /// Returns when the secret of the epoch before is wiped, if there is one.
    pub(super) fn before_until(&self) -> Option<Instant> {
        self.before.as_ref().map(|before| before.until)
    }

    fn place(&self, epoch: u8, has_next: bool) -> Result<Place, Reason> {
        let [this, ..] = self.epoch.to_le_bytes();
        if epoch == this {
            Ok(Place::This)
        } else if epoch == this.wrapping_add(1) && has_next {
            Ok(Place::Next)
        } else if epoch == this.wrapping_sub(1) && self.before.is_some() {
            Ok(Place::Before)
        } else {
            Err(Reason::Epoch)
        }
    }

    /// Checks that the number `seq` may come in the epoch of `place`.
    fn check(&self, place: Place, seq: u32) -> Result<(), Reason> {
        if let Arrivals::InOrder(next) = &self.arrivals {
            let expected = if place == Place::Next { 0 } else { *next };
            if seq < expected {
                return Err(Reason::Replayed);
            }
            if seq != expected {
                return Err(Reason::Sequence);
            }
        }
        if seq >= HARD_SEALS {
            return Err(Reason::Sequence);
        }
        match (place, &self.arrivals, &self.before) {
            (Place::This, Arrivals::AnyOrder(marks), _)
            | (Place::Before, _, Some(Before { marks, .. })) => marks.window.check(u64::from(seq)),
            _ => Ok(()),
        }
    }

    /// Records the number `seq` as used in the epoch of `place`.
    fn commit(&mut self, place: Place, seq: u32) -> Result<(), Reason> {
        match (place, &mut self.arrivals) {
            (Place::Next, _) => Ok(()),
            (Place::Before, _) => match &mut self.before {
                Some(before) => before.marks.window.commit(u64::from(seq)),
                None => Ok(()),
            },
            (Place::This, Arrivals::InOrder(next)) => {
                *next += 1;
                Ok(())
            }
            (Place::This, Arrivals::AnyOrder(marks)) => {
                marks.window.commit(u64::from(seq))?;
                if let Some(before) = &mut self.before {
                    before.frames_left = before.frames_left.saturating_sub(1);
                    if before.frames_left == 0 {
                        self.before = None;
                    }
                }
                Ok(())
            }
        }
    }

    /// Counts a frame that did not open, and returns why it is refused.
    fn count_failure(&mut self, place: Place) -> Reason {
        let failures = match (place, &mut self.arrivals, &mut self.before) {
            (Place::This, Arrivals::AnyOrder(marks), _)
            | (Place::Before, _, Some(Before { marks, .. })) => &mut marks.failures,
            (Place::Next, Arrivals::AnyOrder(_), _) => &mut self.next_failures,
            _ => return Reason::Unsealed,
        };
        *failures += 1;
        if *failures >= MAX_FAILED_OPENS {
            Reason::Forgeries
        } else {
            Reason::Unsealed
        }
    }
}

impl Marks {
    fn new() -> Self {
        Self {
            window: SlidingWindow::new(),
            failures: 0,
        }
    }
}

/// Words of a window that judges [`crate::limits::MIN_WINDOW`] numbers.
const WINDOW_WORDS: usize = 2;

#[cfg(test)]
mod tests {
    use super::super::sealer::Sealer;
    use super::*;
    use crate::limits::MIN_WINDOW;

    const SUITE: Suite = Suite::ChaCha20Poly1305;

    fn secret(byte: u8) -> Secret<32> {
        Secret::new([byte; 32])
    }

    fn frame_of(secret: Secret<32>, epoch: u32, seq: u32, shape: Shape) -> [u8; 40] {
        let mut out = [0; 40];
        let mut sealer = Sealer::new(SUITE, secret, epoch, Instant(0));
        sealer.wear(seq);
        let payload = [0; 40 - 12 - 16];
        let frame = match shape.form {
            Form::Stream => sealer.seal(FrameType::Alert, &[&payload, &[0; 4]], shape, &mut out),
            Form::Datagram => sealer.seal(FrameType::Alert, &[&payload], shape, &mut out),
        };
        assert!(frame.is_ok());
        out
    }

    #[test]
    fn a_number_beyond_the_hard_limit_is_not_opened() {
        for shape in [Shape::STREAM, Shape::DATAGRAM] {
            let mut opener = Opener::new(SUITE, secret(7), 0, shape.form);
            if let Arrivals::InOrder(next) = &mut opener.arrivals {
                *next = HARD_SEALS - 1;
            }
            let mut last = frame_of(secret(7), 0, HARD_SEALS - 1, shape);
            assert!(opener.open(&mut last, shape, None, 1024).is_ok());
            let mut beyond = frame_of(secret(7), 0, 0, shape);
            let seq_at = shape.form.frame_header_len() - 4;
            beyond[seq_at..seq_at + 4].copy_from_slice(&HARD_SEALS.to_be_bytes());
            let opened = opener.open(&mut beyond, shape, None, 1024);
            assert_eq!(opened.err(), Some(Reason::Sequence));
        }
    }

    #[test]
    fn the_window_is_as_wide_as_the_least_that_may_be_announced() {
        let width = SlidingWindow::<WINDOW_WORDS>::new().width();
        assert_eq!(width, u64::from(MIN_WINDOW));
    }

    #[test]
    fn too_many_frames_that_do_not_open_under_one_key_are_an_attack() {
        let shape = Shape::DATAGRAM;
        let mut opener = Opener::new(SUITE, secret(7), 1, Form::Datagram);
        let next = secret(8);
        let forged = |opener: &mut Opener, epoch| {
            let mut frame = frame_of(secret(9), epoch, 0, shape);
            opener.open(&mut frame, shape, Some(&next), 1024).err()
        };
        let unsealed = Some(Reason::Unsealed);
        assert_eq!(forged(&mut opener, 1), unsealed);
        assert_eq!(forged(&mut opener, 2), unsealed);
        opener.next_failures = MAX_FAILED_OPENS - 2;
        assert_eq!(forged(&mut opener, 2), unsealed);
        // Each key has its own count, and takes it along into the next epoch.
        assert_eq!(forged(&mut opener, 1), unsealed);
        opener.enter_next(secret(8), 5, Instant(0));
        assert_eq!(forged(&mut opener, 1), unsealed);
        assert_eq!(forged(&mut opener, 3), unsealed);
        assert_eq!(forged(&mut opener, 2), Some(Reason::Forgeries));
        if let Some(before) = &mut opener.before {
            before.marks.failures = MAX_FAILED_OPENS - 1;
        }
        assert_eq!(forged(&mut opener, 1), Some(Reason::Forgeries));
    }

    #[test]
    fn the_epoch_before_is_forgotten_after_so_many_frames_or_so_long() {
        let shape = Shape::DATAGRAM;
        let opens = |opener: &mut Opener, byte, epoch, seq| {
            let mut frame = frame_of(secret(byte), epoch, seq, shape);
            opener.open(&mut frame, shape, None, 1024).err()
        };
        let mut opener = Opener::new(SUITE, secret(7), 0, Form::Datagram);
        opener.enter_next(secret(8), 5, Instant(1000));
        for seq in 6..u32::from(OLD_EPOCH_FRAMES) + 4 {
            assert_eq!(opens(&mut opener, 8, 1, seq), None);
        }
        assert_eq!(opens(&mut opener, 7, 0, 0), None);
        assert_eq!(opens(&mut opener, 8, 1, 100), None);
        assert_eq!(opens(&mut opener, 7, 0, 1), Some(Reason::Epoch));
        let mut opener = Opener::new(SUITE, secret(7), 0, Form::Datagram);
        opener.enter_next(secret(8), 5, Instant(1000));
        opener.forget_before(Instant(1000 + OLD_EPOCH_MILLIS - 1));
        assert_eq!(opens(&mut opener, 7, 0, 0), None);
        opener.forget_before(Instant(1000 + OLD_EPOCH_MILLIS));
        assert_eq!(opens(&mut opener, 7, 0, 1), Some(Reason::Epoch));
    }

    #[test]
    fn a_stream_keeps_nothing_of_the_epoch_before() {
        let mut opener = Opener::new(SUITE, secret(7), 0, Form::Stream);
        opener.enter_next(secret(8), 0, Instant(0));
        assert!(opener.before.is_none());
        assert_eq!(opener.opened_count(), Some(1));
    }
}
