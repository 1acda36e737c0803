//! Whether somebody may do something now.

use moorline_core::token::{AgentId, AgentScope, Permissions};

use super::permitted;
use crate::store::{PeerRole, Registry};

/// Who wants to do something: what the token says with which it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What the token permits.
    pub(crate) permissions: Permissions,
    /// Which agents the token reaches.
    pub(crate) scope: &'a AgentScope,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act<'a> {
    /// To see which agents there are.
    List,
    /// To see that there is this agent.
    See(&'a AgentId),
    /// To command this agent, whichever the command: the agent judges each by itself.
    Command(&'a AgentId),
}

/// Why somebody may not. What is not reached is as unknown as what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// There is no such agent for it.
    Unknown,
    /// It is not permitted.
    NotPermitted,
}

/// Returns whether `who` may do `act`.
///
/// # Errors
///
/// [`Denial`]. It is for the caller to put it on record.
pub(crate) fn check(registry: &Registry, who: &Holder<'_>, act: Act<'_>) -> Result<(), Denial> {
    let written = registry.find(who.name).filter(|peer| !peer.revoked);
    let written = written.filter(|peer| peer.role == PeerRole::Commander);
    let written = written.ok_or(Denial::NotPermitted)?;
    let permitted = who.permissions.intersection(permitted(registry, written));
    match act {
        Act::List if permitted.contains(Permissions::AGENT_LIST) => Ok(()),
        Act::List => Err(Denial::NotPermitted),
        Act::See(agent) | Act::Command(agent) => {
            let (name, found) = registry.agent(agent).ok_or(Denial::Unknown)?;
            let groups: Vec<&str> = found.group.iter().map(String::as_str).collect();
            let by_token = who.scope.reaches(agent, &groups);
            if !by_token || !registry.is_reached(who.name, written, name, found) {
                return Err(Denial::Unknown);
            }
            match act {
                Act::Command(_) if permitted.intersection(commands()).is_empty() => {
                    Err(Denial::NotPermitted)
                }
                _ => Ok(()),
            }
        }
    }
}

/// Returns the permissions for all commands.
fn commands() -> Permissions {
    Permissions::from_pattern("agent.command.*").unwrap_or(Permissions::NONE)
}
