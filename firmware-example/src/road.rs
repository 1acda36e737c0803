//! The device's road to its hub: a connection over the network with a WebSocket on it, or the serial line with bare
//! frames. What goes over it is the same.

use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use moorline_core::driver::DriverError;
use moorline_core::driver::blocking::{Machine, open_websocket};
use moorline_core::entropy::Entropy;
use moorline_core::framing::{
    Absorbed, Delimited, Framing, FramingError, MAX_CLIENT_HEADER_LEN, MAX_RESPONSE_LEN,
    WebSocketClient, delimited_len,
};
use moorline_core::limits::HANDSHAKE_MILLIS;
use moorline_core::provision;
use moorline_core::reason::Error;
use moorline_core::trust::TrustKeeper;

use crate::board::{self, Clock, EthernetPort, Uart};
use crate::identity::Identity;
use crate::net::{ConnectError, Net, NetError, StreamError, TcpStream};
use crate::stream::{Line, LineError};

/// The road that the device was provisioned for.
pub enum Road {
    /// The network.
    Network(&'static mut Net),
    /// The serial line.
    SerialLine {
        /// The line.
        uart: Uart,
        /// The clock of its reads.
        clock: Clock,
    },
}

impl Road {
    /// Makes the road `wanted` ready. What belongs to the other is not started.
    ///
    /// # Errors
    ///
    /// [`NetError`] when there is no network.
    pub fn take(
        wanted: provision::Road,
        ethernet: EthernetPort,
        uart: Uart,
        clock: Clock,
        entropy: &mut impl Entropy,
    ) -> Result<Self, NetError> {
        Ok(match wanted {
            provision::Road::Network => Self::Network(Net::start(ethernet, clock, entropy)?),
            provision::Road::SerialLine => Self::SerialLine { uart, clock },
        })
    }

    /// Opens the road to the hub of `identity`, up to where messages go over it. `scratch` takes [`wire_len`] bytes, and
    /// `assembly` is where messages are put together, of [`assembly_len`] bytes.
    ///
    /// # Errors
    ///
    /// [`DriverError::Stream`] when the hub is not reached; [`DriverError::Upgrade`].
    #[inline(never)]
    pub fn open<'r, K: TrustKeeper>(
        &'r mut self,
        identity: &Identity,
        machine: &mut Machine<'_, Clock, board::Entropy, K>,
        scratch: &mut [u8],
        assembly: &'r mut [u8],
    ) -> Result<(Stream<'r>, Frames<'r>), DriverError<RoadError>> {
        match self {
            Self::Network(net) => {
                let (host, port) = identity.place();
                let mut stream = net
                    .connect(host, port, machine.entropy)
                    .map(Stream::Network)
                    .map_err(|error| DriverError::Stream(RoadError::Connect(error)))?;
                open_websocket(&mut stream, identity.host(), UPGRADE_MS, machine, scratch)?;
                Ok((stream, Frames::WebSocket(WebSocketClient::new(assembly))))
            }
            Self::SerialLine { uart, clock } => {
                let mut line = Line::new(uart, *clock);
                say_dropped(line.drain());
                let frames = Frames::Bare(Delimited::new(assembly));
                Ok((Stream::SerialLine(line), frames))
            }
        }
    }

    /// Sleeps until the clock has reached `deadline_ms`, in milliseconds since boot. The network is attended to meanwhile.
    pub fn rest_until(&mut self, deadline_ms: u64) {
        match self {
            Self::Network(net) => net.rest_until(deadline_ms),
            Self::SerialLine { clock, .. } => clock.sleep_until(deadline_ms),
        }
    }

    /// Returns the milliseconds that a handshake may take.
    pub fn handshake_millis(&self) -> u64 {
        match self {
            Self::Network(_) => HANDSHAKE_MILLIS,
            Self::SerialLine { .. } => SERIAL_HANDSHAKE_MS,
        }
    }
}

/// A road that is open.
pub enum Stream<'r> {
    /// A connection over the network.
    Network(TcpStream<'r>),
    /// The serial line.
    SerialLine(Line<'r>),
}

impl ErrorType for Stream<'_> {
    type Error = RoadError;
}

impl Read for Stream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, RoadError> {
        match self {
            Self::Network(stream) => stream.read(bytes).map_err(RoadError::Network),
            Self::SerialLine(line) => line.read(bytes).map_err(RoadError::SerialLine),
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, RoadError> {
        match self {
            Self::Network(stream) => stream.write(bytes).map_err(RoadError::Network),
            Self::SerialLine(line) => line.write(bytes).map_err(RoadError::SerialLine),
        }
    }

    fn flush(&mut self) -> Result<(), RoadError> {
        match self {
            Self::Network(stream) => stream.flush().map_err(RoadError::Network),
            Self::SerialLine(line) => line.flush().map_err(RoadError::SerialLine),
        }
    }
}

/// The marks of messages on a road. One type for both, so that what works on a link is in the image once.
pub enum Frames<'b> {
    /// A WebSocket.
    WebSocket(WebSocketClient<'b>),
    /// Bare frames.
    Bare(Delimited<&'b mut [u8]>),
}

impl<'b> Frames<'b> {
    fn inner(&mut self) -> &mut (dyn Framing + 'b) {
        match self {
            Self::WebSocket(framing) => framing,
            Self::Bare(framing) => framing,
        }
    }
}

impl Framing for Frames<'_> {
    fn absorb(&mut self, bytes: &[u8]) -> Result<Absorbed, FramingError> {
        self.inner().absorb(bytes)
    }

    fn message(&mut self) -> &mut [u8] {
        self.inner().message()
    }

    fn emit_answer<'o>(
        &mut self,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.inner().emit_answer(entropy, out)
    }

    fn emit<'o>(
        &mut self,
        message: &[u8],
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        self.inner().emit(message, entropy, out)
    }
}

/// What a road can fail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum RoadError {
    /// The hub is not reached.
    Connect(ConnectError),
    /// The connection failed.
    Network(StreamError),
    /// The serial line failed.
    SerialLine(LineError),
}

impl fmt::Display for RoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(formatter),
            Self::Network(error) => error.fmt(formatter),
            Self::SerialLine(error) => error.fmt(formatter),
        }
    }
}

impl core::error::Error for RoadError {}

impl embedded_io::Error for RoadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect(_) => ErrorKind::NotConnected,
            Self::Network(error) => error.kind(),
            Self::SerialLine(error) => error.kind(),
        }
    }
}

/// Says how many bytes of a connection that is over were on the line.
pub(crate) fn say_dropped(count: usize) {
    if count > 0 {
        defmt::info!("dropped {=usize} stale bytes", count);
    }
}

/// Returns the bytes in which messages of up to `message_len` are put together on either road.
pub const fn assembly_len(message_len: usize) -> usize {
    delimited_len(message_len)
}

/// Returns the bytes that a message of up to `message_len` takes with its marks on either road, and the answer to the
/// upgrade before.
pub const fn wire_len(message_len: usize) -> usize {
    let mut len = MAX_RESPONSE_LEN;
    let (bare, websocket) = (
        delimited_len(message_len),
        message_len + MAX_CLIENT_HEADER_LEN,
    );
    if bare > len {
        len = bare;
    }
    if websocket > len {
        len = websocket;
    }
    len
}

/// Milliseconds that the hub has to answer the upgrade. It answers in one or two, over a network in a few hundred.
const UPGRADE_MS: u64 = 3_000;
/// Milliseconds of a handshake on the serial line, of which the device computes half a second. What was sent while the
/// line led nowhere is lost, and nobody says so: then the sooner it is sent again the better.
pub(crate) const SERIAL_HANDSHAKE_MS: u64 = 5_000;
