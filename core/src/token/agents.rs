//! Which agents a commander may reach.

use heapless::{String, Vec};

use super::agent_id::{AGENT_ID_LEN, AgentId};
use super::limits::{MAX_AGENT_COUNT, MAX_SUBJECT_LEN};
use super::members::{Members, OneOrMany};
use super::reason::{Member, TokenReason};
use super::{base64url, text};

/// Which agents a commander may reach: the claim `agt`.
///
/// ```text
/// "agt":["AAECAwQFBgcICQoLDA0ODw",…]   1 to 8 agent ids, each 16 bytes in base64url
/// "agt":"harbour-north"                one group id, 1 to 32 of [A-Za-z0-9_.-]
/// ```
///
/// Ids are in base64url as `jti` is: a payload with short names has room for seven or eight so, and for five in
/// hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AgentScope {
    /// The claim is absent: the token names no agent and reaches none by itself.
    #[default]
    None,
    /// These agents, one by one; none twice.
    Agents(Vec<AgentId, MAX_AGENT_COUNT>),
    /// The agents of this group.
    Group(String<MAX_SUBJECT_LEN>),
}

impl AgentScope {
    /// Returns the scope of exactly `agents`, or nothing unless there are 1 to 8 and none twice.
    #[must_use]
    pub fn of_agents(agents: &[AgentId]) -> Option<Self> {
        let mut ids = Vec::new();
        for agent in agents {
            if ids.contains(agent) {
                return None;
            }
            ids.push(*agent).ok()?;
        }
        (!ids.is_empty()).then_some(Self::Agents(ids))
    }

    /// Returns the scope of the group `id`, or nothing unless it is 1 to 32 of `[A-Za-z0-9_.-]`.
    #[must_use]
    pub fn of_group(id: &str) -> Option<Self> {
        text::name(id, Member::Agents).ok().map(Self::Group)
    }

    /// Returns whether the scope names `agent` or one of the groups that the agent belongs to.
    #[must_use]
    pub fn reaches(&self, agent: &AgentId, groups: &[&str]) -> bool {
        match self {
            Self::None => false,
            Self::Agents(ids) => ids.contains(agent),
            Self::Group(id) => groups.contains(&id.as_str()),
        }
    }

    /// Reads the value of `agt`.
    pub(super) fn parse(members: &mut Members<'_>) -> Result<Self, TokenReason> {
        let member = Member::Agents;
        if let OneOrMany::One(group) = members.string_or_array(member)? {
            return text::name(group, member).map(Self::Group);
        }
        let mut ids = Vec::new();
        while let Some(id) = members.next_string(member)? {
            let id = base64url::decode_exact::<AGENT_ID_LEN>(id)
                .ok_or(TokenReason::Length(member))?
                .map_err(|reason| TokenReason::Encoding(member, reason))?;
            if ids.contains(&AgentId(id)) {
                return Err(TokenReason::Repeated(member));
            }
            ids.push(AgentId(id))
                .map_err(|_| TokenReason::Count(member))?;
        }
        if ids.is_empty() {
            Err(TokenReason::Count(member))
        } else {
            Ok(Self::Agents(ids))
        }
    }
}
