//! The driver over `embedded-io-async` streams.

use embedded_io_async::{Error as _, ErrorKind, ErrorType, Read, Write};

use super::{Buffers, Clock, DriverError, Pump};
use crate::connection::{Connection, Event, NewToken, Settings};
use crate::entropy::Entropy;
use crate::framing::{Framing, MAX_RESPONSE_LEN, UpgradeKey, emit_request, parse_response};
use crate::handshake::{Initiator, SingleUse, Ticket};
use crate::message::{Alert, Envelope};
use crate::reason::Error;
use crate::trust::{NoKeeper, TrustKeeper};
use crate::wire::TooSmall;

/// The error of a stream.
type StreamError<S> = DriverError<<S as ErrorType>::Error>;

/// Who drives: its clock, its source of entropy, and where it keeps whom it trusts.
#[derive(Debug)]
pub struct Machine<'m, C, E, K = NoKeeper> {
    /// The clock.
    pub clock: &'m mut C,
    /// The source of entropy.
    pub entropy: &'m mut E,
    /// Where it is kept which keys are the hub's. With [`NoKeeper`] it stays with those that it
    /// has.
    pub keeper: &'m mut K,
}

/// Opens a WebSocket on `stream` to `/ws` of `host` (RFC 6455 §4.1). `scratch` takes
/// [`MAX_RESPONSE_LEN`] bytes; what stands in it is worthless afterwards.
///
/// # Errors
///
/// [`DriverError::Upgrade`] when the answer is not the one to expect, or did not come within `patience`
/// milliseconds.
pub async fn open_websocket<S: Read + Write, C: Clock, E: Entropy, K: TrustKeeper>(
    stream: &mut S,
    host: &str,
    patience: u64,
    machine: &mut Machine<'_, C, E, K>,
    scratch: &mut [u8],
) -> Result<(), StreamError<S>> {
    let too_small = Error::from(TooSmall {
        needed: MAX_RESPONSE_LEN,
    });
    let (scratch, _) = scratch
        .split_at_mut_checked(MAX_RESPONSE_LEN)
        .ok_or(too_small)?;
    let key = UpgradeKey::generate(machine.entropy).map_err(Error::from)?;
    let request = emit_request(host, &key, scratch).map_err(Error::from)?;
    stream
        .write_all(request)
        .await
        .map_err(DriverError::Stream)?;
    stream.flush().await.map_err(DriverError::Stream)?;
    let give_up = machine.clock.now().instant.plus(patience);
    let mut len = 0;
    loop {
        // One byte at a time: what follows the response belongs to the WebSocket.
        let place = scratch.get_mut(len..len + 1).ok_or(too_small)?;
        match stream.read(place).await {
            Ok(0) => return Err(DriverError::Truncated),
            Ok(_) => len += 1,
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => return Err(DriverError::Stream(error)),
        }
        let response = scratch.get(..len).unwrap_or_default();
        match parse_response(response, &key).map_err(DriverError::Upgrade)? {
            Some(_) => return Ok(()),
            None if machine.clock.now().instant >= give_up => {
                return Err(DriverError::Upgrade(crate::framing::UpgradeError::NoAnswer));
            }
            None => {}
        }
    }
}

/// A connection on a stream.
#[derive(Debug)]
pub struct Link<'k, 'b, S, F> {
    stream: S,
    pump: Pump<'k, 'b, F>,
}

impl<'k, 'b, S: Read + Write, F: Framing> Link<'k, 'b, S, F> {
    /// Does the handshake on `stream`, and returns the open link.
    ///
    /// # Errors
    ///
    /// [`DriverError`] of what failed; the stream is dropped.
    pub async fn connect<C: Clock, E: Entropy, K: TrustKeeper>(
        stream: S,
        framing: F,
        initiator: Initiator<'k>,
        single_use: impl Into<SingleUse>,
        settings: Settings,
        buffers: Buffers<'b>,
        machine: &mut Machine<'_, C, E, K>,
    ) -> Result<Self, StreamError<S>> {
        let now = machine.clock.now();
        let (pump, write) = Pump::start(
            initiator,
            single_use.into(),
            settings,
            framing,
            buffers,
            now,
            machine.entropy,
        )?;
        let mut link = Self { stream, pump };
        link.write(write).await?;
        loop {
            let opened = link
                .receive(machine, |event| matches!(event, Event::Open(_)))
                .await?;
            if opened {
                return Ok(link);
            }
        }
    }

    /// Returns the connection.
    #[must_use]
    pub fn connection(&self) -> &Connection<'k> {
        self.pump.connection()
    }

    /// Takes away the newest ticket that the hub gave. It is kept as the key is.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.pump.take_ticket()
    }

    /// Waits for the next event and returns what `take` makes of it.
    ///
    /// A future that is dropped while it reads loses nothing; one dropped while it writes ends the connection's use.
    ///
    /// # Errors
    ///
    /// [`DriverError`] of what ended the connection.
    pub async fn receive<R, C: Clock, E: Entropy, K: TrustKeeper>(
        &mut self,
        machine: &mut Machine<'_, C, E, K>,
        mut take: impl FnMut(Event<'_>) -> R,
    ) -> Result<R, StreamError<S>> {
        loop {
            if let Some(taken) = self.poll(machine, &mut take).await? {
                return Ok(taken);
            }
        }
    }

    /// Works on what the stream gives in one read, and attends to deadlines. Returns what `take` makes of an event, or
    /// nothing when the read timed out or brought no whole message.
    ///
    /// # Errors
    ///
    /// [`DriverError`] of what ended the connection.
    pub async fn poll<R, C: Clock, E: Entropy, K: TrustKeeper>(
        &mut self,
        machine: &mut Machine<'_, C, E, K>,
        mut take: impl FnMut(Event<'_>) -> R,
    ) -> Result<Option<R>, StreamError<S>> {
        loop {
            let now = machine.clock.now();
            let next = self
                .pump
                .next(now, machine.keeper, machine.entropy, &mut take)?;
            self.write(next.write).await?;
            if next.event.is_some() {
                return Ok(next.event);
            }
            if next.write == 0 {
                break;
            }
        }
        let now = machine.clock.now();
        let write = self.pump.attend(now, machine.entropy)?;
        self.write(write).await?;
        self.pump.check()?;
        match self.stream.read(self.pump.space()).await {
            Ok(0) => Err(DriverError::Truncated),
            Ok(len) => {
                self.pump.filled(len);
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(DriverError::Stream(error)),
        }
    }

    /// Sends an envelope.
    ///
    /// # Errors
    ///
    /// [`DriverError::Own`] as [`Connection::send_envelope`]; [`DriverError::Stream`].
    pub async fn send_envelope<E: Entropy>(
        &mut self,
        envelope: &Envelope<'_>,
        entropy: &mut E,
    ) -> Result<(), StreamError<S>> {
        let write = self.pump.send_envelope(envelope, entropy)?;
        self.write(write).await
    }

    /// Sends an application message.
    ///
    /// # Errors
    ///
    /// [`DriverError::Own`] as [`Connection::send_application`]; [`DriverError::Stream`].
    pub async fn send_application<E: Entropy>(
        &mut self,
        payload: &[u8],
        entropy: &mut E,
    ) -> Result<(), StreamError<S>> {
        let write = self.pump.send_application(payload, entropy)?;
        self.write(write).await
    }

    /// Shows the responder a newer token; the answer is an event.
    ///
    /// # Errors
    ///
    /// [`DriverError::Own`] as [`Connection::renew`]; [`DriverError::Stream`].
    pub async fn renew<E: Entropy>(
        &mut self,
        new: &NewToken<'_>,
        entropy: &mut E,
    ) -> Result<(), StreamError<S>> {
        let write = self.pump.renew(new, entropy)?;
        self.write(write).await
    }

    /// Says the last word, wipes the keys and returns the stream.
    ///
    /// # Errors
    ///
    /// [`DriverError::Own`], [`DriverError::Stream`].
    pub async fn close<E: Entropy>(
        mut self,
        alert: Alert,
        entropy: &mut E,
    ) -> Result<S, StreamError<S>> {
        let write = self.pump.close(alert, entropy)?;
        self.write(write).await?;
        Ok(self.stream)
    }

    async fn write(&mut self, len: usize) -> Result<(), StreamError<S>> {
        if len == 0 {
            return Ok(());
        }
        self.stream
            .write_all(self.pump.wire(len))
            .await
            .map_err(DriverError::Stream)?;
        self.stream.flush().await.map_err(DriverError::Stream)
    }
}
