//! A link over datagrams whose transport units may be short: what is longer travels in fragments (PROTOCOL.md §2.11).

use crate::assembly::Assembly;
use crate::connection::{Connection, Context, Event, Outcome, Settings};
use crate::crypto::EphemeralKey;
use crate::datagram::Datagram;
use crate::entropy::Entropy;
use crate::handshake::{Initiator, SingleUse};
use crate::limits::{MAX_HANDSHAKE_LEN, MIN_MTU};
use crate::message::{Alert, Envelope};
use crate::reason::{Error, Reason};
use crate::session::FrameAssembly;
use crate::time::{Instant, Now};
use crate::wire::{
    FRAGMENT_HEAD_LEN, Fragment, M2_ROTATED_LEN, MessageType, is_fragment, split_in_place,
};

/// Length in bytes of what a handshake message comes to at most, in fragments one after the other.
pub const MAX_SPLIT_LEN: usize = MAX_HANDSHAKE_LEN + MAX_FRAGMENTS * FRAGMENT_HEAD_LEN;

/// Into how many fragments the longest message is split at the least mtu of 160 bytes.
const MAX_FRAGMENTS: usize = 7;

/// A link over datagrams, which puts handshake messages of up to `N` bytes together.
///
/// What it writes is one datagram or several, one after the other: [`datagrams`](crate::wire::datagrams) tells them
/// apart. Each is at most as long as the mtu that either end announced, once both have.
#[derive(Debug)]
pub struct DatagramLink<'k, const N: usize> {
    datagram: Datagram<'k>,
    assembly: Assembly<N>,
    /// This end's connection id; 0 before it has one.
    own_id: u32,
    /// The peer's connection id; 0 before it is known.
    peer_id: u32,
    /// Longest datagram that both ends take, in bytes.
    mtu: u16,
}

/// An initiator's link. No handshake message for an initiator is longer than an M2 with a statement.
pub type InitiatorLink<'k> = DatagramLink<'k, M2_ROTATED_LEN>;

/// A hub's link.
pub type HubLink = DatagramLink<'static, MAX_HANDSHAKE_LEN>;

impl<'k> InitiatorLink<'k> {
    /// Writes M1 to `out` and returns the initiator's link with it.
    ///
    /// # Errors
    ///
    /// As [`Connection::initiate`].
    pub fn initiate<'o>(
        initiator: Initiator<'k>,
        single_use: impl Into<SingleUse>,
        settings: Settings,
        now: &Now,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o [u8]), Error> {
        let (datagram, m1) =
            Datagram::initiate(initiator, single_use, settings, now, entropy, out)?;
        Ok((Self::over(datagram), m1))
    }
}

impl HubLink {
    /// Returns the hub's link, which waits for M1. `ephemeral` is as in [`Connection::respond`]. A hub under load asks
    /// [`Cookies::screen`](crate::cookie::Cookies::screen) before it makes one.
    #[must_use]
    pub fn respond(ephemeral: Option<EphemeralKey>, settings: Settings, now: Instant) -> Self {
        Self::over(Datagram::respond(ephemeral, settings, now))
    }
}

impl<'k, const N: usize> DatagramLink<'k, N> {
    fn over(datagram: Datagram<'k>) -> Self {
        let mut link = Self {
            datagram,
            assembly: Assembly::new(),
            own_id: 0,
            peer_id: 0,
            mtu: MIN_MTU,
        };
        link.note_path();
        link
    }

    /// Returns the connection.
    #[must_use]
    pub fn connection(&self) -> &Connection<'k> {
        self.datagram.connection()
    }

    /// Returns the connection, for what an open session does. Messages and deadlines are this type's.
    pub fn connection_mut(&mut self) -> &mut Connection<'k> {
        self.datagram.connection_mut()
    }

    /// Returns this end's connection id, by which the peer's datagrams are known; 0 before it has one.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.own_id
    }

    /// Takes in one datagram, as [`Datagram::handle_message`] does. What comes in parts is put together in `frames`, the
    /// same one each time, which is as long as the payload that this end announced. `out` takes [`MAX_SPLIT_LEN`] bytes.
    pub fn handle_message<'m, 'o>(
        &mut self,
        message: &'m mut [u8],
        frames: &'m mut FrameAssembly,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        let outcome = if is_fragment(message) {
            self.take_fragment(message, context, out)
        } else {
            self.datagram
                .handle_message_or_part(message, Some(frames), context, out)
        };
        let Outcome { send, event } = outcome;
        let len = send.map_or(0, <[u8]>::len);
        self.note_path();
        self.split(len, event, out)
    }

    /// Takes in a fragment, and the message when that is whole.
    fn take_fragment<'o>(
        &mut self,
        datagram: &[u8],
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'static, 'o> {
        let dropped = |reason| Outcome {
            send: None,
            event: Some(Event::Dropped(reason)),
        };
        // Nobody but the peer can know an id before it is given.
        if self.own_id == 0 {
            return dropped(Reason::OutOfPlace);
        }
        let whole = Fragment::parse(datagram, self.own_id)
            .and_then(|fragment| self.assembly.take(&fragment, context.now.instant));
        match whole {
            Ok(Some(whole)) if may_be_split(whole) => {
                let outcome = self.datagram.handle_message(whole, context, out);
                Outcome {
                    send: outcome.send,
                    event: outcome.event.and_then(of_handshake),
                }
            }
            Ok(Some(_)) => dropped(Reason::Fragment),
            Ok(None) => Outcome {
                send: None,
                event: None,
            },
            Err(reason) => dropped(reason),
        }
    }

    /// Returns when [`DatagramLink::handle_deadline`] is to be called; nothing once the connection is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.datagram.deadline()
    }

    /// Does what is due, as [`Datagram::handle_deadline`] does. `out` takes [`MAX_SPLIT_LEN`] bytes.
    pub fn handle_deadline<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'static, 'o> {
        let Outcome { send, event } = self.datagram.handle_deadline(context, out);
        let len = send.map_or(0, <[u8]>::len);
        self.split(len, event, out)
    }

    /// Seals a message for the peer's application into `out`.
    ///
    /// # Errors
    ///
    /// As [`Connection::send_application`].
    pub fn send_application<'o>(
        &mut self,
        payload: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.connection_mut().send_application(payload, out)
    }

    /// Seals an envelope into `out`.
    ///
    /// # Errors
    ///
    /// As [`Connection::send_envelope`].
    pub fn send_envelope<'o>(
        &mut self,
        envelope: &Envelope<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.connection_mut().send_envelope(envelope, out)
    }

    /// Ends the link and wipes its keys. Returns the sealed alert to be sent, when the session was open.
    #[must_use]
    pub fn close<'o>(&mut self, alert: Alert, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.datagram.close(alert, out)
    }

    /// Notes what is known of the path. It stays when the connection is over: its last word may have to be repeated.
    fn note_path(&mut self) {
        if let Some(path) = self.datagram.connection().path() {
            self.own_id = path.ids.own;
            self.peer_id = path.ids.peer;
            self.mtu = path.mtu;
        }
    }

    /// Splits the first `len` bytes of `out` when they are a handshake message that is too long for one datagram.
    fn split<'m, 'o>(
        &self,
        len: usize,
        event: Option<Event<'m>>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        let number = out.get(..len).and_then(number_of);
        let len = match number {
            // What does not fit is not sent, as if the line had lost it.
            Some(number) => split_in_place(out, len, number, self.peer_id, self.mtu).unwrap_or(0),
            None => len,
        };
        Outcome {
            send: out.get(..len).filter(|bytes| !bytes.is_empty()),
            event,
        }
    }
}

/// Returns the number of `message` among those of its sender, if it is one that may travel in fragments.
fn number_of(message: &[u8]) -> Option<u8> {
    match MessageType::from_code(*message.first()?)? {
        MessageType::M2 => Some(0),
        MessageType::M3 | MessageType::M4 | MessageType::Refuse => Some(1),
        MessageType::M1 | MessageType::Reject => None,
    }
}

/// Returns whether `message`, which came in fragments, may have.
fn may_be_split(message: &[u8]) -> bool {
    number_of(message).is_some()
}

/// Returns an event of the handshake, which has no bytes of the message in it.
fn of_handshake(event: Event<'_>) -> Option<Event<'static>> {
    match event {
        Event::Open(peer) => Some(Event::Open(peer)),
        Event::Dropped(reason) => Some(Event::Dropped(reason)),
        Event::Closed(closure) => Some(Event::Closed(closure)),
        _ => None,
    }
}
