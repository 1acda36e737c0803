//! Who asked what of whom.
//!
//! A route is a random name for one conversation of one commander with one agent. The agent answers to the route and
//! learns nothing else; the answer finds its asker here and nowhere else.

use std::collections::HashMap;

use moorline_core::time::Instant;
use moorline_core::token::AgentId;

use super::SessionKey;
use crate::entropy::random;

/// The name of a route.
pub(super) type RouteName = [u8; 16];

/// One conversation.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) commander: SessionKey,
    pub(super) channel: u32,
    pub(super) agent: SessionKey,
    pub(super) agent_id: AgentId,
    /// Questions without an answer, by the time at which they are given up.
    pending: Vec<Instant>,
}

/// All conversations.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_name: HashMap<RouteName, Route>,
}

/// A question that will have no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) commander: SessionKey,
    pub(super) channel: u32,
}

impl Routes {
    /// Notes a question, and returns the name under which the agent hears it; nothing when the system gives no random
    /// bytes.
    pub(super) fn ask(
        &mut self,
        commander: SessionKey,
        channel: u32,
        agent: SessionKey,
        agent_id: AgentId,
        give_up: Instant,
    ) -> Option<RouteName> {
        let known = self.by_name.iter_mut().find(|(_, route)| {
            route.commander == commander && route.channel == channel && route.agent == agent
        });
        if let Some((name, route)) = known {
            route.pending.push(give_up);
            return Some(*name);
        }
        let name = random().ok()?;
        let pending = vec![give_up];
        self.by_name.insert(
            name,
            Route {
                commander,
                channel,
                agent,
                agent_id,
                pending,
            },
        );
        Some(name)
    }

    /// Takes back the last question to `agent` on the route `name`, which never reached it, and returns whose it was.
    pub(super) fn take_back(&mut self, agent: SessionKey, name: &RouteName) -> Option<Unanswered> {
        let route = self
            .by_name
            .get_mut(name)
            .filter(|route| route.agent == agent)?;
        route.pending.pop()?;
        let (commander, channel) = (route.commander, route.channel);
        self.forget_idle(name);
        Some(Unanswered { commander, channel })
    }

    /// Takes an answer of `agent` on the route `name`, and returns whom it is for. An agent answers only what it was
    /// asked, and once.
    pub(super) fn answer(&mut self, agent: SessionKey, name: &RouteName) -> Option<Route> {
        let route = self
            .by_name
            .get_mut(name)
            .filter(|route| route.agent == agent)?;
        if route.pending.is_empty() {
            return None;
        }
        route.pending.remove(0);
        let found = route.clone();
        self.forget_idle(name);
        Some(found)
    }

    fn forget_idle(&mut self, name: &RouteName) {
        if self
            .by_name
            .get(name)
            .is_some_and(|route| route.pending.is_empty())
        {
            self.by_name.remove(name);
        }
    }

    /// Returns how many questions of `commander` have no answer yet.
    pub(super) fn pending_of(&self, commander: SessionKey) -> usize {
        let own = self
            .by_name
            .values()
            .filter(|route| route.commander == commander);
        own.map(|route| route.pending.len()).sum()
    }

    /// Forgets the questions that were to be answered by `now`, and returns them.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        self.by_name.retain(|_, route| {
            let (commander, channel) = (route.commander, route.channel);
            route.pending.retain(|give_up| {
                let late = *give_up <= now;
                if late {
                    unanswered.push(Unanswered { commander, channel });
                }
                !late
            });
            !route.pending.is_empty()
        });
        unanswered
    }

    /// Forgets all routes of `session`, and returns the questions of others to it.
    pub(super) fn leave(&mut self, session: SessionKey) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        self.by_name.retain(|_, route| {
            if route.agent == session {
                let (commander, channel) = (route.commander, route.channel);
                unanswered.extend(
                    route
                        .pending
                        .iter()
                        .map(|_| Unanswered { commander, channel }),
                );
            }
            route.agent != session && route.commander != session
        });
        unanswered
    }

    /// Returns when the next question is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.by_name
            .values()
            .flat_map(|route| route.pending.iter().copied())
            .min()
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;
    use moorline_core::token::AgentId;

    use super::{Routes, SessionKey, Unanswered};

    const ALICE: SessionKey = SessionKey([1; 8]);
    const BOB: SessionKey = SessionKey([2; 8]);
    const BOILER: SessionKey = SessionKey([3; 8]);
    const PUMP: SessionKey = SessionKey([4; 8]);

    fn ask(
        routes: &mut Routes,
        commander: SessionKey,
        channel: u32,
        agent: SessionKey,
    ) -> [u8; 16] {
        let id = AgentId([7; 16]);
        routes
            .ask(commander, channel, agent, id, Instant(100))
            .expect("random bytes")
    }

    #[test]
    fn an_answer_finds_its_asker_once() {
        let mut routes = Routes::default();
        let alice = ask(&mut routes, ALICE, 1, BOILER);
        let bob = ask(&mut routes, BOB, 1, BOILER);
        assert_ne!(alice, bob);
        assert_eq!(
            routes.answer(BOILER, &bob).map(|route| route.commander),
            Some(BOB)
        );
        assert_eq!(
            routes.answer(BOILER, &alice).map(|route| route.commander),
            Some(ALICE)
        );
        assert!(routes.answer(BOILER, &alice).is_none(), "it was asked once");
    }

    #[test]
    fn an_agent_does_not_answer_for_another() {
        let mut routes = Routes::default();
        let name = ask(&mut routes, ALICE, 1, BOILER);
        assert!(routes.answer(PUMP, &name).is_none());
        assert!(
            routes.answer(BOILER, &name).is_some(),
            "the question still stands"
        );
    }

    #[test]
    fn a_name_that_was_not_given_finds_nobody() {
        let mut routes = Routes::default();
        let mut name = ask(&mut routes, ALICE, 1, BOILER);
        name[0] ^= 1;
        assert!(routes.answer(BOILER, &name).is_none());
    }

    #[test]
    fn questions_to_an_agent_that_leaves_are_told() {
        let mut routes = Routes::default();
        ask(&mut routes, ALICE, 1, BOILER);
        ask(&mut routes, ALICE, 1, BOILER);
        ask(&mut routes, BOB, 9, PUMP);
        let told = Unanswered {
            commander: ALICE,
            channel: 1,
        };
        assert_eq!(routes.leave(BOILER), [told, told]);
        assert_eq!(routes.pending_of(BOB), 1);
    }

    #[test]
    fn questions_are_given_up_in_time() {
        let mut routes = Routes::default();
        ask(&mut routes, ALICE, 1, BOILER);
        assert_eq!(routes.deadline(), Some(Instant(100)));
        assert!(routes.expire(Instant(99)).is_empty());
        assert_eq!(
            routes.expire(Instant(100)),
            [Unanswered {
                commander: ALICE,
                channel: 1
            }]
        );
        assert_eq!(routes.deadline(), None);
    }
}
