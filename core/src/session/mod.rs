//! A session: sealing, opening, order, limits and the replacement of keys (PROTOCOL.md §5).

mod direction;
mod frame_keys;
mod replay;
mod update;

use direction::{Opener, Sealer};
use frame_keys::{EpochSecrets, NextEpoch};
pub use replay::SlidingWindow;
use update::Update;

use crate::entropy::Entropy;
use crate::handshake::{Established, Exporter, ResumptionSecret, Role};
use crate::limits::{
    EPOCH_MILLIS, MAX_PAYLOAD_LEN, MAX_UPDATE_SENDS, MIN_EPOCH_MILLIS, SETTLED_MILLIS,
    UPDATE_REPEAT_MILLIS,
};
use crate::message::{Alert, Control, Welcome};
use crate::reason::{Error, Reason};
use crate::time::Instant;
use crate::wire::{FRAME_OVERHEAD, FrameType, NewTicket};

/// Longest control message in bytes, its frame included.
pub const MAX_CONTROL_FRAME_LEN: usize = FRAME_OVERHEAD + Control::MAX_LEN;

/// A session between two ends that are proved. It is in stream form: frames arrive once and in order.
#[derive(Debug)]
pub struct Session {
    role: Role,
    sealer: Sealer,
    opener: Opener,
    resumption: ResumptionSecret,
    exporter: Exporter,
    peer_max_payload_len: usize,
    own_max_payload_len: usize,
    update: Update,
    /// When the session began or the last key update ended; of no meaning while one is under way.
    settled_since: Instant,
    /// When this end last began to send in a new epoch.
    switched_at: Option<Instant>,
    /// Whether a key update with fresh shares has ended since it was last asked.
    healed: bool,
}

/// What a frame of the peer carried for the layer above.
#[derive(Debug)]
#[must_use]
pub enum Delivery<'m> {
    /// Nothing: the frame was the session's own business.
    Nothing,
    /// A message for the application.
    Application(&'m mut [u8]),
    /// A message that the hub carries.
    Envelope(&'m mut [u8]),
    /// The peer's answer to a ping with this number.
    Pong(u32),
    /// The responder's first frame in a resumed session.
    Welcome(Welcome),
    /// What the next handshake may rest on.
    Ticket(NewTicket),
    /// The peer's last word.
    Alert(Alert),
}

/// What one event of a session led to.
#[derive(Debug)]
#[must_use]
pub struct Handled<'m, 'o> {
    /// A frame to be sent to the peer.
    pub send: Option<&'o [u8]>,
    /// What the frame carried.
    pub delivery: Delivery<'m>,
}

impl<'m> Handled<'m, '_> {
    fn of(delivery: Delivery<'m>) -> Self {
        Self {
            send: None,
            delivery,
        }
    }
}

impl Session {
    /// Returns the session that a finished handshake leads to.
    #[must_use]
    pub fn new(established: Established, own_max_payload_len: u16, now: Instant) -> Self {
        let secrets = established.secrets;
        let (send, receive) = match established.role {
            Role::Initiator => (
                secrets.initiator_to_responder,
                secrets.responder_to_initiator,
            ),
            Role::Responder => (
                secrets.responder_to_initiator,
                secrets.initiator_to_responder,
            ),
        };
        Self {
            role: established.role,
            sealer: Sealer::new(established.suite, send, 0, now),
            opener: Opener::new(established.suite, receive, 0),
            resumption: secrets.resumption,
            exporter: secrets.exporter,
            peer_max_payload_len: usize::from(established.peer_max_payload_len),
            own_max_payload_len: usize::from(own_max_payload_len).min(MAX_PAYLOAD_LEN),
            update: Update::None,
            settled_since: now,
            switched_at: None,
            healed: false,
        }
    }

    /// Returns the epoch in which this end sends.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.sealer.epoch()
    }

    /// Returns the longest payload that the peer takes, in bytes.
    #[must_use]
    pub fn max_payload_len(&self) -> usize {
        self.peer_max_payload_len
    }

    /// Returns what tickets are made of.
    pub(crate) fn resumption(&self) -> &ResumptionSecret {
        &self.resumption
    }

    /// Returns whether no key update is under way, so that both ends have the same resumption secret.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.update, Update::None)
    }

    /// Returns once, after a key update with fresh shares has ended: what was made before may have leaked.
    pub(crate) fn take_healed(&mut self) -> bool {
        core::mem::take(&mut self.healed)
    }

    /// Returns the epoch in which this end opened the peer's newest frame.
    pub(crate) fn peer_epoch(&self) -> u32 {
        self.opener.epoch()
    }

    /// Returns what gives the application secrets bound to this session.
    #[must_use]
    pub fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// Seals `parts`, one after the other, as one payload into `out` and returns the frame.
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLong`], [`Error::OutputTooSmall`], or [`Error::KeyExhausted`] when a key update is overdue.
    pub fn seal<'o>(
        &mut self,
        kind: FrameType,
        parts: &[&[u8]],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let len = parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        if len > self.peer_max_payload_len {
            return Err(Error::PayloadTooLong {
                limit: self.peer_max_payload_len,
            });
        }
        self.sealer.seal(kind, parts, out)
    }

    /// Opens `frame` where it stands and acts on it. An answer is written to `out`, which takes
    /// [`MAX_CONTROL_FRAME_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// The [`Reason`] for which the session is over: on a stream nothing can be lost or out of order by accident.
    pub fn handle_frame<'m, 'o>(
        &mut self,
        frame: &'m mut [u8],
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Handled<'m, 'o>, Reason> {
        let next = self.update.next_epoch();
        let opened = self.opener.open(frame, next, self.own_max_payload_len)?;
        if opened.first_of_next_epoch {
            let FrameType::Control = opened.kind else {
                return Err(Reason::KeyUpdate);
            };
            let Control::KeyDone { count } = Control::decode(opened.payload)? else {
                return Err(Reason::KeyUpdate);
            };
            return Ok(Handled {
                send: self.switch_receiving(count, now, out)?,
                delivery: Delivery::Nothing,
            });
        }
        let delivery = match opened.kind {
            FrameType::Application => Delivery::Application(opened.payload),
            FrameType::Envelope => Delivery::Envelope(opened.payload),
            FrameType::Alert => Delivery::Alert(Alert::parse(opened.payload)?),
            FrameType::Control => {
                let control = Control::decode(opened.payload)?;
                return self.handle_control(&control, now, entropy, out);
            }
        };
        Ok(Handled::of(delivery))
    }

    fn handle_control<'m, 'o>(
        &mut self,
        control: &Control,
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Handled<'m, 'o>, Reason> {
        let send = match control {
            Control::KeyUpdate { next, dh } => self.answer_update(*next, *dh, now, entropy, out)?,
            Control::KeyAck { next, dh } => self.take_ack(*next, *dh, now, out)?,
            // The first frame of an epoch says this, and no other.
            Control::KeyDone { .. } => return Err(Reason::KeyUpdate),
            Control::Ping(number) => Some(self.seal_control(&Control::Pong(*number), out)?),
            Control::Pong(number) => return Ok(Handled::of(Delivery::Pong(*number))),
            Control::Welcome(welcome) => return Ok(Handled::of(Delivery::Welcome(*welcome))),
            Control::TicketNew(ticket) => return Ok(Handled::of(Delivery::Ticket(*ticket))),
        };
        Ok(Handled {
            send,
            delivery: Delivery::Nothing,
        })
    }

    /// Seals a control message into `out`, which takes [`MAX_CONTROL_FRAME_LEN`] bytes.
    pub(crate) fn seal_control<'o>(
        &mut self,
        control: &Control,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Reason> {
        let mut buffer = [0; Control::MAX_LEN];
        let payload = control.encode(&mut buffer)?;
        self.sealer
            .seal(FrameType::Control, &[payload], out)
            .map_err(|_| Reason::Length)
    }

    /// Seals the last frame of this end; the caller drops the session.
    pub(crate) fn seal_alert<'o>(&mut self, alert: Alert, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.sealer
            .seal(FrameType::Alert, &[&alert.emit()], out)
            .ok()
    }

    /// Returns when [`Session::handle_deadline`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match &self.update {
            Update::Asked { again, .. } => *again,
            Update::Answered { until, .. } | Update::Switched { until, .. } => *until,
            Update::None => {
                let since = self.sealer.since();
                let due = if self.sealer.is_worn() {
                    since
                } else {
                    since.plus(EPOCH_MILLIS)
                };
                due.max(self.settled_since.plus(SETTLED_MILLIS))
            }
        }
    }

    /// Does what is due: starts a key update, or repeats one that is not answered. `fresh` mixes in a new
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
        if now < self.deadline() {
            return Ok(None);
        }
        if self.can_start(now) {
            return self.start_update(now, fresh, entropy, out).map(Some);
        }
        match &mut self.update {
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
                let dh = *share;
                let next = self.sealer.epoch() + 1;
                self.seal_control(&Control::KeyUpdate { next, dh }, out)
                    .map(Some)
            }
            // A peer that leaves an update half done for an hour is not one to go on with.
            Update::Answered { .. } | Update::Switched { .. } => Err(Reason::KeyUpdateTimeout),
            Update::None => Err(Reason::LastEpoch),
        }
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

    fn can_start(&self, now: Instant) -> bool {
        let settled = now.since(self.settled_since) >= SETTLED_MILLIS;
        settled && matches!(self.update, Update::None) && !self.sealer.is_last_epoch()
    }

    fn start_update<'o>(
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
    fn answer_update<'o>(
        &mut self,
        next: u32,
        dh: Option<[u8; 32]>,
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Option<&'o [u8]>, Reason> {
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
                let again = Control::KeyAck {
                    next,
                    dh: *answered,
                };
                return self.seal_control(&again, out).map(Some);
            }
            Update::None | Update::Asked { .. } => {}
        }
        let too_soon = self
            .switched_at
            .is_some_and(|switched| now.since(switched) < MIN_EPOCH_MILLIS);
        if too_soon || self.sealer.is_last_epoch() {
            return Err(Reason::KeyUpdateRate);
        }
        let (update, answered) = Update::answer(
            self.epoch_secrets(),
            next,
            dh,
            now.plus(EPOCH_MILLIS),
            entropy,
        )?;
        self.update = update;
        self.seal_control(&Control::KeyAck { next, dh: answered }, out)
            .map(Some)
    }

    /// The peer answers this end's update (PROTOCOL.md §5.4, step 3).
    fn take_ack<'o>(
        &mut self,
        next: u32,
        dh: Option<[u8; 32]>,
        now: Instant,
        out: &'o mut [u8],
    ) -> Result<Option<&'o [u8]>, Reason> {
        if next != self.sealer.epoch() + 1 {
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
            fresh: dh.is_some(),
            until: now.plus(EPOCH_MILLIS),
        };
        self.resumption = resumption;
        let count = self.sealer.sealed_count();
        self.sealer = Sealer::new(self.sealer.suite(), send, next, now);
        // Not when the peer's first frame arrives: a line that stalls may bring it together with a question that
        // the peer asked long after.
        self.switched_at = Some(now);
        self.seal_control(&Control::KeyDone { count }, out)
            .map(Some)
    }

    /// The peer sends in the next epoch (PROTOCOL.md §5.4, steps 4 and 5).
    fn switch_receiving<'o>(
        &mut self,
        count: u32,
        now: Instant,
        out: &'o mut [u8],
    ) -> Result<Option<&'o [u8]>, Reason> {
        if count != self.opener.opened_count() {
            return Err(Reason::FrameCount);
        }
        let epoch = self.opener.epoch() + 1;
        let suite = self.sealer.suite();
        let update = core::mem::replace(&mut self.update, Update::None);
        self.settled_since = now;
        match update {
            Update::Switched { receive, fresh, .. } => {
                self.healed |= fresh;
                self.opener = Opener::after_first(suite, receive, epoch);
                Ok(None)
            }
            Update::Answered { next, asked, .. } => {
                self.healed |= asked.is_some();
                self.opener = Opener::after_first(suite, next.receive, epoch);
                self.resumption = next.resumption;
                let count = self.sealer.sealed_count();
                self.sealer = Sealer::new(suite, next.send, epoch, now);
                self.switched_at = Some(now);
                self.seal_control(&Control::KeyDone { count }, out)
                    .map(Some)
            }
            Update::None | Update::Asked { .. } => Err(Reason::KeyUpdate),
        }
    }

    fn epoch_secrets(&self) -> EpochSecrets<'_> {
        EpochSecrets {
            send: self.sealer.secret(),
            receive: self.opener.secret(),
            resumption: &self.resumption,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Secret, Suite};
    use crate::entropy::EntropyError;
    use crate::limits::{MAX_EPOCH, SOFT_SEALS};

    /// Entropy that no test here draws on.
    struct NoEntropy;

    impl Entropy for NoEntropy {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    fn session_in(epoch: u32) -> Session {
        let secret = || Secret::new([7; 32]);
        Session {
            role: Role::Initiator,
            sealer: Sealer::new(Suite::Aes256Gcm, secret(), epoch, Instant(0)),
            opener: Opener::new(Suite::Aes256Gcm, secret(), epoch),
            resumption: ResumptionSecret(secret()),
            exporter: Exporter::of(secret()),
            peer_max_payload_len: 1024,
            own_max_payload_len: 1024,
            update: Update::None,
            settled_since: Instant(0),
            switched_at: None,
            healed: false,
        }
    }

    fn wait(session: &mut Session, now: u64) -> Result<bool, Reason> {
        let mut out = [0; MAX_CONTROL_FRAME_LEN];
        session
            .handle_deadline(Instant(now), false, &mut NoEntropy, &mut out)
            .map(|frame| frame.is_some())
    }

    #[test]
    fn the_last_epoch_ends_the_session_when_its_keys_are_due() {
        let mut session = session_in(MAX_EPOCH);
        assert_eq!(wait(&mut session, EPOCH_MILLIS - 1), Ok(false));
        assert_eq!(wait(&mut session, EPOCH_MILLIS), Err(Reason::LastEpoch));
        let mut session = session_in(MAX_EPOCH - 1);
        assert_eq!(wait(&mut session, EPOCH_MILLIS), Ok(true));
    }

    #[test]
    fn no_key_update_leads_beyond_the_last_epoch() {
        let mut session = session_in(MAX_EPOCH);
        let mut out = [0; MAX_CONTROL_FRAME_LEN];
        let asked = session.update_keys(Instant(5000), false, &mut NoEntropy, &mut out);
        assert_eq!(asked, Err(Error::NotSettled));
        let next = MAX_EPOCH + 1;
        let answered = session.answer_update(next, None, Instant(5000), &mut NoEntropy, &mut out);
        assert_eq!(answered, Err(Reason::KeyUpdateRate));
    }

    #[test]
    fn worn_keys_are_replaced_as_soon_as_the_session_is_settled() {
        let mut session = session_in(0);
        assert_eq!(session.deadline(), Instant(EPOCH_MILLIS));
        session.sealer.wear(SOFT_SEALS);
        assert_eq!(session.deadline(), Instant(SETTLED_MILLIS));
        assert_eq!(wait(&mut session, SETTLED_MILLIS - 1), Ok(false));
        assert_eq!(wait(&mut session, SETTLED_MILLIS), Ok(true));
    }

    #[test]
    fn a_session_that_settles_late_has_no_deadline_in_the_past() {
        let mut session = session_in(0);
        session.settled_since = Instant(EPOCH_MILLIS);
        assert_eq!(session.deadline(), Instant(EPOCH_MILLIS + SETTLED_MILLIS));
    }
}
