//! What agents say by themselves: what they noticed, and their logs (PROTOCOL.md §10.3).

use std::time::Duration;

use moorline_core::message::{Event, FromAgent, Log};
use moorline_core::token::AgentId;

use super::commander::Heard;
use super::link::millis;
use super::{Client, ClientError};
use crate::clock;

/// Something that an agent said by itself.
#[derive(Debug)]
pub enum Report<'m> {
    /// Something that it noticed, after the command `watch`.
    Event(Box<Event<'m>>),
    /// A piece of its log, after the command `log follow`.
    Log(Log<'m>),
}

/// Most reports that wait to be taken; beyond them the oldest is dropped.
const MAX_WAITING: usize = 1024;

impl Client<'_> {
    /// Waits for the next thing that an agent says by itself, at most `patience`, and returns what `take` makes of it.
    ///
    /// Agents say nothing by themselves to who has not asked: see the commands `watch` and `log`. What is said while a
    /// reply is waited for comes here afterwards.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the hub or the channel is gone; what was asked for has ended with it.
    pub async fn report<R>(
        &mut self,
        patience: Duration,
        take: impl FnOnce(AgentId, &Report<'_>) -> R,
    ) -> Result<Option<R>, ClientError> {
        let due = clock::instant().plus(millis(patience));
        loop {
            if let Some(heard) = self.reports.pop_front() {
                let report = match FromAgent::decode(&heard.message) {
                    Ok(FromAgent::Event(event)) => Report::Event(Box::new(event)),
                    Ok(FromAgent::Log(log)) => Report::Log(log),
                    // An answer that came too late for who had asked.
                    Ok(FromAgent::Response(_)) => continue,
                    Err(reason) => return Err(ClientError::Malformed(reason)),
                };
                return Ok(Some(take(heard.agent, &report)));
            }
            if clock::instant() >= due {
                return Ok(None);
            }
            if let Some(heard) = self.wait(Some(due)).await? {
                self.keep_report(heard);
            }
        }
    }

    /// Keeps what an agent said until it is taken.
    pub(super) fn keep_report(&mut self, heard: Heard) {
        if self.reports.len() >= MAX_WAITING {
            self.reports.pop_front();
        }
        self.reports.push_back(heard);
    }
}
