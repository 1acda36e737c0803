//! Who speaks with whom.
//!
//! A route is a random name for one channel of one commander with one agent. The agent answers on the route and learns
//! nothing else; the answer finds its commander here and nowhere else.

use std::collections::HashMap;

use moorline_core::time::Instant;
use moorline_core::token::AgentId;

use super::SessionKey;
use crate::entropy::random;

/// The name of a route.
pub(super) type RouteName = [u8; 16];

/// One channel.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) commander: SessionKey,
    pub(super) channel: u32,
    pub(super) agent: SessionKey,
    pub(super) agent_id: AgentId,
    /// When something was last carried on it.
    used: Instant,
}

/// What a commander's end of a route is called.
type Ask = (SessionKey, u32, SessionKey);

/// All channels.
#[derive(Debug)]
pub(super) struct Routes {
    by_name: HashMap<RouteName, Route>,
    by_ask: HashMap<Ask, RouteName>,
    per_commander: HashMap<SessionKey, usize>,
    max_per_commander: usize,
    idle_millis: u64,
    /// When it is to be looked whether a route is idle: not after the first one is.
    due: Option<Instant>,
}

/// A channel whose other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) commander: SessionKey,
    pub(super) channel: u32,
}

impl Routes {
    /// Returns no routes yet. A commander has at most `max_per_commander`, and one that carries nothing for
    /// `idle_millis` is forgotten.
    pub(super) fn new(max_per_commander: usize, idle_millis: u64) -> Self {
        Self {
            by_name: HashMap::new(),
            by_ask: HashMap::new(),
            per_commander: HashMap::new(),
            max_per_commander,
            idle_millis,
            due: None,
        }
    }

    /// Has other limits hold from now on. A commander that has more routes than this keeps them, and gets no new one.
    pub(super) fn set_limits(&mut self, max_per_commander: usize, idle_millis: u64) {
        self.max_per_commander = max_per_commander;
        self.idle_millis = idle_millis;
        // When one is idle is another moment now: it is looked at once, and that says when to look again.
        self.due = (!self.by_name.is_empty()).then_some(Instant(0));
    }

    /// Returns the name under which `agent` hears the commander on `channel`; a new one is made if there is none.
    ///
    /// Nothing is returned when the commander has too many, or the system gives no random bytes.
    pub(super) fn ask(
        &mut self,
        commander: SessionKey,
        channel: u32,
        agent: SessionKey,
        agent_id: AgentId,
        now: Instant,
    ) -> Option<RouteName> {
        let ask = (commander, channel, agent);
        if let Some(name) = self.by_ask.get(&ask) {
            self.by_name.get_mut(name)?.used = now;
            return Some(*name);
        }
        let count = self.per_commander.entry(commander).or_default();
        if *count >= self.max_per_commander {
            return None;
        }
        let name = random().ok()?;
        *count += 1;
        self.by_ask.insert(ask, name);
        let route = Route {
            commander,
            channel,
            agent,
            agent_id,
            used: now,
        };
        self.by_name.insert(name, route);
        self.due = self.due.or(Some(now.plus(self.idle_millis)));
        Some(name)
    }

    /// Returns whether the commander has spoken with `agent` on `channel` before.
    pub(super) fn is_known(&self, commander: SessionKey, channel: u32, agent: SessionKey) -> bool {
        self.by_ask.contains_key(&(commander, channel, agent))
    }

    /// Returns for whom `agent` speaks on the route `name`.
    pub(super) fn answer(
        &mut self,
        agent: SessionKey,
        name: &RouteName,
        now: Instant,
    ) -> Option<&Route> {
        let route = self
            .by_name
            .get_mut(name)
            .filter(|route| route.agent == agent)?;
        route.used = now;
        Some(route)
    }

    /// Forgets the routes that carried nothing for long, at `now`.
    pub(super) fn expire(&mut self, now: Instant) {
        let idle = self.idle_millis;
        self.forget(|route| now.since(route.used) >= idle);
        let used = self.by_name.values().map(|route| route.used).min();
        self.due = used.map(|used| used.plus(idle));
    }

    /// Forgets all routes of `session`, and returns the channels of others to it.
    pub(super) fn leave(&mut self, session: SessionKey) -> Vec<Cut> {
        let gone = self.forget(|route| route.agent == session || route.commander == session);
        let cut = gone.into_iter().filter(|route| route.agent == session);
        cut.map(|route| Cut {
            commander: route.commander,
            channel: route.channel,
        })
        .collect()
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Returns when [`Routes::expire`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn forget(&mut self, is_gone: impl Fn(&Route) -> bool) -> Vec<Route> {
        let mut gone = Vec::new();
        self.by_name.retain(|_, route| {
            let goes = is_gone(route);
            if goes {
                gone.push(route.clone());
            }
            !goes
        });
        for route in &gone {
            let ask = (route.commander, route.channel, route.agent);
            self.by_ask.remove(&ask);
            if let Some(count) = self.per_commander.get_mut(&route.commander) {
                *count -= 1;
                if *count == 0 {
                    self.per_commander.remove(&route.commander);
                }
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::time::Instant;
    use moorline_core::token::AgentId;

    use super::{Cut, Routes, SessionKey};

    const ALICE: SessionKey = SessionKey([1; 8]);
    const BOB: SessionKey = SessionKey([2; 8]);
    const BOILER: SessionKey = SessionKey([3; 8]);
    const PUMP: SessionKey = SessionKey([4; 8]);

    fn routes() -> Routes {
        Routes::new(2, 100)
    }

    fn ask(
        routes: &mut Routes,
        commander: SessionKey,
        channel: u32,
        agent: SessionKey,
        now: u64,
    ) -> Option<[u8; 16]> {
        routes.ask(commander, channel, agent, AgentId([7; 16]), Instant(now))
    }

    #[test]
    fn an_answer_finds_its_commander() {
        let mut routes = routes();
        let alice = ask(&mut routes, ALICE, 1, BOILER, 0).expect("a name");
        let bob = ask(&mut routes, BOB, 1, BOILER, 0).expect("a name");
        assert_ne!(alice, bob);
        assert_eq!(ask(&mut routes, ALICE, 1, BOILER, 5), Some(alice));
        for (name, commander) in [(bob, BOB), (alice, ALICE), (alice, ALICE)] {
            let found = routes.answer(BOILER, &name, Instant(0));
            assert_eq!(found.map(|route| route.commander), Some(commander));
        }
    }

    #[test]
    fn an_agent_does_not_answer_for_another_nor_on_a_name_that_was_not_given() {
        let mut routes = routes();
        let mut name = ask(&mut routes, ALICE, 1, BOILER, 0).expect("a name");
        assert!(routes.answer(PUMP, &name, Instant(0)).is_none());
        name[0] ^= 1;
        assert!(routes.answer(BOILER, &name, Instant(0)).is_none());
    }

    #[test]
    fn a_commander_has_so_many_channels_and_no_more() {
        let mut routes = routes();
        assert!(ask(&mut routes, ALICE, 1, BOILER, 0).is_some());
        assert!(ask(&mut routes, ALICE, 2, BOILER, 0).is_some());
        assert!(ask(&mut routes, ALICE, 3, BOILER, 0).is_none());
        assert!(ask(&mut routes, BOB, 1, BOILER, 0).is_some());
        routes.expire(Instant(100));
        assert!(ask(&mut routes, ALICE, 3, BOILER, 100).is_some());
    }

    #[test]
    fn other_limits_hold_from_then_on() {
        let mut routes = routes();
        let first = ask(&mut routes, ALICE, 1, BOILER, 0).expect("a name");
        assert!(ask(&mut routes, ALICE, 2, BOILER, 0).is_some());
        routes.set_limits(1, 50);
        assert_eq!(ask(&mut routes, ALICE, 1, BOILER, 20), Some(first));
        assert!(ask(&mut routes, ALICE, 3, BOILER, 20).is_none());
        // What is idle for as long as it may be now goes at once, and the rest in its time.
        assert_eq!(routes.deadline(), Some(Instant(0)));
        routes.expire(Instant(50));
        assert_eq!(routes.deadline(), Some(Instant(70)));
        assert_eq!(ask(&mut routes, ALICE, 1, BOILER, 50), Some(first));
        assert!(ask(&mut routes, ALICE, 2, BOILER, 50).is_none());
        routes.set_limits(2, 50);
        assert!(ask(&mut routes, ALICE, 2, BOILER, 50).is_some());
    }

    #[test]
    fn channels_to_an_agent_that_leaves_are_told() {
        let mut routes = routes();
        ask(&mut routes, ALICE, 1, BOILER, 0).expect("a name");
        ask(&mut routes, ALICE, 2, PUMP, 0).expect("a name");
        let bob = ask(&mut routes, BOB, 9, PUMP, 0).expect("a name");
        let told = Cut {
            commander: ALICE,
            channel: 1,
        };
        assert_eq!(routes.leave(BOILER), [told]);
        assert!(routes.leave(ALICE).is_empty());
        assert!(routes.answer(PUMP, &bob, Instant(0)).is_some());
        assert!(ask(&mut routes, ALICE, 1, PUMP, 0).is_some());
    }

    #[test]
    fn a_route_is_forgotten_when_it_carries_nothing() {
        let mut routes = routes();
        let name = ask(&mut routes, ALICE, 1, BOILER, 0).expect("a name");
        assert_eq!(routes.deadline(), Some(Instant(100)));
        assert!(routes.answer(BOILER, &name, Instant(60)).is_some());
        routes.expire(Instant(159));
        assert!(routes.answer(BOILER, &name, Instant(60)).is_some());
        routes.expire(Instant(160));
        assert!(routes.answer(BOILER, &name, Instant(160)).is_none());
        assert_eq!(routes.deadline(), None);
    }
}
