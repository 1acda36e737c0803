//! One end of a link, of either form: what a session and a client drive, whatever carries it.

use std::mem::size_of;

use moorline_core::connection::{Connection, Context, Outcome, Settings};
use moorline_core::handshake::{Initiator, SingleUse, Wanted};
use moorline_core::limits::{MAX_HANDSHAKE_LEN, MAX_SPLIT_PAYLOAD_LEN, MIN_MTU};
use moorline_core::link::{DatagramLink, HubLink, InitiatorLink, MAX_SPLIT_LEN};
use moorline_core::message::{Alert, Control};
use moorline_core::reason::Error;
use moorline_core::session::FrameAssembly;
use moorline_core::time::{Instant, Now};
use moorline_core::wire::{
    DATAGRAM_OVERHEAD, FRAME_OVERHEAD, Form, M2_ROTATED_LEN, PART_HEADER_LEN,
};

use crate::entropy::SystemEntropy;

/// Longest datagram in bytes that this end sends and takes: what the least MTU of IPv6 (RFC 8200 §5) leaves beside the
/// headers of IPv6 and UDP. No path splits it.
pub(crate) const DATAGRAM_MTU: u16 = 1_232;

/// What a frame of a datagram link adds to the part of a payload in it, in bytes.
const PART_OVERHEAD: usize = DATAGRAM_OVERHEAD + PART_HEADER_LEN;

/// One end of a link. `N` is the longest handshake message in bytes that is put together of fragments.
#[derive(Debug)]
pub(crate) enum Line<'k, const N: usize> {
    /// Over a stream: what is written is one message.
    Stream(Box<Connection<'k>>),
    /// Over datagrams: what is written is one datagram or several, one after the other.
    Datagrams(Box<DatagramLink<'k, N>>),
}

/// A hub's end.
pub(crate) type HubLine = Line<'static, MAX_HANDSHAKE_LEN>;

/// An initiator's end.
pub(crate) type ClientLine<'k> = Line<'k, M2_ROTATED_LEN>;

/// Where payloads in parts are put together; it takes no memory on a stream.
#[derive(Debug, Default)]
pub(crate) struct Parts(Option<Box<FrameAssembly<[u8; MAX_SPLIT_PAYLOAD_LEN]>>>);

const _: () = assert!(size_of::<Parts>() == size_of::<usize>());

impl HubLine {
    /// Returns a hub's end of a link of this form, which waits for M1.
    pub(crate) fn respond(form: Form, settings: Settings, now: Instant) -> Self {
        match form {
            Form::Stream => Self::Stream(Box::new(Connection::respond(form, None, settings, now))),
            Form::Datagram => Self::Datagrams(Box::new(HubLink::respond(None, settings, now))),
        }
    }
}

impl<'k> ClientLine<'k> {
    /// Writes M1 to `out` and returns the initiator's end with it, of the form that it wants its hub over.
    ///
    /// # Errors
    ///
    /// As [`Connection::initiate`].
    pub(crate) fn initiate<'o>(
        initiator: Initiator<'k>,
        single_use: SingleUse,
        settings: Settings,
        now: &Now,
        out: &'o mut [u8],
    ) -> Result<(Self, &'o [u8]), Error> {
        let entropy = &mut SystemEntropy;
        if matches!(initiator.wanted, Wanted::Hub(_, Form::Datagram)) {
            let (link, m1) =
                InitiatorLink::initiate(initiator, single_use, settings, now, entropy, out)?;
            return Ok((Self::Datagrams(Box::new(link)), m1));
        }
        let (connection, m1) =
            Connection::initiate(initiator, single_use, settings, now, entropy, out)?;
        Ok((Self::Stream(Box::new(connection)), m1))
    }
}

impl<'k, const N: usize> Line<'k, N> {
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Stream(_) => Form::Stream,
            Self::Datagrams(_) => Form::Datagram,
        }
    }

    /// Returns the connection id by which the peer's datagrams are known, once there is one.
    pub(crate) fn id(&self) -> Option<u32> {
        match self {
            Self::Stream(_) => None,
            Self::Datagrams(link) => Some(link.id()).filter(|id| *id != 0),
        }
    }

    pub(crate) fn connection(&self) -> &Connection<'k> {
        match self {
            Self::Stream(connection) => connection,
            Self::Datagrams(link) => link.connection(),
        }
    }

    /// Returns the connection, for what an open session does. Messages and deadlines are this type's.
    pub(crate) fn connection_mut(&mut self) -> &mut Connection<'k> {
        match self {
            Self::Stream(connection) => connection,
            Self::Datagrams(link) => link.connection_mut(),
        }
    }

    /// Takes in a message of the transport. Payloads in parts are put together in `parts`, the same one each time.
    pub(crate) fn handle_message<'m, 'o>(
        &mut self,
        message: &'m mut [u8],
        parts: &'m mut Parts,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'m, 'o> {
        match self {
            Self::Stream(connection) => connection.handle_message(message, context, out),
            Self::Datagrams(link) => {
                let parts = parts.0.get_or_insert_with(Box::default);
                link.handle_message(message, &mut **parts, context, out)
            }
        }
    }

    /// Returns when [`Line::handle_deadline`] is to be called; nothing once the link is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Stream(connection) => connection.deadline(),
            Self::Datagrams(link) => link.deadline(),
        }
    }

    /// Does what is due.
    pub(crate) fn handle_deadline<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Outcome<'static, 'o> {
        match self {
            Self::Stream(connection) => connection.handle_deadline(context, out),
            Self::Datagrams(link) => link.handle_deadline(context, out),
        }
    }

    /// Ends the link and wipes its keys. Returns the sealed alert to be sent, when the session was open.
    pub(crate) fn close<'o>(&mut self, alert: Alert, out: &'o mut [u8]) -> Option<&'o [u8]> {
        match self {
            Self::Stream(connection) => connection.close(alert, out),
            Self::Datagrams(link) => link.close(alert, out),
        }
    }
}

/// Returns how long the frames of a link of this form are at most that carry a payload of `len` bytes.
pub(crate) fn sealed_len(form: Form, len: usize) -> usize {
    match form {
        Form::Stream => len + FRAME_OVERHEAD,
        Form::Datagram => {
            let least = usize::from(MIN_MTU) - PART_OVERHEAD;
            len + len.div_ceil(least).max(1) * PART_OVERHEAD
        }
    }
}

/// Returns the longest that a link of this form writes by itself, in bytes: a handshake message, or the first token.
pub(crate) fn own_len(form: Form) -> usize {
    let with_token = sealed_len(form, Control::MAX_LEN_WITH_TOKEN);
    match form {
        Form::Stream => MAX_HANDSHAKE_LEN.max(with_token),
        Form::Datagram => MAX_SPLIT_LEN.max(with_token),
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::wire::Form;

    use super::{own_len, sealed_len};

    #[test]
    fn there_is_room_for_as_many_parts_as_the_least_mtu_makes() {
        // 160 bytes less header, tag and what stands before a part: 128.
        assert_eq!(sealed_len(Form::Datagram, 0), 32);
        assert_eq!(sealed_len(Form::Datagram, 128), 128 + 32);
        assert_eq!(sealed_len(Form::Datagram, 129), 129 + 2 * 32);
        assert_eq!(sealed_len(Form::Stream, 129), 129 + 24);
        assert!(own_len(Form::Datagram) > own_len(Form::Stream));
    }
}
