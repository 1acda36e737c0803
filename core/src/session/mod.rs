//! A session: sealing, opening, order, limits and the replacement of keys (PROTOCOL.md §5).

mod deadline;
mod delivery;
mod frame_keys;
mod key_update;
mod opener;
mod parts;
mod replay;
mod sealer;
#[cfg(test)]
mod tests;
mod update;

pub use delivery::{Delivery, Handled};
use opener::Opener;
pub(crate) use parts::Assembled;
pub use parts::{FrameAssembly, Part};
pub use replay::SlidingWindow;
use sealer::Sealer;
use update::Update;

use crate::handshake::{Established, Exporter, ResumptionSecret, Role};
use crate::limits::MAX_PAYLOAD_LEN;
use crate::message::{Alert, Control};
use crate::reason::{Error, Reason};
use crate::time::Instant;
use crate::wire::{ConnectionIds, DATAGRAM_OVERHEAD, Form, FrameType, Line};

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
