//! What a frame of the peer leads to: what it carries for the layer above, and what answers it.

use super::opener::{Opened, Place};
use super::{Part, Session};
use crate::crypto::Signature;
use crate::entropy::Entropy;
use crate::message::{Alert, Control, Enrolled, TokenResult, Welcome};
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::{Form, FrameType, NewTicket, PartHeader};

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
    /// Opens `frame` where it stands and acts on it. An answer is written to `out`, which takes
    /// [`MAX_CONTROL_FRAME_LEN`](super::MAX_CONTROL_FRAME_LEN) bytes.
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
}
