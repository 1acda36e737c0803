//! A session: sealing, opening, order, limits and the replacement of keys (PROTOCOL.md §5).

mod frame_keys;
mod key_update;
mod opener;
mod parts;
mod replay;
mod sealer;
mod update;

use opener::{Opened, Opener, Place};
pub(crate) use parts::Assembled;
pub use parts::{FrameAssembly, Part};
pub use replay::SlidingWindow;
use sealer::Sealer;
use update::Update;

use crate::crypto::Signature;
use crate::entropy::Entropy;
use crate::handshake::{Established, Exporter, ResumptionSecret, Role};
use crate::limits::{
    EPOCH_MILLIS, MAX_PAYLOAD_LEN, MAX_UPDATE_SENDS, SETTLED_MILLIS, UPDATE_REPEAT_MILLIS,
};
use crate::message::{Alert, Control, Enrolled, TokenResult, Welcome};
use crate::reason::{Error, Reason};
use crate::time::Instant;
use crate::wire::{ConnectionIds, DATAGRAM_OVERHEAD, Form, FrameType, Line, NewTicket, PartHeader};

/// Longest control message in bytes, its frame included.
pub const MAX_CONTROL_FRAME_LEN: usize = DATAGRAM_OVERHEAD + Control::MAX_LEN;

/// A session between two ends that are proved.
///
/// In stream form frames arrive once and in order, and a frame that is refused ends the session. In datagram form they
/// may be lost, repeated and reordered, and a frame that does not hold is dropped: [`Delivery::Dropped`].
#[derive(Debug)]
pub struct Session {
    role: Role,
    shape: Shape,
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
    /// How many frames this end sent in the epoch before.
    left_count: u32,
    /// Whether it was the peer that started the last key update.
    followed: bool,
    /// Whether a key update with fresh shares has ended since it was last asked.
    healed: bool,
    /// How many payloads this end has sent in parts, modulo 256.
    split_count: u8,
}

/// The form of a session's frames, and the ids in them.
#[derive(Debug, Clone, Copy)]
struct Shape {
    form: Form,
    ids: ConnectionIds,
    /// Longest frame in bytes on a datagram link; elsewhere nothing, and there are no fragments.
    mtu: Option<u16>,
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
    /// A part of a payload; on a datagram link.
    Part(Part<'m>),
    /// The peer's answer to a ping with this number.
    Pong(u32),
    /// The responder's first frame in a resumed session.
    Welcome(Welcome),
    /// What the next handshake may rest on.
    Ticket(NewTicket),
    /// A token that is to follow the session's, and the signature of its key when that is a new one.
    TokenUpdate(&'m [u8], Option<Signature>),
    /// A newcomer's first token.
    Enrolled(Enrolled<'m>),
    /// What became of the token that this end showed.
    TokenResult(TokenResult),
    /// The peer's last word.
    Alert(Alert),
    /// Nothing: the datagram did not hold, for this reason, and is dropped. The session goes on; that somebody sent
    /// it is no sign of life of the peer.
    Dropped(Reason),
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
        let form = established.line.form();
        Self {
            role: established.role,
            shape: Shape {
                form,
                ids: established.ids,
                mtu: (established.line == Line::Datagram).then_some(established.mtu),
            },
            sealer: Sealer::new(established.suite, send, 0, now),
            opener: Opener::new(established.suite, receive, 0, form),
            resumption: secrets.resumption,
            exporter: secrets.exporter,
            peer_max_payload_len: usize::from(established.peer_max_payload_len),
            own_max_payload_len: usize::from(own_max_payload_len).min(MAX_PAYLOAD_LEN),
            update: Update::None,
            settled_since: now,
            switched_at: None,
            left_count: 0,
            followed: false,
            healed: false,
            split_count: 0,
        }
    }

    /// Returns the form of the session's frames.
    #[must_use]
    pub fn form(&self) -> Form {
        self.shape.form
    }

    /// Returns both ends' connection ids; 0 on a stream.
    pub(crate) fn ids(&self) -> ConnectionIds {
        self.shape.ids
    }

    /// Returns the longest frame of a datagram link, in bytes.
    pub(crate) fn mtu(&self) -> Option<u16> {
        self.shape.mtu
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

    /// Seals `parts`, one after the other, as one payload into `out` and returns the frame. On a datagram link a payload
    /// that is too long for one frame makes several, one after the other, up to 4,096 bytes of it.
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
        match self.part_len(len) {
            Some(most) => self.seal_parts(kind, parts, (len, most), out),
            None => self.sealer.seal(kind, parts, self.shape, out),
        }
    }

    /// Opens `frame` where it stands and acts on it. An answer is written to `out`, which takes
    /// [`MAX_CONTROL_FRAME_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// The [`Reason`] for which the session is over. On a stream nothing can be lost or out of order by accident; in
    /// datagrams it is the peer itself that broke the rules, or [`Reason::Forgeries`].
    pub fn handle_frame<'m, 'o>(
        &mut self,
        frame: &'m mut [u8],
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Handled<'m, 'o>, Reason> {
        self.opener.forget_before(now);
        let next = self.update.next_epoch();
        let opened = match self
            .opener
            .open(frame, self.shape, next, self.own_max_payload_len)
        {
            Ok(opened) => opened,
            Err(reason) if self.survives(reason) => {
                return Ok(Handled {
                    send: None,
                    delivery: Delivery::Dropped(reason),
                });
            }
            Err(reason) => return Err(reason),
        };
        let (answer, delivery) = match (opened.place, self.shape.form) {
            (Place::Next, Form::Stream) => (self.take_done(&opened, now)?, Delivery::Nothing),
            (Place::Next, Form::Datagram) => {
                let done = self.switch_receiving(opened.seq, now)?;
                let (answer, delivery) = self.take(opened, now, entropy)?;
                // Any frame of the new epoch says what KeyDone says: one is enough.
                (answer.or(done), delivery)
            }
            (Place::This | Place::Before, _) => self.take(opened, now, entropy)?,
        };
        let send = match answer {
            Some(answer) => Some(self.seal_control(&answer, out)?),
            None => None,
        };
        Ok(Handled { send, delivery })
    }

    /// Acts on a payload that came in parts, of which the last one is late or not. An answer is written to `out`, as
    /// [`Session::handle_frame`] does.
    pub(crate) fn handle_whole<'m, 'o>(
        &mut self,
        (kind, payload, is_late): (FrameType, &'m mut [u8], bool),
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Handled<'m, 'o>, Reason> {
        let place = if is_late { Place::Before } else { Place::This };
        let whole = Opened {
            kind,
            place,
            seq: 0,
            payload,
        };
        let (answer, delivery) = self.take(whole, now, entropy)?;
        let send = match answer {
            Some(answer) => Some(self.seal_control(&answer, out)?),
            None => None,
        };
        Ok(Handled { send, delivery })
    }

    /// Returns whether the session goes on after a frame that did not open, for `reason`.
    fn survives(&self, reason: Reason) -> bool {
        self.shape.form == Form::Datagram && reason != Reason::Forgeries
    }

    /// Acts on a frame that opened: returns what to answer, and what it carried.
    fn take<'m>(
        &mut self,
        opened: Opened<'m>,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Option<Control<'static>>, Delivery<'m>), Reason> {
        let delivery = match opened.kind {
            FrameType::Application => Delivery::Application(opened.payload),
            FrameType::Envelope => Delivery::Envelope(opened.payload),
            FrameType::Part => {
                let (header, bytes) = PartHeader::parse(opened.payload)?;
                let is_late = opened.place == Place::Before;
                Delivery::Part(Part {
                    header,
                    epoch: self.opener.epoch().wrapping_sub(u32::from(is_late)),
                    seq: opened.seq,
                    is_late,
                    bytes,
                })
            }
            FrameType::Alert => Delivery::Alert(Alert::parse(opened.payload)?),
            FrameType::Control => {
                let control = Control::decode(&*opened.payload)?;
                return self.take_control(control, opened.place, now, entropy);
            }
        };
        Ok((None, delivery))
    }

    fn take_control<'m>(
        &mut self,
        control: Control<'m>,
        place: Place,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Option<Control<'static>>, Delivery<'m>), Reason> {
        let is_late = place == Place::Before;
        let delivery = match control {
            Control::KeyUpdate { next, dh } => {
                let answer = if is_late {
                    self.check_late_update(next)?;
                    None
                } else {
                    self.answer_update(next, dh, now, entropy)?
                };
                return Ok((answer, Delivery::Nothing));
            }
            Control::KeyAck { next, dh } => {
                let answer = if is_late {
                    None
                } else {
                    self.take_ack(next, dh, now)?
                };
                return Ok((answer, Delivery::Nothing));
            }
            Control::KeyDone { .. } => {
                let answer = self.take_done_again(place)?;
                return Ok((answer, Delivery::Nothing));
            }
            Control::Ping(number) => {
                return Ok((Some(Control::Pong(number)), Delivery::Nothing));
            }
            // The secret that it would be made of is gone.
            Control::TicketNew(_) if is_late => Delivery::Nothing,
            Control::Pong(number) => Delivery::Pong(number),
            Control::Welcome(welcome) => Delivery::Welcome(welcome),
            Control::TicketNew(ticket) => Delivery::Ticket(ticket),
            Control::TokenUpdate(update) => Delivery::TokenUpdate(update.token, update.proof()),
            Control::TokenResult(result) => Delivery::TokenResult(result),
            Control::Enrolled(enrolled) => Delivery::Enrolled(enrolled),
        };
        Ok((None, delivery))
    }

    /// Seals a control message into `out`, which takes [`MAX_CONTROL_FRAME_LEN`] bytes.
    pub(crate) fn seal_control<'o>(
        &mut self,
        control: &Control<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Reason> {
        let mut buffer = [0; Control::MAX_LEN];
        let payload = control.encode(&mut buffer)?;
        self.sealer
            .seal(FrameType::Control, &[payload], self.shape, out)
            .map_err(|_| Reason::Length)
    }

    /// Seals a control message with a token in it into `out`.
    #[inline(never)]
    pub(crate) fn seal_with_token<'o>(
        &mut self,
        control: &Control<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let mut buffer = [0; Control::MAX_LEN_WITH_TOKEN];
        let limit = buffer.len();
        let payload = control.encode(&mut buffer);
        let payload = payload.map_err(|_| Error::PayloadTooLong { limit })?;
        self.seal(FrameType::Control, &[payload], out)
    }

    /// Seals the last frame of this end; the caller drops the session.
    pub(crate) fn seal_alert<'o>(&mut self, alert: Alert, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.sealer
            .seal(FrameType::Alert, &[&alert.emit()], self.shape, out)
            .ok()
    }

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

#[cfg(test)]
impl Shape {
    const STREAM: Self = Self {
        form: Form::Stream,
        ids: ConnectionIds::NONE,
        mtu: None,
    };
    const DATAGRAM: Self = Self {
        form: Form::Datagram,
        ids: ConnectionIds { own: 7, peer: 7 },
        mtu: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Secret, Suite};
    use crate::entropy::EntropyError;
    use crate::limits::{HARD_SEALS, MAX_EPOCH, SOFT_SEALS};

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
            shape: Shape::STREAM,
            sealer: Sealer::new(Suite::Aes256Gcm, secret(), epoch, Instant(0)),
            opener: Opener::new(Suite::Aes256Gcm, secret(), epoch, Form::Stream),
            resumption: ResumptionSecret(secret()),
            exporter: Exporter::of(secret()),
            peer_max_payload_len: 1024,
            own_max_payload_len: 1024,
            update: Update::None,
            settled_since: Instant(0),
            switched_at: None,
            left_count: 0,
            followed: false,
            healed: false,
            split_count: 0,
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
        let answered = session.answer_update(next, None, Instant(5000), &mut NoEntropy);
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
    fn a_payload_of_which_not_every_part_can_be_sealed_is_not_begun() {
        for (sealed, is_sealed) in [(HARD_SEALS - 2, false), (HARD_SEALS - 3, true)] {
            let mut session = session_in(0);
            session.shape = Shape {
                mtu: Some(256),
                ..Shape::DATAGRAM
            };
            session.sealer.wear(sealed);
            let mut out = [0; 1024];
            let parts = session.seal(FrameType::Application, &[&[0; 600]], &mut out);
            assert_eq!(parts.is_ok(), is_sealed);
            let count = if is_sealed { HARD_SEALS } else { sealed };
            assert_eq!(session.sealer.sealed_count(), count);
        }
    }

    #[test]
    fn a_session_that_settles_late_has_no_deadline_in_the_past() {
        let mut session = session_in(0);
        session.settled_since = Instant(EPOCH_MILLIS);
        assert_eq!(session.deadline(), Instant(EPOCH_MILLIS + SETTLED_MILLIS));
    }
}
