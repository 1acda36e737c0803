//! What a session hands to its peer.

use std::time::Duration;

use futures_lite::future;
use moorline_core::message::{Alert, Envelope};

use super::Session;
use super::again::What;
use super::end::End;
use crate::clock;
use crate::hub::{Input, Output};
use crate::line::sealed_len;
use crate::offline::Said;
use crate::transport::Transport;

/// How long a peer may take to take one message.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// What became of something that was to be sent.
#[derive(Clone, Copy)]
pub(super) enum Sent {
    Whole,
    /// The peer takes nothing that long.
    TooLong,
}

impl<T: Transport> Session<'_, T> {
    /// Says what has come to be for the peer.
    pub(super) async fn attend_offline(&mut self) -> Result<(), End> {
        while let Some(desk) = &mut self.desk {
            let Some(said) = desk.due(self.shared).await else {
                break;
            };
            self.say(said).await?;
        }
        Ok(())
    }

    pub(super) async fn say(&mut self, Said { message, command }: Said) -> Result<(), End> {
        let sent = self.handle_output(Output::Application(message)).await?;
        if let (Sent::TooLong, Some(command), Some(desk)) = (sent, command, &mut self.desk) {
            desk.not_sent(self.shared, command).await;
        }
        Ok(())
    }

    pub(super) async fn handle_output(&mut self, output: Output) -> Result<Sent, End> {
        if let (
            Some(answers),
            Output::Envelope {
                route,
                channel,
                inner,
            },
        ) = (&mut self.answers, &output)
        {
            answers.answer((*route, *channel), inner);
        }
        if matches!(output, Output::Envelope { .. } | Output::Application(_)) {
            self.place.entry().carry(clock::instant());
        }
        let len = sealed_len(T::FORM, output.payload_len());
        if self.out.len() < len {
            self.out.resize(len, 0);
        }
        let sealed = match &output {
            Output::Envelope {
                route,
                channel,
                inner,
            } => {
                let envelope = Envelope {
                    route: *route,
                    channel: *channel,
                    inner,
                };
                self.line
                    .connection_mut()
                    .send_envelope(&envelope, &mut self.out)
            }
            Output::Application(message) => self
                .line
                .connection_mut()
                .send_application(message, &mut self.out),
            // It has woken the session, which looks by itself.
            Output::Nudge => return Ok(Sent::Whole),
            Output::Close(code, argument) => {
                let alert = Alert {
                    code: *code,
                    argument: *argument,
                };
                self.place.entry().end();
                if let Some(frame) = self.line.close(alert, &mut self.out) {
                    write(self.transport, frame).await?;
                }
                return Err(End::ByHub(*code));
            }
        };
        match sealed {
            Ok(frame) => {
                write(self.transport, frame).await?;
                Ok(Sent::Whole)
            }
            Err(moorline_core::reason::Error::PayloadTooLong { limit }) => {
                tracing::warn!(
                    peer = self.peer,
                    limit,
                    "a message is longer than the peer takes"
                );
                if let (Output::Envelope { route, .. }, Some(session)) = (output, self.key) {
                    self.shared
                        .hub
                        .tell(Input::TooLong { session, route })
                        .await;
                }
                Ok(Sent::TooLong)
            }
            Err(error) => Err(End::Own(error)),
        }
    }

    /// Says again what may have been lost.
    pub(super) async fn say_again(&mut self, what: What) -> Result<(), End> {
        match what {
            What::FirstToken(first) => self.enrol(&first).await,
            What::Revoked => match self.shared.revoked_message() {
                Some(message) => self
                    .handle_output(Output::Application(message))
                    .await
                    .map(drop),
                None => Ok(()),
            },
        }
    }
}

/// Sends `bytes`; a peer that does not take them in time is given up.
pub(super) async fn write<T: Transport>(transport: &mut T, bytes: &[u8]) -> std::io::Result<()> {
    let late = async {
        smol::Timer::after(WRITE_PATIENCE).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    future::or(transport.send(bytes), late).await
}
