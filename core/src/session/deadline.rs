//! What is due in a session without a frame of the peer: the next step of a key update, and what is to be wiped.

use super::Session;
use super::update::Update;
use crate::entropy::Entropy;
use crate::limits::{EPOCH_MILLIS, MAX_UPDATE_SENDS, SETTLED_MILLIS, UPDATE_REPEAT_MILLIS};
use crate::message::Control;
use crate::reason::{Error, Reason};
use crate::time::Instant;

impl Session {
    /// Returns when [`Session::handle_deadline`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let due = self.update_deadline();
        self.opener
            .before_until()
            .map_or(due, |until| until.min(due))
    }

    /// Returns when the next step of a key update is due.
    fn update_deadline(&self) -> Instant {
        self.update.deadline().unwrap_or_else(|| {
            let since = self.sealer.since();
            let due = if self.sealer.is_worn() {
                since
            } else {
                since.plus(EPOCH_MILLIS)
            };
            due.max(self.settled_since.plus(SETTLED_MILLIS))
        })
    }

    /// Does what is due: starts a key update, repeats what has no answer, or wipes what is old. `fresh` mixes in a new
    /// Diffie-Hellman, which heals a leak of keys.
    ///
    /// # Errors
    ///
    /// [`Reason::KeyUpdateTimeout`] when the peer does not answer; [`Reason::LastEpoch`] when no epoch is left.
    pub fn handle_deadline<'o>(
        &mut self,
        now: Instant,
        fresh: bool,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Option<&'o [u8]>, Reason> {
        self.opener.forget_before(now);
        if now < self.update_deadline() {
            return Ok(None);
        }
        if self.can_start(now) {
            return self.start_update(now, fresh, entropy, out).map(Some);
        }
        let again = match &mut self.update {
            Update::Asked {
                sends,
                again,
                share,
                ..
            } => {
                if *sends >= MAX_UPDATE_SENDS {
                    return Err(Reason::KeyUpdateTimeout);
                }
                *sends += 1;
                *again = now.plus(UPDATE_REPEAT_MILLIS);
                Control::KeyUpdate {
                    next: self.sealer.epoch() + 1,
                    dh: *share,
                }
            }
            Update::Switched {
                again: Some(again),
                until,
                ..
            } if now < *until => {
                *again = now.plus(UPDATE_REPEAT_MILLIS);
                Control::KeyDone {
                    count: self.left_count,
                }
            }
            // A peer that leaves an update half done for an hour is not one to go on with.
            Update::Answered { .. } | Update::Switched { .. } => {
                return Err(Reason::KeyUpdateTimeout);
            }
            Update::None => return Err(Reason::LastEpoch),
        };
        self.seal_control(&again, out).map(Some)
    }

    /// Starts a key update and writes its frame to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::NotSettled`] within 2 s of the last one, or while one is under way; [`Error::KeyExhausted`] when the
    /// last epoch is reached; [`Error::Entropy`]; [`Error::OutputTooSmall`].
    pub fn update_keys<'o>(
        &mut self,
        now: Instant,
        fresh: bool,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        if !self.can_start(now) {
            return Err(Error::NotSettled);
        }
        self.start_update(now, fresh, entropy, out)
            .map_err(|reason| match reason {
                Reason::Entropy => Error::Entropy,
                _ => Error::KeyExhausted,
            })
    }
}
