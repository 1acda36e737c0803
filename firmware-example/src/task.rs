//! The agent's life as a task of an executor: that of [`crate::agent`], with what waits awaited.
//!
//! It goes by the serial line, whichever road the device was provisioned for. While it waits others run; while it computes
//! they do not: see `README.md`, On an executor.

use embassy_time::{Instant, Timer};
use moorline_core::driver::nonblocking::{Link, Machine};
use moorline_core::driver::{Buffers, DriverError};
use moorline_core::framing::Delimited;
use moorline_core::trust::NoKeeper;

use crate::agent::{Agent, Memory};
use crate::board::{AsyncUart, Board, Wiped};
use crate::identity::BootError;
use crate::life;
use crate::life::{By, Otherwise};
use crate::road::{SERIAL_HANDSHAKE_MS, say_dropped};
use crate::serving::Said;
use crate::stream::{Line, LineError};

/// Why a connection ended.
type Lost = DriverError<LineError>;

impl Agent<AsyncUart> {
    /// Boots the agent on the serial line.
    ///
    /// # Errors
    ///
    /// The first [`BootError`].
    #[inline(never)]
    pub fn boot(board: Board, memory: &'static mut Memory) -> Result<Self, BootError> {
        Self::boot_on(board, memory, |_, _, uart, _, _| Ok(uart.into()))
    }

    /// Connects and serves, for ever.
    pub async fn run(mut self) -> ! {
        self.life.start(&mut self.entropy);
        loop {
            if let Err(lost) = self.attempt().await {
                let deadline_ms = self.life.lose(&lost, &mut self.entropy);
                while let Some(until_ms) = self.life.next_rest(deadline_ms) {
                    Timer::at(Instant::from_millis(until_ms)).await;
                }
            }
        }
    }

    /// Serves a link until it is lost, or finds out that the hub takes the next key and the device has not heard of it.
    async fn attempt(&mut self) -> Result<(), Lost> {
        let ended = Wiped::new(self.connect_and_serve(By::Token)).await;
        match self.life.otherwise(&ended) {
            None => ended,
            Some(Otherwise::Key) => Wiped::new(self.connect_and_serve(By::Key)).await,
            Some(Otherwise::NextKey(key)) => {
                Wiped::new(self.connect_and_serve(By::NextKey(&key))).await?;
                self.life.take_next_key();
                Ok(())
            }
        }
    }

    /// Opens a link and serves it until it is lost. A link by the next key is opened, and not served.
    async fn connect_and_serve(&mut self, by: By<'_>) -> Result<(), Lost> {
        let mut line = Line::new(&mut self.road, self.clock);
        let mut machine = Machine {
            clock: &mut self.clock,
            entropy: &mut self.entropy,
            keeper: &mut NoKeeper,
        };
        let wires = &mut *self.wires;
        let mut opening = self.life.begin(by);
        say_dropped(line.drain().await);
        let single_use = opening.single_use(machine.entropy)?;
        let mut link = Wiped::new(Link::connect(
            line,
            Delimited::new(&mut wires.assembly[..]),
            opening.initiator(),
            single_use,
            life::settings(SERIAL_HANDSHAKE_MS),
            Buffers {
                input: &mut wires.input,
                message: &mut wires.message,
                wire: &mut wires.wire,
            },
            &mut Machine {
                clock: machine.clock,
                entropy: machine.entropy,
                keeper: &mut opening.keeper(),
            },
        ))
        .await?;
        let Some(mut serving) = opening.serve(link.connection()) else {
            return Ok(());
        };
        loop {
            if let Some(ticket) = link.take_ticket() {
                serving.keep_ticket(ticket);
            }
            let heard = link.poll(&mut machine, |event| serving.take(event)).await?;
            serving.begin_turn(heard.is_none());
            while let Some(ready) = serving.next(machine.entropy) {
                let sent = match serving.said(ready) {
                    Some(Said::Token(token)) => link.renew(&token, machine.entropy).await,
                    Some(Said::Message(message)) => {
                        link.send_application(message, machine.entropy).await
                    }
                    Some(Said::Envelope(envelope)) => {
                        link.send_envelope(&envelope, machine.entropy).await
                    }
                    None => Ok(()),
                };
                serving.note_sent(ready, sent)?;
            }
            serving.end_turn();
        }
    }
}
