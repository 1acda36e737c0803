//! The driver without the stream.

use super::Stop;
use crate::connection::{Connection, Context, Event, NewToken, Settings};
use crate::entropy::Entropy;
use crate::framing::{Framing, Progress};
use crate::handshake::{Initiator, SingleUse, Ticket};
use crate::message::{Alert, Envelope};
use crate::reason::Error;
use crate::time::Now;
use crate::trust::{NoKeeper, TrustKeeper};

/// What a driver works in. Each is lent for as long as the driver lives.
#[derive(Debug)]
pub struct Buffers<'b> {
    /// Takes what the stream gives; 64 bytes or more.
    pub input: &'b mut [u8],
    /// Takes one message to be sent: [`crate::limits::MAX_HANDSHAKE_LEN`] bytes, and no less than the longest frame.
    pub message: &'b mut [u8],
    /// Takes one message with the marks of its framing.
    pub wire: &'b mut [u8],
}

/// A connection, its framing, and the bytes between them and the stream.
#[derive(Debug)]
pub struct Pump<'k, 'b, F> {
    connection: Connection<'k>,
    framing: F,
    buffers: Buffers<'b>,
    input_start: usize,
    input_end: usize,
    stopped: Option<Stop>,
}

/// What is to be done next. What is to be written comes first, then the event is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Next<R> {
    /// How many bytes of [`Pump::wire`] are to be written to the stream.
    pub write: usize,
    /// What the caller made of the event; without one, and with nothing to write, more is to be read.
    pub event: Option<R>,
}

impl<'k, 'b, F: Framing> Pump<'k, 'b, F> {
    /// Starts a connection, and returns how many bytes of [`Pump::wire`] are to be written.
    ///
    /// # Errors
    ///
    /// As [`Connection::initiate`]; [`Error::OutputTooSmall`] when a buffer does not take M1.
    pub fn start(
        initiator: Initiator<'k>,
        single_use: SingleUse,
        settings: Settings,
        mut framing: F,
        buffers: Buffers<'b>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, usize), Error> {
        let Buffers {
            input,
            message,
            wire,
        } = buffers;
        let (connection, m1) =
            Connection::initiate(initiator, single_use, settings, &now, entropy, message)?;
        let write = framing.emit(m1, entropy, wire)?.len();
        let buffers = Buffers {
            input,
            message,
            wire,
        };
        let pump = Self {
            connection,
            framing,
            buffers,
            input_start: 0,
            input_end: 0,
            stopped: None,
        };
        Ok((pump, write))
    }

    /// Returns the connection.
    #[must_use]
    pub fn connection(&self) -> &Connection<'k> {
        &self.connection
    }

    /// Takes away the newest ticket that the hub gave.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.connection.take_ticket()
    }

    /// Returns the first `len` bytes to be written.
    #[must_use]
    pub fn wire(&self, len: usize) -> &[u8] {
        self.buffers.wire.get(..len).unwrap_or_default()
    }

    /// Returns where the stream's next bytes go. What was there has been taken in.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffers.input
    }

    /// Notes that the stream gave `len` bytes into [`Pump::space`].
    pub fn filled(&mut self, len: usize) {
        self.input_start = 0;
        self.input_end = len.min(self.buffers.input.len());
    }

    /// Works on what the stream gave. `take` is called with an event at most, `keeper` while M2 is awaited.
    ///
    /// # Errors
    ///
    /// [`Stop`], once what there was to write has been written.
    pub fn next<R>(
        &mut self,
        now: Now,
        keeper: &mut dyn TrustKeeper,
        entropy: &mut dyn Entropy,
        take: &mut dyn FnMut(Event<'_>) -> R,
    ) -> Result<Next<R>, Stop> {
        self.check()?;
        while self.input_start < self.input_end {
            let bytes = self.buffers.input.get(self.input_start..self.input_end);
            let absorbed = self
                .framing
                .absorb(bytes.unwrap_or_default())
                .map_err(Stop::Framing)?;
            self.input_start += absorbed.taken;
            let next = match absorbed.progress {
                Progress::Pending => continue,
                Progress::Message => self.handle_message(now, keeper, entropy, take)?,
                Progress::Answer => self.answer(entropy)?,
                Progress::Ended => {
                    self.stopped = Some(Stop::Truncated);
                    self.answer(entropy)?
                }
            };
            if next.write > 0 || next.event.is_some() || self.stopped.is_some() {
                return self.stop_or(next);
            }
        }
        Ok(Next {
            write: 0,
            event: None,
        })
    }

    fn handle_message<R>(
        &mut self,
        now: Now,
        keeper: &mut dyn TrustKeeper,
        entropy: &mut dyn Entropy,
        take: &mut dyn FnMut(Event<'_>) -> R,
    ) -> Result<Next<R>, Stop> {
        let mut context = Context {
            now,
            entropy: &mut *entropy,
            responding: None,
            keeper,
        };
        let outcome = self.connection.handle_message(
            self.framing.message(),
            &mut context,
            self.buffers.message,
        );
        let event = match outcome.event {
            Some(Event::Closed(closure)) => {
                self.stopped = Some(Stop::Closed(closure));
                None
            }
            other => other.map(take),
        };
        let write = match outcome.send {
            Some(message) => self
                .framing
                .emit(message, entropy, self.buffers.wire)
                .map_err(Stop::Own)?
                .len(),
            None => 0,
        };
        Ok(Next { write, event })
    }

    fn answer<R>(&mut self, entropy: &mut dyn Entropy) -> Result<Next<R>, Stop> {
        let answer = self.framing.emit_answer(entropy, self.buffers.wire);
        Ok(Next {
            write: answer.map_err(Stop::Own)?.len(),
            event: None,
        })
    }

    /// Attends to deadlines; returns how many bytes are to be written.
    ///
    /// # Errors
    ///
    /// [`Stop`], once what there was to write has been written.
    pub fn attend(&mut self, now: Now, entropy: &mut dyn Entropy) -> Result<usize, Stop> {
        self.check()?;
        let due = self
            .connection
            .deadline()
            .is_some_and(|deadline| now.instant >= deadline);
        if !due {
            return Ok(0);
        }
        let mut context = Context {
            now,
            entropy: &mut *entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let outcome = self
            .connection
            .handle_deadline(&mut context, self.buffers.message);
        if let Some(Event::Closed(closure)) = outcome.event {
            self.stopped = Some(Stop::Closed(closure));
        }
        let write = match outcome.send {
            Some(message) => self
                .framing
                .emit(message, entropy, self.buffers.wire)
                .map_err(Stop::Own)?
                .len(),
            None => 0,
        };
        self.stop_or(Next::<()> { write, event: None })
            .map(|next| next.write)
    }

    /// Checks that the connection goes on, once what there was to write has been written.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub fn check(&self) -> Result<(), Stop> {
        self.stopped.map_or(Ok(()), Err)
    }

    /// A stop is reported once nothing is left to be written before it.
    fn stop_or<R>(&self, next: Next<R>) -> Result<Next<R>, Stop> {
        match self.stopped {
            Some(stop) if next.write == 0 => Err(stop),
            _ => Ok(next),
        }
    }

    /// Seals an envelope; returns how many bytes are to be written.
    ///
    /// # Errors
    ///
    /// As [`Connection::send_envelope`].
    pub fn send_envelope(
        &mut self,
        envelope: &Envelope<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<usize, Error> {
        let frame = self
            .connection
            .send_envelope(envelope, self.buffers.message)?;
        Ok(self.framing.emit(frame, entropy, self.buffers.wire)?.len())
    }

    /// Seals an application message; returns how many bytes are to be written.
    ///
    /// # Errors
    ///
    /// As [`Connection::send_application`].
    pub fn send_application(
        &mut self,
        payload: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<usize, Error> {
        let frame = self
            .connection
            .send_application(payload, self.buffers.message)?;
        Ok(self.framing.emit(frame, entropy, self.buffers.wire)?.len())
    }

    /// Shows the responder a newer token; returns how many bytes are to be written.
    ///
    /// # Errors
    ///
    /// As [`Connection::renew`].
    pub fn renew(&mut self, new: &NewToken<'_>, entropy: &mut dyn Entropy) -> Result<usize, Error> {
        let frame = self.connection.renew(new, entropy, self.buffers.message)?;
        Ok(self.framing.emit(frame, entropy, self.buffers.wire)?.len())
    }

    /// Ends the connection; returns how many bytes are to be written.
    ///
    /// # Errors
    ///
    /// As [`Framing::emit`].
    pub fn close(&mut self, alert: Alert, entropy: &mut dyn Entropy) -> Result<usize, Error> {
        match self.connection.close(alert, self.buffers.message) {
            Some(frame) => Ok(self.framing.emit(frame, entropy, self.buffers.wire)?.len()),
            None => Ok(0),
        }
    }
}
