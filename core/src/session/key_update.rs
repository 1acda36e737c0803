//! The steps of a key update (PROTOCOL.md §5.4).

use super::Session;
use super::frame_keys::{EpochSecrets, NextEpoch};
use super::opener::{Opened, Place};
use super::sealer::Sealer;
use super::update::Update;
use crate::crypto::Secret;
use crate::entropy::Entropy;
use crate::handshake::{ResumptionSecret, Role};
use crate::limits::{EPOCH_MILLIS, MIN_EPOCH_MILLIS, SETTLED_MILLIS, UPDATE_REPEAT_MILLIS};
use crate::message::Control;
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::{Form, FrameType};

impl Session {
    pub(super) fn can_start(&self, now: Instant) -> bool {
        let settled = now.since(self.settled_since) >= SETTLED_MILLIS;
        settled && matches!(self.update, Update::None) && !self.sealer.is_last_epoch()
    }

    pub(super) fn start_update<'o>(
        &mut self,
        now: Instant,
        fresh: bool,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Reason> {
        let (update, dh) = Update::ask(now, fresh, entropy)?;
        self.update = update;
        let next = self.sealer.epoch() + 1;
        self.seal_control(&Control::KeyUpdate { next, dh }, out)
    }

    /// The peer starts an update (PROTOCOL.md §5.4, step 2 and 6).
    pub(super) fn answer_update(
        &mut self,
        next: u32,
        dh: Option<[u8; 32]>,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<Control<'static>>, Reason> {
        let epoch = self.opener.epoch();
        if next <= epoch {
            return Ok(None);
        }
        if next != epoch + 1 {
            return Err(Reason::KeyUpdate);
        }
        match &self.update {
            // Both started: the update of the handshake's initiator stands.
            Update::Asked { .. } if self.role == Role::Initiator => return Ok(None),
            Update::Switched { .. } => return Ok(None),
            Update::Answered {
                asked, answered, ..
            } => {
                if *asked != dh {
                    return Err(Reason::KeyUpdate);
                }
                let dh = *answered;
                return Ok(Some(Control::KeyAck { next, dh }));
            }
            Update::None | Update::Asked { .. } => {}
        }
        let too_soon = self
            .switched_at
            .is_some_and(|switched| now.since(switched) < MIN_EPOCH_MILLIS);
        if too_soon || self.sealer.is_last_epoch() {
            return Err(Reason::KeyUpdateRate);
        }
        let (update, dh) = Update::answer(
            self.epoch_secrets(),
            next,
            dh,
            now.plus(EPOCH_MILLIS),
            entropy,
        )?;
        self.update = update;
        Ok(Some(Control::KeyAck { next, dh }))
    }

    /// A KeyUpdate of the epoch before comes late; all that it can still be is wrong.
    pub(super) fn check_late_update(&self, next: u32) -> Result<(), Reason> {
        if next > self.opener.epoch() {
            return Err(Reason::KeyUpdate);
        }
        Ok(())
    }

    /// The peer answers this end's update (PROTOCOL.md §5.4, step 3).
    pub(super) fn take_ack(
        &mut self,
        next: u32,
        dh: Option<[u8; 32]>,
        now: Instant,
    ) -> Result<Option<Control<'static>>, Reason> {
        if next != self.sealer.epoch() + 1 {
            self.check_repeated_ack(next, dh)?;
            return Ok(None);
        }
        let Some(switched) = self.update.acknowledged(self.epoch_secrets(), next, dh)? else {
            return Ok(None);
        };
        let NextEpoch {
            send,
            receive,
            resumption,
        } = switched;
        self.update = Update::Switched {
            receive,
            answered: dh,
            again: match self.shape.form {
                Form::Stream => None,
                Form::Datagram => Some(now.plus(UPDATE_REPEAT_MILLIS)),
            },
            until: now.plus(EPOCH_MILLIS),
        };
        self.resumption = resumption;
        self.followed = false;
        Ok(Some(self.switch_sending(send, now)))
    }

    /// Checks that a KeyAck in datagrams which comes again says what it said before.
    fn check_repeated_ack(&self, next: u32, dh: Option<[u8; 32]>) -> Result<(), Reason> {
        match &self.update {
            Update::Switched {
                answered,
                again: Some(_),
                ..
            } if next == self.sealer.epoch() && *answered != dh => Err(Reason::KeyUpdate),
            _ => Ok(()),
        }
    }

    /// The peer's first frame of the next epoch on a stream must be KeyDone (PROTOCOL.md §5.4, step 4).
    pub(super) fn take_done(
        &mut self,
        opened: &Opened<'_>,
        now: Instant,
    ) -> Result<Option<Control<'static>>, Reason> {
        let FrameType::Control = opened.kind else {
            return Err(Reason::KeyUpdate);
        };
        let Control::KeyDone { count } = Control::decode(opened.payload)? else {
            return Err(Reason::KeyUpdate);
        };
        if self.opener.opened_count() != Some(count) {
            return Err(Reason::FrameCount);
        }
        self.switch_receiving(opened.seq, now)
    }

    /// A KeyDone that is not what switched this end: on a stream there is none. In datagrams the peer repeats it until
    /// it has seen this end in the new epoch, so an end that followed into it shows itself once more.
    pub(super) fn take_done_again(&self, place: Place) -> Result<Option<Control<'static>>, Reason> {
        if self.shape.form == Form::Stream || self.opener.epoch() == 0 {
            return Err(Reason::KeyUpdate);
        }
        let is_of_this_epoch = place != Place::Before && self.opener.epoch() == self.sealer.epoch();
        let count = self.left_count;
        Ok((is_of_this_epoch && self.followed).then_some(Control::KeyDone { count }))
    }

    /// The peer sends in the next epoch, its frame `seq` first (PROTOCOL.md §5.4, steps 4 and 5). Returns this end's
    /// KeyDone when it follows.
    pub(super) fn switch_receiving(
        &mut self,
        seq: u32,
        now: Instant,
    ) -> Result<Option<Control<'static>>, Reason> {
        // The secrets are taken out where they are: moving the whole stage would leave a copy of them behind.
        match &mut self.update {
            Update::Switched {
                receive, answered, ..
            } => {
                self.settled_since = now;
                self.healed |= answered.is_some();
                self.opener.enter_next(receive.take(), seq, now);
                self.update = Update::None;
                Ok(None)
            }
            Update::Answered { next, asked, .. } => {
                self.settled_since = now;
                self.healed |= asked.is_some();
                self.opener.enter_next(next.receive.take(), seq, now);
                self.resumption = ResumptionSecret(next.resumption.0.take());
                self.followed = true;
                let send = next.send.take();
                self.update = Update::None;
                Ok(Some(self.switch_sending(send, now)))
            }
            Update::None | Update::Asked { .. } => {
                self.update = Update::None;
                Err(Reason::KeyUpdate)
            }
        }
    }

    /// Sends in the next epoch from now on, under `secret`. Returns the KeyDone that says so.
    fn switch_sending(&mut self, secret: Secret<32>, now: Instant) -> Control<'static> {
        let count = self.sealer.sealed_count();
        let epoch = self.sealer.epoch() + 1;
        self.sealer = Sealer::new(self.sealer.suite(), secret, epoch, now);
        // Not when the peer's first frame arrives: a line that stalls may bring it together with a question that
        // the peer asked long after.
        self.switched_at = Some(now);
        self.left_count = count;
        Control::KeyDone { count }
    }

    fn epoch_secrets(&self) -> EpochSecrets<'_> {
        EpochSecrets {
            send: self.sealer.secret(),
            receive: self.opener.secret(),
            resumption: &self.resumption,
        }
    }
}
