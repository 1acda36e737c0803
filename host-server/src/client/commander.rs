//! A commander at work.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_lite::future;
use moorline_core::connection::NewToken;
use moorline_core::crypto::{PUBLIC_KEY_LEN, PublicKey, SigningKey};
use moorline_core::handshake::Ticket;
use moorline_core::limits::RESEND_MILLIS;
use moorline_core::message::{
    Command, ENVELOPE_HEADER_LEN, Envelope, FromAgent, FromHub, Reply, Request, Response,
    RouteRefusal, ToHub,
};
use moorline_core::reason::Reason;
use moorline_core::time::Instant;
use moorline_core::token::{AgentId, TrustAnchors, UnpackedToken};
use moorline_core::trust::{IssuerKeys, STATEMENT_LEN, TrustStore};

use super::ClientError;
use super::again::Again;
use super::channel::{Channel, Step};
use super::link::{Got, Link, PATIENCE, PAYLOAD_LEN};
use super::trust_file::TrustFile;
use crate::clock;

/// Milliseconds after which a channel over datagrams that is not open is begun again: by then all its messages have been
/// sent as often as they are (PROTOCOL.md §6.3).
const CHANNEL_MILLIS: u64 = 8 * RESEND_MILLIS;

/// Who a commander is, and whom it trusts.
#[derive(Debug, Clone, Copy)]
pub struct Commander<'k> {
    /// Its key.
    pub key: &'k SigningKey,
    /// Its token.
    pub token: UnpackedToken<'k>,
    /// The keys that it takes for the hub's.
    pub trust: &'k TrustStore,
    /// Where they are kept when they change; without one it does not follow the hub to another key.
    pub keeper: Option<&'k TrustFile>,
    /// The issuers whose tokens count: agents show theirs.
    pub anchors: &'k TrustAnchors,
    /// The audience that an agent's token must name: the hub's name.
    pub audience: &'k str,
}

/// One agent of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Whether it has a session at this moment.
    pub online: bool,
}

/// How long things on the wire were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the frame that carried the command to the hub.
    pub request_len: usize,
    /// Bytes of the frame that carried the reply from the hub.
    pub reply_len: usize,
}

/// A connection of a commander to its hub, open, and its channels to agents.
#[derive(Debug)]
pub struct Client<'k> {
    commander: Commander<'k>,
    link: Link<'k>,
    channels: Vec<Channel<'k>>,
    /// What agents left for the next channel to them.
    tickets: HashMap<AgentId, Ticket>,
    /// What agents said by themselves and nobody has taken yet, the oldest first.
    pub(super) reports: VecDeque<Heard>,
    next_id: u32,
}

/// A message of an agent's, and how long its frame was.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) agent: AgentId,
    pub(super) message: Vec<u8>,
    len: usize,
}

impl<'k> Client<'k> {
    /// Connects to the hub at `url`, which is proved by its pins.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; to a hub that is not proved nothing is told.
    pub async fn connect(url: &str, commander: Commander<'k>) -> Result<Self, ClientError> {
        Self::open(url, commander, None).await
    }

    /// Connects as [`Client::connect`] does, without a signature where the hub still takes `ticket`.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn resume(
        url: &str,
        commander: Commander<'k>,
        ticket: Ticket,
    ) -> Result<Self, ClientError> {
        match Self::open(url, commander, Some(ticket)).await {
            // Somebody else used it up meanwhile, or its proof is wrong: the next attempt is in full.
            Err(ClientError::CredentialRefused | ClientError::Cut | ClientError::WrongHub(_)) => {
                Self::open(url, commander, None).await
            }
            opened => opened,
        }
    }

    async fn open(
        url: &str,
        commander: Commander<'k>,
        ticket: Option<Ticket>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            commander,
            link: Link::open(url, commander, ticket).await?,
            channels: Vec::new(),
            tickets: HashMap::new(),
            reports: VecDeque::new(),
            next_id: 0,
        })
    }

    /// Takes away the newest ticket that the hub gave, for [`Client::resume`]. It is kept as the key is.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.link.take_ticket()
    }

    /// Takes away the newest ticket that `agent` gave. It is kept as the key is.
    pub fn take_agent_ticket(&mut self, agent: AgentId) -> Option<Ticket> {
        self.tickets.remove(&agent)
    }

    /// Takes in a ticket that `agent` gave an earlier client: the channel to it then costs the agent no signature.
    pub fn give_agent_ticket(&mut self, agent: AgentId, ticket: Ticket) {
        self.tickets.insert(agent, ticket);
    }

    /// Returns whether the session with the hub rests on a ticket.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        let facts = self.link.connection().facts();
        facts.is_some_and(|facts| facts.resumed)
    }

    /// Sends `command` to `agent` and waits for its reply, at most `patience`. `take` makes what is wanted of it.
    ///
    /// A channel to the agent is opened first, unless there is one: the agent proves itself and judges the token, and
    /// the hub between reads neither command nor reply.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After [`ClientError::Late`] the command may have run.
    pub async fn send<R>(
        &mut self,
        agent: AgentId,
        command: Command<'_>,
        patience: Duration,
        take: impl FnOnce(&Reply<'_>) -> R,
    ) -> Result<(R, Sent), ClientError> {
        let late = async {
            smol::Timer::after(patience).await;
            Err(ClientError::Late(patience))
        };
        let answered = future::or(self.ask(agent, command), late).await;
        let channel = self
            .channels
            .iter()
            .position(|channel| channel.agent == agent);
        match (answered, channel) {
            (Ok((message, sent)), _) => match response(&message) {
                Some(response) => Ok((take(&response.reply), sent)),
                None => Err(ClientError::Malformed(Reason::Malformed)),
            },
            // Whatever is wrong with the channel, the next command opens a new one.
            (Err(error), Some(channel)) => {
                let channel = self.channels.swap_remove(channel);
                let never_opened = matches!(error, ClientError::Late(_)) && !channel.is_open();
                Err(never_opened
                    .then(|| channel.suspicion())
                    .flatten()
                    .unwrap_or(error))
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(
        &mut self,
        agent: AgentId,
        command: Command<'_>,
    ) -> Result<(Vec<u8>, Sent), ClientError> {
        let place = self.open_channel(agent).await?;
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let mut message = vec![0; usize::from(PAYLOAD_LEN)];
        let message = Request { id, command }
            .encode(&mut message)
            .map_err(|_| ClientError::TooLong)?;
        let channel = self.channels.get_mut(place).ok_or(ClientError::Cut)?;
        let (inner, number) = (channel.seal(message)?, channel.number);
        let request_len = self.carry(agent, number, &inner).await?;
        let mut again = Again::new(self.link.is_lossy());
        loop {
            let got = self.wait(again.due()).await?;
            // The same frame: the agent takes it once, however often it comes.
            if again.is_due() {
                self.carry(agent, number, &inner).await?;
            }
            let Some(got) = got else {
                continue;
            };
            let answered = response(&got.message).map(|response| response.id);
            if got.agent == agent && answered == Some(id) {
                let sent = Sent {
                    request_len,
                    reply_len: got.len,
                };
                return Ok((got.message, sent));
            }
            if answered.is_none() {
                self.keep_report(got);
            }
        }
    }

    /// Opens a channel to `agent`, unless there is one, and returns its place.
    async fn open_channel(&mut self, agent: AgentId) -> Result<usize, ClientError> {
        let is_to = |channel: &Channel<'_>| channel.agent == agent;
        if !self.channels.iter().any(is_to) {
            let ticket = self.tickets.remove(&agent);
            self.start_channel(agent, ticket).await?;
        }
        let mut again = self.channel_again();
        loop {
            let place = self.channels.iter().position(is_to);
            let place = place.ok_or(ClientError::Cut)?;
            let channel = self.channels.get_mut(place).ok_or(ClientError::Cut)?;
            if channel.is_open() {
                if let Some(ticket) = channel.take_ticket() {
                    self.tickets.insert(agent, ticket);
                }
                return Ok(place);
            }
            let rests_on_ticket = channel.rests_on_ticket;
            match self.wait(again).await {
                // Nothing was said on it yet: on a line that loses much another one may open.
                Ok(_) if again.is_some_and(|again| clock::instant() >= again) => {
                    self.channels.swap_remove(place);
                    self.start_channel(agent, None).await?;
                    again = self.channel_again();
                }
                Ok(_) => {}
                // Somebody else used it up meanwhile: the next attempt is in full.
                Err(ClientError::RefusedByAgent) if rests_on_ticket => {
                    self.channels.swap_remove(place);
                    self.start_channel(agent, None).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns when a channel that begins now, and does not open, is begun again: never on a stream, which loses nothing.
    fn channel_again(&self) -> Option<Instant> {
        let is_lossy = self.link.is_lossy();
        is_lossy.then(|| clock::instant().plus(CHANNEL_MILLIS))
    }

    async fn start_channel(
        &mut self,
        agent: AgentId,
        ticket: Option<Ticket>,
    ) -> Result<(), ClientError> {
        self.next_id = self.next_id.wrapping_add(1);
        let number = self.next_id;
        let (channel, m1) = Channel::start(self.commander, agent, number, ticket)?;
        self.channels.push(channel);
        self.carry(agent, number, &m1).await?;
        Ok(())
    }

    pub(super) fn commander(&self) -> Commander<'k> {
        self.commander
    }

    pub(super) fn link_mut(&mut self) -> &mut Link<'k> {
        &mut self.link
    }

    /// Has the hub say which keys of the issuer came after those that are known, and takes them into `keys`. Returns whether
    /// there were any: then they are to be kept, and [`Client::trust_issuers`] lets them count.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::WrongIssuer`] for a statement that leads on from no key that is known.
    pub async fn follow_issuers(&mut self, keys: &mut IssuerKeys) -> Result<bool, ClientError> {
        let before = keys.clone();
        loop {
            let mut message = [0; 32];
            let after = keys.newest();
            let message = ToHub::FetchIssuers { after }
                .encode(&mut message)
                .map_err(|_| ClientError::TooLong)?;
            let root = self.commander.trust.root();
            let mut is_first = true;
            let take = |said: &FromHub<'_>| match said {
                FromHub::Issuers { statements, more } => {
                    let followed = follow(keys, statements, root);
                    // The newest is said unasked when a link opens, and may be too new.
                    let is_unasked = std::mem::take(&mut is_first);
                    match followed {
                        Err(Reason::RotationSigner) if is_unasked => None,
                        Err(reason) => Some(Err(ClientError::WrongIssuer(reason))),
                        Ok(()) => Some(Ok(*more)),
                    }
                }
                _ => None,
            };
            let more = self.link.ask(message, PATIENCE, take).await??;
            if !more || keys.newest() == after {
                return Ok(*keys != before);
            }
        }
    }

    /// Lets the tokens of `anchors` count from now on.
    pub fn trust_issuers(&mut self, anchors: &'k TrustAnchors) {
        self.commander.anchors = anchors;
    }

    /// Lists the agents that the token reaches.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn agents(&mut self) -> Result<Vec<Agent>, ClientError> {
        let mut agents: Vec<Agent> = Vec::new();
        loop {
            let after = agents.last().map(|agent| agent.id.0);
            let mut message = [0; 32];
            let message = ToHub::ListAgents { after }
                .encode(&mut message)
                .map_err(|_| ClientError::TooLong)?;
            let take = |answer: &FromHub<'_>| match answer {
                // What was asked for again comes twice.
                FromHub::Agents { entries, .. }
                    if entries.first().is_some_and(|first| Some(first.id) <= after) =>
                {
                    None
                }
                FromHub::Agents { entries, more } => {
                    let entries = entries.iter().map(|entry| Agent {
                        id: AgentId(entry.id),
                        name: entry.name.into(),
                        online: entry.online,
                    });
                    Some(Ok((entries.collect::<Vec<_>>(), *more)))
                }
                FromHub::NotPermitted => Some(Err(ClientError::NotPermitted)),
                _ => None,
            };
            let (entries, more) = self.link.ask(message, PATIENCE, take).await??;
            let is_last = !more || entries.is_empty();
            agents.extend(entries);
            if is_last {
                return Ok(agents);
            }
        }
    }

    /// Asks the hub for a token that may follow the session's, under `key` when that is to be another one. Returns it
    /// unpacked. The session rests on it after [`Client::take_up`].
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::RenewalRefused`] when the hub gives none.
    pub async fn ask_token(&mut self, key: Option<&PublicKey>) -> Result<Vec<u8>, ClientError> {
        let key = key.map(PublicKey::to_bytes);
        let mut message = [0; PUBLIC_KEY_LEN + 8];
        let key = key.as_ref().map(<[u8; PUBLIC_KEY_LEN]>::as_slice);
        let message = ToHub::RenewToken { key }
            .encode(&mut message)
            .map_err(|_| ClientError::TooLong)?;
        let take = |answer: &FromHub<'_>| match answer {
            FromHub::Token { token } => Some(Ok(token.to_vec())),
            FromHub::TokenRefused => Some(Err(ClientError::RenewalRefused)),
            _ => None,
        };
        self.link.ask(message, PATIENCE, take).await?
    }

    /// Lets the session with the hub rest on `new`, a token of [`Client::ask_token`]. Tickets that the hub gives from
    /// then on lead to sessions on it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; after [`ClientError::RenewalRefused`] the session goes on as it was.
    pub async fn take_up(&mut self, new: &NewToken<'_>) -> Result<(), ClientError> {
        self.link.renew(new).await
    }

    /// Says goodbye to agents and hub and ends the connection.
    pub async fn close(mut self) {
        for mut channel in std::mem::take(&mut self.channels) {
            if let Some(goodbye) = channel.close() {
                // A hub that is gone carries no goodbye.
                let _ = self.carry(channel.agent, channel.number, &goodbye).await;
            }
        }
        self.link.close().await;
    }

    /// Waits for one thing to happen, until `due` at the latest, and returns it if it is a message of an agent's.
    pub(super) async fn wait(
        &mut self,
        due: Option<Instant>,
    ) -> Result<Option<Heard>, ClientError> {
        let own = self.channels.iter().filter_map(Channel::deadline);
        let due = own.chain(due).min();
        match self.link.wait(due).await? {
            Got::Envelope(mut payload, len) => {
                let envelope = Envelope::parse(&payload).map_err(ClientError::Malformed)?;
                let (agent, number) = (AgentId(envelope.route), envelope.channel);
                let inner = payload.get_mut(ENVELOPE_HEADER_LEN..).unwrap_or_default();
                let is_it =
                    |channel: &&mut Channel<'_>| channel.agent == agent && channel.number == number;
                let Some(channel) = self.channels.iter_mut().find(is_it) else {
                    return Ok(None);
                };
                let Step { send, message } = channel.handle(inner)?;
                if let Some(send) = send {
                    self.carry(agent, number, &send).await?;
                }
                Ok(message.map(|message| Heard {
                    agent,
                    message,
                    len,
                }))
            }
            Got::Application(message) => {
                self.take_refusal(&message)?;
                Ok(None)
            }
            Got::Late => {
                self.attend().await?;
                Ok(None)
            }
            Got::Open | Got::Enrolled(_) | Got::Renewed | Got::Nothing => Ok(None),
        }
    }

    async fn attend(&mut self) -> Result<(), ClientError> {
        let now = clock::instant();
        let due = |channel: &&mut Channel<'_>| channel.deadline().is_some_and(|due| now >= due);
        let Some(channel) = self.channels.iter_mut().find(due) else {
            return Ok(());
        };
        let (agent, number) = (channel.agent, channel.number);
        if let Some(send) = channel.attend()?.send {
            self.carry(agent, number, &send).await?;
        }
        Ok(())
    }

    /// Takes in that the hub does not carry what was sent on one of the channels.
    fn take_refusal(&self, message: &[u8]) -> Result<(), ClientError> {
        match FromHub::decode(message).map_err(ClientError::Malformed)? {
            FromHub::RouteRefused { channel, refusal } => {
                let refused = self.channels.iter().find(|own| own.number == channel);
                match refused {
                    // A handshake message is sent again by itself.
                    Some(channel) if refusal == RouteRefusal::Busy && !channel.is_open() => Ok(()),
                    Some(_) => Err(ClientError::NotCarried(refusal)),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn carry(
        &mut self,
        agent: AgentId,
        channel: u32,
        inner: &[u8],
    ) -> Result<usize, ClientError> {
        let envelope = Envelope {
            route: agent.0,
            channel,
            inner,
        };
        self.link.send_envelope(&envelope).await
    }
}

/// Takes `statements` into `keys`, each after the one before it.
fn follow(keys: &mut IssuerKeys, statements: &[u8], root: &PublicKey) -> Result<(), Reason> {
    for statement in statements.chunks(STATEMENT_LEN) {
        match keys.take(statement, root) {
            // What is known already says nothing new.
            Ok(()) | Err(Reason::RotationKey | Reason::RotationOld) => {}
            Err(reason) => return Err(reason),
        }
    }
    Ok(())
}

/// Returns the response in what an agent said, if it is one.
fn response(message: &[u8]) -> Option<Response<'_>> {
    match FromAgent::decode(message) {
        Ok(FromAgent::Response(response)) => Some(response),
        _ => None,
    }
}
