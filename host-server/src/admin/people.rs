//! What operators ask of people: roles, commanders, and to whom agents belong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::accounts::report;
use super::{AccountReport, AdminAnswer};
use crate::access::{RoleDefinition, permitted};
use crate::audit::{Event, Kind};
use crate::shared::Shared;
use crate::store::{Peer, PeerRole, Reach, Registry, RegistryError};

/// Commanders that one answer speaks of: they fit into a line.
const MAX_USERS: usize = 50;

/// A change of who may do what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessChange {
    /// Puts a role in the place of the one that is called so, or beside the others.
    PutRole {
        /// Its name.
        name: String,
        /// What it is.
        role: RoleDefinition,
    },
    /// Takes away a role that nobody has.
    RemoveRole {
        /// Its name.
        name: String,
    },
    /// Gives a commander these roles and no others.
    SetRoles {
        /// The commander.
        name: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// Says to whom an agent belongs.
    Own {
        /// The agent.
        agent: String,
        /// The commander, or nobody.
        owner: Option<String>,
    },
    /// Says whether a commander that does not own an agent reaches it.
    Grant {
        /// The agent.
        agent: String,
        /// The commander.
        commander: String,
        /// Whether it does.
        is_granted: bool,
    },
}

/// A role, and all that it permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleReport {
    /// What is written of it.
    #[serde(flatten)]
    pub definition: RoleDefinition,
    /// The names of all permissions that it comes to.
    pub permits: Vec<String>,
}

/// A commander.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserReport {
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The names of all permissions that it has, by its roles and beside them.
    pub permits: Vec<String>,
    /// Which agents it reaches beside its own and those that it was granted.
    pub reach: Reach,
    /// The agents that it owns.
    pub owns: Vec<String>,
    /// The agents that it was granted.
    pub granted: Vec<String>,
    /// By what it logs in, and where it is.
    pub account: AccountReport,
    /// Whether it is shut out.
    pub revoked: bool,
}

/// Who reaches an agent by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReport {
    /// The agent.
    pub agent: String,
    /// Its group.
    pub group: Option<String>,
    /// The commander that it belongs to.
    pub owner: Option<String>,
    /// The commanders that it is granted to.
    pub granted: Vec<String>,
}

pub(super) fn roles(shared: &Shared) -> AdminAnswer {
    let registry = shared.registry();
    let roles = registry.roles();
    let reports = roles.iter().map(|(name, definition)| {
        let permits = roles.permitted(std::slice::from_ref(&name));
        let permits = permits.names().map(String::from).collect();
        (
            name,
            RoleReport {
                definition,
                permits,
            },
        )
    });
    AdminAnswer::Roles(reports.collect::<BTreeMap<_, _>>())
}

pub(super) fn users(after: Option<String>, wanted: Option<String>, shared: &Shared) -> AdminAnswer {
    let registry = shared.registry();
    let commanders = registry
        .peers()
        .filter(|(_, peer)| peer.role == PeerRole::Commander)
        .filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted == name))
        .filter(|(name, _)| after.as_deref().is_none_or(|after| *name > after));
    let mut users: Vec<UserReport> = commanders
        .take(MAX_USERS + 1)
        .map(|(name, peer)| user(&registry, name, peer))
        .collect();
    match wanted {
        Some(wanted) if users.is_empty() => {
            AdminAnswer::Refused(format!("no commander is called `{wanted}`"))
        }
        _ => {
            drop(registry);
            let more = users.len() > MAX_USERS;
            users.truncate(MAX_USERS);
            for user in &mut users {
                user.account = report(&user.name, shared);
            }
            AdminAnswer::Users { users, more }
        }
    }
}

fn user(registry: &Registry, name: &str, peer: &Peer) -> UserReport {
    let (owns, granted) = registry.given_to(name).partition(|agent| {
        let agent = registry.find(agent);
        agent.is_some_and(|agent| agent.owner.as_deref() == Some(name))
    });
    let texts = |names: Vec<&str>| names.into_iter().map(String::from).collect();
    UserReport {
        name: name.into(),
        roles: peer.roles.clone(),
        permits: permitted(registry, peer)
            .names()
            .map(String::from)
            .collect(),
        reach: peer.reach.clone(),
        owns: texts(owns),
        granted: texts(granted),
        account: AccountReport::default(),
        revoked: peer.revoked,
    }
}

pub(super) fn access(agent: &str, shared: &Shared) -> AdminAnswer {
    let registry = shared.registry();
    let found = registry.find(agent);
    match found.filter(|peer| peer.role == PeerRole::Agent && !peer.revoked) {
        None => AdminAnswer::Refused(format!("no agent is called `{agent}`")),
        Some(peer) => AdminAnswer::Access(AccessReport {
            agent: agent.into(),
            group: peer.group.clone(),
            owner: peer.owner.clone(),
            granted: peer.granted.clone(),
        }),
    }
}

/// Makes `change`, and returns what is recorded of it.
pub(super) fn change(change: &AccessChange, shared: &Shared) -> Result<Event, RegistryError> {
    let mut registry = shared.registry_mut();
    let event = Event::new(Kind::AccessChanged);
    Ok(match change {
        AccessChange::PutRole { name, role } => {
            registry.put_role(name, role.clone())?;
            let event = event.text("role", name);
            let event = event.text("inherits", &role.inherits.join(" "));
            event.text("permissions", &role.permissions.join(" "))
        }
        AccessChange::RemoveRole { name } => {
            registry.remove_role(name)?;
            event.text("removed", name)
        }
        AccessChange::SetRoles { name, roles } => {
            registry.set_roles(name, roles)?;
            event.subject(name).text("roles", &roles.join(" "))
        }
        AccessChange::Own { agent, owner } => {
            registry.own(agent, owner.as_deref())?;
            let owner = owner.as_deref().unwrap_or("nobody");
            event.subject(agent).text("owner", owner)
        }
        AccessChange::Grant {
            agent,
            commander,
            is_granted,
        } => {
            registry.grant(agent, commander, *is_granted)?;
            let how = if *is_granted { "granted" } else { "withdrawn" };
            event.subject(agent).text(how, commander)
        }
    })
}
