//! Honest agents, each with a commander that has it echo a word, again and again.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use moorline_core::message::Command;
use moorline_core::token::AgentId;
use moorline_server::client::Client;
use moorline_server::store::{PeerRole, Reach};

use crate::agent::{Agent, Way};
use crate::hub::Hub;
use crate::world::Peer;

/// How long a commander rests between two commands.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Agents and commanders at work.
pub(crate) struct Honest {
    /// For each commander, until when it works.
    orders: Vec<Sender<Instant>>,
    results: Receiver<Result<Vec<Duration>, String>>,
    /// They work until the hub is gone.
    agents: Vec<Agent>,
}

/// How commands went.
pub(crate) struct Outcome {
    /// Their times, the shortest first.
    times: Vec<Duration>,
    failures: Vec<String>,
}

/// Enrols `number` agents, and a commander for each.
pub(crate) fn enrol(hub: &Hub, number: u32) -> Vec<(Peer, Peer)> {
    let pairs = (0..number).map(|number| {
        let name = format!("agent-{number}");
        let agent = hub.enrol(&name, PeerRole::Agent, Reach::Nobody);
        let reach = Reach::Agents(vec![name]);
        let commander = hub.enrol(&format!("commander-{number}"), PeerRole::Commander, reach);
        (agent, commander)
    });
    pairs.collect()
}

/// Connects all of them, half of the agents over bare TCP.
pub(crate) fn start(hub: &Hub, pairs: Vec<(Peer, Peer)>) -> Honest {
    let (tell, results) = channel();
    let (mut orders, mut agents) = (Vec::new(), Vec::new());
    for (number, (agent, commander)) in pairs.into_iter().enumerate() {
        let way = if number % 2 == 0 {
            Way::Tcp(hub.tcp)
        } else {
            Way::WebSocket(hub.http)
        };
        let id = AgentId::of(&agent.credential.hub, &agent.credential.name);
        agents.push(Agent::start(agent, way));
        let (order, ordered) = channel();
        orders.push(order);
        let tell = tell.clone();
        std::thread::spawn(move || command(&commander, id, &ordered, &tell));
    }
    Honest {
        orders,
        results,
        agents,
    }
}

/// Works as one commander, in one session, for as long as it is ordered to.
fn command(
    commander: &Peer,
    agent: AgentId,
    ordered: &Receiver<Instant>,
    tell: &Sender<Result<Vec<Duration>, String>>,
) {
    let worked = commander.connected(async |client| {
        while let Ok(until) = ordered.recv() {
            let _ = tell.send(echo_until(client, agent, until).await);
        }
    });
    if let Err(error) = worked {
        let _ = tell.send(Err(error.to_string()));
    }
}

async fn echo_until(
    client: &mut Client<'_>,
    agent: AgentId,
    until: Instant,
) -> Result<Vec<Duration>, String> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let command = Command {
            name: "echo",
            arguments: ["still here"].into_iter().collect(),
        };
        let began = Instant::now();
        let sent = client.send(agent, command, PATIENCE, |_| ()).await;
        sent.map_err(|error| error.to_string())?;
        times.push(began.elapsed());
        smol::Timer::after(PAUSE).await;
    }
    Ok(times)
}

impl Honest {
    /// Has all commanders work for `length`.
    pub(crate) fn work(&mut self, length: Duration) -> Outcome {
        let until = Instant::now() + length;
        for order in &self.orders {
            // One that is gone has said so.
            let _ = order.send(until);
        }
        let (mut times, mut failures) = (Vec::new(), Vec::new());
        for _ in &self.orders {
            match self.results.recv_timeout(length + 2 * PATIENCE) {
                Ok(Ok(own)) => times.extend(own),
                Ok(Err(why)) => failures.push(why),
                Err(_) => failures.push("a commander says nothing".into()),
            }
        }
        times.sort_unstable();
        Outcome { times, failures }
    }

    /// Ends all commanders. Agents end with the hub.
    pub(crate) fn end(self) {
        drop((self.orders, self.agents));
    }
}

impl Outcome {
    pub(crate) fn p99(&self) -> Duration {
        self.percentile(99)
    }

    /// Returns how many commanders lost their session, or a reply.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    fn percentile(&self, percent: usize) -> Duration {
        let place = (self.times.len() * percent).div_ceil(100).max(1) - 1;
        self.times.get(place).copied().unwrap_or(Duration::MAX)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, failed) = (self.times.len(), self.failed());
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        write!(
            formatter,
            "{number} echoes, p50 {p50:.1?}, p99 {p99:.1?}, {failed} failed"
        )?;
        self.failures
            .first()
            .map_or(Ok(()), |why| write!(formatter, " ({why})"))
    }
}
