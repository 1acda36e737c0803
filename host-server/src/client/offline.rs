//! A commander's part in offline commands (PROTOCOL.md §10.4, §12).

use std::time::Duration;

use moorline_core::handshake::WantedAgent;
use moorline_core::limits::MAX_OFFLINE_COMMAND_LEN;
use moorline_core::message::{Command, FrameName, FromHub, OfflineRefusal, Reply, ToHub};
use moorline_core::offline::{
    AgentPrekey, Order, PendingReply, RefusalCode, ReplyOutcome, TokenForm, answered_frame,
    seal_command,
};
use moorline_core::reason::Error;
use moorline_core::time::UnixMillis;
use moorline_core::token::AgentId;

use super::ledger::{Account, Ledger, MAX_OPEN_COMMANDS, OpenCommand};
use super::link::{PATIENCE, millis};
use super::{Client, ClientError};
use crate::clock;
use crate::entropy::SystemEntropy;

/// Longest message to the hub, in bytes.
const MAX_MESSAGE_LEN: usize = MAX_OFFLINE_COMMAND_LEN + 8;

/// A command for an agent that may be away.
#[derive(Debug, Clone, Copy)]
pub struct OfflineOrder<'a> {
    /// How the agent is called, for whoever reads the ledger.
    pub called: &'a str,
    /// The agent.
    pub agent: AgentId,
    /// The command.
    pub command: &'a Command<'a>,
    /// When it has lost its meaning; at most the token's end.
    pub not_after: UnixMillis,
    /// Whether the reply is to be signed by the agent's key.
    pub wants_signature: bool,
    /// How the token is presented.
    pub token_form: TokenForm,
}

/// What is known of a command that was left for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfflineOutcome<R> {
    /// It ran, and this is what was made of its reply.
    Result(R),
    /// The agent has taken it, and what it gave is lost: whether it ran to its end is not known.
    Lost,
    /// The agent has taken a command with this number or a higher one: whether it was this one is not known.
    Stale {
        /// The number.
        counter: u64,
    },
    /// The agent did not take this copy.
    Refused(RefusalCode),
    /// The hub keeps it for the agent.
    Waits,
    /// The hub has neither it nor a reply: whether it ran is not known.
    Silence,
}

impl<R> OfflineOutcome<R> {
    /// Returns whether something else may still become known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Waits | Self::Silence)
    }
}

impl Client<'_> {
    /// Seals the command to the agent's prekey and leaves it with the hub. When it returns the hub has stored it, and
    /// what opens the reply is in `ledger`, under the number that is returned.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After [`ClientError::Cut`] and the like the hub may have the command; it is in the ledger.
    pub async fn send_offline(
        &mut self,
        ledger: &Ledger,
        order: &OfflineOrder<'_>,
    ) -> Result<u64, ClientError> {
        if ledger.read(order.agent)?.open.len() >= MAX_OPEN_COMMANDS {
            return Err(ClientError::TooManyOpen);
        }
        let prekey = self.fetch_prekey(ledger, order.agent).await?;
        // The number is on the disk before anything is sealed under it.
        let counter = ledger.change(order.agent, Account::count)?;
        let (pending, frame) = self.seal(order, &prekey, counter)?;
        ledger.change(order.agent, |account| {
            let mut open = OpenCommand::new(
                order.called,
                order.command,
                counter,
                order.not_after,
                order.wants_signature,
            );
            open.add_copy(&pending);
            account.open.push(open);
        })?;
        self.give(&frame, &pending).await.inspect_err(|error| {
            // The hub says that it has it not: nothing will come of it.
            if matches!(error, ClientError::NotKept(_)) {
                let _ = ledger.change(order.agent, |account| account.close(counter));
            }
        })?;
        Ok(counter)
    }

    /// Fetches the reply to the command of `counter` from the hub, and waits for it for `patience`. Where the agent needs
    /// the token the command is sealed again, under the same number.
    ///
    /// The reply stays with the hub, and the command open, until [`Client::close_offline`].
    ///
    /// # Errors
    ///
    /// [`ClientError`]; nothing is changed then.
    pub async fn fetch_offline<R>(
        &mut self,
        ledger: &Ledger,
        agent: AgentId,
        counter: u64,
        patience: Duration,
        take: impl FnOnce(&Reply<'_>) -> R,
    ) -> Result<OfflineOutcome<R>, ClientError> {
        let give_up = clock::instant().plus(millis(patience));
        loop {
            let mut account = ledger.read(agent)?;
            let open = account.find(counter).ok_or(ClientError::NotInLedger)?;
            let pending = open.pending().ok_or(ClientError::NotInLedger)?;
            let frame = pending.frame().prefix();
            let left = Duration::from_millis(give_up.since(clock::instant()));
            let mut reply = match self.ask_for_reply(frame, left).await? {
                Fetched::Reply(reply) => reply,
                Fetched::Waits => return Ok(OfflineOutcome::Waits),
                Fetched::Nothing => return Ok(OfflineOutcome::Silence),
            };
            return Ok(
                match pending.open(&mut reply).map_err(ClientError::BadReply)? {
                    ReplyOutcome::Result(reply) => OfflineOutcome::Result(take(&reply)),
                    ReplyOutcome::Lost => OfflineOutcome::Lost,
                    ReplyOutcome::Stale { counter } => OfflineOutcome::Stale { counter },
                    ReplyOutcome::Refused(code) => OfflineOutcome::Refused(code),
                    ReplyOutcome::TokenNeeded => {
                        let open = open.clone();
                        self.seal_again(ledger, agent, &open).await?;
                        self.forget_reply(frame).await?;
                        continue;
                    }
                },
            );
        }
    }

    /// Ends the wait for the reply to the command of `counter`, whose outcome has been seen.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn close_offline<R>(
        &mut self,
        ledger: &Ledger,
        agent: AgentId,
        counter: u64,
        outcome: &OfflineOutcome<R>,
    ) -> Result<(), ClientError> {
        let frame = ledger.change(agent, |account| {
            if let OfflineOutcome::Stale { counter } = outcome {
                account.go_on_from(*counter);
            }
            let frame = account.find(counter).and_then(|open| open.frame());
            account.close(counter);
            frame
        })?;
        match frame {
            Some(frame) => self.forget_reply(frame).await,
            None => Ok(()),
        }
    }

    /// Seals the command again with the token in full and the same number: of its copies one runs.
    async fn seal_again(
        &mut self,
        ledger: &Ledger,
        agent: AgentId,
        open: &OpenCommand,
    ) -> Result<(), ClientError> {
        let command = Command {
            name: &open.name,
            arguments: open.arguments.iter().map(String::as_str).collect(),
        };
        let prekey = self.fetch_prekey(ledger, agent).await?;
        let order = OfflineOrder {
            called: &open.agent,
            agent,
            command: &command,
            not_after: UnixMillis(open.not_after),
            wants_signature: open.wants_signature,
            token_form: TokenForm::Full,
        };
        let (pending, frame) = self.seal(&order, &prekey, open.counter)?;
        ledger.change(agent, |account| {
            if let Some(open) = account.find(open.counter) {
                open.add_copy(&pending);
            }
        })?;
        self.give(&frame, &pending).await
    }

    fn seal(
        &self,
        order: &OfflineOrder<'_>,
        prekey: &AgentPrekey,
        counter: u64,
    ) -> Result<(PendingReply, Vec<u8>), ClientError> {
        let mut out = vec![0; MAX_OFFLINE_COMMAND_LEN];
        let order = Order {
            key: self.commander().key,
            token: self.commander().token,
            token_form: order.token_form,
            command: order.command,
            counter,
            not_after: order.not_after,
            wants_signature: order.wants_signature,
        };
        let now = clock::now().unix;
        match seal_command(&order, prekey, now, &mut SystemEntropy, &mut out) {
            Ok((pending, frame)) => Ok((pending, frame.to_vec())),
            Err(Error::OutputTooSmall { .. }) => Err(ClientError::TooLong),
            Err(error) => Err(ClientError::Own(error)),
        }
    }

    /// Fetches the agent's prekey, checks it, and notes that it was seen.
    async fn fetch_prekey(
        &mut self,
        ledger: &Ledger,
        agent: AgentId,
    ) -> Result<AgentPrekey, ClientError> {
        let is_lossy = self.link_mut().is_lossy();
        let question = ToHub::FetchBundle { agent: agent.0 };
        let bundle = self
            .ask_hub(&question, PATIENCE, |message| match message {
                // What was asked for again comes twice.
                FromHub::Bundle { bundle } if is_lossy && !is_of(bundle, agent) => None,
                FromHub::Bundle { bundle } => Some(Ok(bundle.to_vec())),
                FromHub::OfflineRefused { about, refusal } if *about == agent.0 => {
                    Some(Err(ClientError::NotKept(*refusal)))
                }
                _ => None,
            })
            .await??;
        let commander = self.commander();
        let wanted = WantedAgent {
            id: agent,
            anchors: commander.anchors,
            audience: commander.audience,
        };
        let now = clock::now();
        ledger.change(agent, |account| {
            let seen = account.seen();
            let prekey = AgentPrekey::check(&bundle, &wanted, &|_| false, seen.as_ref(), &now)
                .map_err(ClientError::WrongPrekey)?;
            account.saw(&prekey.seen(seen.as_ref()));
            Ok(prekey)
        })?
    }

    /// Hands a command in; when it returns, the hub has stored it.
    async fn give(&mut self, frame: &[u8], pending: &PendingReply) -> Result<(), ClientError> {
        let name: FrameName = pending.frame().prefix();
        let question = ToHub::GiveCommand { frame };
        self.ask_hub(&question, PATIENCE, |message| match message {
            FromHub::CommandKept { frame } if *frame == name => Some(Ok(())),
            FromHub::OfflineRefused { about, refusal } if *about == name => {
                Some(Err(ClientError::NotKept(*refusal)))
            }
            _ => None,
        })
        .await?
    }

    async fn ask_for_reply(
        &mut self,
        name: FrameName,
        patience: Duration,
    ) -> Result<Fetched, ClientError> {
        let wait = !patience.is_zero();
        let is_lossy = self.link_mut().is_lossy();
        let heard = self
            .ask_hub(
                &ToHub::FetchReply { frame: name, wait },
                if wait { patience } else { PATIENCE },
                |message| match message {
                    // What was asked for again comes twice.
                    FromHub::Reply { reply } if is_lossy && answered_frame(reply) != Ok(name) => {
                        None
                    }
                    FromHub::Reply { reply } => Some(Fetched::Reply(reply.to_vec())),
                    FromHub::NoReply { frame, waits } if *frame == name => Some(if *waits {
                        Fetched::Waits
                    } else {
                        Fetched::Nothing
                    }),
                    _ => None,
                },
            )
            .await;
        match heard {
            Err(ClientError::Late(_)) if wait => Ok(Fetched::Waits),
            heard => heard,
        }
    }

    /// Has the hub forget a reply. It says nothing to that: over datagrams it is asked whether it has.
    async fn forget_reply(&mut self, frame: FrameName) -> Result<(), ClientError> {
        for _ in 0..MAX_FORGETS {
            let mut out = [0; 32];
            let message = ToHub::TakenReply { frame }.encode(&mut out);
            let message = message.map_err(|_| ClientError::TooLong)?;
            self.link_mut().send_application(message).await?;
            if !self.link_mut().is_lossy()
                || matches!(
                    self.ask_for_reply(frame, Duration::ZERO).await?,
                    Fetched::Nothing
                )
            {
                return Ok(());
            }
        }
        Err(ClientError::Late(PATIENCE))
    }

    async fn ask_hub<R>(
        &mut self,
        question: &ToHub<'_>,
        patience: Duration,
        take: impl Fn(&FromHub<'_>) -> Option<R>,
    ) -> Result<R, ClientError> {
        let mut out = vec![0; MAX_MESSAGE_LEN];
        let message = question
            .encode(&mut out)
            .map_err(|_| ClientError::TooLong)?;
        self.link_mut().ask(message, patience, take).await
    }
}

/// How often a hub is told over datagrams that a reply has been taken.
const MAX_FORGETS: usize = 8;

/// Returns whether `bundle` says that it is `agent`'s, whose id stands after its first byte (PROTOCOL.md §12.1).
fn is_of(bundle: &[u8], agent: AgentId) -> bool {
    bundle.get(1..=agent.0.len()) == Some(&agent.0[..])
}

/// What the hub has of a reply.
enum Fetched {
    Reply(Vec<u8>),
    Waits,
    Nothing,
}

/// Returns why the hub does not do its part.
pub(super) fn refusal_text(refusal: &OfflineRefusal) -> &'static str {
    match refusal {
        OfflineRefusal::UnknownAgent => "this token reaches no agent of that name",
        OfflineRefusal::NotPermitted => "this token does not permit that command",
        OfflineRefusal::NoPrekey => {
            "the hub has no prekey of this agent: it has not been connected in the last 7 days, or does not take \
             offline commands"
        }
        OfflineRefusal::Full => {
            "the hub keeps as many commands as it may, of yours or for this agent; `moorline replies` frees those that \
             are answered"
        }
        OfflineRefusal::TooLong => "the command is longer than the agent takes",
        OfflineRefusal::NotAfter => {
            "the command would have lost its meaning already, or keep it too long"
        }
        OfflineRefusal::BadMessage => "the hub does not take this message",
        OfflineRefusal::NotStored => "the hub could not store the command; try again",
    }
}
