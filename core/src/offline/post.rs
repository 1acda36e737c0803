//! What an agent says to its hub about offline commands on one link after the other (PROTOCOL.md §10.4).

use super::agent::{CommandAnswer, Inbox, OfflineAgent, OfflineContext};
use super::carried::frame_name;
use super::layout::SIGNED_PREKEY_LEN;
use crate::limits::COMMAND_MILLIS;
use crate::message::{FrameName, FromHub, ToHub};
use crate::reason::Reason;
use crate::time::Instant;

/// An agent's part: it publishes its prekey once a link, and has one command at a time.
#[derive(Debug, Default)]
pub struct Post {
    prekey: Option<[u8; SIGNED_PREKEY_LEN]>,
    is_published: bool,
    /// Whether the hub knows that this end is ready for a command.
    has_asked: bool,
    /// The command that came last.
    last: FrameName,
    /// Whether this end is done with it and does not answer it.
    is_last_over: bool,
    /// Nothing is asked for before: commands came too fast.
    rest_until: Instant,
}

/// What became of a message of the hub.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery<'o> {
    /// A command that could be read: the message with its reply is to be sent to the hub.
    Answered {
        /// The message, a [`ToHub::GiveReply`].
        message: &'o [u8],
        /// Why the command did not run, for this end's logs.
        refused: Option<Reason>,
    },
    /// A command that is not answered, and why, for this end's logs.
    Silent(Reason),
    /// The message is about something else.
    Other,
}

impl Post {
    /// Returns the state of an agent without a prekey and without a link.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            prekey: None,
            is_published: false,
            has_asked: false,
            last: [0; 16],
            is_last_over: false,
            rest_until: Instant(0),
        }
    }

    /// Notes that a new link is open: its hub may have forgotten everything.
    pub fn begin(&mut self) {
        self.is_published = false;
        self.has_asked = false;
    }

    /// Has `prekey` published, on every link from now on. Its private half is in storage by now.
    pub fn publish(&mut self, prekey: [u8; SIGNED_PREKEY_LEN]) {
        self.prekey = Some(prekey);
        self.is_published = false;
    }

    /// Returns what is to be said to the hub at `now`, if anything is; it is called until nothing is. Commands of
    /// `max_command_len` bytes are taken.
    pub fn next(&mut self, now: Instant, max_command_len: u16) -> Option<ToHub<'_>> {
        let prekey = self.prekey.as_ref()?;
        if !core::mem::replace(&mut self.is_published, true) {
            return Some(ToHub::PublishPrekey {
                prekey,
                max_command_len,
            });
        }
        if self.has_asked || now < self.rest_until {
            return None;
        }
        self.has_asked = true;
        let is_over = core::mem::take(&mut self.is_last_over);
        Some(ToHub::NextCommand {
            taken: is_over.then_some(self.last),
        })
    }

    /// Handles a message of the hub. A command in it is decrypted where it stands, and runs; its reply is written to
    /// `scratch`, and the message that carries it to `out`.
    pub fn handle<'o, const COUNTERS: usize, const REPLIES: usize, const TOKENS: usize>(
        &mut self,
        message: &mut [u8],
        inbox: &mut Inbox<COUNTERS, REPLIES, TOKENS>,
        agent: &OfflineAgent<'_>,
        context: &mut OfflineContext<'_>,
        scratch: &mut [u8],
        out: &'o mut [u8],
    ) -> Delivery<'o> {
        let len = match FromHub::decode(message) {
            Ok(FromHub::Command { frame }) => frame.len(),
            Err(reason) => return Delivery::Silent(reason),
            Ok(_) => return Delivery::Other,
        };
        let start = message.len().saturating_sub(len);
        let frame = message.get_mut(start..).unwrap_or_default();
        self.last = frame_name(frame);
        self.has_asked = false;
        self.is_last_over = false;
        let now = context.now.instant;
        match inbox.handle_command(frame, agent, context, scratch) {
            Ok(answer) => {
                let refused = match &answer {
                    CommandAnswer::Refused { reason, .. } => Some(*reason),
                    CommandAnswer::Ran { .. } | CommandAnswer::Repeated { .. } => None,
                };
                let reply = ToHub::GiveReply {
                    reply: answer.reply(),
                };
                match reply.encode(out) {
                    Ok(message) => Delivery::Answered { message, refused },
                    Err(_) => {
                        self.is_last_over = true;
                        Delivery::Silent(Reason::Length)
                    }
                }
            }
            // It has not been looked at, and comes again when it is asked for.
            Err(reason @ Reason::CommandRate) => {
                self.rest_until = now.plus(COMMAND_MILLIS);
                Delivery::Silent(reason)
            }
            Err(reason) => {
                self.is_last_over = true;
                Delivery::Silent(reason)
            }
        }
    }

    /// Notes that the reply to the last command cannot be sent on this link: the hub is to forget the command.
    pub fn give_up(&mut self) {
        self.is_last_over = true;
    }
}
