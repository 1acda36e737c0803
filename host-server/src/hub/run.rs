//! The hub's task.

use std::sync::Arc;

use futures_lite::future;
use moorline_core::message::{
    AgentEntry, AlertCode, FromHub, MAX_AGENT_ENTRIES, RouteRefusal, ToHub, is_carried,
};
use moorline_core::token::AgentId;

use super::directory::Directory;
use super::routes::{Cut, Routes};
use super::{Identity, Input, Output, SessionKey};
use crate::access::{Act, Denial, Holder, check};
use crate::audit::{Event, Kind};
use crate::clock;
use crate::config::Limits;
use crate::metrics::{Metrics, level};
use crate::standing::Standing;
use crate::witness::Witness;

/// Inputs that wait for the hub's task; a session that has one more waits itself.
const INPUT_QUEUE: usize = 1024;

/// Longest message of the hub to a peer's application in bytes: eight agents with names of 32.
const MAX_APPLICATION_LEN: usize = 1024;

/// How the rest of the daemon reaches the hub.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle(async_channel::Sender<Input>);

impl HubHandle {
    /// Tells the hub something; waits while it is busy. Returns whether there is still a hub.
    pub(crate) async fn tell(&self, input: Input) -> bool {
        self.0.send(input).await.is_ok()
    }

    /// Returns how many inputs wait for the hub's task.
    pub(crate) fn queue_len(&self) -> usize {
        self.0.len()
    }
}

/// The hub.
#[derive(Debug)]
pub(crate) struct Hub {
    inputs: async_channel::Receiver<Input>,
    standing: Standing,
    directory: Directory,
    routes: Routes,
    witness: Witness,
    metrics: Arc<Metrics>,
}

impl Hub {
    /// Returns the hub and the way to it.
    pub(crate) fn new(
        standing: Standing,
        limits: &Limits,
        witness: Witness,
        metrics: Arc<Metrics>,
    ) -> (Self, HubHandle) {
        let (sender, inputs) = async_channel::bounded(INPUT_QUEUE);
        let mut directory = Directory::default();
        directory.set_limits(limits.commander_sessions);
        let routes = Routes::new(limits.channels, limits.channel_idle_millis);
        (
            Self {
                inputs,
                standing,
                directory,
                routes,
                witness,
                metrics,
            },
            HubHandle(sender),
        )
    }

    /// Works until nobody can reach the hub any more, or it has drained.
    pub(crate) async fn run(mut self) {
        loop {
            let input = match self.routes.deadline() {
                None => self.inputs.recv().await.map(Some),
                Some(deadline) => {
                    let late = async {
                        clock::sleep_until(deadline).await;
                        Ok(None)
                    };
                    future::or(async { self.inputs.recv().await.map(Some) }, late).await
                }
            };
            match input {
                Err(_) => return,
                Ok(None) => self.routes.expire(clock::instant()),
                Ok(Some(Input::Drain(drain))) => {
                    tracing::info!(sessions = self.directory.len(), "saying goodbye");
                    self.directory
                        .end_all(AlertCode::GoingAway, || drain.hint());
                    return;
                }
                Ok(Some(input)) => self.handle(input),
            }
            self.metrics.channels.set(level(self.routes.len()));
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Opened {
                session,
                identity,
                token,
                outbox,
            } => {
                tracing::info!(session = %Hex(&session.0), peer = identity.name(), "session open");
                let is_revoked = self.standing.is_revoked(&token);
                let is_commander = matches!(identity, Identity::Commander { .. });
                let ended = self.directory.open(session, identity, token, outbox);
                if is_commander && ended > 0 {
                    self.metrics.limit_hit("commander_sessions");
                }
                // It may have been revoked since it was looked at.
                if is_revoked {
                    self.directory.end(session, AlertCode::Revoked, 0);
                }
            }
            Input::Renewed {
                session,
                identity,
                token,
                rekeyed,
            } => {
                if rekeyed {
                    self.directory.end_others(session, identity.name());
                }
                let is_revoked = self.standing.is_revoked(&token);
                self.directory.renew(session, identity, token);
                if is_revoked {
                    self.directory.end(session, AlertCode::Revoked, 0);
                }
            }
            Input::Closed { session } => {
                self.directory.close(session);
                let cut = self.routes.leave(session);
                self.report(&cut);
            }
            Input::Envelope {
                session,
                route,
                channel,
                inner,
            } => match self.directory.identity(session).cloned() {
                Some(Identity::Agent { name, .. }) => {
                    self.carry_to_commander(session, &name, &route, inner);
                }
                Some(Identity::Commander {
                    name,
                    permissions,
                    scope,
                }) => {
                    let agent = AgentId(route);
                    let who = Holder {
                        name: &name,
                        permissions,
                        scope: &scope,
                    };
                    let carried = self.may_carry(&who, &agent, &inner);
                    let carried = carried
                        .and_then(|()| self.carry_to_agent(&name, session, channel, agent, inner));
                    if let Err(refusal) = carried {
                        self.note_refusal(&name, session, &agent, refusal);
                        tracing::debug!(peer = name, %agent, ?refusal, "not carried");
                        self.refuse(session, channel, refusal);
                    }
                }
                None => {}
            },
            Input::TooLong { session, route } => {
                let asked = self
                    .routes
                    .answer(session, &route, clock::instant())
                    .cloned();
                if let Some(asked) = asked {
                    self.refuse(asked.commander, asked.channel, RouteRefusal::BadMessage);
                }
            }
            Input::Application { session, message } => self.answer_peer(session, &message),
            Input::Revoked(done) => {
                let standing = &self.standing;
                self.directory
                    .end_revoked(|token| standing.is_revoked(token));
                let _ = done.try_send(());
            }
            Input::ToAgents { message } => self.directory.tell_agents(&message),
            Input::ToAll { message } => self.directory.tell_all(&message),
            Input::EndAll(drain) => {
                self.directory
                    .end_all(AlertCode::GoingAway, || drain.hint());
            }
            Input::Limits(limits) => {
                self.directory.set_limits(limits.commander_sessions);
                self.routes
                    .set_limits(limits.channels, limits.channel_idle_millis);
            }
            Input::Nudge(whom) => self.directory.nudge(&whom),
            Input::Ping(answer) => {
                let _ = answer.try_send(());
            }
            Input::Drain(_) => {}
        }
    }

    /// Checks that a commander may speak with that agent. What it may not reach is unknown to it.
    fn may_carry(
        &self,
        who: &Holder<'_>,
        agent: &AgentId,
        inner: &[u8],
    ) -> Result<(), RouteRefusal> {
        let registry = self.standing.registry();
        check(&registry, who, Act::Command(agent)).map_err(|denial| match denial {
            Denial::Unknown => RouteRefusal::UnknownAgent,
            Denial::NotPermitted => RouteRefusal::NotPermitted,
        })?;
        if is_carried(inner) {
            Ok(())
        } else {
            Err(RouteRefusal::BadMessage)
        }
    }

    fn carry_to_agent(
        &mut self,
        name: &str,
        commander: SessionKey,
        channel: u32,
        agent_id: AgentId,
        inner: Vec<u8>,
    ) -> Result<(), RouteRefusal> {
        let agent = self
            .directory
            .agent(&agent_id)
            .ok_or(RouteRefusal::Offline)?;
        let now = clock::instant();
        let is_new = !self.routes.is_known(commander, channel, agent);
        let route = self
            .routes
            .ask(commander, channel, agent, agent_id, now)
            .ok_or(RouteRefusal::Busy)?;
        let output = Output::Envelope {
            route,
            channel: 0,
            inner,
        };
        let len = output.payload_len();
        if is_new {
            let called = self.directory.identity(agent).map(Identity::name);
            let opened = Event::new(Kind::ChannelOpened)
                .subject(name)
                .session(commander);
            self.witness
                .note(opened.text("agent", called.unwrap_or_default()));
        }
        if self.directory.tell(agent, output) {
            self.metrics.routed(len);
            Ok(())
        } else {
            Err(RouteRefusal::Busy)
        }
    }

    fn carry_to_commander(
        &mut self,
        agent: SessionKey,
        name: &str,
        route: &[u8; 16],
        inner: Vec<u8>,
    ) {
        let Some(route) = self.routes.answer(agent, route, clock::instant()) else {
            tracing::debug!(peer = name, "what is on no commander's channel is dropped");
            return;
        };
        let commander = route.commander;
        let output = Output::Envelope {
            route: route.agent_id.0,
            channel: route.channel,
            inner,
        };
        let len = output.payload_len();
        // A channel bears losses. Ending the commander would let one agent cut it off from all others.
        if self.directory.tell(commander, output) {
            self.metrics.routed(len);
        } else {
            tracing::debug!(
                peer = name,
                "a commander does not keep up; a message is dropped"
            );
        }
    }

    /// Has it on record that a commander asked for what it may not have. What is not there at the moment, or is no
    /// message, is none of these.
    fn note_refusal(
        &self,
        name: &str,
        session: SessionKey,
        agent: &AgentId,
        refusal: RouteRefusal,
    ) {
        let kind = match refusal {
            RouteRefusal::UnknownAgent | RouteRefusal::NotPermitted => Kind::PermissionDenied,
            RouteRefusal::Busy => Kind::LimitHit,
            RouteRefusal::Offline | RouteRefusal::BadMessage => return,
        };
        let event = Event::new(kind).subject(name).session(session);
        self.witness.note(
            event
                .text("why", &format!("{refusal:?}"))
                .text("agent_id", &agent.to_string()),
        );
    }

    fn note_not_permitted(&self, session: SessionKey, asked: &str) {
        let name = self.directory.identity(session).map(Identity::name);
        let event = Event::new(Kind::PermissionDenied)
            .subject(name.unwrap_or_default())
            .session(session);
        self.witness.note(event.text("asked", asked));
    }

    fn report(&mut self, cut: &[Cut]) {
        for channel in cut {
            self.refuse(channel.commander, channel.channel, RouteRefusal::Offline);
        }
    }

    fn refuse(&mut self, commander: SessionKey, channel: u32, refusal: RouteRefusal) {
        self.metrics.route_refused(refusal);
        self.say(commander, &FromHub::RouteRefused { channel, refusal });
    }

    fn answer_peer(&mut self, session: SessionKey, message: &[u8]) {
        let Ok(ToHub::ListAgents { after }) = ToHub::decode(message) else {
            self.directory.end(session, AlertCode::Protocol, 0);
            return;
        };
        let standing = self.standing.clone();
        let registry = standing.registry();
        let identity = self.directory.identity(session);
        let who = identity.and_then(Identity::holder);
        let may_list = |who: &Holder<'_>| check(&registry, who, Act::List).is_ok();
        let Some(who) = who.filter(may_list) else {
            self.note_not_permitted(session, "agents");
            self.say(session, &FromHub::NotPermitted);
            return;
        };
        let mut agents: Vec<(AgentId, &str)> = registry
            .agents()
            .filter(|(id, _)| after.is_none_or(|after| id.0 > after))
            .filter(|(id, _)| check(&registry, &who, Act::See(id)).is_ok())
            .map(|(id, name)| (*id, name))
            .collect();
        agents.sort_unstable_by_key(|(id, _)| id.0);
        let more = agents.len() > MAX_AGENT_ENTRIES;
        let entries = agents
            .into_iter()
            .take(MAX_AGENT_ENTRIES)
            .map(|(id, name)| AgentEntry {
                id: id.0,
                name,
                online: self.directory.agent(&id).is_some(),
            })
            .collect();
        self.say(session, &FromHub::Agents { entries, more });
    }

    fn say(&mut self, session: SessionKey, message: &FromHub<'_>) {
        let mut buffer = [0; MAX_APPLICATION_LEN];
        let Ok(bytes) = message.encode(&mut buffer) else {
            return;
        };
        if !self
            .directory
            .tell(session, Output::Application(bytes.to_vec()))
        {
            self.directory.end(session, AlertCode::Limit, 0);
        }
    }
}

/// Bytes in hexadecimal, for logs.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::token::AgentId;

    use super::*;
    use crate::standing::TokenName;
    use crate::store::{LoginLimits, Logins, Particulars, Peer, Registry, Revocations};

    #[test]
    fn a_peer_that_was_shut_out_on_its_way_in_does_not_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut registry = Registry::open(folder.path(), "moorline").expect("it is empty");
        let peer = Peer::new(Particulars::agent(None), "a key".into());
        registry.enrol("boiler", peer).expect("enrolled");
        assert!(registry.revoke("boiler").expect("on the disk"));
        let limits = crate::config::Config::default().limits;
        let revocations = Revocations::open(folder.path()).expect("there are none");
        let login_limits = LoginLimits::of(&crate::config::AccountSettings::default());
        let logins = Logins::open(folder.path(), login_limits, 0).expect("there are none");
        let (mut hub, _handle) = Hub::new(
            Standing::new(registry, revocations, logins),
            &limits,
            Witness::silent(),
            Arc::new(Metrics::new()),
        );
        let (outbox, output) = async_channel::bounded(4);
        // The gate let it pass before; the hub hears of the revocation first, and of the session after it.
        let name = "boiler".to_owned();
        hub.handle(Input::Revoked(async_channel::bounded(1).0));
        let id = AgentId::of("moorline", "boiler");
        hub.handle(Input::Opened {
            session: SessionKey([1; 8]),
            token: TokenName {
                subject: name.clone(),
                jti: [1; 16],
                key: [2; 32],
                generation: 1,
                kid: "kid".into(),
                issued_at: 0,
            },
            identity: Identity::Agent { name, id },
            outbox,
        });
        let told = output.try_recv().expect("it is told");
        assert!(
            matches!(*told, Output::Close(AlertCode::Revoked, _)),
            "{told:?}"
        );
        assert_eq!(hub.directory.len(), 0);
    }
}
