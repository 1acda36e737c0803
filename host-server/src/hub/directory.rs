//! Who is here.

use std::collections::HashMap;

use moorline_core::message::AlertCode;
use moorline_core::token::AgentId;

use super::{Identity, Nudged, Outbox, Output, SessionKey};
use crate::standing::TokenName;

/// Sessions at a time of one agent (PROTOCOL.md §6.2): what is for it goes to one place.
const AGENT_SESSIONS: usize = 1;

/// One session.
#[derive(Debug)]
struct Entry {
    identity: Identity,
    token: TokenName,
    outbox: Outbox,
    /// Rises with every session that opens.
    age: u64,
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Directory {
    sessions: HashMap<SessionKey, Entry>,
    opened: u64,
    commander_sessions: usize,
}

impl Directory {
    /// Has a commander have `commander_sessions` at a time from now on. Those that are open stay.
    pub(super) fn set_limits(&mut self, commander_sessions: usize) {
        self.commander_sessions = commander_sessions;
    }

    /// Takes a session in. The oldest of the same peer over its number is ended: the newest wins. Returns how many are.
    pub(super) fn open(
        &mut self,
        session: SessionKey,
        identity: Identity,
        token: TokenName,
        outbox: Outbox,
    ) -> usize {
        let allowed = match identity {
            Identity::Agent { .. } => AGENT_SESSIONS,
            Identity::Commander { .. } => self.commander_sessions,
        };
        let mut same: Vec<(u64, SessionKey)> = self
            .sessions
            .iter()
            .filter(|(_, entry)| entry.identity.name() == identity.name())
            .map(|(key, entry)| (entry.age, *key))
            .collect();
        same.sort_unstable();
        let surplus = (same.len() + 1).saturating_sub(allowed);
        for (_, oldest) in same.into_iter().take(surplus) {
            self.end(oldest, AlertCode::Superseded, 0);
        }
        self.opened += 1;
        self.sessions.insert(
            session,
            Entry {
                identity,
                token,
                outbox,
                age: self.opened,
            },
        );
        surplus
    }

    /// Notes what the newer token of a session says.
    pub(super) fn renew(&mut self, session: SessionKey, identity: Identity, token: TokenName) {
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.identity = identity;
            entry.token = token;
        }
    }

    /// Lets a session go; returns whether it was here.
    pub(super) fn close(&mut self, session: SessionKey) -> bool {
        self.sessions.remove(&session).is_some()
    }

    /// Tells a session to end and lets it go. Its task hears of it even when its outbox is full.
    pub(super) fn end(&mut self, session: SessionKey, alert: AlertCode, argument: u32) {
        if let Some(entry) = self.sessions.remove(&session) {
            let _ = entry
                .outbox
                .force_send(Box::new(Output::Close(alert, argument)));
        }
    }

    /// Ends every session whose token is revoked as `is_revoked` says.
    pub(super) fn end_revoked(&mut self, is_revoked: impl Fn(&TokenName) -> bool) {
        let entries = self.sessions.iter();
        let revoked = entries.filter(|(_, entry)| is_revoked(&entry.token));
        let revoked: Vec<SessionKey> = revoked.map(|(key, _)| *key).collect();
        for session in revoked {
            self.end(session, AlertCode::Revoked, 0);
        }
    }

    /// Ends the sessions of the peer `name` but `kept`: they rest on a key that is not its own any more.
    pub(super) fn end_others(&mut self, kept: SessionKey, name: &str) {
        let others = self
            .sessions
            .iter()
            .filter(|(key, entry)| **key != kept && entry.identity.name() == name);
        let others: Vec<SessionKey> = others.map(|(key, _)| *key).collect();
        for session in others {
            self.end(session, AlertCode::Superseded, 0);
        }
    }

    /// Ends every session, each with an argument of its own.
    pub(super) fn end_all(&mut self, alert: AlertCode, argument: impl Fn() -> u32) {
        let all: Vec<SessionKey> = self.sessions.keys().copied().collect();
        for session in all {
            self.end(session, alert, argument());
        }
    }

    /// Hands `output` to a session; returns whether it was taken.
    pub(super) fn tell(&self, session: SessionKey, output: Output) -> bool {
        self.sessions
            .get(&session)
            .is_some_and(|entry| entry.outbox.try_send(Box::new(output)).is_ok())
    }

    /// Has the sessions of `whom` look at what is kept for it. One whose outbox is full looks when it has emptied it.
    pub(super) fn nudge(&self, whom: &Nudged) {
        for entry in self.sessions.values() {
            let is_it = match (&entry.identity, whom) {
                (Identity::Agent { id, .. }, Nudged::Agent(wanted)) => id == wanted,
                (Identity::Commander { name, .. }, Nudged::Commander(wanted)) => name == wanted,
                _ => false,
            };
            if is_it {
                let _ = entry.outbox.try_send(Box::new(Output::Nudge));
            }
        }
    }

    /// Hands `message` to every agent. One whose outbox is full is ended: it hears it when it comes back.
    pub(super) fn tell_agents(&mut self, message: &[u8]) {
        let agents = self
            .sessions
            .iter()
            .filter(|(_, entry)| matches!(entry.identity, Identity::Agent { .. }));
        let agents: Vec<SessionKey> = agents.map(|(key, _)| *key).collect();
        self.tell_each(&agents, message);
    }

    /// Hands `message` to every peer. One whose outbox is full is ended: it hears it when it comes back.
    pub(super) fn tell_all(&mut self, message: &[u8]) {
        let all: Vec<SessionKey> = self.sessions.keys().copied().collect();
        self.tell_each(&all, message);
    }

    fn tell_each(&mut self, sessions: &[SessionKey], message: &[u8]) {
        for session in sessions.iter().copied() {
            if !self.tell(session, Output::Application(message.to_vec())) {
                self.end(session, AlertCode::Limit, 0);
            }
        }
    }

    /// Returns who a session belongs to.
    pub(super) fn identity(&self, session: SessionKey) -> Option<&Identity> {
        self.sessions.get(&session).map(|entry| &entry.identity)
    }

    /// Returns the session of the agent `wanted`.
    pub(super) fn agent(&self, wanted: &AgentId) -> Option<SessionKey> {
        self.sessions
            .iter()
            .find(
                |(_, entry)| matches!(&entry.identity, Identity::Agent { id, .. } if id == wanted),
            )
            .map(|(key, _)| *key)
    }

    /// Returns how many sessions are here.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }
}
