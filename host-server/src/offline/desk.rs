//! One session's part in offline commands.

use moorline_core::limits::PREKEY_MILLIS;
use moorline_core::message::{FrameName, FromHub, OfflineRefusal, ToHub};
use moorline_core::offline::{CommandLabel, PrekeyLabel, SIGNED_PREKEY_LEN, answered_frame};
use moorline_core::token::AgentId;

use crate::access::{Act, Denial, check};
use crate::audit::{Event, Kind};
use crate::clock;
use crate::hub::{Identity, Input, Nudged};
use crate::shared::Shared;
use crate::store::{Bundle, Registry, ReplyState};

/// How far an expiry may be beyond the seven days that a prekey and an offline token live: two clocks differ.
const LEEWAY_MILLIS: u64 = 60_000;

/// Prekeys that a session may publish: an agent makes one a day, and each costs a write.
const PREKEYS_PER_SESSION: u8 = 16;

/// Longest message beside what it carries, in bytes.
const AROUND: usize = 32;

/// What a session knows of its peer and waits for.
#[derive(Debug)]
pub(crate) struct Desk {
    identity: Identity,
    /// The first 8 bytes of the name of the peer's key.
    key_name: [u8; 8],
    /// The token that the peer is authenticated by.
    token: Vec<u8>,
    awaited: Option<Awaited>,
    prekeys_left: u8,
    /// The changes of the store up to which it was looked whether there is what is awaited.
    looked_at: u64,
}

/// What a session waits for.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    /// A command for the agent.
    Command,
    /// The reply to this command of the commander.
    Reply(FrameName),
}

/// What is to be said to a peer.
#[derive(Debug)]
pub(crate) struct Said {
    /// The message.
    pub(crate) message: Vec<u8>,
    /// The command in it.
    pub(crate) command: Option<FrameName>,
}

/// Why the hub does not do its part, and in what.
type Refused = ([u8; 16], OfflineRefusal);

impl Desk {
    /// Returns the part of a session of `identity`.
    pub(crate) fn new(identity: Identity, key_name: [u8; 8], token: Vec<u8>) -> Self {
        Self {
            identity,
            key_name,
            token,
            awaited: None,
            prekeys_left: PREKEYS_PER_SESSION,
            looked_at: 0,
        }
    }

    /// Notes that the session rests on a newer token.
    pub(crate) fn renew(&mut self, identity: Identity, key_name: [u8; 8], token: Vec<u8>) {
        self.identity = identity;
        self.key_name = key_name;
        self.token = token;
    }

    /// Does what the peer asks and returns what is to be said to it; `None` when it asks for something else.
    pub(crate) async fn handle(
        &mut self,
        shared: &Shared,
        message: &ToHub<'_>,
    ) -> Option<Option<Said>> {
        let done = match (message, self.identity.clone()) {
            (ToHub::ListAgents { .. }, _) => return None,
            (
                ToHub::PublishPrekey {
                    prekey,
                    max_command_len,
                },
                Identity::Agent { id, .. },
            ) => self.publish(shared, id, prekey, *max_command_len).await,
            (ToHub::NextCommand { taken }, Identity::Agent { id, .. }) => {
                self.next_command(shared, id, *taken).await
            }
            (ToHub::GiveReply { reply }, Identity::Agent { id, .. }) => {
                self.give_reply(shared, id, reply).await
            }
            (ToHub::FetchBundle { agent }, identity @ Identity::Commander { .. }) => {
                fetch_bundle(shared, &identity, AgentId(*agent)).await
            }
            (ToHub::GiveCommand { frame }, identity @ Identity::Commander { .. }) => {
                self.give_command(shared, identity, frame).await
            }
            (ToHub::FetchReply { frame, wait }, Identity::Commander { name, .. }) => {
                self.fetch_reply(shared, &name, *frame, *wait).await
            }
            (ToHub::TakenReply { frame }, Identity::Commander { name, .. }) => {
                let frame = *frame;
                let forget = move |store: &mut crate::store::OfflineStore| {
                    store.end_reply(&name, &frame);
                };
                shared.offline.change(forget).await;
                Ok(None)
            }
            _ => Err(([0; 16], OfflineRefusal::NotPermitted)),
        };
        Some(done.unwrap_or_else(|(about, refusal)| {
            tracing::debug!(
                peer = self.identity.name(),
                ?refusal,
                "an offline command is refused"
            );
            self.note_refusal(shared, message, refusal);
            say(&FromHub::OfflineRefused { about, refusal })
        }))
    }

    /// Returns something that happens to this peer.
    fn happened(&self, kind: Kind) -> Event {
        Event::new(kind).subject(self.identity.name())
    }

    fn note_refusal(&self, shared: &Shared, message: &ToHub<'_>, refusal: OfflineRefusal) {
        let kind = match (message, refusal) {
            (ToHub::GiveCommand { .. }, _) => Kind::CommandRefused,
            (_, OfflineRefusal::UnknownAgent | OfflineRefusal::NotPermitted) => {
                Kind::PermissionDenied
            }
            (_, OfflineRefusal::Full) => Kind::LimitHit,
            _ => return,
        };
        let event = self.happened(kind).text("why", &format!("{refusal:?}"));
        shared.witness.note(event);
    }

    /// Returns what has come to be for the peer since it asked.
    pub(crate) async fn due(&mut self, shared: &Shared) -> Option<Said> {
        let awaited = self.awaited?;
        let changes = shared.offline.changes();
        if changes == self.looked_at {
            return None;
        }
        let now = clock::now().unix;
        let store = shared.offline.look().await;
        let said = match (awaited, &self.identity) {
            (Awaited::Command, Identity::Agent { id, .. }) => {
                let next = store.next_command(*id, now);
                next.and_then(|(name, frame)| {
                    let said = say(&FromHub::Command { frame: &frame })?;
                    Some(Said {
                        command: Some(name),
                        ..said
                    })
                })
            }
            (Awaited::Reply(frame), Identity::Commander { name, .. }) => {
                match store.reply(name, &frame, now) {
                    ReplyState::Ready(reply) => {
                        shared.witness.note(self.happened(Kind::ReplyFetched));
                        say(&FromHub::Reply { reply: &reply })
                    }
                    ReplyState::Unknown => say(&FromHub::NoReply {
                        frame,
                        waits: false,
                    }),
                    ReplyState::Waits => None,
                }
            }
            _ => None,
        };
        self.looked_at = changes;
        drop(store);
        if let Some(said) = &said {
            self.awaited = None;
            if said.command.is_some() {
                shared.witness.note(self.happened(Kind::CommandDelivered));
            }
        }
        said
    }

    /// Forgets a command that cannot be sent to its agent.
    pub(crate) async fn not_sent(&mut self, shared: &Shared, command: FrameName) {
        if let Identity::Agent { id, .. } = self.identity {
            let forget = move |store: &mut crate::store::OfflineStore| {
                store.end_command(id, &command);
            };
            shared.offline.change(forget).await;
            self.wait_for(Awaited::Command);
        }
    }

    fn wait_for(&mut self, awaited: Awaited) {
        self.awaited = Some(awaited);
        self.looked_at = 0;
    }

    async fn publish(
        &mut self,
        shared: &Shared,
        agent: AgentId,
        prekey: &[u8],
        max_command_len: u16,
    ) -> Result<Option<Said>, Refused> {
        let refuse = |refusal| move |_| (agent.0, refusal);
        let prekey: &[u8; SIGNED_PREKEY_LEN] = prekey
            .try_into()
            .map_err(refuse(OfflineRefusal::BadMessage))?;
        let label = PrekeyLabel::read(prekey).map_err(|_| (agent.0, OfflineRefusal::BadMessage))?;
        if label.agent != agent || self.token.is_empty() {
            return Err((agent.0, OfflineRefusal::BadMessage));
        }
        if !is_near(label.expires.0) {
            return Err((agent.0, OfflineRefusal::NotAfter));
        }
        self.prekeys_left = self
            .prekeys_left
            .checked_sub(1)
            .ok_or((agent.0, OfflineRefusal::Full))?;
        let bundle = Bundle {
            prekey: prekey.to_vec(),
            token: self.token.clone(),
            expires: label.expires.0,
            max_command_len,
        };
        let name = self.identity.name().to_owned();
        let standing = shared.standing.clone();
        let kept = shared
            .offline
            .change(move |store| {
                // Who is shut out meanwhile leaves nothing behind: its records go after it is written that it is.
                if standing.registry().is_shut_out(&name) {
                    return Err(OfflineRefusal::NotPermitted);
                }
                store.put_bundle(agent, bundle).map_err(|error| {
                    tracing::warn!(%error, "a prekey is not stored");
                    OfflineRefusal::NotStored
                })
            })
            .await;
        kept.map(|()| None).map_err(|refusal| (agent.0, refusal))
    }

    async fn next_command(
        &mut self,
        shared: &Shared,
        agent: AgentId,
        taken: Option<FrameName>,
    ) -> Result<Option<Said>, Refused> {
        if let Some(taken) = taken {
            shared
                .offline
                .change(move |store| store.end_command(agent, &taken))
                .await;
        }
        self.wait_for(Awaited::Command);
        Ok(None)
    }

    async fn give_command(
        &self,
        shared: &Shared,
        commander: Identity,
        frame: &[u8],
    ) -> Result<Option<Said>, Refused> {
        let label = CommandLabel::read(frame).map_err(|_| ([0; 16], OfflineRefusal::BadMessage))?;
        let refuse = |refusal| (label.name, refusal);
        may_give(&shared.registry(), &commander, &label.agent).map_err(refuse)?;
        if label.key_name != self.key_name {
            return Err(refuse(OfflineRefusal::BadMessage));
        }
        if !is_near(label.not_after.0) {
            return Err(refuse(OfflineRefusal::NotAfter));
        }
        let frame = frame.to_vec();
        let standing = shared.standing.clone();
        let stored = shared
            .offline
            .change(move |store| {
                let now = clock::now().unix;
                let bundle = store.bundle(label.agent, now);
                let bundle = bundle.ok_or(OfflineRefusal::NoPrekey)?;
                if frame.len() > usize::from(bundle.max_command_len) {
                    return Err(OfflineRefusal::TooLong);
                }
                // It may have been taken away meanwhile.
                may_give(&standing.registry(), &commander, &label.agent)?;
                store.add_command(commander.name(), &label, frame, now)
            })
            .await;
        stored.map_err(refuse)?;
        let kept = self.happened(Kind::CommandKept);
        shared
            .witness
            .note(kept.text("agent", &shared.name_of(&label.agent)));
        let nudge = Input::Nudge(Nudged::Agent(label.agent));
        shared.hub.tell(nudge).await;
        Ok(say(&FromHub::CommandKept { frame: label.name }))
    }

    async fn give_reply(
        &self,
        shared: &Shared,
        agent: AgentId,
        reply: &[u8],
    ) -> Result<Option<Said>, Refused> {
        let name = answered_frame(reply).map_err(|_| ([0; 16], OfflineRefusal::BadMessage))?;
        let reply = reply.to_vec();
        let now = clock::now().unix;
        let put = shared
            .offline
            .change(move |store| store.put_reply(agent, &name, reply, now))
            .await;
        let commander = put.map_err(|refusal| (name, refusal))?;
        if let Some(commander) = commander {
            let kept = self.happened(Kind::ReplyKept);
            shared.witness.note(kept.text("commander", &commander));
            let nudge = Input::Nudge(Nudged::Commander(commander));
            shared.hub.tell(nudge).await;
        }
        Ok(None)
    }

    async fn fetch_reply(
        &mut self,
        shared: &Shared,
        commander: &str,
        frame: FrameName,
        wait: bool,
    ) -> Result<Option<Said>, Refused> {
        if wait {
            self.wait_for(Awaited::Reply(frame));
            return Ok(None);
        }
        let store = shared.offline.look().await;
        Ok(match store.reply(commander, &frame, clock::now().unix) {
            ReplyState::Ready(reply) => {
                shared.witness.note(self.happened(Kind::ReplyFetched));
                say(&FromHub::Reply { reply: &reply })
            }
            state => say(&FromHub::NoReply {
                frame,
                waits: state == ReplyState::Waits,
            }),
        })
    }
}

/// Checks that a commander may give that agent commands, exactly as for a channel.
fn may_give(
    registry: &Registry,
    commander: &Identity,
    agent: &AgentId,
) -> Result<(), OfflineRefusal> {
    let who = commander.holder().ok_or(OfflineRefusal::NotPermitted)?;
    check(registry, &who, Act::Command(agent)).map_err(|denial| match denial {
        Denial::Unknown => OfflineRefusal::UnknownAgent,
        Denial::NotPermitted => OfflineRefusal::NotPermitted,
    })
}

async fn fetch_bundle(
    shared: &Shared,
    commander: &Identity,
    agent: AgentId,
) -> Result<Option<Said>, Refused> {
    let refuse = |refusal| (agent.0, refusal);
    may_give(&shared.registry(), commander, &agent).map_err(refuse)?;
    let store = shared.offline.look().await;
    let bundle = store.bundle(agent, clock::now().unix);
    let bundle = bundle.ok_or(refuse(OfflineRefusal::NoPrekey))?;
    let bundle = [&bundle.prekey[..], &bundle.token[..]].concat();
    Ok(say(&FromHub::Bundle { bundle: &bundle }))
}

/// Returns whether the time is in the future, and not beyond all tokens and prekeys.
fn is_near(expires: u64) -> bool {
    let now = clock::now().unix;
    (now.0 + 1..=now.0 + PREKEY_MILLIS + LEEWAY_MILLIS).contains(&expires)
}

/// Returns `message` as it is said.
fn say(message: &FromHub<'_>) -> Option<Said> {
    let carried = match message {
        FromHub::Bundle { bundle } => bundle.len(),
        FromHub::Command { frame } => frame.len(),
        FromHub::Reply { reply } => reply.len(),
        _ => 0,
    };
    let mut out = vec![0; carried + AROUND];
    let message = message.encode(&mut out).ok()?.to_vec();
    Some(Said {
        message,
        command: None,
    })
}
